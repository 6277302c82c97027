package renew

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
)

// Mint gets a new token by an exchange and passes it to keep instead of publishing it. If the
// exchange changes the session, Mint stores the session first, as [Engine.Renew] does.
// Rotation uses it with a keep that stores the token under AWSPENDING. The result's outcome
// is Issued only if keep returned nil.
func (e *Engine) Mint(ctx context.Context, j Job,
	keep func(context.Context, credential.Token) error,
) Result {
	r := e.begin(j)
	r.keep = keep
	result, err := r.run(ctx)
	if err != nil {
		result = r.ended(err)
	}
	return r.complete(result)
}

// Open opens a new session by the credential's own grant. It does not touch the current
// session and stores nothing. It labels the credential after a refusal, as [Engine.Renew]
// does. The access token that comes with the session is in issued. The result's outcome is
// Issued on success.
func (e *Engine) Open(ctx context.Context, j Job) (
	session credential.Session, issued exchange.Issued, result Result,
) {
	r := e.begin(j)
	issued, grant, err := r.open(ctx)
	if err != nil {
		return credential.Session{}, exchange.Issued{}, r.complete(r.ended(err))
	}
	result = r.complete(Result{Outcome: Issued, Grant: grant.Type})
	return NewSession(r.credential, grant, issued), issued, result
}

// open makes the exchange of [Engine.Open] and returns the grant that it used.
func (r *renewal) open(ctx context.Context) (exchange.Issued, exchange.Grant, error) {
	if err := r.read(ctx); err != nil {
		return exchange.Issued{}, exchange.Grant{}, err
	}
	if r.noCredential != nil {
		return exchange.Issued{}, exchange.Grant{}, r.noCredential
	}
	var failed failures
	var why error = &Stopped{Failed, exchange.Misconfigured,
		"nothing stronger than a refresh token is stored, so no new session can be opened",
		"Turn the rotation of the session off, and issue keeps it fresh: " +
			"`aws secretsmanager cancel-rotate-secret --secret-id " +
			r.conn.SecretName(r.conn.Session) + "`."}
	for _, g := range r.grants {
		switch {
		case g.Seed:
			continue // a refresh token is no stronger grant
		case !r.mayOpen(g):
			why = r.nothing(true)
			continue
		case !limits.Enough(ctx):
			return exchange.Issued{}, exchange.Grant{}, noTime()
		}
		issued, err := r.exchange(ctx, g)
		if err == nil {
			r.accept(ctx, g)
			return issued, g, nil
		}
		x := asExchange(err)
		failed = append(failed,
			failure{attempt: attempt{grant: g}, x: x, verdict: judge(g, x, r.worked(g))})
	}
	if len(failed) == 0 {
		return exchange.Issued{}, exchange.Grant{}, why
	}
	return exchange.Issued{}, exchange.Grant{}, r.conclude(ctx, failed)
}
