// Package renew renews the token of one connection: it reads the state, decides,
// claims, exchanges, stores and publishes, in the order that loses no refresh
// token. It is the only caller of an exchange besides rotation.
//
// The documents and the labels on their versions hold all state. docs/reliability.md lists
// the labels and says what each half-done state means.
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

// Gate is what a run knows about a provider's host, and about a credential that several
// connections share. The run's answer reports its errors unchanged.
type Gate interface {
	// Closed returns the reason why no exchange may begin, or nil. It does not wait. It is
	// called before anything is claimed.
	Closed() *exchange.Error
	// Enter waits until an exchange by the grant may begin. If refused is nil, the caller must
	// call leave once with the result of the exchange: nil for success, [NotSent] if nothing
	// was sent. It must do so also after a panic.
	Enter(ctx context.Context, g exchange.Grant) (
		leave func(*exchange.Error), refused *exchange.Error)
}

// NotSent tells a [Gate] that nothing was sent, which says nothing about the provider or the
// credential.
var NotSent = &exchange.Error{}

// noGate is the [Gate] of a run that knows nothing.
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
	// RescuePrefix, followed by the connection's name, is the parameter for a session that
	// cannot be stored.
	RescuePrefix string
	// RescueKey is the KMS key that encrypts that parameter; empty for the account's default
	// key.
	RescueKey string
	// RunLasts is the longest time that a run can last. The run that made an older claim has
	// ended.
	RunLasts time.Duration
}

// Job is one connection with the documents that were read.
type Job struct {
	Connection connection.Connection
	Provider   exchange.Provider
	// Token is the published token as read, from the secret or from the parameter.
	Token secrets.Read
	// Credential and Session are as read; nil if they were not read in this run (see
	// [Needs]), which does not mean not found: Evertoken reads them later if it needs them.
	// Session counts only if the provider has sessions.
	Credential, Session *secrets.Read
	// Copy is the plain copy as read; nil if it was not read or none is declared.
	Copy *secrets.Read
	// Parameter is the SSM parameter that declares the connection, for hints.
	Parameter string
	// Force renews although nothing is due, and tries what was rejected.
	Force bool
	// IssuedAt, with Force, identifies the token that the operator saw fail. A newer token is
	// not renewed. Zero means any token.
	IssuedAt time.Time
	// Candidate says that Credential is not yet AWSCURRENT and is being tried. The run uses
	// its own grants although nothing is due, and never the session's refresh token. On
	// success it stores the session and publishes the token. A refusal changes nothing.
	Candidate bool
	// Named says that the run's event names this connection.
	Named bool
	// DryRun spends and writes nothing.
	DryRun bool
	// Gate is what the run knows about the provider's host and a shared credential; nil for
	// nothing.
	Gate Gate
}

// Outcome is the result for a connection in a run, in one word.
type Outcome string

// The outcomes. The run's answer counts each of them.
const (
	Issued   Outcome = "issued"
	Fresh    Outcome = "fresh"
	Failed   Outcome = "failed"
	Blocked  Outcome = "blocked"
	Waiting  Outcome = "waiting"
	Deferred Outcome = "deferred"
)

// Result is the result for one connection. It holds no secret.
type Result struct {
	Name    string
	Outcome Outcome
	Reason  string
	Class   exchange.Class // empty unless failed or blocked
	Hint    string         // what the operator can do, or should know
	// ExpiresAt is when the published token expires; zero if there is none.
	ExpiresAt time.Time
	// CredentialEnds is the absolute end of what a person or a stronger grant must renew;
	// zero if it is not known.
	CredentialEnds time.Time
	// NeedsPersonAt is the end of what only a person can renew, from the published token;
	// zero if it is not known.
	NeedsPersonAt time.Time
	// MinRemaining is the remaining life that Evertoken promises to applications; 0 if no
	// token is published.
	MinRemaining time.Duration
	// RenewAfter is when the published token should be renewed; zero if there is none.
	RenewAfter time.Time
	// CredentialRefused says that the provider refused a changed or stronger credential in
	// this run although the token lives.
	CredentialRefused bool
	// Grant is the grant that was used, for the log.
	Grant string
}
