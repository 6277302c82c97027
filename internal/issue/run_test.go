package issue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/build"
	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// outcomes are the outcomes of a report by connection; of what is fresh in a
// scheduled run there are none.
func outcomes(r issue.Report) map[string]string {
	out := map[string]string{}
	for _, e := range r.Connections {
		out[e.Name] = e.Outcome
	}
	return out
}

func wantOutcomes(t *testing.T, r issue.Report, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s\n%+v", diff, r)
	}
}

// writes are the calls that changed something at AWS.
func writes(w *fakeworld.World) []string {
	reads := []string{"GetSecretValue", "BatchGetSecretValue", "DescribeSecret", "ListSecretVersionIds", "GetParameter", "GetParameters", "GetParametersByPath"}
	var out []string
	for _, c := range w.AWS.Calls() {
		if !slices.Contains(reads, c.Operation) {
			out = append(out, c.Operation+" "+c.Resource)
		}
	}
	return out
}

// faulty panics with a secret where the core calls it.
type faulty struct{ exchange.Provider }

func (faulty) Exchange(context.Context, exchange.Request) (exchange.Issued, error) { panic(canary) }

func TestAPanicStaysWithItsConnection(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera("good", true)
	w.Flexera("worse", true)
	runner := w.Runner()
	provider := runner.Provider
	runner.Provider = func(c connection.Connection) (exchange.Provider, error) {
		p, err := provider(c)
		if c.Name == "worse" {
			p = faulty{p}
		}
		return p, err
	}
	report, err := runner.Run(t.Context(), issue.Event{})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	wantOutcomes(t, report, map[string]string{"good": "issued", "worse": "failed"})
	if e := fakeworld.Entry(report, "worse"); e.ErrorClass != "misconfigured" || !strings.Contains(e.Hint, "internal fault") {
		t.Errorf("entry %+v", e)
	}
	log := w.Log.String()
	if !strings.Contains(log, "internal fault") || !strings.Contains(log, "run_test.go") {
		t.Error("the log does not tell the place of the fault")
	}
	all, err := json.Marshal(report)
	if err != nil {
		t.Fatalf("marshaling: %v", err)
	}
	if strings.Contains(log+string(all), canary) {
		t.Error("what the panic said was shown")
	}
}

func TestARunThatCannotReadTheConnectionsFails(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera("good", true)
	w.AWS.Inject(&fakeaws.Fault{Operation: "GetParametersByPath", Code: "AccessDeniedException"})
	report, err := w.TryRun(issue.Event{})
	var failed issue.RunFailed
	if !errors.As(err, &failed) || !errors.Is(err, secrets.ErrDenied) {
		t.Fatalf("error %v, want RunFailed by ErrDenied", err)
	}
	if err.Error() != "reading the connections: GetParametersByPath: AccessDeniedException: access denied" {
		t.Errorf("text %q", err)
	}
	if report.Checked != 0 || len(w.IDP.Requests()) != 0 || w.Metrics.String() != "" {
		t.Errorf("report %+v, metrics %q", report, w.Metrics)
	}
}

func TestADryRunSpendsAndWritesNothing(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	names := w.All()
	w.AWS.ResetCalls()
	report := w.Run(issue.Event{DryRun: true})
	if report.Issued != len(names) || len(report.Connections) != len(names) {
		t.Errorf("report %+v", report)
	}
	if got := writes(w); len(got) != 0 {
		t.Errorf("wrote %v", got)
	}
	if n := len(w.IDP.Requests()); n != 0 {
		t.Errorf("%d requests to providers", n)
	}
	if w.Metrics.String() != "" {
		t.Errorf("a dry run wrote metrics: %s", w.Metrics)
	}
	if report.Revision != build.Revision() {
		t.Errorf("a dry run answers the revision %q, this was built from %q", report.Revision, build.Revision())
	}
	if !report.DryRun {
		t.Error("the answer does not say that the run was dry")
	}
	for line := range strings.Lines(w.Log.String()) {
		if !strings.Contains(line, `"dry_run":true`) {
			t.Errorf("a log line does not say that the run was dry: %s", line)
		}
	}
	if report := w.Run(issue.Event{}); report.Revision != "" || report.DryRun {
		t.Errorf("a run that is not dry answers the revision %q, dry_run %t", report.Revision, report.DryRun)
	}
	for _, e := range report.Connections {
		if e.Reason != "missing" || !strings.Contains(e.Hint, "does not prove that it can write: ") {
			t.Errorf("entry %+v", e)
		}
	}

	w.Run(issue.Event{}) // now the same while all are fresh, and while all are due
	for _, wait := range []time.Duration{0, 12 * time.Minute} {
		w.Clock.Advance(wait)
		w.AWS.ResetCalls()
		w.IDP.ResetRequests()
		report = w.Run(issue.Event{DryRun: true})
		if len(report.Connections) != len(names) || len(writes(w)) != 0 || len(w.IDP.Requests()) != 0 {
			t.Errorf("after %s: %+v, wrote %v", wait, report, writes(w))
		}
	}
}

