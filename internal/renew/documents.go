package renew

import (
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// tokenFacts are the facts that a token alone tells.
func tokenFacts(c connection.Connection, traits exchange.Traits, every time.Duration,
	t credential.Token,
) Facts {
	return Facts{
		Traits: traits, Name: c.Name, MinRemaining: c.MinRemaining, Every: every,
		InParameter: c.TokenParameter != "", ByRotation: c.RenewedBy == connection.ByRotation,
		Token: &TokenTimes{t.IssuedAt, t.ExpiresAt},
	}
}

// newToken makes the document that readers get. f tells of the connection and of
// the session that was stored before it.
func newToken(c connection.Connection, f Facts, issued exchange.Issued) credential.Token {
	f.Token = &TokenTimes{issued.IssuedAt, issued.ExpiresAt}
	renewAfter := f.RenewAfter()
	if renewAfter.After(issued.ExpiresAt) { // so short-lived that the floor comes after its end
		renewAfter = issued.ExpiresAt
	}
	return credential.Token{
		AccessToken: issued.AccessToken, TokenType: issued.TokenType,
		IssuedAt: issued.IssuedAt, ExpiresAt: issued.ExpiresAt, RenewAfter: renewAfter,
		Scope: issued.Scope, Provider: c.Provider, Connection: c.Name, APIURL: issued.APIURL,
		Publish:       issued.Publish,
		NeedsPersonAt: issued.CredentialExpiresAt, LookAfter: f.LookAfter(),
	}
}

// NewSession makes the session that an opening grant yields.
func NewSession(cred credential.Credential, g exchange.Grant,
	issued exchange.Issued,
) credential.Session {
	s := credential.Session{
		RefreshToken: issued.RefreshToken, StartedAt: issued.IssuedAt, RefreshedAt: issued.IssuedAt,
		ExpiresAt: issued.RefreshExpiresAt, OpenedBy: cred.Fingerprint(g.Members...),
	}
	if g.Seed && s.RefreshToken.IsZero() { // RFC 6749 section 6: none returned, the old one stays
		s.RefreshToken = cred.Get(credential.RefreshToken)
	}
	return s
}

// nextSession returns the session after an exchange and whether it must be
// written: when it was opened, when its refresh token or that token's end
// changed. sent is the refresh token that the grant sent, zero if it sent none.
func nextSession(in credential.Session, use exchange.SessionUse, cred credential.Credential,
	g exchange.Grant, issued exchange.Issued,
) (credential.Session, bool) {
	sent, got := in.RefreshToken, issued.RefreshToken
	if !g.FromSession() {
		sent = redact.Secret{}
		if g.Seed {
			sent = cred.Get(credential.RefreshToken)
		}
	}
	switch {
	case use == exchange.NoSession:
		return credential.Session{}, false
	case use == exchange.OptionalSession && (got.IsZero() || got.Equal(sent)):
		return in, false // none, or handed back as it was sent (Flexera): nothing to keep
	case !g.FromSession():
		return NewSession(cred, g, issued), true
	}
	return refreshed(in, issued)
}

// refreshed is the session after a refresh: StartedAt stays, since no refresh
// extends a session, and a refresh token that does not come back stays too
// (RFC 6749 section 6).
func refreshed(old credential.Session, issued exchange.Issued) (credential.Session, bool) {
	next := old
	rotated := !issued.RefreshToken.IsZero() && !issued.RefreshToken.Equal(old.RefreshToken)
	if rotated {
		next.RefreshToken, next.RefreshedAt = issued.RefreshToken, issued.IssuedAt
	}
	shown := shownEnd(old, issued)
	if rotated || endMoved(old, issued.RefreshExpiresAt) || !shown.Equal(old.EndsAt) {
		next.ExpiresAt, next.RefreshedAt, next.EndsAt = issued.RefreshExpiresAt, issued.IssuedAt, shown
		return next, true
	}
	return old, false
}

// shownEnd is the absolute end of a session that a provider shows by moving the
// end of its refresh tokens no further, zero where it goes on moving it.
func shownEnd(old credential.Session, issued exchange.Issued) time.Time {
	if old.ExpiresAt.IsZero() || issued.RefreshExpiresAt.IsZero() {
		return time.Time{}
	}
	passed, moved := issued.IssuedAt.Sub(old.RefreshedAt), issued.RefreshExpiresAt.Sub(old.ExpiresAt)
	if passed < time.Minute { // too short to tell
		return old.EndsAt
	}
	if moved < passed/2 {
		return issued.RefreshExpiresAt
	}
	return time.Time{}
}

// endMoved reports whether the told end of an unrotated refresh token has moved
// enough to be worth a version: by a tenth of its life.
func endMoved(old credential.Session, end time.Time) bool {
	if end.IsZero() || old.ExpiresAt.IsZero() {
		return end.IsZero() != old.ExpiresAt.IsZero() && !end.IsZero()
	}
	return end.Sub(old.ExpiresAt).Abs() > old.ExpiresAt.Sub(old.RefreshedAt)/10
}
