package issue_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

func TestANamedRunTakesEachConnectionOnce(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera("a", true)
	w.Flexera("b", true)
	report := w.Run(issue.Event{Connections: []string{"a", "a", "absent"}})
	wantOutcomes(t, report, map[string]string{"a": "issued", "absent": "failed"})
	if e := fakeworld.Entry(report, "absent"); e.ErrorClass != "misconfigured" ||
		e.Reason != "no connection has this name" ||
		!strings.Contains(e.Hint, "/evertoken/connections/absent") {
		t.Errorf("entry %+v", e)
	}
	if _, ok := w.Token("b"); ok {
		t.Error("a connection that was not named was renewed")
	}
	if w.Metrics.String() != "" {
		t.Errorf("a run over a few wrote metrics of the fleet: %s", w.Metrics)
	}
	wantOutcomes(t, w.Run(issue.Event{Connections: []string{"a"}}), map[string]string{"a": "fresh"})
}

// pack declares connections again, together in one parameter that replaces their own.
func pack(t *testing.T, w *fakeworld.World, parameter string, names ...string) {
	t.Helper()
	packed := map[string]json.RawMessage{}
	for _, name := range names {
		p, ok := w.AWS.Parameter(w.Config.ConnectionsPath + name)
		if !ok {
			t.Fatalf("%s is not declared", name)
		}
		packed[name] = json.RawMessage(p.Value)
		w.Declare(name, map[string]any{"connections": map[string]any{}})
	}
	w.Declare(parameter, map[string]any{"connections": packed})
}

func TestAParameterMayHoldSeveralConnections(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	names := w.All()
	pack(t, w, "fleet-1", names[:5]...)
	pack(t, w, "fleet-2", names[5:]...)
	report := w.Run(issue.Event{})
	if report.Checked != len(names) || report.Issued != len(names) {
		t.Errorf("report %+v", report)
	}
	for _, name := range names {
		if token, ok := w.Token(name); !ok || !w.IDP.Accepts(token.Provider, token.AccessToken.Reveal()) {
			t.Errorf("%s has no token that works", name)
		}
	}
}

// TestOneBadConnectionLeavesTheOthersAlone declares one of every kind of bad connection,
// and good ones.
func TestOneBadConnectionLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	good := w.All()
	want := map[string]string{}
	for _, name := range good {
		want[name] = "issued"
	}
	path := w.Config.ConnectionsPath
	bad := func(name, outcome string) { want[name] = outcome }
	settings := func() map[string]any {
		return map[string]any{"zone": "eu", "login_url": w.IDP.Flexera().LoginURL("eu"),
			"api_url": w.IDP.Flexera().APIURL("eu")}
	}

	w.AWS.PutParameter(path+"not-json", "String", canary)
	bad("not-json", "failed")
	w.AWS.PutParameter(path+"unknown-member", "String", `{"provider":"apiax","pasword":"`+canary+`"}`)
	bad("unknown-member", "failed")
	w.Declare("no-such-provider", map[string]any{"provider": "acme"})
	bad("no-such-provider", "failed")
	w.Declare("bad-settings", map[string]any{"provider": "flexera", "settings": map[string]any{"zone": "mars"}})
	bad("bad-settings", "failed")
	w.AWS.PutParameter(path+"twice", "String", `{"provider":"apiax"}`)
	w.AWS.PutParameter(path+"more", "String", `{"connections":{"twice":{"provider":"apiax"}}}`)
	bad("twice", "failed")
	for _, name := range []string{"shares-1", "shares-2"} {
		w.Connect(name, "flexera", map[string]string{"refresh_token": canary}, settings(),
			map[string]any{"token": "shared"})
		bad(name, "failed")
	}
	w.Declare("no-secrets", map[string]any{"provider": "flexera", "settings": settings()})
	bad("no-secrets", "failed")
	w.Connect("waiting", "flexera", nil, settings(), map[string]any{"credential": "not-stored-yet"})
	w.AWS.CreateSecret("not-stored-yet", nil, nil)
	bad("waiting", "waiting")
	w.Connect("wrong-members", "flexera", map[string]string{"password": canary}, settings(), nil)
	bad("wrong-members", "failed")
	w.Connect("refused", "flexera", map[string]string{"refresh_token": canary}, settings(), nil)
	bad("refused", "failed")
	for _, name := range []string{"no-key", "denied", "throttled"} {
		_, token := w.IDP.Flexera().AddRefreshToken("eu", name, flexeraToken)
		w.Connect(name, "flexera", map[string]string{"refresh_token": token}, settings(), nil)
		bad(name, "failed")
	}
	w.AWS.SetKMS("evertoken/no-key/credential", true, true)
	w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue",
		Resource: "evertoken/denied/credential", Code: "AccessDeniedException"})
	w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue",
		Resource: "evertoken/throttled/token", Code: "ThrottlingException"})

	report := w.Run(issue.Event{})
	wantOutcomes(t, report, want)
	classes := map[string]string{"refused": "credential_dead", "throttled": "throttled", "waiting": ""}
	for _, e := range report.Connections {
		class, ok := classes[e.Name]
		if !ok {
			class = "misconfigured"
		}
		if slices.Contains(good, e.Name) {
			class = ""
		}
		if e.ErrorClass != class {
			t.Errorf("%s: class %q, want %q: %s", e.Name, e.ErrorClass, class, e.Reason)
		}
		if e.Outcome != "issued" && e.Name != "throttled" && e.Hint == "" {
			t.Errorf("%s: no hint: %+v", e.Name, e)
		}
	}
	for _, name := range good {
		if token, ok := w.Token(name); !ok || !w.IDP.Accepts(token.Provider, token.AccessToken.Reveal()) {
			t.Errorf("%s has no token that works", name)
		}
	}
	all, err := json.Marshal(report)
	if err != nil {
		t.Fatalf("marshaling: %v", err)
	}
	if shown := w.Log.String() + string(all) + w.Metrics.String(); strings.Contains(shown, canary) {
		t.Error("a secret was shown")
	}
}
