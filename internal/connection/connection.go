// Package connection defines what an operator declares: connections, as JSON in SSM
// parameters. It parses and validates; it does not call AWS and does not know the
// providers' settings.
package connection

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"evertoken/internal/presets"
	"evertoken/internal/strictjson"
)

// RenewedBy says which function renews a token.
type RenewedBy string

// The values of RenewedBy.
const (
	ByIssue    RenewedBy = "issue"
	ByRotation RenewedBy = "rotation"
)

// programmed are the providers with code of their own. All others are presets.
var programmed = []string{"apiax", "flexera", "flexnet", "oauth2", "sharetribe"}

// Providers returns the names that a connection can give as its provider, sorted. Evertoken
// rejects any other name here, so that such a connection cannot claim a document that
// another connection uses.
func Providers() []string {
	names := append(presets.Names(), programmed...)
	slices.Sort(names)
	return names
}

// knownProvider reports whether a connection can give this name. It loads the presets only
// if the name is not a programmed provider's.
func knownProvider(name string) bool {
	if slices.Contains(programmed, name) {
		return true
	}
	_, preset := presets.Find(name)
	return preset
}

// UnknownProvider returns the problem text for an unknown provider name.
func UnknownProvider(name string) string {
	all := "name one of " + strings.Join(Providers(), ", ")
	if near := strictjson.Nearest(strings.ToLower(name), Providers()); near != "" {
		return "is unknown. Did you mean " + near + "? Otherwise " + all
	}
	return "is unknown: " + all
}

// Connection is one declared connection, with its defaults filled in.
type Connection struct {
	Name     string
	Provider string
	// Credential, Session and Token are secret names or ARNs. Token is empty if
	// TokenParameter is set.
	Credential, Session, Token string
	// SessionDeclared is set if the operator named the session.
	SessionDeclared bool
	// TokenParameter is the SSM parameter in which the token is published instead of a
	// secret, and TokenParameterKey the KMS key that encrypts it; empty for the account's
	// default key.
	TokenParameter, TokenParameterKey string
	// PlainCopy is a further secret that gets the bare access token; empty for
	// none.
	PlainCopy string
	// MinRemaining is the remaining life that Evertoken promises to applications; 0 means a
	// sixth of the token's life.
	MinRemaining time.Duration
	RenewedBy    RenewedBy
	// Probe is the call that detects a revoked token; its Every is 0 if none is
	// declared.
	Probe Probe
	// Account is the account that Evertoken runs in; empty if unknown. A secret given by
	// name is in this account.
	Account string
	// Settings is the provider's own object. The provider parses it.
	Settings json.RawMessage
}

// Error is a fault in a connection's declaration. It names the member and the remedy, never
// the value, which may be a secret in the wrong place.
type Error struct {
	Connection string // empty if unknown
	Member     string // empty for the connection as a whole
	Problem    string
}

func (e *Error) Error() string {
	switch {
	case e.Connection == "":
		return e.Problem
	case e.Member == "":
		return fmt.Sprintf("connection %s: %s", e.Connection, e.Problem)
	}
	return fmt.Sprintf("connection %s: %q %s", e.Connection, e.Member, e.Problem)
}

type wire struct {
	Provider          string               `json:"provider"`
	Credential        *string              `json:"credential"`
	Session           *string              `json:"session"`
	Token             *string              `json:"token"`
	TokenParameter    *string              `json:"token_parameter"`
	TokenParameterKey *string              `json:"token_parameter_key"`
	PlainCopy         *string              `json:"plain_copy"`
	MinRemaining      *strictjson.Duration `json:"min_remaining"`
	RenewedBy         *string              `json:"renewed_by"`
	Probe             json.RawMessage      `json:"probe"`
	Settings          json.RawMessage      `json:"settings"`
}

