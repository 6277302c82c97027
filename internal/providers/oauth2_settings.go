package providers

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/strictjson"
)

// oauth2Settings is what an operator writes; docs/providers.md describes each.
type oauth2Settings struct {
	TokenURL *string `json:"token_url"`
	Issuer   *string `json:"issuer"`

	Grant             string            `json:"grant"`
	ClientAuth        *string           `json:"client_auth"`
	MutualTLS         bool              `json:"mutual_tls"`
	CredentialMembers map[string]string `json:"credential_members"`

	Scope         string                     `json:"scope"`
	Audience      json.RawMessage            `json:"audience"`
	Resource      json.RawMessage            `json:"resource"`
	Extra         map[string]json.RawMessage `json:"extra"`
	Headers       map[string]json.RawMessage `json:"headers"`
	RequestFormat *string                    `json:"request_format"`

	Subject           string              `json:"subject"`
	AssertionAudience json.RawMessage     `json:"assertion_audience"`
	AssertionClaims   map[string]any      `json:"assertion_claims"`
	AssertionAlg      string              `json:"assertion_alg"`
	AssertionLife     strictjson.Duration `json:"assertion_life"`
	AssertionScope    bool                `json:"assertion_scope"`

	Answer     json.RawMessage `json:"answer"`
	Publish    []string        `json:"publish"`
	TokenTypes []string        `json:"token_types"`

	TokenLife        strictjson.Duration `json:"token_life"`
	RefreshTokenLife strictjson.Duration `json:"refresh_token_life"`
	ReuseGrace       strictjson.Duration `json:"reuse_grace"`
	RenewLate        bool                `json:"renew_late"`
	SessionMax       strictjson.Duration `json:"session_max"`
	RemintBefore     strictjson.Duration `json:"remint_before"`
}

// answerSettings say where an answer of another shape has its three important members, as
// names with dots between them: data.accessToken.
type answerSettings struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    string `json:"expires_in"`
}

// source says where the value of a parameter or header comes from: the settings themselves,
// or a member of the credential.
type source struct {
	text   string
	member string // of the credential; empty for text
}

// sources reads a setting that maps names to values, each a string or
// {"credential": "member"}.
func (b base) sources(setting string, raw map[string]json.RawMessage) (map[string]source, error) {
	out := map[string]source{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		var text *string
		if json.Unmarshal(raw[name], &text) == nil && text != nil {
			out[name] = source{text: *text}
			continue
		}
		var from struct {
			Credential string `json:"credential"`
		}
		_, problem := strictjson.Decode(raw[name], &from)
		if problem != "" || from.Credential == "" {
			return nil, b.wrong(setting+"."+strictjson.Printable(name),
				`must be a string, or {"credential": "<member>"} to send that member of the credential`)
		}
		out[name] = source{member: from.Credential}
	}
	return out, nil
}

// list reads a setting that is a string or a list of strings.
func (b base) list(setting string, raw json.RawMessage) ([]string, error) {
	var one *string
	var several []*string
	switch {
	case len(raw) == 0 || string(raw) == "null" || string(raw) == `""`:
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		return []string{*one}, nil
	case json.Unmarshal(raw, &several) != nil:
		return nil, b.wrong(setting, "must be a string or a list of strings")
	}
	out := make([]string, 0, len(several))
	for _, s := range several {
		if s == nil || *s == "" {
			return nil, b.wrong(setting, "has an empty entry")
		}
		out = append(out, *s)
	}
	return out, nil
}

// secretMembers are the credential members whose secret has one purpose: each is sent for
// that purpose only, and never as a header.
var secretMembers = []string{credential.ClientSecret, credential.RefreshToken, credential.Password,
	credential.PrivateKey, credential.SubjectToken, credential.ActorToken}

// mappable are the members that credential_members can find under another name.
var mappable = []string{credential.ClientID, credential.ClientSecret, credential.RefreshToken,
	credential.Username, credential.Password, credential.PrivateKey, credential.KeyID,
	credential.Certificate, credential.SubjectToken, credential.ActorToken}

// setNames checks credential_members. A member with a meaning of its own cannot replace
// another: a password must not be sent as a user name.
func (p *oauth2) setNames(names map[string]string) error {
	taken := map[string]bool{}
	for _, standard := range slices.Sorted(maps.Keys(names)) {
		own := names[standard]
		setting := "credential_members." + strictjson.Printable(standard)
		switch {
		case !slices.Contains(mappable, standard):
			return p.wrong(setting, "must be a member that Evertoken uses: "+
				"the names on the left are "+strings.Join(mappable, ", "))
		case own == "":
			return p.wrong(setting, "is empty: give the credential's own name for it")
		case own != standard && (slices.Contains(mappable, own) || own == credential.Hosts):
			return p.wrong(setting, "must not be a member that has a meaning of its own")
		case taken[own]:
			return p.wrong(setting, "names a member that another entry already uses")
		}
		taken[own] = true
	}
	p.names = names
	return nil
}

