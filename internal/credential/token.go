package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"evertoken/internal/redact"
)

// Token is the document that applications read. It is flat, so that ECS and CloudFormation
// can read one key of it.
type Token struct {
	AccessToken redact.Secret
	TokenType   string // "Bearer"
	ExpiresAt   time.Time
	IssuedAt    time.Time
	// RenewAfter is when Evertoken plans to renew the token. An application may cache the
	// token until then.
	RenewAfter time.Time
	Scope      string // empty if unknown
	Provider   string
	Connection string
	APIURL     string // where applications use the token; empty if unknown
	// NeedsPersonAt is when something expires that only a person can renew; zero if
	// unknown.
	NeedsPersonAt time.Time
	// LookAfter is the earliest time at which a run has anything to do for this connection:
	// until then, reading the token document alone is enough. Zero if unknown.
	LookAfter time.Time
	// CredentialVersion is the id of the credential's version whose password got this token;
	// empty if a session shows what has worked. It proves that the password works.
	CredentialVersion string
	// Publish are further members, by name, that the connection asks to publish. None may
	// have the name of a member above.
	Publish map[string]string
}

// TokenMembers are the names of the token document's own members: no further
// member may have one of them.
var TokenMembers = []string{
	"access_token", "token_type", "authorization", "expires_at", "issued_at", "renew_after",
	"scope", "provider", "connection", "api_url", "needs_person_at", "look_after",
	"credential_version",
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

	NeedsPersonAt *time.Time `json:"needs_person_at,omitempty"`
	LookAfter     *time.Time `json:"look_after,omitempty"`

	CredentialVersion string `json:"credential_version,omitempty"`
}

// ParseToken reads a token document. Its error is an [*Error].
func ParseToken(document redact.Secret) (Token, error) {
	raw, err := object("token", document)
	if err != nil {
		return Token{}, err
	}
	var w tokenWire
	if err := json.Unmarshal([]byte(document.Reveal()), &w); err != nil {
		return Token{}, &Error{"token", wrongMember(err), "has the wrong type. " +
			"Only Evertoken writes this document"}
	}
	t := Token{
		AccessToken: redact.New(w.AccessToken), TokenType: w.TokenType,
		ExpiresAt: second(w.ExpiresAt), IssuedAt: second(w.IssuedAt), RenewAfter: second(w.RenewAfter),
		Scope: w.Scope, Provider: w.Provider, Connection: w.Connection, APIURL: w.APIURL,
		NeedsPersonAt: value(w.NeedsPersonAt), LookAfter: value(w.LookAfter),
		CredentialVersion: w.CredentialVersion, Publish: further(raw),
	}
	switch {
	case t.AccessToken.IsZero():
		return Token{}, &Error{"token", "access_token", "is missing"}
	case t.ExpiresAt.IsZero():
		return Token{}, &Error{"token", "expires_at", "is missing"}
	case !writable(t.ExpiresAt, t.IssuedAt, t.RenewAfter, t.NeedsPersonAt, t.LookAfter):
		return Token{}, &Error{"token", "", notATime}
	}
	return t, nil
}

// Encode returns the document as JSON. Times are written in UTC, to the second. inParameter
// omits the member authorization, the ready header value: it would double the size, and a
// standard parameter is limited to 4 KiB.
func (t Token) Encode(inParameter bool) redact.Secret {
	w := tokenWire{
		AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType,
		ExpiresAt: second(t.ExpiresAt), IssuedAt: second(t.IssuedAt), RenewAfter: second(t.RenewAfter),
		Scope: t.Scope, Provider: t.Provider, Connection: t.Connection, APIURL: t.APIURL,
		NeedsPersonAt: pointer(t.NeedsPersonAt), LookAfter: pointer(t.LookAfter),
		CredentialVersion: t.CredentialVersion,
	}
	if !inParameter {
		w.Authorization = t.TokenType + " " + t.AccessToken.Reveal()
	}
	document := encode(w)
	if len(t.Publish) == 0 {
		return document
	}
	more := maps.Clone(t.Publish)
	maps.DeleteFunc(more, func(name, _ string) bool { return IsTokenMember(name) })
	if len(more) == 0 {
		return document
	}
	known, further := document.Reveal(), encode(more).Reveal()
	return redact.New(strings.TrimSuffix(known, "}") + "," + strings.TrimPrefix(further, "{"))
}

// IsTokenMember reports whether a name is one of [TokenMembers], in any case: encoding/json
// matches members without regard to case.
func IsTokenMember(name string) bool {
	return slices.ContainsFunc(TokenMembers, func(own string) bool {
		return strings.EqualFold(own, name)
	})
}

// further returns the members of a document that are strings and not its own, nil if there
// are none.
func further(raw map[string]json.RawMessage) map[string]string {
	var out map[string]string
	for name, value := range raw {
		var s string
		if IsTokenMember(name) || !strings.HasPrefix(string(value), `"`) || json.Unmarshal(value, &s) != nil {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = s
	}
	return out
}

// Sum returns the SHA-256 of a secret, in hex.
func Sum(s redact.Secret) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// wrongMember returns the member that a decoding error is about. The error itself may quote
// the value.
func wrongMember(err error) string {
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return typeErr.Field
	}
	return ""
}
