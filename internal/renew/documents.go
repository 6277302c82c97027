package renew

import (
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// tokenFacts are the facts that the token alone shows.
func tokenFacts(c connection.Connection, traits exchange.Traits, every time.Duration,
	t credential.Token,
) Facts {
	return Facts{
		Traits: traits, Name: c.Name, MinRemaining: c.MinRemaining, Every: every,
		InParameter: c.TokenParameter != "", ByRotation: c.RenewedBy == connection.ByRotation,
		Token: &TokenTimes{t.IssuedAt, t.ExpiresAt},
	}
}

// newToken makes the document that applications read. f are the facts about the connection
// and about the session that was stored before.
func newToken(c connection.Connection, f Facts, issued exchange.Issued) credential.Token {
	f.Token = &TokenTimes{issued.IssuedAt, issued.ExpiresAt}
	renewAfter := f.RenewAfter()
	if renewAfter.After(issued.ExpiresAt) { // the token lives for less than the floor
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

// NewSession makes the session document from the answer to an opening grant.
func NewSession(cred credential.Credential, g exchange.Grant,
	issued exchange.Issued,
) credential.Session {
	s := credential.Session{
		RefreshToken: issued.RefreshToken, StartedAt: issued.IssuedAt, RefreshedAt: issued.IssuedAt,
		ExpiresAt: issued.RefreshExpiresAt, OpenedBy: cred.Fingerprint(g.Members...),
	}
	if singleUse(g) {
		s.OpenedBySeed = cred.Fingerprint(credential.RefreshToken)
	}
	if g.Seed && s.RefreshToken.IsZero() { // RFC 6749 section 6: the old one stays valid
		s.RefreshToken = cred.Get(credential.RefreshToken)
	}
	return s
}

// nextSession returns the session after an exchange, and whether it must be written: it must
// if it was opened, or if its refresh token or that token's end changed.
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
		return in, false // none came, or the one that was sent (Flexera): nothing to store
	case !g.FromSession():
		return NewSession(cred, g, issued), true
	}
	return refreshed(in, issued)
}

// refreshed is the session after a refresh. StartedAt stays, because no refresh extends a
// session. If no refresh token comes back, the old one stays valid (RFC 6749 section 6).
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

// shownEnd is the absolute end of a session, which a provider shows when it no longer moves
// the end of the refresh tokens. It is zero while the provider moves that end.
func shownEnd(old credential.Session, issued exchange.Issued) time.Time {
	if old.ExpiresAt.IsZero() || issued.RefreshExpiresAt.IsZero() {
		return time.Time{}
	}
	passed, moved := issued.IssuedAt.Sub(old.RefreshedAt), issued.RefreshExpiresAt.Sub(old.ExpiresAt)
	if passed < time.Minute { // too short a time to see whether the end moves
		return old.EndsAt
	}
	if moved < passed/2 {
		return issued.RefreshExpiresAt
	}
	return time.Time{}
}

// endMoved reports whether the stated end of an unchanged refresh token has moved enough to
// be worth a version: by a tenth of the token's life.
func endMoved(old credential.Session, end time.Time) bool {
	if end.IsZero() || old.ExpiresAt.IsZero() {
		return end.IsZero() != old.ExpiresAt.IsZero() && !end.IsZero()
	}
	return end.Sub(old.ExpiresAt).Abs() > old.ExpiresAt.Sub(old.RefreshedAt)/10
}
