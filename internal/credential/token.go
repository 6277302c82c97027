package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"evertoken/internal/redact"
)

// Token is the document that applications read. It is flat, so that ECS and
// CloudFormation can take one key of it.
type Token struct {
	AccessToken redact.Secret
	TokenType   string // "Bearer"
	ExpiresAt   time.Time
	IssuedAt    time.Time
	// RenewAfter is when Evertoken means to renew it. A reader may keep the
	// token until then.
	RenewAfter time.Time
	Scope      string // empty where not known
	Provider   string
	Connection string
	APIURL     string // where the token is used; empty where not known
}

type tokenWire struct {
	AccessToken   string    `json:"access_token"`
	TokenType     string    `json:"token_type"`
	Authorization string    `json:"authorization,omitempty"`
	ExpiresAt     time.Time `json:"expires_at"`
	IssuedAt      time.Time `json:"issued_at"`
	RenewAfter    time.Time `json:"renew_after"`
	Scope         string    `json:"scope,omitempty"`
	Provider      string    `json:"provider"`
	Connection    string    `json:"connection"`
	APIURL        string    `json:"api_url,omitempty"`
}

// ParseToken reads a token document. Its error is an [*Error].
func ParseToken(document redact.Secret) (Token, error) {
	if _, err := object("token", document); err != nil {
		return Token{}, err
	}
	var w tokenWire
	if err := json.Unmarshal([]byte(document.Reveal()), &w); err != nil {
		return Token{}, &Error{"token", wrongMember(err), "has a wrong type: only Evertoken writes this document"}
	}
	t := Token{
		AccessToken: redact.New(w.AccessToken), TokenType: w.TokenType,
		ExpiresAt: second(w.ExpiresAt), IssuedAt: second(w.IssuedAt), RenewAfter: second(w.RenewAfter),
		Scope: w.Scope, Provider: w.Provider, Connection: w.Connection, APIURL: w.APIURL,
	}
	switch {
	case t.AccessToken.IsZero():
		return Token{}, &Error{"token", "access_token", "is missing"}
	case t.ExpiresAt.IsZero():
		return Token{}, &Error{"token", "expires_at", "is missing"}
	case !writable(t.ExpiresAt, t.IssuedAt, t.RenewAfter):
		return Token{}, &Error{"token", "", notATime}
	}
	return t, nil
}

// Encode returns the document. Times are written in UTC, to the second.
// The member authorization, the ready header value, is left out of a parameter:
// it would double the size, and a standard parameter holds 4 KiB.
func (t Token) Encode(inParameter bool) redact.Secret {
	w := tokenWire{
		AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType,
		ExpiresAt: second(t.ExpiresAt), IssuedAt: second(t.IssuedAt), RenewAfter: second(t.RenewAfter),
		Scope: t.Scope, Provider: t.Provider, Connection: t.Connection, APIURL: t.APIURL,
	}
	if !inParameter {
		w.Authorization = t.TokenType + " " + t.AccessToken.Reveal()
	}
	return encode(w)
}

// Published returns what a session remembers of this token when it is published
// as plain text.
func (t Token) Published() *Published {
	return &Published{Sum(t.AccessToken), t.IssuedAt, t.RenewAfter, t.ExpiresAt}
}

// Sum is the SHA-256 of a secret, in hex.
func Sum(s redact.Secret) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// wrongMember names the member that a decoding error is about. The error itself
// may quote the value.
func wrongMember(err error) string {
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return typeErr.Field
	}
	return ""
}
