package operator

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"evertoken/internal/connection"
)

// compose makes the declaration of flags and answers.
func (x *addition) compose() error {
	members, err := assignments("--member", x.o.member)
	if err != nil {
		return err
	}
	settings, err := assignments("--set", x.o.set)
	if err != nil {
		return err
	}
	o, err := x.chooseProvider()
	if err != nil {
		return err
	}
	w, err := x.chooseWay(o, settings)
	if err != nil {
		return err
	}
	for name, value := range w.set {
		if settings[name] == nil {
			settings[name] = quoted(value)
		}
	}
	members["provider"] = quoted(o.provider)
	if err := x.unknown(members, settings); err != nil {
		return err
	}
	if err := x.askSettings(o, w, settings); err != nil {
		return err
	}
	x.waysDoc = w
	if len(settings) > 0 {
		members["settings"] = encoded(settings)
	}
	if x.stack.secretPrefix != defaultPrefix {
		for _, role := range []string{"credential", "session", "token"} {
			if members[role] == nil && (role != "token" || members["token_parameter"] == nil) {
				members[role] = quoted(x.stack.secretPrefix + x.name + "/" + role)
			}
		}
	}
	x.json = string(encoded(members))
	return nil
}

// unknownRE finds the unknown member or setting in an error of the parser, and the
// known ones.
var unknownRE = regexp.MustCompile(`"(settings\.)?([^"]+)" is not known here; the known ones are (.*)$`)

// unknown rejects an unknown member or setting before the command asks for a
// missing one: a mistyped name is both.
func (x *addition) unknown(members, settings map[string]json.RawMessage) error {
	given := maps.Clone(members)
	if len(settings) > 0 {
		given["settings"] = encoded(settings)
	}
	c, err := connection.Parse(x.name, encoded(given), x.rules(x.path, x.aws.region).ParameterPrefix)
	if err == nil {
		_, err = x.provider(c)
	}
	if err == nil {
		return nil
	}
	found := unknownRE.FindStringSubmatch(err.Error())
	if found == nil {
		return nil // the whole declaration is checked later
	}
	next, flag := "", "--member"
	if found[1] != "" {
		flag = "--set"
	}
	known := strings.FieldsFunc(found[3], func(r rune) bool { return strings.ContainsRune(",;: ", r) })
	if near := nearest(found[2], known); near != "" {
		next = "Did you mean " + flag + " " + near + "=…?"
	}
	return usage(next, "%w", err)
}

// differs names the first flag whose value differs from the declaration. It returns
// "" if all flags agree: then this is the same command again.
func (x *addition) differs(d connection.Declared) string {
	if x.o.provider != "" && x.o.provider != d.Connection.Provider {
		return "provider"
	}
	var declared struct{ Settings map[string]json.RawMessage }
	members := map[string]json.RawMessage{}
	text := []byte(declarationIn(x.all.parameters[d.Parameter], d.Name))
	if json.Unmarshal(text, &members) != nil || json.Unmarshal(text, &declared) != nil {
		return "declaration"
	}
	for _, one := range []struct {
		flag string
		have map[string]json.RawMessage
		want []string
	}{{"--set", declared.Settings, x.o.set}, {"--member", members, x.o.member}} {
		want, err := assignments(one.flag, one.want)
		if err != nil {
			return one.flag
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !contains(one.have[name], want[name]) {
				return one.flag + " " + name
			}
		}
	}
	return ""
}

// contains reports whether a JSON value is the wanted one, or an object with all
// of its members.
func contains(have, want json.RawMessage) bool {
	var a, b any
	if json.Unmarshal(have, &a) != nil || json.Unmarshal(want, &b) != nil {
		return false
	}
	whole, isObject := a.(map[string]any)
	part, ok := b.(map[string]any)
	if !isObject || !ok {
		return reflect.DeepEqual(a, b)
	}
	for name, value := range part {
		if !reflect.DeepEqual(whole[name], value) {
			return false
		}
	}
	return true
}

// assignments reads NAME=VALUE flags. A value is JSON where it looks like it, and
// text otherwise; below an object, as in extra.account_id, it is always text.
func assignments(flag string, all []string) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, one := range all {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, usage("Write it as in "+flag+" zone=eu.", "%s must be NAME=VALUE", flag)
		}
		if setting(out, name) != nil {
			return nil, usage("Give it once.", "%s %s is given twice", flag, name)
		}
		v := quoted(value)
		looksLikeJSON := value != "" && strings.ContainsRune(`{["0123456789tf`, rune(value[0]))
		if looksLikeJSON && !strings.Contains(name, ".") && json.Valid([]byte(value)) {
			v = json.RawMessage(value)
		}
		if !assign(out, name, v) {
			return nil, usage("Give the member before the dot as an object, or leave it out.",
				"%s %s leads into a value that is not an object", flag, name)
		}
	}
	return out, nil
}

