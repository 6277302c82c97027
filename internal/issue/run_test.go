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

// outcomes are the outcomes of a report by connection; a scheduled run lists no fresh
// ones.
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
	reads := []string{"GetSecretValue", "BatchGetSecretValue", "DescribeSecret",
		"ListSecretVersionIds", "GetParameter", "GetParameters", "GetParametersByPath"}
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
	if e := fakeworld.Entry(report, "worse"); e.ErrorClass != "misconfigured" ||
		!strings.Contains(e.Hint, "internal fault") {
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
		t.Error("the panic's text was shown")
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
	if err.Error() != "reading the connections: GetParametersByPath: AccessDeniedException: access denied. "+
		"Allow the function's role ssm:GetParametersByPath on the parameters below EVERTOKEN_CONNECTIONS_PATH." {
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

func TestManyReadersWithARefusedTokenCauseOneRenewal(t *testing.T) {
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

func TestATokenIsPublishedInAParameter(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	f := w.IDP.Flexera()
	settings := map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu")}
	for i := range 12 { // more than a call of GetParameters takes
		name := fmt.Sprintf("p-%02d", i)
		_, token := f.AddRefreshToken("eu", name, flexeraToken)
		w.Connect(name, "flexera", map[string]string{"refresh_token": token}, settings,
			map[string]any{"token_parameter": "/evertoken/tokens/" + name,
				"token_parameter_key": "alias/tokens"})
	}
	if report := w.Run(issue.Event{}); report.Issued != 12 {
		t.Fatalf("report %+v", report)
	}
	p, ok := w.AWS.Parameter("/evertoken/tokens/p-07")
	if !ok || p.Type != "SecureString" || p.KeyID != "alias/tokens" ||
		strings.Contains(p.Value, "authorization") {
		t.Fatalf("published %s in type %s with key %s", p.Name, p.Type, p.KeyID)
	}
	if report := w.Run(issue.Event{}); report.Fresh != 12 {
		t.Errorf("second run: %+v", report)
	}
	w.AWS.SetKMS("/evertoken/tokens/p-03", true, false)
	wantOutcomes(t, w.Run(issue.Event{}), map[string]string{"p-03": "failed"})
}

func TestARunWritesFleetAndConnectionMetrics(t *testing.T) {
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
	want := metrics{Checked: 2, Issued: 2,
		RemainingOfPromise: float64(life-10*time.Minute) / float64(life/6), FunctionName: "test"}
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
	reports, err := json.Marshal([]issue.Report{w.Run(issue.Event{}),
		w.Run(issue.Event{Connections: names, Force: true})})
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
		if !ok || strings.Contains(shown, token.AccessToken.Reveal()) ||
			strings.Contains(shown, credential.Sum(token.AccessToken)) {
			t.Errorf("the token of %s is missing or was shown", name)
		}
	}
}

// flexeraToken is a refresh token as the vendor makes it by default.
var flexeraToken = fakeidp.FlexeraTokenOptions{}
