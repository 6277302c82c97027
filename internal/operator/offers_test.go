package operator

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/presets"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
)

// values are examples of settings whose form matters.
var values = map[string]string{"base_url": "https://mysite.flexnetoperations.com",
	"token_url": "https://login.example.com/token"}

// The functions' own parser and provider accept every way that add offers: with the
// settings and members it asks for, and not without one of them.
func TestEveryOfferedWayIsOneThatItsProviderAccepts(t *testing.T) {
	t.Parallel()
	for _, o := range offers() {
		for _, w := range o.ways {
			t.Run(o.provider+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				settings := map[string]json.RawMessage{}
				for name, value := range w.set {
					settings[name] = quoted(value)
				}
				for _, n := range append(slices.Clone(o.settings), w.needs...) {
					value := n.example
					if len(n.values) > 0 {
						value = n.values[0]
					}
					if v, ok := values[n.name]; ok {
						value = v
					}
					if !assign(settings, n.name, quoted(value)) || setting(settings, n.name) == nil {
						t.Fatalf("the setting %s cannot be given", n.name)
					}
				}
				if o.provider == "flexnet" {
					settings["token_name"] = quoted("evertoken")
				}
				c, err := connection.Parse("x", encoded(map[string]any{"provider": o.provider, "settings": settings}),
					"/evertoken/")
				if err != nil {
					t.Fatal(err)
				}
				p, err := providers.New(c, providers.Options{})
				if err != nil {
					t.Fatal(err)
				}
				for _, without := range append([]string{""}, w.members...) {
					var doc credential.Credential
					for _, m := range w.members {
						if m != without {
							doc = doc.With(m, redact.New("canary"))
						}
					}
					_, err := p.Grants(doc)
					if slices.Contains(w.members, credential.PrivateKey) && without != credential.PrivateKey &&
						err != nil {
						continue // the value here is not a key
					}
					if (err == nil) != (without == "") {
						t.Errorf("without %q: %v", without, err)
					}
				}
			})
		}
	}
}

// Every provider and preset is offered.
func TestEveryProviderIsOffered(t *testing.T) {
	t.Parallel()
	var have []string
	for _, o := range offers() {
		have = append(have, o.provider)
	}
	for _, want := range slices.Concat(presets.Names(), slices.Collect(maps.Keys(map[string]bool{"apiax": true,
		"flexera": true, "flexnet": true, "oauth2": true, "sharetribe": true}))) {
		if !slices.Contains(have, want) {
			t.Errorf("%s is not offered", want)
		}
	}
}

func TestAssignmentsBecomeJSON(t *testing.T) {
	t.Parallel()
	got, err := assignments("--set",
		[]string{"a=b=c", "n=12", "list=[1]", "text=12h", "true=true", "extra.x=1", "extra.y=z",
			"empty=", `quoted="12"`})
	if want := `{"a":"b=c","empty":"","extra":{"x":"1","y":"z"},"list":[1],"n":12,"quoted":"12","text":"12h","true":true}`; err != nil || string(encoded(got)) != want {
		t.Errorf("assignments: %s, %v, want %s", encoded(got), err, want)
	}
	for _, wrong := range [][]string{{"a"}, {"=b"}, {"a=1", "a=2"}, {"a=1", "a.b=2"}} {
		if _, err := assignments("--set", wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
