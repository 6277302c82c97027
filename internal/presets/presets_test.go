package presets

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"evertoken/internal/hosts"
)

var update = flag.Bool("update", false, "write docs/presets.md from presets.json")

// Every preset has what an operator needs to know, and its hosts can be allowed.
func TestEveryPresetTellsWhatAnOperatorNeeds(t *testing.T) {
	t.Parallel()
	if len(Names()) < 12 {
		t.Errorf("only %d presets", len(Names()))
	}
	for name, p := range all() {
		if p.Title == "" || p.GetIt == "" || len(p.Facts) == 0 {
			t.Errorf("%s: title, get_it or facts are missing", name)
		}
		if _, ok := p.Grants[p.DefaultGrant]; !ok {
			t.Errorf("%s: default_grant %q is none of its grants", name, p.DefaultGrant)
		}
		if _, err := hosts.Parse(strings.Join(p.Hosts, ",")); err != nil {
			t.Errorf("%s: hosts: %v", name, err)
		}
		for _, h := range p.Hosts {
			if strings.Contains(h, "*") {
				t.Errorf("%s: %s: a preset's hosts are single ones: below a domain anybody may have a tenant", name, h)
			}
		}
		if _, refresh := p.Grants["refresh_token"]; refresh != (p.RefreshTokens == "single_use" ||
			p.RefreshTokens == "reusable") {
			t.Errorf("%s: refresh_tokens %q", name, p.RefreshTokens)
		}
		sourced := slices.ContainsFunc(p.Facts,
			func(f Fact) bool { return strings.Contains(f.Says, "tokens at a time at most") })
		if p.AtOnce < 0 || p.AtOnce > 31 || sourced != (p.AtOnce > 0) {
			t.Errorf("%s: at_once %d must be fewer than a run's default of 32, and a fact must say why", name, p.AtOnce)
		}
		for _, f := range p.Facts {
			if u, err := url.Parse(f.Source); err != nil || u.Scheme != "https" || u.Host == "" ||
				!strings.HasSuffix(f.Says, ".") {
				t.Errorf("%s: a fact has no source or is no sentence: %s", name, f.Says)
			}
		}
		for grant, g := range p.Grants {
			if len(g.Credential) == 0 {
				t.Errorf("%s: %s: no credential", name, grant)
			}
			for need, n := range g.Needs {
				if n.About == "" || n.Example == "" {
					t.Errorf("%s: %s: %s is not explained", name, grant, need)
				}
			}
		}
		for variable, v := range p.Variables {
			_, known := v.Values[v.Example]
			if v.About == "" || v.Example == "" || len(v.Values) > 0 && !known ||
				!variableRE().MatchString(v.Example) {
				t.Errorf("%s: %s is not explained, or its example is none", name, variable)
			}
		}
		checkTemplates(t, name, p)
	}
}

