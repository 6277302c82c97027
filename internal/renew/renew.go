// Package renew renews the token of one connection: it reads the state, decides,
// claims, exchanges, stores and publishes, in the order that loses no refresh
// token. It is the only caller of an exchange besides rotation.
//
// The documents and the labels on their versions hold all state;
// docs/reliability.md lists the labels and says what each
// half-done state means.
package renew

import (
	"context"
	"log/slog"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// Store is Secrets Manager. Its errors are those of package secrets.
type Store interface {
	Get(ctx context.Context, id, label string) (secrets.Version, error)
	GetVersion(ctx context.Context, id, versionID string) (secrets.Version, error)
	Describe(ctx context.Context, id string) (secrets.Description, error)
	Put(ctx context.Context, id, versionID string, value redact.Secret, labels ...string) error
	MoveLabel(ctx context.Context, id, label, to, from string) error
	VersionsSince(ctx context.Context, id string, t time.Time) (int, error)
}

// Parameters is SSM. Its errors are those of package secrets.
type Parameters interface {
	Get(ctx context.Context, name string) (redact.Secret, error)
	Put(ctx context.Context, name, keyID string, value redact.Secret) error
	Delete(ctx context.Context, name string) error
}

// Gate is what a run knows of a provider's host and of a credential that
// several connections share. The answer reports its errors unchanged.
type Gate interface {
	// Closed says why no exchange may begin, without waiting; nil if one
	// may be. It is asked before anything is claimed.
	Closed() *exchange.Error
	// Enter waits for the turn of an exchange by the grant. Where refused is
	// nil, leave must be called once with what came of the exchange: nil for
	// success, [NotSent] where nothing was sent. It is called also after a panic.
	Enter(ctx context.Context, g exchange.Grant) (
		leave func(*exchange.Error), refused *exchange.Error)
}

// NotSent tells a [Gate] that nothing was sent, which says nothing of the provider or the
// credential.
var NotSent = &exchange.Error{}

// noGate is that of a run which knows nothing.
type noGate struct{}

func (noGate) Closed() *exchange.Error { return nil }

func (noGate) Enter(context.Context, exchange.Grant) (func(*exchange.Error), *exchange.Error) {
	return func(*exchange.Error) {}, nil
}

// Engine renews connections. Its methods may be called at the same time for
// different connections.
type Engine struct {
	Secrets    Store
	Parameters Parameters
	Now        func() time.Time
	Sleep      secrets.Wait
	Log        *slog.Logger
	// Every is how often a run happens.
	Every time.Duration
	// RescuePrefix is where a session goes that cannot be stored; the
	// connection's name is appended.
	RescuePrefix string
	// RescueKey is the KMS key of what is put there; empty for the account's
	// default key.
	RescueKey string
	// RunLasts is the longest that a run can last: the run of an older
	// claim has ended.
	RunLasts time.Duration
}

// Job is one connection with what was read of it.
type Job struct {
	Connection connection.Connection
	Provider   exchange.Provider
	// Token is the published token as read, that of the parameter where it is
	// published in one.
	Token secrets.Read
	// Credential and Session are as read; nil where they were not read in this
	// run (see [Needs]), which is not the same as not found: what is then needed
	// after all is read on its own. Session is looked at only where the provider
	// keeps one.
	Credential, Session *secrets.Read
	// Copy is the plain copy as read; nil where it was not read or none is
	// declared.
	Copy *secrets.Read
	// Parameter is the SSM parameter that declares the connection, for hints.
	Parameter string
	// Force renews although nothing is due, and tries what was rejected.
	Force bool
	// IssuedAt, with Force, is the token that the operator saw fail; a newer
	// one is left alone. Zero means any.
	IssuedAt time.Time
	// Candidate is set where Credential is not yet AWSCURRENT and is being tried:
	// its own grants are used although nothing is due, never the session's
	// refresh token. Success stores and publishes what it yields; a refusal
	// leaves no trace.
	Candidate bool
	// Named is set where the run was asked for this connection by its name.
	Named bool
	// DryRun spends and writes nothing.
	DryRun bool
	// Gate is what the run knows of the provider's host and of a credential
	// that other connections share; nil for nothing.
	Gate Gate
}

// Outcome is what became of a connection in a run.
type Outcome string

// The outcomes. A run answers each of them under its own name.
const (
	Issued   Outcome = "issued"
	Fresh    Outcome = "fresh"
	Failed   Outcome = "failed"
	Blocked  Outcome = "blocked"
	Waiting  Outcome = "waiting"
	Deferred Outcome = "deferred"
)

// Result is the answer for one connection. It holds no secret.
type Result struct {
	Name    string
	Outcome Outcome
	Reason  string
	Class   exchange.Class // empty unless failed or blocked
	Hint    string         // what the operator can do, or should know
	// ExpiresAt is that of the token now published; zero if there is none.
	ExpiresAt time.Time
	// CredentialEnds is the absolute end of what a person or a stronger grant
	// must renew; zero where not known.
	CredentialEnds time.Time
	// NeedsPersonAt is the published token's: the end of what only a person can
	// renew; zero where not known.
	NeedsPersonAt time.Time
	// MinRemaining is the life of the published token promised to applications; 0
	// if there is none.
	MinRemaining time.Duration
	// RenewAfter is when the published token should be renewed; zero if there is
	// none.
	RenewAfter time.Time
	// CredentialRefused is set where a changed or stronger credential was
	// refused in this run although the token lives.
	CredentialRefused bool
	// Grant is the grant that was used, for the log.
	Grant string
}
