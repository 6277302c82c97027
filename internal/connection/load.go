package connection

import (
	"encoding/json"
	"slices"
	"strings"

	"evertoken/internal/strictjson"
)

// Parameter is one SSM parameter below the connections path.
type Parameter struct {
	Name  string // whole, with its path
	Value string
}

// Rules are what a connection must keep to besides its own form.
type Rules struct {
	// Path is where the parameters are: what is behind it is the name.
	Path string
	// ParameterPrefix is what a token_parameter must begin with.
	ParameterPrefix string
	// Region is where Evertoken runs; a secret's ARN must be in it. Empty
	// means any.
	Region string
}

// Declared is one entry of what the operator declared: a connection, or what
// is wrong with it under its name.
type Declared struct {
	Name string
	// Parameter is the SSM parameter that it stands in.
	Parameter  string
	Connection Connection
	Err        error // an *Error, or nil
}

// Load parses all parameters, one or several connections to each. What is wrong
// with one connection is told in its entry and leaves the others alone. The
// entries are in name order, one for each name.
func Load(parameters []Parameter, rules Rules) []Declared {
	entries := map[string]*Declared{}
	for _, p := range parameters {
		for name, one := range split(p, rules.Path) {
			d := &Declared{Name: name, Parameter: p.Name, Err: one.err}
			if d.Err == nil {
				d.Connection, d.Err = Parse(name, one.json, rules.ParameterPrefix)
			}
			if d.Err == nil {
				d.Err = d.Connection.keeps(rules)
			}
			if entries[name] != nil {
				d = &Declared{Name: name, Parameter: p.Name, Err: &Error{name, "", declaredTwice}}
			}
			entries[name] = d
		}
	}
	out := make([]Declared, 0, len(entries))
	for _, d := range entries {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Declared) int { return strings.Compare(a.Name, b.Name) })
	shared(out)
	return out
}

const declaredTwice = "is declared twice: remove one of the two, neither is used"

type declaration struct {
	json []byte
	err  error
}

// split takes a parameter apart into its connections by name. A fault in the
// parameter itself is an entry under the parameter's own last element.
func split(p Parameter, path string) map[string]declaration {
	name := strictjson.Printable(strings.TrimPrefix(p.Name, path))
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(p.Value), &members) != nil || members["connections"] == nil {
		if strings.Contains(strings.TrimPrefix(p.Name, path), "/") {
			return map[string]declaration{name: {err: &Error{name, "", "stands below another level: a parameter with one connection is " + path + "<name>"}}}
		}
		return map[string]declaration{name: {json: []byte(p.Value)}}
	}
	var several struct {
		Connections map[string]json.RawMessage `json:"connections"`
	}
	if member, problem := strictjson.Decode([]byte(p.Value), &several); problem != "" {
		return map[string]declaration{name: {err: &Error{name, member, problem}}}
	}
	if several.Connections == nil {
		return map[string]declaration{name: {err: &Error{name, "connections", "is null: it must be an object"}}}
	}
	out := map[string]declaration{}
	twice := strictjson.Repeated(members["connections"])
	for inner, raw := range several.Connections {
		if twice[inner] {
			out[strictjson.Printable(inner)] = declaration{err: &Error{strictjson.Printable(inner), "", declaredTwice}}
			continue
		}
		if !ValidName(inner) {
			out[strictjson.Printable(inner)] = declaration{err: &Error{strictjson.Printable(inner), "", "is not a connection's name: one lower-case letter or digit, then up to 62 letters, digits and hyphens"}}
			continue
		}
		out[inner] = declaration{json: raw}
	}
	return out
}

// shared refuses connections whose session or token is also another document's:
// each belongs to one connection, and what Evertoken writes would destroy the
// other. All that would write it are refused, since nothing tells whose it is. A
// credential may serve several connections of one provider.
func shared(all []Declared) {
	type use struct {
		entry  int
		member string
	}
	uses := map[string][]use{}
	provider := map[string]string{} // :: credential → the provider of the first that uses it
	for i, d := range all {
		if d.Err != nil {
			continue
		}
		c := d.Connection
		credential := SecretName(c.Credential)
		if other, ok := provider[credential]; ok && other != c.Provider {
			all[i].Err = &Error{c.Name, "credential", "also serves a connection of another provider: a credential serves one provider"}
			continue
		}
		provider[credential] = c.Provider
		token := use{i, "token"}
		id := "secret " + SecretName(c.Token)
		if c.Token == "" {
			token.member, id = "token_parameter", "parameter "+c.TokenParameter
		}
		uses[id] = append(uses[id], token)
		for member, name := range map[string]string{"credential": credential, "session": SecretName(c.Session), "plain_copy": SecretName(c.PlainCopy)} {
			if name != "" {
				uses["secret "+name] = append(uses["secret "+name], use{i, member})
			}
		}
	}
	for _, users := range uses {
		if len(users) < 2 {
			continue
		}
		for _, u := range users {
			if u.member != "credential" {
				all[u.entry].Err = &Error{all[u.entry].Name, u.member, "is also another connection's: a session, a token and its copy belong to one connection"}
			}
		}
	}
}

// keeps refuses what depends on where Evertoken runs.
func (c Connection) keeps(rules Rules) error {
	if rules.Path != "" && strings.HasPrefix(c.TokenParameter, rules.Path) {
		return &Error{c.Name, "token_parameter", "is among the declared connections: put it beside them"}
	}
	for _, d := range []struct{ member, id string }{{"credential", c.Credential}, {"session", c.Session}, {"token", c.Token}, {"plain_copy", c.PlainCopy}} {
		if r := Region(d.id); r != "" && rules.Region != "" && r != rules.Region {
			return &Error{c.Name, d.member, "is in another Region: Evertoken reads and writes in its own Region only"}
		}
	}
	return nil
}
