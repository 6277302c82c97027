package operator

import (
	"encoding/json"
	"strings"

	"evertoken/internal/connection"
)

// choosers are the settings that decide what the other settings mean.
var choosers = map[string]bool{
	"settings.grant": true, "settings.access": true, "settings.client_auth": true,
	"settings.token_type": true,
}

// faults returns all faults of one declaration that can be told apart; first is the one
// that the functions report. It removes the member at fault and checks the others again.
// It ends where they cannot be checked without that member. text is the value of the
// parameter.
func (a *app) faults(d connection.Declared, text string, first error) []error {
	out := []error{first}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(declarationIn(text, d.Name)), &members) != nil {
		return out
	}
	seen := map[string]bool{}
	for err := first; ; out = append(out, err) {
		name, _ := member(err)
		path := pathOf(name)
		if strings.HasPrefix(name, "probe.") { // it is nothing without each of its members
			path = path[:1]
		}
		switch {
		case name == "" || seen[name] || choosers[name]:
			return out
		case name == "provider": // any valid one replaces it, without its settings
			members["provider"] = json.RawMessage(`"apiax"`)
			delete(members, "settings")
		case !takeAway(members, path):
			return out
		}
		seen[name] = true
		err = a.fault(d.Name, encoded(members))
		if err == nil || follows(err, seen) {
			return out
		}
	}
}

// fault is what is wrong with one declaration, whatever else is declared.
func (a *app) fault(name string, declaration []byte) error {
	rules := a.rules(defaultPath, "")
	one := connection.Load([]connection.Parameter{{Name: rules.Path + name,
		Value: string(declaration)}}, rules)[0]
	if one.Err != nil {
		return one.Err
	}
	_, err := a.provider(one.Connection)
	return err
}

// follows reports whether a fault exists only because a member was removed.
func follows(err error, taken map[string]bool) bool {
	name, what := member(err)
	for path := range taken {
		last := path[strings.LastIndex(path, ".")+1:]
		if name == path || strings.Contains(what, `"`+last+`"`) {
			return true
		}
	}
	return false
}

// takeAway removes the member that a path leads to. It reports whether there was one.
func takeAway(members map[string]json.RawMessage, path []string) bool {
	raw, ok := members[path[0]]
	if !ok || len(path) == 1 {
		delete(members, path[0])
		return ok
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(raw, &inner) != nil || !takeAway(inner, path[1:]) {
		return false
	}
	members[path[0]] = encoded(inner)
	return true
}