// setting is the value of a setting, by a name that may be one within an object, as
// extra.account_id; nil where there is none.
func setting(settings map[string]json.RawMessage, name string) json.RawMessage {
	outer, inner, nested := strings.Cut(name, ".")
	if !nested {
		return settings[name]
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(settings[outer], &object) != nil {
		return nil
	}
	return object[inner]
}

// assign gives a setting a value; ok is false where its name is within something that is
// not an object.
func assign(settings map[string]json.RawMessage, name string, value json.RawMessage) (ok bool) {
	outer, inner, nested := strings.Cut(name, ".")
	if !nested {
		settings[name] = value
		return true
	}
	object := map[string]json.RawMessage{}
	if settings[outer] != nil && json.Unmarshal(settings[outer], &object) != nil {
		return false
	}
	object[inner] = value
	settings[outer] = encoded(object)
	return true
}

func quoted(text string) json.RawMessage { return encoded(text) }

// encoded writes JSON; members are in name order.
func encoded(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encoding texts cannot fail")
	}
	return b
}

func (x *addition) chooseProvider() (offer, error) {
	if x.o.provider != "" {
		return findOffer(x.o.provider)
	}
	p, err := x.prompter()
	if err != nil {
		return offer{}, usage("`evertoken add --list` shows every provider and preset.",
			"--provider is missing")
	}
	all := offers()
	var known []string
	for _, o := range all {
		known = append(known, o.provider)
	}
	x.errorf("Which provider issues the tokens of %s?\n", x.name)
	for i, o := range all {
		x.errorf("  %2d  %-11s  %s\n", i+1, o.provider, o.title)
	}
	name, err := p.choose("provider: ", known)
	if err != nil {
		return offer{}, err
	}
	return findOffer(name)
}

// chooseWay returns the way that the flag names, that the settings mean, or that a person
// chooses.
func (x *addition) chooseWay(o offer, settings map[string]json.RawMessage) (way, error) {
	if x.o.way != "" {
		return o.way(x.o.way)
	}
	if len(o.ways) == 1 {
		return o.ways[0], nil
	}
	for _, w := range o.ways {
		for name, value := range w.set {
			if string(settings[name]) == string(quoted(value)) {
				return w, nil
			}
		}
	}
	if x.o.file != "" && len(o.ways[0].set) == 0 {
		return way{}, nil // the credential's own members show the way
	}
	p, err := x.prompter()
	if err != nil {
		return way{}, usage("Name one of "+strings.Join(o.wayNames(), ", ")+".", "--way is missing")
	}
	x.errorf("How does %s issue a token?\n", o.title)
	for i, w := range o.ways {
		x.errorf("  %2d  %-20s %s\n", i+1, w.name, w.about)
	}
	name, err := p.choose("way: ", o.wayNames())
	if err != nil {
		return way{}, err
	}
	return o.way(name)
}

// askSettings asks for the settings that are missing.
func (x *addition) askSettings(o offer, w way, settings map[string]json.RawMessage) error {
	for _, n := range append(slices.Clone(o.settings), w.needs...) {
		if setting(settings, n.name) != nil || n.name == "token_url" && settings["issuer"] != nil {
			continue
		}
		p, err := x.prompter()
		if err != nil {
			return usage("Give --set "+n.name+"=…: "+n.about+".", "the setting %s of %s is missing",
				n.name, o.provider)
		}
		var answer string
		if len(n.values) > 0 {
			answer, err = p.choose(n.question(), n.values)
		} else {
			answer, err = p.line(n.question())
		}
		if err != nil {
			return err
		}
		if answer = strings.TrimSpace(answer); answer == "" {
			return usage("Run this again and give it: "+n.about+".", "the setting %s of %s is missing",
				n.name, o.provider)
		}
		if !assign(settings, n.name, quoted(answer)) {
			return usage("Leave out the --set before it, which gives it another value.",
				"the setting %s of %s is not an object", n.name, o.provider)
		}
	}
	return nil
}

// way is the chosen one, or, for a connection that is already declared, the one that its
// settings mean.
func (x *addition) way(c connection.Connection) way {
	if !x.declared {
		return x.waysDoc
	}
	if o, err := findOffer(c.Provider); err == nil && x.o.way != "" {
		if w, err := o.way(x.o.way); err == nil {
			return w
		}
	}
	return wayOf(c)
}

// wayOf is the way that a declaration means, if it shows one.
func wayOf(c connection.Connection) way {
	o, err := findOffer(c.Provider)
	if err != nil {
		return way{}
	}
	var settings map[string]json.RawMessage
	if json.Unmarshal(c.Settings, &settings) == nil {
		for _, w := range o.ways {
			for name, value := range w.set {
				if string(settings[name]) == string(quoted(value)) {
					return w
				}
			}
		}
	}
	if len(o.ways) == 1 || len(o.ways) > 0 && len(o.ways[0].set) > 0 && c.Provider == "sharetribe" {
		return o.ways[0] // the only one, or the provider's default
	}
	return way{}
}
