// Package credential defines the three documents of a connection in Secrets Manager: the
// operator's credential, the session and the token. It parses and encodes them; it decides
// nothing and does not use AWS.
package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"evertoken/internal/hosts"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// The members of a credential document that providers know. Evertoken preserves all others.
const (
	ClientID     = "client_id"
	ClientSecret = "client_secret"
	RefreshToken = "refresh_token"
	Username     = "username"
	Password     = "password"
	PrivateKey   = "private_key"
	KeyID        = "key_id"
	Certificate  = "certificate"
	SubjectToken = "subject_token"
	ActorToken   = "actor_token"
	// Hosts lists where the credential may be sent; see [Credential.Hosts].
	Hosts = "hosts"
)

var knownMembers = []string{ClientID, ClientSecret, RefreshToken, Username, Password,
	PrivateKey, KeyID, Certificate, SubjectToken, ActorToken, MadeFor}

// Error says what is wrong with a document and how to correct it. It never contains a
// value.
type Error struct {
	Document string // "credential", "session" or "token"
	Member   string // the member at fault; empty for the whole document
	Problem  string // what is wrong, and the remedy
}

func (e *Error) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("the %s %s", e.Document, e.Problem)
	}
	return fmt.Sprintf("the %s's %q %s", e.Document, e.Member, e.Problem)
}

// Credential is the operator's document: the long-lived secrets of a
// connection.
type Credential struct {
	raw     map[string]redact.Secret // the JSON text of every member, as stored
	members map[string]redact.Secret
	hosts   hosts.List
}

// Parse reads a credential document. Its error is an [*Error].
func Parse(document redact.Secret) (Credential, error) {
	raw, err := object("credential", document)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{raw: map[string]redact.Secret{}, members: map[string]redact.Secret{}}
	for name, value := range raw {
		c.raw[name] = redact.New(string(value))
	}
	for _, name := range knownMembers {
		value, ok := raw[name]
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(value, &s) != nil {
			if name != PrivateKey || value[0] != '{' {
				return Credential{}, &Error{"credential", name, "is not a JSON string: " +
					"write it in quotes"}
			}
			s = string(value) // a JSON Web Key, stored as an object
		}
		if strings.ContainsRune(s, 0) {
			return Credential{}, &Error{"credential", name, "holds a NUL character, which no " +
				"provider accepts: store it again as plain text, in UTF-8"}
		}
		secret := redact.New(s)
		if name != Password { // white space may be part of a password
			secret = redact.New(strings.TrimPrefix(strings.TrimSpace(s), byteOrderMark)).Trim()
		}
		c.members[name] = secret
	}
	c.takeOthers("", raw, maxNested)
	if value, ok := raw[Hosts]; ok {
		if c.hosts, err = hosts.ParseMember(value); err != nil {
			return Credential{}, &Error{"credential", Hosts, err.Error()}
		}
	}
	return c, nil
}

// Hosts returns the hosts in the credential's own member "hosts". If there are any, the
// credential may be sent only to them.
func (c Credential) Hosts() hosts.List { return c.hosts }

// Only returns a copy with only the named members, bound to the same hosts.
func (c Credential) Only(names ...string) Credential {
	out := Credential{hosts: c.hosts}
	for _, name := range names {
		if value := c.Get(name); !value.IsZero() {
			out = out.With(name, value)
		}
	}
	return out
}

// maxNested is how many levels of nested objects a setting can name a member in.
const maxNested = 4

// takeOthers adds the members that only a setting can name, exactly as stored: only the
// setting decides whether to trim them. A member of a nested object is named with dots, as
// boxAppSettings.clientID; if a top-level member has that name, it takes precedence.
func (c Credential) takeOthers(within string, members map[string]json.RawMessage, depth int) {
	for name, value := range members {
		var s *string
		if within == "" && slices.Contains(knownMembers, name) ||
			json.Unmarshal(value, &s) != nil || s == nil {
			continue
		}
		if _, taken := c.members[within+name]; !taken || within == "" {
			c.members[within+name] = redact.New(*s)
		}
	}
	for name, value := range members {
		var inner map[string]json.RawMessage
		if depth > 0 && json.Unmarshal(value, &inner) == nil {
			c.takeOthers(within+name+".", inner, depth-1)
		}
	}
}