// named returns the credential's name for one of the standard members.
func (p *oauth2) named(standard string) string {
	if own, ok := p.names[standard]; ok {
		return own
	}
	return standard
}

// purpose returns the standard secret that a member of the credential contains, "" if none.
func (p *oauth2) purpose(member string) string {
	for _, standard := range secretMembers {
		if p.named(standard) == member || standard == member {
			return standard
		}
	}
	return ""
}

// fromCredential are parameters that a connection may send from the credential although
// their values are secrets. The settings never contain these values.
var fromCredential = map[string]bool{
	"assertion": true, credential.SubjectToken: true, credential.ActorToken: true,
	"access_token": true, credential.Username: true, credential.Password: true,
}

const storeMember = `store it in the credential and write {"credential": "<member>"}`

// setExtra checks the connection's own parameters.
func (p *oauth2) setExtra(raw map[string]json.RawMessage) (err error) {
	if p.extra, err = p.sources("extra", raw); err != nil {
		return err
	}
	own := map[string]bool{}
	for name, s := range p.extra {
		own[name] = s.member != "" && fromCredential[name] && !p.sets(name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.extra)) {
		s := p.extra[name]
		purpose := p.purpose(s.member)
		setting := "extra." + strictjson.Printable(name)
		switch {
		case name == "":
			return p.wrong("extra", "has a parameter without a name")
		case s.member == "" && fromCredential[name] && !p.sets(name):
			return p.wrong(setting, "holds a secret, which must not be in a connection: "+storeMember)
		case reserved[name] && !own[name]:
			return p.wrong(setting, "must not be set: Evertoken sets it itself, or it is a secret")
		case s.member == credential.Hosts, purpose != "" && purpose != name:
			return p.wrong(setting, "must not send that member of the credential: "+
				"it has another purpose")
		}
	}
	return nil
}

// sets reports whether the grant itself sends a parameter.
func (p *oauth2) sets(name string) bool {
	switch p.grant {
	case grantPassword:
		return name == credential.Username || name == credential.Password
	case grantExchange:
		return name == credential.SubjectToken || name == credential.ActorToken
	}
	return false
}

// headerRE matches the header names used in practice, a subset of RFC 9110 section 5.1.
var headerRE = lazyregexp.New(`^[A-Za-z0-9_-]{1,100}$`)

// ownHeaders are the headers, in lower case, that Evertoken or HTTP itself sets, and those
// that do not belong in a token request: Cookie and headers that control a proxy.
var ownHeaders = map[string]bool{
	"accept-encoding": true, "connection": true, "content-encoding": true, "content-length": true,
	"content-type": true, "cookie": true, "expect": true, "host": true, "keep-alive": true,
	"proxy-authorization": true, "proxy-connection": true, "te": true, "trailer": true,
	"transfer-encoding": true, "upgrade": true,
}

// setHeaders checks the connection's own headers.
func (p *oauth2) setHeaders(raw map[string]json.RawMessage) (err error) {
	if p.headers, err = p.sources("headers", raw); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.headers)) {
		s, lower := p.headers[name], strings.ToLower(name)
		setting := "headers." + strictjson.Printable(name)
		switch {
		case !headerRE().MatchString(name):
			return p.wrong(setting, "must be a header's name")
		case ownHeaders[lower]:
			return p.wrong(setting, "must not be set: Evertoken or HTTP sets it itself")
		case seen[lower]:
			return p.wrong(setting, "is there twice: a header's name ignores upper and lower case")
		case lower == "authorization" &&
			(s.member == "" || p.auth == authBasic || p.auth == authPlainBasic):
			return p.wrong(setting, `must come from the credential, as {"credential": "<member>"}, `+
				"and needs a client_auth other than Basic")
		case s.member == credential.Hosts, p.purpose(s.member) != "":
			return p.wrong(setting,
				"must not send a member that holds a secret of another kind: "+
					"store the header's value in a member of its own")
		case s.member == "" && secretName(lower):
			return p.wrong(setting, "looks like a secret, which must not be in a connection: "+
				storeMember)
		case strings.ContainsFunc(s.text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return p.wrong(setting, "has a line break or another control character in its value")
		}
		seen[lower] = true
	}
	return nil
}

