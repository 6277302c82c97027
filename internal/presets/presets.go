// Package presets holds what is known of particular OAuth 2 providers, as data:
// presets.json. A preset is a set of settings of the provider "oauth2" with the
// source of each fact; adding one takes no Go.
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
	// GetIt says where the credential comes from.
	GetIt string `json:"get_it"`
	// Variables are parts of the settings that differ between customers, such
	// as a tenant. An operator gives them like settings.
	Variables map[string]Variable `json:"variables"`
	// Hosts are the provider's own that a credential may be sent to. A host
	// under which anybody can have a tenant is none of them.
	Hosts []string `json:"hosts"`
	// Settings are those of oauth2, for every grant. Texts may hold {variable}.
	Settings map[string]json.RawMessage `json:"settings"`
	// Grants are the ways to a token, by the name that the setting has.
	Grants map[string]Grant `json:"grants"`
	// DefaultGrant is taken where an operator names none.
	DefaultGrant string `json:"default_grant"`
	// RefreshTokens is "single_use", or "reusable" where a refresh token lives
	// on although it was used; empty where there are none.
	RefreshTokens string `json:"refresh_tokens"`
	// AtOnce is how many requests the provider's host gets at a time at most,
	// where its documented limits ask for fewer than a run's default; 0 for the
	// default. One of Facts has the source.
	AtOnce int `json:"at_once"`
	// Refusals are error codes with a meaning of the provider's own.
	Refusals []Refusal `json:"refusals"`
	// Facts are what an operator should know, each with its source.
	Facts []Fact `json:"facts"`
}

// Variable is a part of the settings that an operator gives.
type Variable struct {
	About   string `json:"about"`
	Example string `json:"example"`
	Default string `json:"default"`
	// Values are all there are, where they can be told. A template takes their
	// parts as {variable.part}.
	Values map[string]map[string]string `json:"values"`
	// Optional leaves the place in a template empty where nothing is given;
	// After follows the value where something is.
	Optional bool   `json:"optional"`
	After    string `json:"after"`
}

// Grant is one way to a token.
type Grant struct {
	Settings map[string]json.RawMessage `json:"settings"`
	// Credential are the members that the secret needs.
	Credential []string `json:"credential"`
	// Needs are settings that an operator must give, those of extra as
	// extra.name.
	Needs map[string]Need `json:"needs"`
}

// Need is a setting without a default.
type Need struct {
	About   string `json:"about"`
	Example string `json:"example"`
}

// Refusal is what an error code means at this provider.
type Refusal struct {
	Code string `json:"code"`
	// Class is one of those of package exchange, as text.
	Class string `json:"class"`
	Hint  string `json:"hint"`
	// Refresh limits the meaning to a refresh token that was sent.
	Refresh bool `json:"refresh"`
}

// Fact is a sentence and where it was read.
type Fact struct {
	Says   string `json:"says"`
	Source string `json:"source"`
}

// all parses the file, once. It is part of the program: a test reads it too.
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

// Names are those of all presets, sorted.
func Names() []string { return slices.Sorted(maps.Keys(all())) }

// Find returns a preset by its name.
func Find(name string) (Preset, bool) {
	p, ok := all()[name]
	return p, ok
}

// variableRE keeps a variable from making another host, path or query of a URL.
var variableRE = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// merged are settings whose members are taken from both sides.
var merged = []string{"extra", "headers", "assertion_claims", "credential_members", "answer"}

// Own splits an operator's settings into those of oauth2 and the preset's
// variables. problem is empty if all is well; otherwise member is at fault.
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
			return nil, nil, name, "must be letters, digits and hyphens: it becomes one part of " +
				"a host or path, such as " + v.Example
		}
		variables[name] = value
	}
	return rest, variables, "", ""
}

// Complete returns the preset's settings for the grant that is asked for,
// together with the operator's own, in the form of the provider oauth2. problem
// is as in [Preset.Own].
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

// has reports whether a setting is there, one of extra as extra.name.
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

// join is the later of two values, or both where the setting is an object whose
// members add up.
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

// fill puts the variables into the texts of a value. missing names one that is
// needed and not there. A value has no character that JSON would escape.
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
