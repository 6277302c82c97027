// Package presets contains facts about particular OAuth 2 providers, as data in
// presets.json. A preset is a set of settings of the provider "oauth2", with the source of
// each fact. Adding one needs no Go.
package presets

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"evertoken/internal/lazyregexp"
)

//go:embed presets.json
var file []byte

// Preset is one provider.
type Preset struct {
	// Title is the provider's name in its own spelling.
	Title string `json:"title"`
	// GetIt says where an operator gets the credential.
	GetIt string `json:"get_it"`
	// Variables are parts of the settings that differ between customers, such as a tenant.
	// An operator writes them like settings.
	Variables map[string]Variable `json:"variables"`
	// Hosts are the provider's own hosts to which a credential may be sent. It must not
	// contain a host under which anybody can have a tenant.
	Hosts []string `json:"hosts"`
	// Settings are settings of oauth2 for every grant. Their texts may contain {variable}.
	Settings map[string]json.RawMessage `json:"settings"`
	// Grants are the possible grants, by the name in the setting "grant".
	Grants map[string]Grant `json:"grants"`
	// DefaultGrant applies if an operator names no grant.
	DefaultGrant string `json:"default_grant"`
	// RefreshTokens is "single_use", or "reusable" if a refresh token survives its use;
	// empty if the provider issues none.
	RefreshTokens string `json:"refresh_tokens"`
	// AtOnce limits how many requests run at the same time at the provider's host, if its
	// documented limits are below a run's default; 0 for the default. One of Facts names
	// the source.
	AtOnce int `json:"at_once"`
	// Refusals are error codes with a meaning specific to this provider.
	Refusals []Refusal `json:"refusals"`
	// Facts are what an operator should know, each with its source.
	Facts []Fact `json:"facts"`
}

// Variable is a part of the settings that an operator writes.
type Variable struct {
	About   string `json:"about"`
	Example string `json:"example"`
	Default string `json:"default"`
	// Values are all possible values, if they are known. A template refers to their parts
	// as {variable.part}.
	Values map[string]map[string]string `json:"values"`
	// Optional makes the variable's place in a template empty if an operator gives no
	// value. Otherwise After follows the value.
	Optional bool   `json:"optional"`
	After    string `json:"after"`
}

// Grant is one way to obtain a token.
type Grant struct {
	Settings map[string]json.RawMessage `json:"settings"`
	// Credential lists the members that the secret must contain.
	Credential []string `json:"credential"`
	// Needs are settings that an operator must write; a member of extra is named
	// extra.name.
	Needs map[string]Need `json:"needs"`
}

// Need is a setting without a default.
type Need struct {
	About   string `json:"about"`
	Example string `json:"example"`
}

// Refusal is the meaning of an error code at this provider.
type Refusal struct {
	Code string `json:"code"`
	// Class is an [exchange.Class] as text.
	Class string `json:"class"`
	Hint  string `json:"hint"`
	// Refresh limits the meaning to requests that sent a refresh token.
	Refresh bool `json:"refresh"`
}

// Fact is a sentence and its source.
type Fact struct {
	Says   string `json:"says"`
	Source string `json:"source"`
}

// all parses the embedded file once. It can panic only if the file is wrong, and a test
// parses it too.
var all = sync.OnceValue(func() map[string]Preset {
	out, err := parse(file)
	if err != nil {
		panic("presets.json: " + err.Error())
	}
	return out
})

func parse(data []byte) (map[string]Preset, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var out map[string]Preset
	err := d.Decode(&out)
	return out, err
}

// Names returns the names of all presets, sorted.
func Names() []string { return slices.Sorted(maps.Keys(all())) }

// Find returns the preset with this name; ok is false if there is none.
func Find(name string) (Preset, bool) {
	p, ok := all()[name]
	return p, ok
}

// variableRE prevents a variable from changing a URL's host, path or query.
var variableRE = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// merged are the settings whose members are combined from the preset and the operator.
var merged = []string{"extra", "headers", "assertion_claims", "credential_members", "answer"}