// Parse reads one declared connection. A token_parameter must begin with parameterPrefix.
// Its error is an [*Error].
func Parse(name string, declared []byte, parameterPrefix string) (Connection, error) {
	if !ValidName(name) {
		return Connection{}, &Error{"", "", "a connection's name must be one lower-case letter " +
			"or digit, then up to 62 letters, digits and hyphens; the name of one parameter is not"}
	}
	fail := func(member, problem string) (Connection, error) {
		return Connection{}, &Error{name, member, problem}
	}
	var w wire
	var err error
	if member, problem := strictjson.Decode(declared, &w); problem != "" {
		if member == "format" {
			problem = "is not supported: leave it out. For an application that reads a bare " +
				"token, name another secret as \"plain_copy\""
		}
		return fail(member, problem)
	}
	c := Connection{
		Name: name, Provider: w.Provider, RenewedBy: ByIssue, Settings: w.Settings,
		Credential: "evertoken/" + name + "/credential",
		Session:    "evertoken/" + name + "/session",
		Token:      DefaultToken(name),
	}
	if w.Provider == "" {
		return fail("provider", "is missing: name one of "+strings.Join(Providers(), ", "))
	}
	if !knownProvider(w.Provider) {
		return fail("provider", UnknownProvider(w.Provider))
	}
	if string(c.Settings) == "" || string(c.Settings) == "null" {
		c.Settings = json.RawMessage("{}")
	}
	for _, s := range []struct {
		member string
		from   *string
		to     *string
	}{{"credential", w.Credential, &c.Credential}, {"session", w.Session, &c.Session},
		{"token", w.Token, &c.Token}, {"plain_copy", w.PlainCopy, &c.PlainCopy}} {
		if s.from == nil {
			continue
		}
		if !validSecretID(*s.from) {
			return fail(s.member, "must be a secret's name or ARN: "+
				"1 to 512 letters, digits and /_+=.@!-")
		}
		*s.to = *s.from
	}
	c.SessionDeclared = w.Session != nil
	if w.TokenParameter != nil {
		if w.Token != nil {
			return fail("token_parameter", "is set together with \"token\": "+
				"declare only one of the two")
		}
		if !validParameter(*w.TokenParameter, parameterPrefix) {
			return fail("token_parameter", "must be a parameter's name "+
				"beginning with "+parameterPrefix+", at most 1011 letters, digits and _.-/, "+
				"15 levels deep, and not one of Evertoken's own (connections/, rescue/)")
		}
		c.TokenParameter, c.Token = *w.TokenParameter, ""
	}
	if w.TokenParameterKey != nil {
		if w.TokenParameter == nil {
			return fail("token_parameter_key", "needs \"token_parameter\"")
		}
		c.TokenParameterKey = *w.TokenParameterKey
	}
	if w.RenewedBy != nil {
		c.RenewedBy = RenewedBy(*w.RenewedBy)
		if c.RenewedBy != ByIssue && c.RenewedBy != ByRotation {
			return fail("renewed_by", "must be issue or rotation")
		}
		if c.RenewedBy == ByRotation && c.TokenParameter != "" {
			return fail("renewed_by", "cannot be rotation for a parameter: "+
				"Secrets Manager rotates secrets only")
		}
	}
	if w.MinRemaining != nil {
		c.MinRemaining = time.Duration(*w.MinRemaining)
		if c.MinRemaining <= 0 {
			return fail("min_remaining", "must be more than zero, such as 10m")
		}
	}
	if c.Probe, err = parseProbe(name, w.Probe); err != nil {
		return Connection{}, err
	}
	return c, c.distinct()
}

// document is a secret or parameter that a connection uses, with the member that names it.
type document struct{ member, id string }

// secrets are the connection's secrets.
func (c Connection) secrets() []document {
	all := []document{{"credential", c.Credential}, {"session", c.Session}, {"token", c.Token},
		{"plain_copy", c.PlainCopy}}
	return slices.DeleteFunc(all, func(d document) bool { return d.id == "" })
}

// distinct returns an error if two of the connection's documents are the same secret.
func (c Connection) distinct() error {
	all := c.secrets()
	for i, d := range all {
		for _, other := range all[:i] {
			if SecretName(d.id) == SecretName(other.id) && sameAccount(accountOf(d.id, ""),
				accountOf(other.id, "")) {
				return &Error{c.Name, d.member, "is the same secret as \"" + other.member +
					"\": each document needs a secret of its own"}
			}
		}
	}
	return nil
}
