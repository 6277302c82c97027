package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/presets"
)

// offer is a provider as `evertoken add` offers it.
type offer struct {
	provider, title string
	// getIt says where the credential comes from; may be empty.
	getIt string
	// settings are those that an operator must give.
	settings []need
	ways     []way
}

// need is a setting without a default.
type need struct {
	name, about, example string
	values               []string // all there are; nil for any
}

// way is one way to a token: the settings that choose it, and what the credential
// then holds.
type way struct {
	name, about string
	set         map[string]string
	members     []string
	// needs are settings that this way alone asks for.
	needs []need
}

// builtIn are the providers that have code of their own. What each needs is what
// internal/providers asks for: a test compares them.
var builtIn = []offer{
	{
		provider: "flexera", title: "Flexera One",
		settings: []need{{name: "zone", about: "where the user or the " +
			"organization lives", example: "eu",
			values: []string{"nam", "eu", "apac"}}},
		ways: []way{
			{name: "service-account", about: "a client of a service account",
				members: []string{credential.ClientID, credential.ClientSecret}},
			{name: "user", about: "a user's refresh token; it dies after a year",
				members: []string{credential.RefreshToken}},
		},
	},
	{
		provider: "flexnet", title: "FlexNet Operations",
		settings: []need{
			{name: "base_url", about: "your site", example: "https://mysite.flexnetoperations.com"},
			{name: "token_name", about: "a name for Evertoken's tokens, 3 to 23 " +
				"characters", example: "evertoken"},
		},
		ways: []way{{name: "password", about: "a user's name and password",
			members: []string{credential.Username, credential.Password}}},
	},
	{
		provider: "sharetribe", title: "Sharetribe",
		ways: []way{
			{name: "integration", about: "an Integration API application",
				set: map[string]string{"access": "integration"}, members: []string{credential.ClientID,
					credential.ClientSecret}},
			{name: "anonymous", about: "a Marketplace API application, anonymous",
				set: map[string]string{"access": "anonymous"}, members: []string{credential.ClientID}},
			{name: "user", about: "a user of the marketplace", set: map[string]string{"access": "user"},
				members: []string{credential.ClientID, credential.Username, credential.Password}},
			{name: "trusted", about: "a user, by a trusted application", set: map[string]string{"access": "trusted"},
				members: []string{credential.ClientID, credential.ClientSecret, credential.Username,
					credential.Password}},
		},
	},
	{
		provider: "apiax", title: "Apiax",
		ways: []way{{name: "password", about: "an API user's name and password",
			members: []string{credential.Username, credential.Password}}},
	},
	{
		provider: "oauth2", title: "any OAuth 2 provider",
		settings: []need{{name: "token_url", about: "the token endpoint",
			example: "https://login.example.com/oauth2/token"}},
		ways: []way{
			{name: "client_credentials", about: "a client of your own",
				set: map[string]string{"grant": "client_credentials"}, members: []string{credential.ClientID,
					credential.ClientSecret}},
			{name: "refresh_token", about: "a refresh token that a person obtained",
				set: map[string]string{"grant": "refresh_token"}, members: []string{credential.ClientID,
					credential.ClientSecret, credential.RefreshToken}},
			{name: "password", about: "a user's name and password", set: map[string]string{"grant": "password"},
				members: []string{credential.ClientID, credential.ClientSecret, credential.Username,
					credential.Password}},
		},
	},
}

// offers are the providers with code of their own and the presets, in name order.
func offers() []offer {
	all := slices.Clone(builtIn)
	for _, name := range presets.Names() {
		if p, ok := presets.Find(name); ok {
			all = append(all, fromPreset(name, p))
		}
	}
	slices.SortStableFunc(all, func(x, y offer) int { return strings.Compare(x.provider, y.provider) })
	return all
}

// fromPreset offers a preset: its variables without a default, and its grants.
func fromPreset(name string, p presets.Preset) offer {
	o := offer{provider: name, title: p.Title, getIt: p.GetIt}
	for _, variable := range slices.Sorted(maps.Keys(p.Variables)) {
		v := p.Variables[variable]
		if v.Default == "" && !v.Optional {
			o.settings = append(o.settings,
				need{variable, v.About, v.Example, slices.Sorted(maps.Keys(v.Values))})
		}
	}
	grants := slices.SortedFunc(maps.Keys(p.Grants), func(x, y string) int {
		if (x == p.DefaultGrant) != (y == p.DefaultGrant) { // the default first
			return map[bool]int{true: -1, false: 1}[x == p.DefaultGrant]
		}
		return strings.Compare(x, y)
	})
	for _, grant := range grants {
		g := p.Grants[grant]
		w := way{name: grant, about: strings.Join(g.Credential, ", "), set: map[string]string{"grant": grant},
			members: g.Credential}
		for _, setting := range slices.Sorted(maps.Keys(g.Needs)) {
			n := g.Needs[setting]
			w.needs = append(w.needs, need{name: setting, about: n.About,
				example: strings.Trim(string(n.Example), `"`)})
		}
		o.ways = append(o.ways, w)
	}
	return o
}

func findOffer(provider string) (offer, error) {
	var known []string
	for _, o := range offers() {
		if o.provider == provider {
			return o, nil
		}
		known = append(known, o.provider)
	}
	next := "`evertoken add --list` shows every provider and preset."
	if near := nearest(provider, known); near != "" {
		next = "Did you mean " + near + "? " + next
	}
	return offer{}, usage(next, "there is no provider %q", provider)
}

// listOffers prints every provider and preset with what it needs.
func (a *app) listOffers() error {
	if a.output == "json" {
		var out []map[string]any
		for _, o := range offers() {
			for _, w := range o.ways {
				out = append(out, map[string]any{"provider": o.provider, "title": o.title, "way": w.name,
					"about":    w.about,
					"settings": o.needed(w), "credential": w.members})
			}
		}
		return a.json(map[string]any{"providers": out})
	}
	var rows [][]cell
	for _, o := range offers() {
		name, title := o.provider, o.title
		for _, w := range o.ways {
			rows = append(rows, []cell{{name, ""}, {title, ""}, {w.name, ""},
				{orDash(strings.Join(o.needed(w), ", ")), ""}, {strings.Join(w.members, ", "), ""}})
			name, title = "", ""
		}
	}
	a.table([]string{"PROVIDER", "", "WAY", "SETTINGS", "CREDENTIAL"}, rows)
	return nil
}

// needed are the names of the settings that a way asks for.
func (o offer) needed(w way) []string {
	var out []string
	for _, n := range append(slices.Clone(o.settings), w.needs...) {
		out = append(out, n.name)
	}
	return out
}

func (o offer) wayNames() []string {
	var out []string
	for _, w := range o.ways {
		out = append(out, w.name)
	}
	return out
}

// way finds a way by its name.
func (o offer) way(name string) (way, error) {
	for _, w := range o.ways {
		if w.name == name {
			return w, nil
		}
	}
	next := ""
	if near := nearest(name, o.wayNames()); near != "" {
		next = "Did you mean --way " + near + "?"
	}
	return way{}, usage(next, "%s has no way %q: name one of %s", o.provider, name,
		strings.Join(o.wayNames(), ", "))
}

func (n need) question() string {
	text := n.name + " (" + n.about
	switch {
	case len(n.values) > 0:
		text += ": " + strings.Join(n.values, ", ")
	case n.example != "":
		text += ", as " + n.example
	}
	return fmt.Sprintf("%s): ", text)
}