func TestManyReadersThatMetARefusalCauseOneRenewal(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("a")
	w.Run(issue.Event{})
	token, _ := w.Token("a")
	w.Clock.Advance(time.Minute)
	event := issue.Event{Connections: []string{"a"}, Force: true, IssuedAt: token.IssuedAt}
	w.IDP.ResetRequests()
	for i, want := range []string{"issued", "fresh", "fresh"} {
		if e := fakeworld.Entry(w.Run(event), "a"); e.Outcome != want {
			t.Errorf("run %d: %+v, want %s", i, e, want)
		}
	}
	if n := len(w.IDP.Requests()); n != 1 {
		t.Errorf("%d requests to the provider", n)
	}
	renewed, _ := w.Token("a")
	if !renewed.IssuedAt.After(token.IssuedAt) || !w.IDP.Accepts("apiax", renewed.AccessToken.Reveal()) {
		t.Errorf("published %+v", renewed)
	}
	if e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"a"}, Force: true}), "a"); e.Outcome != "issued" || e.Reason != "forced" {
		t.Errorf("forced without issued_at: %+v", e)
	}
}

func TestNamedConnections(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera("a", true)
	w.Flexera("b", true)
	report := w.Run(issue.Event{Connections: []string{"a", "a", "absent"}})
	wantOutcomes(t, report, map[string]string{"a": "issued", "absent": "failed"})
	if e := fakeworld.Entry(report, "absent"); e.ErrorClass != "misconfigured" || e.Reason != "no connection has this name" || !strings.Contains(e.Hint, "/evertoken/connections/absent") {
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

// pack declares connections anew, together in one parameter, and takes their
// own parameters' place.
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

func TestSeveralConnectionsToAParameter(t *testing.T) {
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

// TestOneBadConnectionLeavesTheOthersAlone puts one of every kind of bad
// connection beside good ones.
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
		return map[string]any{"zone": "eu", "login_url": w.IDP.Flexera().LoginURL("eu"), "api_url": w.IDP.Flexera().APIURL("eu")}
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
		w.Connect(name, "flexera", map[string]string{"refresh_token": canary}, settings(), map[string]any{"token": "shared"})
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
	w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: "evertoken/denied/credential", Code: "AccessDeniedException"})
	w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: "evertoken/throttled/token", Code: "ThrottlingException"})

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

func TestATokenInAParameter(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	f := w.IDP.Flexera()
	settings := map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu")}
	for i := range 12 { // more than a call of GetParameters takes
		name := fmt.Sprintf("p-%02d", i)
		_, token := f.AddRefreshToken("eu", name, flexeraToken)
		w.Connect(name, "flexera", map[string]string{"refresh_token": token}, settings, map[string]any{"token_parameter": "/evertoken/tokens/" + name, "token_parameter_key": "alias/tokens"})
	}
	if report := w.Run(issue.Event{}); report.Issued != 12 {
		t.Fatalf("report %+v", report)
	}
	p, ok := w.AWS.Parameter("/evertoken/tokens/p-07")
	if !ok || p.Type != "SecureString" || p.KeyID != "alias/tokens" || strings.Contains(p.Value, "authorization") {
		t.Fatalf("published %s in type %s with key %s", p.Name, p.Type, p.KeyID)
	}
	if report := w.Run(issue.Event{}); report.Fresh != 12 {
		t.Errorf("second run: %+v", report)
	}
	w.AWS.SetKMS("/evertoken/tokens/p-03", true, false)
	wantOutcomes(t, w.Run(issue.Event{}), map[string]string{"p-03": "failed"})
}

func TestTheMetricsOfARun(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Config.ConnectionMetrics = 1
	w.Apiax("a")
	w.Apiax("b")
	w.Run(issue.Event{})
	type metrics struct {
		Checked, Issued, Failed, RemainingOfPromise float64
		FunctionName, Connection                    string
	}
	var fleet, one metrics
	d := json.NewDecoder(strings.NewReader(w.Metrics.String()))
	if err := errors.Join(d.Decode(&fleet), d.Decode(&one)); err != nil {
		t.Fatalf("metrics %q: %v", w.Metrics, err)
	}
	token, _ := w.Token("a")
	life := token.ExpiresAt.Sub(fakeworld.Start)
	want := metrics{Checked: 2, Issued: 2, RemainingOfPromise: float64(life-10*time.Minute) / float64(life/6), FunctionName: "test"}
	if diff := cmp.Diff(want, fleet); diff != "" {
		t.Errorf("the fleet (-want +got):\n%s", diff)
	}
	want = metrics{RemainingOfPromise: want.RemainingOfPromise, FunctionName: "test", Connection: "a"}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("the connection (-want +got):\n%s", diff)
	}
	if d.More() {
		t.Errorf("more than one connection has metrics: %s", w.Metrics)
	}
	w.Metrics.Reset()
	w.Config.ConnectionMetrics = 100
	w.Run(issue.Event{}) // fresh connections have metrics too
	if lines := strings.Count(w.Metrics.String(), "\n"); lines != 3 {
		t.Errorf("%d lines of metrics of two fresh connections", lines)
	}
}

func TestNoTokenOrCredentialIsLogged(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Config.ConnectionMetrics = 100
	names := w.All()
	reports, err := json.Marshal([]issue.Report{w.Run(issue.Event{}), w.Run(issue.Event{Connections: names, Force: true})})
	if err != nil {
		t.Fatalf("marshaling: %v", err)
	}
	shown := w.Log.String() + w.Metrics.String() + string(reports)
	for _, secret := range w.IDP.Canaries() {
		if strings.Contains(shown, secret) {
			t.Errorf("a secret was shown: %.6s…", secret)
		}
	}
	for _, name := range names {
		token, ok := w.Token(name)
		if !ok || strings.Contains(shown, token.AccessToken.Reveal()) || strings.Contains(shown, credential.Sum(token.AccessToken)) {
			t.Errorf("the token of %s is missing or was shown", name)
		}
	}
}

// flexeraToken is a refresh token as the vendor makes it by default.
var flexeraToken = fakeidp.FlexeraTokenOptions{}