// Own separates an operator's settings into those of oauth2 and the preset's variables.
// problem is empty if they are valid; otherwise member is the setting at fault.
func (p Preset) Own(settings json.RawMessage) (
	rest map[string]json.RawMessage, variables map[string]string, member, problem string,
) {
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &rest); err != nil {
			return nil, nil, "", "is not a JSON object"
		}
	}
	if rest == nil {
		rest = map[string]json.RawMessage{}
	}
	variables = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		v := p.Variables[name]
		value := v.Default
		if raw, given := rest[name]; given {
			delete(rest, name)
			if json.Unmarshal(raw, &value) != nil {
				return nil, nil, name, "has the wrong type: it must be a string"
			}
		}
		_, known := v.Values[value]
		switch {
		case value == "":
			continue
		case len(v.Values) > 0 && !known:
			return nil, nil, name, "must be one of " + strings.Join(slices.Sorted(maps.Keys(v.Values)), ", ")
		case !variableRE().MatchString(value):
			return nil, nil, name, "must be letters, digits and hyphens: " +
				"it becomes one part of a host or path, such as " + v.Example
		}
		variables[name] = value
	}
	return rest, variables, "", ""
}

// Complete combines the preset's settings for the chosen grant with the operator's, in the
// form of the provider oauth2. member and problem are as in [Preset.Own].
func (p Preset) Complete(rest map[string]json.RawMessage, variables map[string]string) (
	out json.RawMessage, member, problem string,
) {
	whole := map[string]json.RawMessage{}
	grant := p.DefaultGrant
	if raw, given := rest["grant"]; given {
		_ = json.Unmarshal(raw, &grant) // of a wrong type: refused with the rest
	}
	own := p.Grants[grant]
	for _, layer := range []map[string]json.RawMessage{p.Settings, own.Settings} {
		for name, value := range layer {
			_, url := rest["token_url"]
			_, issuer := rest["issuer"]
			if _, replaced := rest[name]; replaced && !slices.Contains(merged, name) ||
				(url || issuer) && name == "token_url" {
				continue
			}
			filled, missing := p.fill(value, variables)
			if missing != "" {
				return nil, missing, "is missing: " + p.Variables[missing].About
			}
			whole[name] = join(name, whole[name], filled)
		}
	}
	if _, given := rest["grant"]; !given {
		whole["grant"] = json.RawMessage(`"` + grant + `"`)
	}
	for name, value := range rest {
		whole[name] = join(name, whole[name], value)
	}
	for _, name := range slices.Sorted(maps.Keys(own.Needs)) {
		if !has(whole, name) {
			return nil, name, "is missing: " + own.Needs[name].About
		}
	}
	b, err := json.Marshal(whole)
	if err != nil {
		return nil, "", "is not a JSON object"
	}
	return b, "", ""
}

// has reports whether a setting is present; a member of extra is named extra.name.
func has(settings map[string]json.RawMessage, name string) bool {
	outer, inner, dotted := strings.Cut(name, ".")
	value, given := settings[outer]
	if !dotted || !given {
		return given
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return true // of a wrong type: refused with the rest
	}
	_, given = members[inner]
	return given
}

// join returns the later of two values, or both combined if the setting is an object in
// merged.
func join(name string, before, after json.RawMessage) json.RawMessage {
	var a, b map[string]json.RawMessage
	if !slices.Contains(merged, name) || json.Unmarshal(before, &a) != nil ||
		json.Unmarshal(after, &b) != nil || b == nil {
		return after
	}
	if a == nil {
		a = map[string]json.RawMessage{}
	}
	maps.Copy(a, b)
	out, err := json.Marshal(a)
	if err != nil {
		return after
	}
	return out
}

var placeRE = lazyregexp.New(`\{([a-z_]+)(\.([a-z_]+))?\}`)

// fill replaces the variables in the texts of a value. missing names a variable that is
// required but not given. A variable's value contains no character that JSON would escape.
func (p Preset) fill(value json.RawMessage, variables map[string]string) (out json.RawMessage,
	missing string) {
	filled := placeRE().ReplaceAllStringFunc(string(value), func(place string) string {
		m := placeRE().FindStringSubmatch(place)
		v, known := p.Variables[m[1]]
		given, there := variables[m[1]]
		switch {
		case !known:
			return place
		case !there && v.Optional:
			return ""
		case !there:
			missing = m[1]
			return ""
		case m[3] != "":
			return v.Values[given][m[3]]
		}
		return given + v.After
	})
	return json.RawMessage(filled), missing
}
