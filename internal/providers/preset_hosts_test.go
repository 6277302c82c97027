package providers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/presets"
)

// No setting of a preset leads its credential to another host than the
// provider's own: not its URLs, and not the variables that its URL is made of.
func TestNoPresetLeadsElsewhere(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, name := range presets.Names() {
		preset, _ := presets.Find(name)
		for grant, way := range preset.Grants {
			given := map[string]any{"grant": grant}
			for setting, need := range way.Needs {
				if !strings.Contains(setting, ".") {
					given[setting] = need.Example
				}
			}
			for variable, v := range preset.Variables {
				if v.Default == "" && !v.Optional {
					given[variable] = v.Example
				}
			}
			members := []string{"token_url", "issuer"}
			for variable := range preset.Variables {
				members = append(members, variable)
			}
			for _, member := range members {
				for _, raw := range append([]string{"evil.example", "evil.example/", "evil.example#", "x@evil.example", `evil.example\`, "evil.example:443/"}, spellings...) {
					settings := map[string]any{}
					for setting, value := range given {
						settings[setting] = value
					}
					settings[member] = raw
					written, err := json.Marshal(settings)
					if err != nil {
						t.Fatal(err)
					}
					p, err := New(connection.Connection{Name: "c1", Provider: name, Settings: written}, Options{Now: now})
					if err != nil {
						continue
					}
					tried++
					e, ok := errors.AsType[*exchange.Error](p.Allowed(full(t, "")))
					if !ok || e.Class != exchange.Misconfigured || e.Lost {
						t.Errorf("%s: %s %q is allowed, at %s", name, member, raw, p.Host())
					}
				}
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d settings were tried", tried)
	}
}