// checkTemplates fails on a placeholder without a variable, and on a token URL that is
// not the preset's own.
func checkTemplates(t *testing.T, name string, p Preset) {
	t.Helper()
	texts := []map[string]json.RawMessage{p.Settings}
	for _, g := range p.Grants {
		texts = append(texts, g.Settings)
	}
	for _, settings := range texts {
		for member, value := range settings {
			for _, place := range placeRE().FindAllStringSubmatch(string(value), -1) {
				v, known := p.Variables[place[1]]
				filled := known && (place[3] == "") == (len(v.Values) == 0)
				for _, parts := range v.Values {
					filled = filled && parts[place[3]] != ""
				}
				if !filled {
					t.Errorf("%s: %s: no variable fills %s", name, member, place[0])
				}
			}
			if strings.ContainsAny(placeRE().ReplaceAllString(string(value), ""), `\`) {
				t.Errorf("%s: %s: must need no escape in JSON", name, member)
			}
		}
	}
	for grant, g := range p.Grants {
		if p.Settings["token_url"] == nil && g.Settings["token_url"] == nil {
			t.Errorf("%s: %s has no token_url", name, grant)
		}
	}
}

// An unknown member of the file is refused, as a typing error.
func TestAnUnknownMemberOfAPresetIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"x":{"titel":"X"}}`,
		`{"x":{"grants":{"password":{"setting":{}}}}}`, `{"x":{"facts":[{"say":"x"}]}}`, `[]`} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func FuzzVariables(f *testing.F) {
	for _, v := range []string{"acme", "acme.evil.example", "a/b", "a#b", "a@b", "a%2eb", "é", "",
		"-a", "a\nb", `a"b`} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		given, err := json.Marshal(map[string]string{"tenant": value, "region": "eu", "audience": "a"})
		if err != nil {
			return
		}
		p, _ := Find("auth0")
		rest, variables, _, problem := p.Own(given)
		if problem != "" {
			return
		}
		settings, _, problem := p.Complete(rest, variables)
		if problem != "" {
			return
		}
		var s struct {
			TokenURL string `json:"token_url"`
		}
		if err := json.Unmarshal(settings, &s); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		u, err := url.Parse(s.TokenURL)
		if err != nil || u.Scheme != "https" || u.Path != "/oauth/token" || u.RawQuery != "" ||
			u.User != nil ||
			!strings.HasSuffix(u.Host, ".eu.auth0.com") || strings.Count(u.Host, ".") != 3 {
			t.Errorf("%q makes %s", value, s.TokenURL)
		}
	})
}

// The page of presets is generated from the data. Run with -update to write it.
func TestThePresetsPageIsUpToDate(t *testing.T) {
	t.Parallel()
	const page = "../../docs/presets.md"
	want := document()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/presets.md is not what presets.json gives: run go test ./internal/presets -run TestThePresetsPageIsUpToDate -update")
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`# Presets

This page lists the vendors that Evertoken knows as data. To add one, edit
[presets.json](../internal/presets/presets.json) as
[adding a provider](providers.md#a-preset-data-only) says, and run
` + "`go test ./internal/presets -run TestThePresetsPageIsUpToDate -update`" + `, which writes this page.

A preset is the provider ` + "`oauth2`" + ` with the settings of one vendor. A *connection* (one declared way
to get tokens, see [the ten words](architecture.md#ten-words)) names it as its provider, with one of
its *grants*: the kind of OAuth 2 request. A *refresh* is a request by the grant
` + "`refresh_token`" + `, which sends the refresh token in force.

A connection may also give every setting of
[oauth2](providers.md#any-other-oauth-2-provider); it replaces the preset's setting. Members of ` +
		"`extra`, `headers`,\n`assertion_claims`, `credential_members` and `answer`" + ` add to the preset's members. If a
connection names another ` + "`token_url` or `issuer`" + `, the preset's hosts no longer allow it: you must
allow its host ([where a credential may go](providers.md#where-a-credential-may-go)).

A preset gives some of the vendor's error codes a meaning of their own. All other codes mean the
same as at [any OAuth 2 provider](providers.md#any-other-oauth-2-provider).

| provider | for | grants | hosts that it allows |
|---|---|---|---|
`)
	for _, name := range Names() {
		p, _ := Find(name)
		allowed := "none: put your host into the credential's `hosts`"
		if len(p.Hosts) > 0 {
			allowed = "`" + strings.Join(p.Hosts, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s |\n", name, name, p.Title, grantList(p), allowed)
	}
	for _, name := range Names() {
		p, _ := Find(name)
		describe(&b, name, p)
	}
	return b.String()
}

// grantList has the default first.
func grantList(p Preset) string {
	list := []string{"`" + p.DefaultGrant + "`"}
	for _, g := range slices.Sorted(maps.Keys(p.Grants)) {
		if g != p.DefaultGrant {
			list = append(list, "`"+g+"`")
		}
	}
	return strings.Join(list, ", ")
}

func describe(b *strings.Builder, name string, p Preset) {
	fmt.Fprintf(b, "\n## %s\n\n%s. Get it from: %s.\n\n", name, p.Title, p.GetIt)
	names := []string{p.DefaultGrant}
	for _, g := range slices.Sorted(maps.Keys(p.Grants)) {
		if g != p.DefaultGrant {
			names = append(names, g)
		}
	}
	for _, g := range names {
		settings := exampleSettings(p, g)
		fmt.Fprintf(b, "`%s`: the credential needs `%s`", g, strings.Join(p.Grants[g].Credential, "`, `"))
		if host := tokenHost(p, settings); !slices.Contains(p.Hosts, host) {
			fmt.Fprintf(b, " and `\"hosts\": [\"%s\"]`", host)
		}
		if g == "refresh_token" {
			b.WriteString("; the connection needs a session secret")
		}
		fmt.Fprintf(b, ".\n\n```json\n%s\n```\n\n", example(name, settings))
	}
	about := map[string]string{}
	for v, variable := range p.Variables {
		text := variable.About
		if len(variable.Values) > 0 {
			text += ": " + strings.Join(slices.Sorted(maps.Keys(variable.Values)), ", ")
		}
		if variable.Default != "" {
			text += " (default: " + variable.Default + ")"
		}
		about[v] = text
	}
	for _, g := range names {
		for need, n := range p.Grants[g].Needs {
			if before := about[need]; before != "" && before != n.About {
				about[need] = before + "; for `" + g + "` " + n.About
			} else {
				about[need] = n.About
			}
		}
	}
	if len(about) > 0 {
		b.WriteString("| setting | means |\n|---|---|\n")
		for _, setting := range slices.Sorted(maps.Keys(about)) {
			fmt.Fprintf(b, "| `%s` | %s |\n", setting, about[setting])
		}
		b.WriteString("\n")
	}
	for _, f := range p.Facts {
		fmt.Fprintf(b, "- %s ([source](%s))\n", f.Says, f.Source)
	}
	switch p.RefreshTokens {
	case "reusable":
		b.WriteString("- Evertoken treats a refresh token as reusable.\n")
	case "single_use":
		b.WriteString("- Evertoken treats a refresh token as single-use.\n")
	}
	if len(p.Refusals) == 0 {
		return
	}
	b.WriteString("\n| answer | class | hint |\n|---|---|---|\n")
	for _, r := range p.Refusals {
		to := ""
		if r.Refresh {
			to = " to a refresh token"
		}
		fmt.Fprintf(b, "| `%s`%s | `%s` | %s |\n", r.Code, to, r.Class, r.Hint)
	}
}

// exampleSettings are the least that a grant needs.
func exampleSettings(p Preset, grant string) map[string]any {
	settings := map[string]any{}
	if grant != p.DefaultGrant {
		settings["grant"] = grant
	}
	used := string(p.Settings["token_url"]) + string(p.Grants[grant].Settings["token_url"]) +
		string(p.Grants[grant].Settings["assertion_audience"])
	for v, variable := range p.Variables {
		if strings.Contains(used, "{"+v) && variable.Default == "" && !variable.Optional {
			settings[v] = variable.Example
		}
	}
	for need, n := range p.Grants[grant].Needs {
		if inner, dotted := strings.CutPrefix(need, "extra."); dotted {
			settings["extra"] = map[string]string{inner: n.Example}
		} else {
			settings[need] = n.Example
		}
	}
	return settings
}

// tokenHost is the host of the token endpoint that an example has.
func tokenHost(p Preset, settings map[string]any) string {
	given, err := json.Marshal(settings)
	if err != nil {
		panic(err)
	}
	rest, variables, _, _ := p.Own(given)
	whole, member, problem := p.Complete(rest, variables)
	var s struct {
		TokenURL string `json:"token_url"`
	}
	if problem != "" || json.Unmarshal(whole, &s) != nil {
		panic(p.Title + ": the example does not work: " + member + " " + problem)
	}
	u, err := url.Parse(s.TokenURL)
	if err != nil {
		panic(err)
	}
	return u.Host
}

func example(name string, settings map[string]any) string {
	c := struct {
		Provider string         `json:"provider"`
		Settings map[string]any `json:"settings,omitempty"`
	}{name, settings}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(text)
}