// Names returns the names of the members that are non-empty strings, sorted.
func (c Credential) Names() []string {
	var names []string
	for name, value := range c.members {
		if !value.IsZero() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Get returns a member, or the zero Secret if it is missing or not a string. A known member
// is trimmed unless it is the password; any other is returned as stored.
func (c Credential) Get(name string) redact.Secret { return c.members[name] }

// Has reports whether all the named members are present and not empty.
func (c Credential) Has(names ...string) bool { return len(c.Missing(names...)) == 0 }

// Missing returns the named members that are absent or empty.
func (c Credential) Missing(names ...string) []string {
	var missing []string
	for _, name := range names {
		if c.members[name].IsZero() {
			missing = append(missing, name)
		}
	}
	return missing
}

// Require returns an [*Error] that names the first missing member and says which purpose
// needs it; nil if none is missing.
func (c Credential) Require(purpose string, names ...string) error {
	if missing := c.Missing(names...); len(missing) > 0 {
		return &Error{"credential", missing[0], "is missing or empty: " + purpose + " needs " +
			strings.Join(names, " and ")}
	}
	return nil
}

// With returns a copy in which one member has a new value; all other members,
// known or not, stay as they are.
func (c Credential) With(name string, value redact.Secret) Credential {
	out := Credential{raw: maps.Clone(c.raw), members: maps.Clone(c.members), hosts: c.hosts}
	if out.raw == nil {
		out.raw, out.members = map[string]redact.Secret{}, map[string]redact.Secret{}
	}
	b, err := json.Marshal(value.Reveal())
	if err != nil {
		panic("marshaling a string cannot fail")
	}
	out.raw[name], out.members[name] = redact.New(string(b)), value
	if name == Hosts {
		if bound, err := hosts.ParseMember(b); err == nil { // Parse rejects an invalid list
			out.hosts = bound
		}
	}
	return out
}

// Encode returns the document as JSON, its members sorted by name.
func (c Credential) Encode() redact.Secret {
	raw := make(map[string]json.RawMessage, len(c.raw))
	for name, value := range c.raw {
		raw[name] = json.RawMessage(value.Reveal())
	}
	return encode(raw)
}

// Fingerprint returns the SHA-256, in hex, of the named members, each as name NUL value
// NUL, sorted by name. It shows whether the same values opened a session without storing
// them.
func (c Credential) Fingerprint(names ...string) string {
	sorted := slices.Sorted(slices.Values(names))
	h := sha256.New()
	for _, name := range sorted {
		h.Write([]byte(name + "\x00" + c.members[name].Reveal() + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// object decodes a document that must be one JSON object. It removes what copying may add:
// a byte order mark, and the quotes of a JSON string.
func object(document string, content redact.Secret) (map[string]json.RawMessage, error) {
	text := strings.TrimPrefix(content.Reveal(), byteOrderMark)
	var inner string
	for range 2 {
		if t := strings.TrimSpace(text); !strings.HasPrefix(t, `"`) ||
			json.Unmarshal([]byte(t), &inner) != nil ||
			!strings.HasPrefix(strings.TrimSpace(inner), "{") && !strings.HasPrefix(inner, `"`) {
			break
		}
		text = inner
	}
	if strings.TrimSpace(text) == "" {
		return nil, &Error{document, "", "is empty"}
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw == nil { // err may quote the value
		problem := "is not a JSON object"
		if fault := strictjson.Fault([]byte(text)); fault != "" &&
			strings.HasPrefix(strings.TrimSpace(text), "{") {
			problem += ": " + fault
		}
		return nil, &Error{document, "", problem}
	}
	if strictjson.Members(text) == len(raw) {
		return raw, nil // the usual case, found without a second decoder
	}
	for name, twice := range strictjson.Repeated([]byte(text)) {
		if twice && (name == Hosts || slices.Contains(knownMembers, name)) {
			return nil, &Error{document, name, "is there twice: remove one of the two"}
		}
	}
	return raw, nil
}

// byteOrderMark is what PowerShell and Notepad write before UTF-8 text.
const byteOrderMark = "\ufeff"

// encode marshals a document that Evertoken writes.
func encode(v any) redact.Secret {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a token is data, not HTML: keep its bytes
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encoding a %T cannot fail", v))
	}
	return redact.New(strings.TrimSuffix(b.String(), "\n"))
}
