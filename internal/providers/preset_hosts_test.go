package providers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/presets"
	"evertoken/internal/redact"
)

// No setting of a preset sends its credential to another host than the provider's own:
// not its URLs, and not the variables in its URL.
func TestNoPresetSendsToAnotherHost(t *testing.T) {
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
				for _, raw := range append([]string{"evil.example", "evil.example/",
					"evil.example#", "x@evil.example", `evil.example\`, "evil.example:443/"},
					spellings...) {
					settings := map[string]any{}
					for setting, value := range given {
						settings[setting] = value
					}
					settings[member] = raw
					written, err := json.Marshal(settings)
					if err != nil {
						t.Fatal(err)
					}
					p, err := New(connection.Connection{Name: "c1", Provider: name,
						Settings: written}, Options{Now: now})
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

// An operator who allows a host does not allow a credential to be posted to any pipeline,
// channel or room there.
func TestNothingIsPostedWhereOthersReadIt(t *testing.T) {
	t.Parallel()
	const oauth = `"grant":"refresh_token"`
	for provider, refused := range map[string][]string{
		"gitlab": {`{"token_url":"https://gitlab.com/api/v4/projects/1/trigger/pipeline"}`,
			`{"token_url":"https://GitLab.com:443/oauth/token?private_token=x"}`},
		"slack": {`{"token_url":"https://slack.com/api/chat.postMessage"}`},
		"oauth2": {`{"token_url":"https://gitlab.com/api/v4/projects/1/ref/main/trigger/pipeline?token=x",` + oauth + `}`,
			`{"token_url":"https://gitlab.com/oauth/%74oken",` + oauth + `}`,
			`{"token_url":"https://gitlab.com/oauth/token/../x",` + oauth + `}`,
			`{"token_url":"https://webexapis.com/v1/webhooks/incoming/x",` + oauth + `}`},
		"apiax":      {`{"token_url":"https://gitlab.com/api/v4/projects/1/trigger/pipeline"}`},
		"sharetribe": {`{"auth_url":"https://slack.com/api/chat.postMessage"}`},
		"flexera":    {`{"zone":"eu","login_url":"https://gitlab.com/api/v4"}`},
		"flexnet":    {`{"base_url":"https://gitlab.com/api/v4","token_name":"lambda"}`},
	} {
		for _, settings := range refused {
			p, err := New(connection.Connection{Name: "c1", Provider: provider,
				Settings: json.RawMessage(settings)}, Options{Now: now})
			if wrong, ok := errors.AsType[*connection.Error](err); !ok ||
				!strings.Contains(wrong.Problem, "others can read") {
				t.Errorf("%s: %s was accepted: %v, %v", provider, settings, p, err)
			}
		}
	}
	for provider, taken := range map[string]string{
		"gitlab": `{"token_url":"https://gitlab.com/oauth/token"}`, "slack": `{}`, "webex": `{}`,
		"oauth2": `{"token_url":"https://gitlab.example.com/oauth/token",` + oauth + `}`,
	} {
		if _, err := New(connection.Connection{Name: "c1", Provider: provider,
			Settings: json.RawMessage(taken)}, Options{Now: now}); err != nil {
			t.Errorf("%s: %s: %v", provider, taken, err)
		}
	}
	p := &oauth2{discovery: discovery{issuer: "https://login.example.com"}}
	if endpoint, problem := p.readMetadata(redact.New(`{"issuer":"https://login.example.com",` +
		`"token_endpoint":"https://gitlab.com/api/v4/projects/1/trigger/pipeline"}`)); problem == "" {
		t.Errorf("an issuer leads to %s", endpoint)
	}
}

// TestAPresetLimitsConcurrentRequestsToItsHost: a preset's own limit reaches the run, for
// every grant; where it has none, the run's default applies.
func TestAPresetLimitsConcurrentRequestsToItsHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		preset, settings string
		want             int
	}{
		{"netsuite", `{"account":"1234567"}`, 2},
		{"okta", `{"tenant":"acme","scope":"s"}`, 10},
		{"okta", `{"tenant":"acme","grant":"refresh_token"}`, 10},
		{"adobe", `{"scope":"s"}`, 0},
		{"hubspot", `{}`, 0},
	} {
		if got := open(t, tt.preset, tt.settings, "").Traits().AtOnce; got != tt.want {
			t.Errorf("%s %s: at most %d at a time, want %d", tt.preset, tt.settings, got, tt.want)
		}
	}
}
