// Package renew renews the token of one connection: it reads the state, decides,
// claims, exchanges, stores and publishes, in the order that loses no refresh
// token. It is the only caller of an exchange besides rotation.
//
// What is in force is told by the documents and by labels on their versions,
// and by nothing else; docs/reliability.md lists the labels and says what each
// half-done state means.
package renew

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
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
// several connections share. Its errors are told as they are.
type Gate interface {
	// Closed says why no exchange is to be begun, without waiting; nil if one
	// may be. It is asked before anything is claimed.
	Closed() *exchange.Error
	// Enter waits for the turn of an exchange by the grant. Where refused is
	// nil, leave must be called once with what came of the exchange, nil for
	// success, also where it panicked.
	Enter(ctx context.Context, g exchange.Grant) (leave func(*exchange.Error), refused *exchange.Error)
}

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
	Sleep      func(context.Context, time.Duration) error
	Log        *slog.Logger
	// Every is how often a run happens.
	Every time.Duration
	// RescuePrefix is where a session goes that cannot be stored; the
	// connection's name is appended.
	RescuePrefix string
	// RescueKey is the KMS key of what is put there; empty for the account's
	// default key.
	RescueKey string
	// RunLasts is the longest that a run can last: a claim older than that has
	// nobody behind it.
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
	// after all is read by itself. Session is looked at only where the provider
	// keeps one.
	Credential, Session *secrets.Read
	// Copy is the plain copy as read; nil where it was not read or none is
	// declared.
	Copy *secrets.Read
	// SharedCredential is set where other connections use the credential too.
	SharedCredential bool
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
	// MinRemaining is the life promised to a reader of the published token; 0
	// if there is none.
	MinRemaining time.Duration
	// RenewAfter is when the published token is to be renewed; zero if there is
	// none.
	RenewAfter time.Time
	// CredentialRefused is set where a changed or stronger credential was
	// refused in this run although the token lives.
	CredentialRefused bool
	// Grant is the grant that was used, for the log.
	Grant string
}

// Renew does for one connection what is due.
func (e *Engine) Renew(ctx context.Context, j Job) Result {
	r := &renewal{Engine: e, job: j, conn: j.Connection, now: e.Now(), traits: j.Provider.Traits()}
	result := r.run(ctx)
	if result.Outcome != Issued {
		r.mirror(ctx)
	}
	result.Name = j.Connection.Name
	if result.ExpiresAt.IsZero() && r.token != nil {
		result.ExpiresAt = r.token.ExpiresAt
	}
	if r.token != nil {
		facts := r.facts()
		result.MinRemaining, result.RenewAfter = facts.minRemaining(), facts.RenewAfter()
	}
	if result.NeedsPersonAt.IsZero() {
		result.NeedsPersonAt = r.needsPerson
	}
	if result.CredentialEnds.IsZero() {
		result.CredentialEnds = sessionEnd(r.session.StartedAt, r.traits)
	}
	if j.DryRun {
		r.tellReplicas(ctx)
	}
	result.Hint = joinHints(append([]string{result.Hint}, r.hints...))
	return result
}

// renewal is the state of one connection's renewal.
type renewal struct {
	*Engine
	job    Job
	conn   connection.Connection
	traits exchange.Traits
	now    time.Time
	hints  []string

	credential credential.Credential
	grants     []exchange.Grant

	session        credential.Session
	sessionVersion secrets.Version // ID is empty where there is no value
	hasSession     bool            // the session secret is known to exist
	fromRescue     bool            // the session was taken from the rescue parameter

	token        *TokenTimes
	needsPerson  time.Time       // as the published token says
	tokenVersion secrets.Version // ID is empty where there is no value
	published    redact.Secret   // the access token that readers have

	decision Decision
	// burst are the labels that a write within the floor carries, by document.
	burst   map[string][]string
	claimed *claim
	// spent is set where the session's refresh token was sent, no answer is
	// stored, and it must not be sent again.
	spent bool
	// replaying is set where it is about to be sent once more, after labelSpent
	// was set.
	replaying bool
	// otherPublished is set where another run's token was left in place of ours.
	otherPublished bool
	// passedBy is set where a session is opened beside somebody's claim.
	passedBy bool
	// unmarked is set where a refusal of the credential could not be noted.
	unmarked bool
	// keep, where set, takes the token in place of its being published.
	keep func(context.Context, credential.Token) error
}

