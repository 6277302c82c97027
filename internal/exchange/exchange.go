// Package exchange defines what the providers and the core share: what a grant is, what an
// exchange yields, and the closed list of ways in which an exchange fails. It performs no
// I/O.
package exchange

import (
	"fmt"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// Class is one of the five ways in which an exchange fails. The class alone decides what
// Evertoken does next.
type Class string

const (
	// Throttled means that the provider asks for fewer requests. Evertoken keeps the token
	// and tries again in a later run.
	Throttled Class = "throttled"
	// Transient means that the network or the provider is at fault. Evertoken tries again
	// in a later run.
	Transient Class = "transient"
	// GrantDead means that the provider refuses this refresh token for good. Evertoken uses
	// the stronger grant.
	GrantDead Class = "grant_dead"
	// CredentialDead means that the provider refuses what the operator stored. Only a
	// person can replace it.
	CredentialDead Class = "credential_dead"
	// Misconfigured means that the connection, its settings or its rights cannot work.
	Misconfigured Class = "misconfigured"
)

// Error is a failed exchange. Its text holds no secret, no response body and no
// URL beyond the host.
type Error struct {
	Class Class
	// Doing names the request that failed, as "refresh_token grant at login.flexera.com".
	Doing string
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// Code is the provider's own short error code, reduced to letters, digits
	// and ._- by [Code].
	Code string
	// Hint tells the operator in whole sentences what to do.
	Hint string
	// RetryAfter is how long the provider asks Evertoken to wait; 0 if it does not ask.
	RetryAfter time.Duration
	// Lost is set if the provider may have carried out the request although no answer
	// arrived: a single-use refresh token may be spent. It is not set if a new refresh
	// token came with the error.
	Lost bool
	// Unsure is set if the provider refused in words that Evertoken does not know.
	// Evertoken tries again with growing pauses.
	Unsure bool
	// Unusable is set if the provider granted a token that cannot be published, for example
	// one with an impossible lifetime or another scope. The refresh token may be spent, so
	// the next attempt waits as after an unsure refusal.
	Unusable bool
	// Problem says what went wrong if the provider gave no code: "no answer", "the answer
	// is not JSON".
	Problem string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Doing)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(": " + e.Code)
	}
	if e.Problem != "" {
		b.WriteString(": " + e.Problem)
	}
	return b.String()
}

// Code reduces a provider's error code to what is safe in a log line: letters, digits and
// ._-, at most 40 characters. Anything else may echo what Evertoken sent.
func Code(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 40)]
}

// Grant is one way in which a connection can turn what is stored into a token.
type Grant struct {
	// Type is the RFC 6749 grant type, or the provider's word for it.
	Type string
	// Members are the credential members that the grant sends; none if it sends the
	// session's refresh token. Their fingerprint identifies what opened a session.
	Members []string
	// Password is set if a refusal may mean that the account is locked; a second attempt
	// may lock it.
	Password bool
	// Seed is set if the credential itself is a refresh token.
	Seed bool
	// Reusable is set for a seed that survives its use (Flexera's).
	Reusable bool
}

// Refresh is the grant that sends the session's refresh token (RFC 6749
// section 6).
var Refresh = Grant{Type: "refresh_token"}

// FromSession reports whether the grant sends the session's refresh token rather than
// members of the credential.
func (g Grant) FromSession() bool { return len(g.Members) == 0 }

// SessionUse says whether a provider needs a session document.
type SessionUse int

const (
	// NoSession means that the provider issues nothing that a session could keep.
	NoSession SessionUse = iota
	// OptionalSession means that Evertoken uses a session if its secret exists.
	OptionalSession
	// RequiredSession means that Evertoken makes no exchange without a session secret.
	RequiredSession
)

// Traits are the facts about a provider, as configured, from which the core decides.
type Traits struct {
	Session SessionUse
	// SingleUse is set if using a refresh token may end it: the core proves that it can
	// write, and claims the session, before it sends the token.
	SingleUse bool
	// SessionMax is how long a session lasts from the grant that opened it; 0 if it has no
	// limit. Refreshing does not extend it.
	SessionMax time.Duration
	// RemintBefore is how long before the end of SessionMax Evertoken opens a new session.
	RemintBefore time.Duration
	// Replay is set if Evertoken sends a refresh token once more after its answer was lost,
	// before it tries a stronger grant.
	Replay bool
	// ReuseGrace is how long the provider accepts a spent refresh token again; 0 if it does
	// not. Within it, Evertoken repeats a request whose answer was lost in the same run.
	ReuseGrace time.Duration
	// RenewLate is set if a refresh ends the previous access token: Evertoken refreshes as
	// late as its promise to applications allows.
	RenewLate bool
	// AtOnce limits how many exchanges run at the same time at the provider's host; 0 for
	// the default.
	AtOnce int
}

// Request is the input of an exchange.
type Request struct {
	Grant      Grant
	Credential credential.Credential
	// RefreshToken is the session's, for a grant whose FromSession is true.
	RefreshToken redact.Secret
	// Published is the access token that applications now read, if any. FlexNet needs it to
	// find out which of its two names is in use.
	Published redact.Secret
}

// Issued is the result of a successful exchange.
type Issued struct {
	AccessToken redact.Secret
	TokenType   string // "Bearer"
	IssuedAt    time.Time
	ExpiresAt   time.Time
	// RefreshToken is the refresh token in the answer; zero if there is none. If it equals
	// the one sent, the provider's refresh tokens are reusable.
	RefreshToken redact.Secret
	// RefreshExpiresAt is when that refresh token expires if it is not used; zero if
	// unknown.
	RefreshExpiresAt time.Time
	Scope            string
	APIURL           string
	// Publish are further members of the answer that the connection asks to publish.
	Publish map[string]string
	// CredentialExpiresAt is when what the operator stored expires; zero if unknown.
	CredentialExpiresAt time.Time
	// Hints tell the operator what was unusual in the answer. They contain no values.
	Hints []string
}