// pathRE matches a member's place in an answer: names with dots between them.
var pathRE = lazyregexp.New(`^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,4}$`)

// setAnswer checks the settings for the members of the answer and for those to publish.
func (p *oauth2) setAnswer(s oauth2Settings) error {
	if len(s.Answer) > 0 {
		if member, problem := strictjson.Decode(s.Answer, &p.answer); problem != "" {
			return p.wrong(strings.TrimSuffix("answer."+member, "."), problem)
		}
	}
	for setting, path := range map[string]string{"access_token": p.answer.AccessToken,
		"refresh_token": p.answer.RefreshToken, "expires_in": p.answer.ExpiresIn} {
		if path != "" && !pathRE().MatchString(path) {
			return p.wrong("answer."+setting,
				"must be a place in the answer: write names separated by dots, "+
					"such as data.accessToken")
		}
	}
	// Applications read this member, and a refresh token is not for them.
	if lower := strings.ToLower(p.answer.AccessToken); lower != "" &&
		(p.answer.AccessToken == p.answer.RefreshToken ||
			strings.Contains(lower, "refresh") || strings.Contains(lower, "secret") ||
			strings.Contains(lower, "password")) {
		return p.wrong("answer.access_token",
			"must not name a secret other than the access token: applications read what is there")
	}
	names := map[string]bool{}
	for _, path := range s.Publish {
		name := path[strings.LastIndexByte(path, '.')+1:]
		switch {
		case !pathRE().MatchString(path):
			return p.wrong("publish",
				"has an entry that is not a place in the answer: "+
					"write names separated by dots, such as data.instance_url")
		case names[name]:
			return p.wrong("publish",
				"has two members with the same last name, which becomes their name in the "+
					"token document")
		case credential.IsTokenMember(name):
			return p.wrong("publish", "must not name a member of the token "+
				"document itself: "+strings.Join(credential.TokenMembers, ", "))
		case secretName(path), path == p.answer.AccessToken, path == p.answer.RefreshToken:
			return p.wrong("publish",
				"must not name a member that may hold a secret (token, secret, password, key, "+
					"assertion, code and the like): applications read an access token and "+
					"nothing else")
		}
		names[name] = true
	}
	for _, kind := range s.TokenTypes {
		if kind == "" || strings.EqualFold(kind, "DPoP") || strings.EqualFold(kind, "mac") {
			return p.wrong("token_types",
				"has a type that is not a bearer token: "+
					"DPoP and MAC tokens need a key for every call (RFC 9449)")
		}
	}
	return nil
}

// secretName reports whether a member's name sounds like a secret's. It rather rejects a
// harmless name than accepts a secret's.
func secretName(path string) bool {
	path = strings.ToLower(path)
	return slices.ContainsFunc([]string{"token", "secret", "pass", "pwd", "key", "assertion",
		"credential", "signature", "cookie", "jwt", "cert"},
		func(part string) bool { return strings.Contains(path, part) }) ||
		path == "code" || strings.HasSuffix(path, "_code") || strings.HasSuffix(path, ".code")
}

// setLives checks the lifetimes in the settings.
func (p *oauth2) setLives(s oauth2Settings) (err error) {
	p.life, p.refreshLife, p.reuseGrace = time.Duration(s.TokenLife),
		time.Duration(s.RefreshTokenLife), time.Duration(s.ReuseGrace)
	session := p.session() != 0
	switch {
	case s.TokenLife != 0 && (p.life < time.Minute || p.life > 400*24*time.Hour):
		return p.wrong("token_life", "must be at least 1m and at most 400d")
	case !session && s.SessionMax != 0:
		return p.wrong("session_max", "has no meaning for "+p.grant+", which has no session")
	case !session && s.RefreshTokenLife != 0:
		return p.wrong("refresh_token_life", "has no meaning for "+p.grant+", which has no session")
	case !session && s.ReuseGrace != 0:
		return p.wrong("reuse_grace", "has no meaning for "+p.grant+", which has no session")
	case s.RefreshTokenLife != 0 && p.refreshLife < time.Hour:
		return p.wrong("refresh_token_life", "must be at least 1h")
	case p.reuseGrace > time.Hour:
		return p.wrong("reuse_grace",
			"must be at most 1h: it is how long the provider accepts a spent refresh token again")
	}
	p.renewLate = s.RenewLate
	p.sessionMax, p.remintOut, err = p.window(s.SessionMax, s.RemintBefore)
	return err
}
