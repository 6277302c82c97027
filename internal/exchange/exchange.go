// Package exchange holds the words that the providers and the core share: what
// a grant is, what an exchange yields, and the closed list of ways it fails. It
// does nothing itself.
package exchange

import (
	"fmt"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// Class is one of the five ways in which an exchange fails. What is to be done
// follows from the class alone.
type Class string

const (
	// Throttled means: the provider asks for fewer requests. Keep the token, try in a
	// later run.
	Throttled Class = "throttled"
	// Transient means: the network or the provider is at fault. Try in a later run.
	Transient Class = "transient"
	// GrantDead means: this refresh token is refused for good. Go to the stronger
	// grant.
	GrantDead Class = "grant_dead"
	// CredentialDead means: what the operator stored is refused. Only a person can
	// mend it.
	CredentialDead Class = "credential_dead"
	// Misconfigured means: the connection, its settings or its rights cannot work.
	Misconfigured Class = "misconfigured"
)

// Error is a failed exchange. Its text holds no secret, no response body and no
// URL beyond the host.
type Error struct {
	Class Class
	// Doing says what was tried, as "refresh_token grant at login.flexera.com".
	Doing string
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// Code is the provider's own short error code, reduced to letters, digits
	// and ._- by [Code].
	Code string
	// Hint is what the operator can do, in a sentence.
	Hint string
	// RetryAfter is what the provider asked for; 0 if nothing.
	RetryAfter time.Duration
	// Lost is set where the request may have been carried out and the answer
	// never came: a single-use refresh token may be spent. It is not set where a
	// new refresh token came beside the error.
	Lost bool
	// Unsure is set where an answer came whose meaning is not sure: a refusal in
	// words that nobody knows. It is tried again with growing pauses.
	Unsure bool
	// Unusable is set where the provider granted something that cannot be
	// published (a life that cannot be, another scope). A refresh token may be
	// spent by now: the next try waits as after an unsure refusal.
	Unusable bool
	// Problem says what was wrong where there is no code: "no answer",
	// "the answer is not JSON".
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

// Code reduces a provider's error code to what is safe in a log line: letters,
// digits and ._- , at most 40 of them. Anything else a provider says may echo
// what was sent.
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

// Grant is one way, open to a connection, to turn what is stored into a token.
type Grant struct {
	// Type is the RFC 6749 grant type, or the provider's word for it.
	Type string
	// Members are the credential members it sends, none for the session's
	// refresh token. Their fingerprint is what a session is opened by.
	Members []string
	// Password is set where a refusal may be a lockout, and a second try may
	// make it one.
	Password bool
	// Seed is set where the credential itself is a refresh token.
	Seed bool
	// Reusable is set for a seed that survives its use (Flexera's).
	Reusable bool
}

// Refresh is the grant that sends the session's refresh token (RFC 6749
// section 6).
var Refresh = Grant{Type: "refresh_token"}

// FromSession reports whether the grant sends the session's refresh token
// rather than members of the credential.
func (g Grant) FromSession() bool { return len(g.Members) == 0 }

// SessionUse says whether a provider needs a session document.
type SessionUse int

const (
	// NoSession means: the provider hands out nothing that a session could keep.
	NoSession SessionUse = iota
	// OptionalSession means: a session is used where the secret exists.
	OptionalSession
	// RequiredSession means: without a session secret nothing is exchanged.
	RequiredSession
)

// Traits are the facts about a provider, as configured, that the core decides
// by.
type Traits struct {
	Session SessionUse
	// SingleUse is set where a refresh token may die by being used: prove the
	// write and claim before sending it.
	SingleUse bool
	// SessionMax is the absolute length of a session from its opening grant; 0
	// if there is none. Refreshing does not extend it.
	SessionMax time.Duration
	// RemintBefore is how long before the end of SessionMax a new session is
	// opened.
	RemintBefore time.Duration
	// Replay is set where a refresh token whose answer was lost is sent once
	// more before anything stronger is tried.
	Replay bool
	// ReuseGrace is how long a spent refresh token is taken again; 0 if it is
	// not. Within it a lost answer is asked for once more in the same run.
	ReuseGrace time.Duration
	// RenewLate is set where a refresh ends the access token before it: it is
	// made as late as the promise to readers allows.
	RenewLate bool
	// AtOnce is how many exchanges the provider's host is given at a time at
	// most; 0 for the default.
	AtOnce int
}

// Request is what an exchange is made from.
type Request struct {
	Grant      Grant
	Credential credential.Credential
	// RefreshToken is the session's, for a grant that is FromSession.
	RefreshToken redact.Secret
	// Published is the access token that readers now have, if any. FlexNet
	// needs it to find out which of its two names is live.
	Published redact.Secret
}

// Issued is what a successful exchange yields.
type Issued struct {
	AccessToken redact.Secret
	TokenType   string // "Bearer"
	IssuedAt    time.Time
	ExpiresAt   time.Time
	// RefreshToken is what came back; zero if none did. A value equal to the
	// one sent means that it does not rotate.
	RefreshToken redact.Secret
	// RefreshExpiresAt is when that refresh token dies unused; zero if not
	// told.
	RefreshExpiresAt time.Time
	Scope            string
	APIURL           string
	// Publish are further members of the answer that readers asked for.
	Publish map[string]string
	// CredentialExpiresAt is the absolute end of what the operator stored;
	// zero if not known.
	CredentialExpiresAt time.Time
	// Hints tell the operator what was odd, without values.
	Hints []string
}
