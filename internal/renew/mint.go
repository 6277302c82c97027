package renew

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
)

// Mint exchanges for a new token and gives it to keep instead of publishing it;
// a session that the exchange changes is stored first, as in [Engine.Renew].
// Rotation uses it: keep puts the token under AWSPENDING. The result's outcome
// is Issued only if keep returned nil.
func (e *Engine) Mint(ctx context.Context, j Job, keep func(context.Context, credential.Token) error) Result {
	r := &renewal{Engine: e, job: j, conn: j.Connection, now: e.Now(), traits: j.Provider.Traits(), keep: keep}
	result := r.run(ctx)
	result.Name = j.Connection.Name
	result.Hint = joinHints(append([]string{result.Hint}, r.hints...))
	return result
}

// Open opens a new session by the credential's own grant, without touching the
// one in force, and stores nothing. A refusal is marked on the credential as in
// [Engine.Renew]. The access token that comes with the session is in issued.
// The result's outcome is Issued on success.
func (e *Engine) Open(ctx context.Context, j Job) (session credential.Session, issued exchange.Issued, result Result) {
	r := &renewal{Engine: e, job: j, conn: j.Connection, now: e.Now(), traits: j.Provider.Traits()}
	session, issued, result = r.openNew(ctx)
	result.Name = j.Connection.Name
	result.Hint = joinHints(append([]string{result.Hint}, r.hints...))
	return session, issued, result
}

func (r *renewal) openNew(ctx context.Context) (credential.Session, exchange.Issued, Result) {
	stopped := func(result Result) (credential.Session, exchange.Issued, Result) {
		return credential.Session{}, exchange.Issued{}, result
	}
	if stop := r.read(ctx); stop != nil {
		return stopped(*stop)
	}
	rejected, err := r.rejection(ctx)
	if err != nil {
		return stopped(*r.awsFailure("credential", r.conn.Credential, err))
	}
	var f failures
	for _, g := range r.grants {
		switch {
		case g.Seed:
			continue // a refresh token is no stronger grant: it would only be the session's own beginning
		case !r.job.Force && !rejected.allows(g, r.now, r.workedBefore(g), r.provenHere()):
			return stopped(*r.blocked(rejected))
		case remaining(ctx) < leastExchange+storeReserve:
			return stopped(Result{Outcome: Deferred, Reason: "no time left in this run"})
		}
		issued, err := r.exchange(ctx, g)
		if err == nil {
			r.accept(ctx, r.conn.Credential, r.job.Credential.Version)
			return NewSession(r.credential, g, issued), issued, Result{Outcome: Issued, Grant: g.Type}
		}
		f.add(attempt{grant: g}, asExchange(err), false)
	}
	if f.last == nil {
		return stopped(Result{Outcome: Failed, Class: exchange.Misconfigured, Reason: "nothing stronger than a refresh token is stored, so no new session can be opened",
			Hint: "take the rotation schedule off the session; issue keeps it fresh"})
	}
	return stopped(r.settleFailure(ctx, f))
}
