package rotate

import (
	"context"
	"errors"
	"slices"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// createSession opens a new session by the stronger grant. It does not touch the session
// in force, and does not publish the access token that comes with the new one.
func (r *rotation) createSession(ctx context.Context) error {
	if err := r.checkSession(ctx); err != nil {
		return err
	}
	j := r.job(ctx)
	session, _, result := r.engine().Open(ctx, j)
	if result.Outcome != renew.Issued {
		return r.fromResult(result)
	}
	if session.RefreshToken.IsZero() {
		return r.refused("the provider gave no refresh token with the "+result.Grant+" grant, "+
			"so there is no session to rotate", "Turn the rotation off: "+cancelCommand(r.name)+".")
	}
	if result.Hint != "" {
		r.Log.WarnContext(ctx, "hint", "secret_id", r.name, "hint", result.Hint)
	}
	err := r.keep(ctx, session.Encode(), tellReserve)
	if err == nil || secrets.ErrorKind(err) == secrets.ErrConflict {
		return nil // after a conflict, rotation uses what another invocation has stored
	}
	if superseded, ok := errors.AsType[Superseded](err); ok {
		superseded.Hint = "Evertoken opened a new session and does not use it. " +
			"The session in force is unchanged, and you need to do nothing."
		return superseded
	}
	return r.unkept("a new session was opened and could not be stored; "+
		"the session in force is unchanged", err)
}

// unkept is the error for a value that was received and could not be stored. hints come
// before the hint of the error itself.
func (r *rotation) unkept(problem string, err error, hints ...string) error {
	result := renew.AWSFailure(string(r.role), r.name, err)
	return r.classified(result.Class, problem+": "+result.Reason,
		renew.Sentences(append(hints, result.Hint)...))
}

// checkSession refuses a session that rotation cannot replace.
func (r *rotation) checkSession(ctx context.Context) error {
	c, p := r.users[0].conn, r.users[0].provider
	// A provider with an optional session returns the refresh token that it is sent.
	if p.Traits().Session != exchange.RequiredSession {
		return r.refused("the connection "+c.Name+" has no session that Evertoken could rotate",
			"Turn the rotation off: "+cancelCommand(r.name)+".")
	}
	grants, err := r.setupCredential(ctx)
	if err != nil || len(grants) == 0 {
		return err
	}
	if !slices.ContainsFunc(grants, func(g exchange.Grant) bool { return !g.Seed }) {
		return r.refused("nothing stronger than a refresh token is stored, "+
			"so no new session can be opened",
			"Turn the rotation off, and issue keeps the session fresh: "+cancelCommand(r.name)+".")
	}
	return nil
}

// clocksDiffer is the most by which the clocks of two functions may differ.
const clocksDiffer = 3 * time.Minute

// checkPendingSession says why a session can never be promoted, or "". It does not send
// the refresh token, which may be single-use.
func (r *rotation) checkPendingSession(pending, current secrets.Version,
	cred credential.Credential, grants []exchange.Grant,
) string {
	s, err := credential.ParseSession(pending.Value)
	if err != nil {
		return "the value under AWSPENDING is not a session document: " + err.Error()
	}
	traits, now := r.users[0].provider.Traits(), r.Now()
	fits := slices.ContainsFunc(grants, func(g exchange.Grant) bool {
		return s.OpenedBy == cred.Fingerprint(g.Members...)
	})
	switch {
	case s.RefreshToken.IsZero():
		return "the session under AWSPENDING has no refresh token"
	case !fits:
		return "the session under AWSPENDING was opened by another credential than the one now stored"
	case !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now):
		return "the refresh token under AWSPENDING has expired"
	case traits.SessionMax > 0 && !s.StartedAt.Add(traits.SessionMax).After(now):
		return "the session under AWSPENDING has ended"
	}
	in, err := credential.ParseSession(current.Value)
	if err != nil || in.RefreshToken.IsZero() {
		return ""
	}
	// AWSCURRENT has a newer session if its version is the younger one and its session
	// began later. A refresh of an older session also makes a younger version, but keeps
	// the session's beginning. Secrets Manager dates both versions. The two functions date
	// the beginnings, so beginnings within the difference of two clocks count as later.
	younger := !current.Created.Before(pending.Created)
	beganLater := in.StartedAt.After(s.StartedAt.Add(-clocksDiffer))
	if younger && beganLater && !in.RefreshToken.Equal(s.RefreshToken) {
		return "AWSCURRENT has a newer session than AWSPENDING, which issue has stored meanwhile"
	}
	return ""
}