func (r *renewal) run(ctx context.Context) Result {
	if r.job.Credential == nil && Needs(r.job, r.Every, r.now) == (Reads{}) {
		if stop := r.readToken(ctx); stop != nil {
			return *stop
		}
		return Result{Outcome: Fresh, Reason: Decide(r.facts()).Reason}
	}
	if stop := r.read(ctx); stop != nil {
		return *stop
	}
	r.decision = Decide(r.facts())
	if r.job.Force && !r.job.IssuedAt.IsZero() && r.token != nil && !r.token.IssuedAt.Equal(r.job.IssuedAt) {
		return Result{Outcome: Fresh, Reason: "another token was published since"}
	}
	if r.decision.Unpublished {
		return Result{Outcome: Deferred, Reason: "the session was renewed less than 15 minutes ago and no token with it; the token follows when they have passed, or before it dies"}
	}
	if !r.decision.Due && !r.decision.BackOff {
		return Result{Outcome: Fresh, Reason: r.decision.Reason}
	}
	attempts, stop := r.plan(ctx)
	if stop != nil && stop.Outcome == Blocked && r.revived(ctx) {
		attempts, stop = r.plan(ctx)
	}
	if stop != nil {
		return *stop
	}
	if r.decision.BackOff {
		return Result{Outcome: Failed, Class: exchange.Transient, Reason: r.decision.Reason, Hint: "once the cause is mended, " + r.forceHint()}
	}
	if stop := r.checkToken(ctx); stop != nil {
		return *stop
	}
	if x := r.gate().Closed(); x != nil {
		result := exchangeFailure(x)
		result.Reason = "not tried, because another connection to this provider was just answered: " + result.Reason
		return result
	}
	if remaining(ctx) < leastExchange+storeReserve {
		return Result{Outcome: Deferred, Reason: "no time left in this run"}
	}
	if r.job.DryRun {
		return r.dryRun(ctx, attempts)
	}
	if r.usesSession() && r.traits.SingleUse {
		if attempts, stop = r.claim(ctx, attempts); stop != nil {
			return *stop
		}
	}
	return r.spend(ctx, attempts)
}

func (r *renewal) gate() Gate {
	if r.job.Gate == nil {
		return noGate{}
	}
	return r.job.Gate
}

// usesSession reports whether what is exchanged depends on a session document.
func (r *renewal) usesSession() bool { return r.hasSession && r.traits.Session != exchange.NoSession }

// facts are what the decision looks at, from what was read.
func (r *renewal) facts() Facts {
	f := Facts{
		Now: r.now, Name: r.conn.Name, MinRemaining: r.conn.MinRemaining, Every: r.Every,
		InParameter: r.conn.TokenParameter != "", ByRotation: r.conn.RenewedBy == connection.ByRotation,
		Force: r.job.Force || r.job.Candidate || r.keep != nil, Token: r.token, Traits: r.traits,
	}
	if r.token == nil && r.conn.TokenParameter == "" {
		f.LastWrite = r.tokenVersion.Created
	}
	if r.traits.Session != exchange.NoSession {
		f.RefreshedAt, f.SessionStartedAt = r.session.RefreshedAt, r.session.StartedAt
		if !r.session.RefreshToken.IsZero() {
			f.RefreshExpiresAt = r.session.ExpiresAt
		}
	}
	return f
}

func (r *renewal) hint(text string) {
	if text != "" {
		r.hints = append(r.hints, text)
	}
}

// forceHint says how an operator has a connection tried at once.
func (r *renewal) forceHint() string {
	return `invoke issue with {"connections":["` + r.conn.Name + `"],"force":true}`
}

// tellReplicas tells the state of the replicas of what Evertoken writes. Nothing
// waits for them.
func (r *renewal) tellReplicas(ctx context.Context) {
	ids := map[string]string{"token": r.conn.Token}
	if r.hasSession {
		ids["session"] = r.conn.Session
	}
	for _, document := range slices.Sorted(maps.Keys(ids)) {
		if ids[document] == "" {
			continue
		}
		d, err := r.Secrets.Describe(ctx, ids[document])
		if err != nil {
			continue // what cannot be read is told where it is needed
		}
		if d.PrimaryRegion != "" {
			r.hint("the " + document + " is a replica, its primary is in " + d.PrimaryRegion)
			continue
		}
		for _, region := range slices.Sorted(maps.Keys(d.Replicas)) {
			r.hint("the replica of the " + document + " in " + region + " is " + d.Replicas[region])
		}
	}
}

// dryRun tells what a run would do.
func (r *renewal) dryRun(ctx context.Context, attempts []attempt) Result {
	unproven := "token"
	if r.usesSession() && r.traits.SingleUse {
		unproven = "session and token"
		d, err := r.Secrets.Describe(ctx, r.conn.Session)
		if err != nil {
			return *r.awsFailure("session", r.conn.Session, err)
		}
		if stop := r.checkWritable("session", d); stop != nil {
			return *stop
		}
	}
	return Result{
		Outcome: Issued, Reason: r.decision.Reason, Grant: attempts[0].grant.Type, CredentialEnds: sessionEnd(r.session.StartedAt, r.traits),
		Hint: "would use the " + attempts[0].grant.Type + " grant; not proven writable: " + unproven,
	}
}
