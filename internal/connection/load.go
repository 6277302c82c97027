package connection

import (
	"encoding/json"
	"slices"
	"strings"

	"evertoken/internal/strictjson"
)

// Parameter is one SSM parameter below the connections path.
type Parameter struct {
	Name  string // the full name, with its path
	Value string
	// Secure is set for a SecureString. A connection must not be one.
	Secure bool
}

// Rules are requirements for a connection that depend on where Evertoken runs.
type Rules struct {
	// Path is the path of the parameters; the rest of a parameter's name is the
	// connection's name.
	Path string
	// ParameterPrefix is the required beginning of a token_parameter.
	ParameterPrefix string
	// Region is where Evertoken runs. A secret's ARN must be in it. Empty allows any
	// Region.
	Region string
	// Account is the account that Evertoken runs in; empty if unknown. If it is unknown, a
	// secret's name and an ARN with that name count as the same secret.
	Account string
}

// Declared is one declared name: its connection, or the error in it.
type Declared struct {
	Name string
	// Parameter is the SSM parameter that declares it.
	Parameter  string
	Connection Connection
	Err        error // an *Error, or nil
}

// Load parses all parameters, each with one or several connections. A fault of one
// connection is in its own entry and does not affect the others. The result has one
// entry for each name, in name order.
func Load(parameters []Parameter, rules Rules) []Declared {
	entries := map[string]*Declared{}
	where := map[string][]string{} // :: connection → the parameters that declare it
	for _, p := range parameters {
		for name, one := range split(p, rules.Path) {
			d := &Declared{Name: name, Parameter: p.Name, Err: one.err}
			if d.Err == nil {
				d.Connection, d.Err = Parse(name, one.json, rules.ParameterPrefix)
			}
			if d.Err == nil {
				d.Connection.Account = rules.Account
				d.Err = d.Connection.keeps(rules)
			}
			if where[name] = append(where[name], p.Name); len(where[name]) > 1 {
				slices.Sort(where[name])
				d = &Declared{Name: name, Parameter: where[name][0],
					Err: declaredTwice(name, where[name])}
			}
			entries[name] = d
		}
	}
	out := make([]Declared, 0, len(entries))
	for _, d := range entries {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Declared) int { return strings.Compare(a.Name, b.Name) })
	keepRoles(out)
	return out
}

// declaredTwice returns an error that names the parameters that declare a connection, or
// the one that declares it more than once.
func declaredTwice(name string, parameters []string) error {
	where := "in the parameters " + strings.Join(parameters, " and ")
	if len(parameters) == 1 {
		where = "in the parameter " + parameters[0]
	}
	return &Error{name, "", "is declared twice, " + where + ": Evertoken uses neither. " +
		"Delete one of the two: " +
		putCommand(parameters[len(parameters)-1])}
}

// putCommand returns the command, in backticks, that stores a corrected parameter.
func putCommand(parameter string) string {
	return "`aws ssm put-parameter --overwrite --type String --value file://connection.json --name " +
		parameter + "`"
}

type declaration struct {
	json []byte
	err  error
}

// split separates a parameter into its connections by name. A fault in the parameter itself
// is an entry under the last element of the parameter's name.
func split(p Parameter, path string) map[string]declaration {
	name := strictjson.Printable(strings.TrimPrefix(p.Name, path))
	if p.Secure {
		return map[string]declaration{name: {err: &Error{name, "", "is in a SecureString: " +
			"a connection holds no secret, and Evertoken reads it from a String only. " +
			"AWS cannot change a parameter's type, so delete the parameter and create it again: " +
			"`aws ssm delete-parameter --name " + p.Name + "`, then " + putCommand(p.Name)}}}
	}
	p.Value = strings.TrimPrefix(p.Value, "\ufeff") // a byte order mark, as PowerShell writes it
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(p.Value), &members) != nil || members["connections"] == nil {
		if strings.Contains(strings.TrimPrefix(p.Name, path), "/") {
			return map[string]declaration{name: {err: &Error{name, "", "is one level too deep: " +
				"the parameter of one connection is " + path + "<name>"}}}
		}
		return map[string]declaration{name: {json: []byte(p.Value)}}
	}
	var several struct {
		Connections map[string]json.RawMessage `json:"connections"`
	}
	if member, problem := strictjson.DecodeOuter([]byte(p.Value), &several); problem != "" {
		return map[string]declaration{name: {err: &Error{name, member, problem}}}
	}
	if several.Connections == nil {
		return map[string]declaration{name: {err: &Error{name, "connections",
			"is null: it must be an object"}}}
	}
	out := map[string]declaration{}
	twice := strictjson.Repeated(members["connections"])
	for inner, raw := range several.Connections {
		shown := strictjson.Printable(inner)
		if twice[inner] {
			out[shown] = declaration{err: declaredTwice(shown, []string{p.Name})}
			continue
		}
		if !ValidName(inner) {
			out[shown] = declaration{err: &Error{shown, "", "must be a connection's name: " +
				"one lower-case letter or digit, then up to 62 letters, digits and hyphens"}}
			continue
		}
		out[inner] = declaration{json: raw}
	}
	return out
}

// keeps checks the rules that depend on where Evertoken runs.
func (c Connection) keeps(rules Rules) error {
	if rules.Path != "" && strings.HasPrefix(c.TokenParameter, rules.Path) {
		return &Error{c.Name, "token_parameter", "is inside the path of the declared " +
			"connections: choose a name outside that path"}
	}
	for _, d := range c.secrets() {
		if r := Region(d.id); r != "" && rules.Region != "" && r != rules.Region {
			return &Error{c.Name, d.member, "is in another Region: Evertoken reads and writes in " +
				"its own Region only"}
		}
	}
	return nil
}
