package issue_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

// The tests here are about time, and run in a bubble of synctest, where no real time
// passes. So AWS and the provider are not servers here.

// slowWorld holds connections at one provider without sessions.
type slowWorld struct {
	mu         sync.Mutex
	parameters map[string]secrets.Listed
	values     map[string]secrets.Version
	read       []string // ids, in the order in which they were read
	puts       int
	// hang are the secrets whose writes never answer.
	hang map[string]bool
	// exchanging is how long an exchange takes.
	exchanging time.Duration
	exchanged  []string // connections, in order
	delay      time.Duration

	log, metrics *fakeworld.Buffer
	concurrency  int
}

func newSlowWorld() *slowWorld {
	return &slowWorld{parameters: map[string]secrets.Listed{}, values: map[string]secrets.Version{},
		hang: map[string]bool{},
		log:  &fakeworld.Buffer{}, metrics: &fakeworld.Buffer{}, concurrency: 128}
}

// connect declares a connection with a token of an hour that has so much life
// left.
func (w *slowWorld) connect(name string, left time.Duration) {
	w.parameters["/evertoken/connections/"+name] = secrets.Listed{Value: `{"provider":"oauth2"}`}
	w.values["evertoken/"+name+"/credential"] = secrets.Version{ID: "c",
		Value: redact.New(`{"client_id":"c","client_secret":"canary"}`)}
	end := time.Now().Add(left)
	token := credential.Token{AccessToken: redact.New("canary"), TokenType: "Bearer",
		IssuedAt: end.Add(-time.Hour), ExpiresAt: end,
		RenewAfter: end.Add(-25 * time.Minute), LookAfter: end.Add(-31 * time.Minute), Connection: name, Provider: "oauth2"}
	w.values["evertoken/"+name+"/token"] = secrets.Version{ID: "t", Value: token.Encode(false),
		Created: token.IssuedAt}
}

func (w *slowWorld) run(t *testing.T, timeout time.Duration) issue.Report {
	t.Helper()
	return w.runOf(t, timeout, issue.Event{})
}

func (w *slowWorld) runOf(t *testing.T, timeout time.Duration, e issue.Event) issue.Report {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	c, err := config.Load(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c.Concurrency = w.concurrency
	runner := &issue.Runner{
		Config: c, Secrets: w, Parameters: w, Log: log, Now: time.Now, WriteDelay: func() time.Duration { return w.delay },
		Metrics: telemetry.NewMetrics(w.metrics, "test", time.Now),
		Engine: renew.Engine{Secrets: w, Parameters: nothingRescued{}, Now: time.Now, Sleep: secrets.Sleep, Log: log,
			Every: c.Every, RescuePrefix: "/evertoken/rescue/"},
		Provider: func(c connection.Connection) (exchange.Provider, error) { return slowProvider{w, c.Name}, nil },
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	report, err := runner.Run(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the answer came after the deadline")
	}
	return report
}

func (w *slowWorld) ByPath(context.Context, string) (map[string]secrets.Listed, error) {
	return w.parameters, nil
}

func (w *slowWorld) Batch(_ context.Context, ids []string) map[string]secrets.Read {
	out := map[string]secrets.Read{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.read = append(w.read, id)
		out[id] = secrets.Read{Version: w.values[id]}
	}
	return out
}

func (w *slowWorld) Get(_ context.Context, id, _ string) (secrets.Version, error) {
	return w.Batch(context.Background(), []string{id})[id].Version, nil
}

func (w *slowWorld) GetVersion(context.Context, string, string) (secrets.Version, error) {
	return secrets.Version{}, &secrets.Error{Kind: secrets.ErrNotFound}
}

func (w *slowWorld) Describe(_ context.Context, id string) (secrets.Description, error) {
	return secrets.Description{ARN: id, Name: id, Labels: map[string][]string{"t": {secrets.Current}}}, nil
}

func (w *slowWorld) Put(ctx context.Context, id, version string, value redact.Secret, _ ...string) error {
	if w.hang[id] {
		<-ctx.Done()
		return &secrets.Error{Kind: secrets.ErrTransient, Op: "PutSecretValue", Code: "NoTimeLeft"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.puts++
	w.values[id] = secrets.Version{ID: version, Value: value, Created: time.Now()}
	return nil
}

func (w *slowWorld) MoveLabel(context.Context, string, string, string, string) error { return nil }

func (w *slowWorld) VersionsSince(context.Context, string, time.Time) (int, error) { return 1, nil }

// nothingRescued is a Parameter Store with nothing in it.
type nothingRescued struct{}

func (nothingRescued) Get(context.Context, string) (redact.Secret, error) {
	return redact.Secret{}, &secrets.Error{Kind: secrets.ErrNotFound}
}
func (nothingRescued) Put(context.Context, string, string, redact.Secret) error { return nil }
func (nothingRescued) Delete(context.Context, string) error                     { return nil }

// slowProvider is a provider whose exchanges take long.
type slowProvider struct {
	w    *slowWorld
	name string
}

func (slowProvider) Traits() exchange.Traits             { return exchange.Traits{} }
func (slowProvider) Host() string                        { return "idp.example" }
func (slowProvider) Allowed(credential.Credential) error { return nil }
func (slowProvider) Grants(credential.Credential) ([]exchange.Grant, error) {
	return []exchange.Grant{{Type: "client_credentials", Members: []string{"client_id", "client_secret"}}}, nil
}

func (p slowProvider) Exchange(ctx context.Context, _ exchange.Request) (exchange.Issued, error) {
	p.w.mu.Lock()
	p.w.exchanged = append(p.w.exchanged, p.name)
	p.w.mu.Unlock()
	if secrets.Sleep(ctx, p.w.exchanging) != nil {
		return exchange.Issued{}, &exchange.Error{Class: exchange.Transient, Doing: "exchanging",
			Problem: "no answer in time"}
	}
	now := time.Now()
	return exchange.Issued{AccessToken: redact.New("canary-new"), TokenType: "Bearer",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour)}, nil
}

func TestAnAnswerComesThoughAWriteHangsToTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSlowWorld()
		w.connect("good", 12*time.Minute)
		w.connect("hanging", 12*time.Minute)
		w.hang["evertoken/hanging/token"] = true
		report := w.run(t, 18*time.Second)
		if got := outcomes(report); got["good"] != "issued" || got["hanging"] == "issued" || got["hanging"] == "" {
			t.Errorf("outcomes %v", got)
		}
		if !strings.Contains(w.metrics.String(), `"Checked":2`) {
			t.Errorf("metrics %q", w.metrics)
		}
	})
}

func TestWhatNoTimeIsLeftForIsDeferred(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSlowWorld()
		w.concurrency, w.exchanging = 2, 10*time.Second
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("c-%02d", i))
			w.connect(names[i], 24*time.Minute-time.Duration(i*37%100)*time.Second)
		}
		slices.SortFunc(names, func(a, b string) int { return w.ends(t, a).Compare(w.ends(t, b)) })
		report := w.run(t, 4*time.Minute)
		// Two at a time, ten seconds each, none begun in the last sixteen.
		if report.Issued < 40 || report.Issued > 46 || report.Issued+report.Deferred != 100 {
			t.Errorf("issued %d, deferred %d, failed %d", report.Issued, report.Deferred, report.Failed)
		}
		if w.puts != report.Issued || len(w.exchanged) != report.Issued {
			t.Errorf("%d exchanges, %d writes, %d issued: what is begun is to be stored",
				len(w.exchanged), w.puts, report.Issued)
		}
		for _, e := range report.Connections {
			if e.Outcome == "deferred" &&
				(e.Reason != "no time left in this run" || e.SecondsLeft == nil ||
					*e.SecondsLeft == 0) {
				t.Fatalf("entry %+v", e)
			}
		}
		if n := strings.Count(w.log.String(), "left to the next run"); n != 1 ||
			strings.Contains(w.log.String(), "ERROR") {
			t.Errorf("the log tells of it %d times:\n%s", n, w.log)
		}
		time.Sleep(time.Minute)
		w.run(t, 4*time.Minute)
		w.run(t, 4*time.Minute)
		if !slices.Equal(slices.Sorted(slices.Values(w.exchanged[:20])), slices.Sorted(slices.Values(names[:20]))) {
			t.Errorf("tried first %q, the most urgent are %q", w.exchanged[:20], names[:20])
		}
		seen := map[string]bool{}
		for _, name := range w.exchanged[:100] {
			seen[name] = true
		}
		if len(seen) != 100 {
			t.Errorf("in three runs %d of 100 were renewed", len(seen))
		}
	})
}

func (w *slowWorld) ends(t *testing.T, name string) time.Time {
	t.Helper()
	token, err := credential.ParseToken(w.values["evertoken/"+name+"/token"].Value)
	if err != nil {
		t.Fatal(err)
	}
	return token.ExpiresAt
}

func TestNothingIsBegunThatWouldWaitTooLongToBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSlowWorld()
		w.connect("c", 24*time.Minute)
		w.delay = time.Minute // the wait of a write behind others
		if report := w.run(t, 2*time.Minute); report.Deferred != 1 || len(w.exchanged) != 0 {
			t.Errorf("%+v, exchanged %q", report, w.exchanged)
		}
		if report := w.run(t, 4*time.Minute); report.Issued != 1 {
			t.Errorf("%+v", report)
		}
	})
}

// TestOnlyAScheduledRunLeavesWorkToTheNext: a run over named connections, or a dry run,
// has no next run that could do the work.
func TestOnlyAScheduledRunLeavesWorkToTheNext(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event issue.Event
		want  string
	}{
		"scheduled":    {issue.Event{}, "deferred"},
		"named":        {issue.Event{Connections: []string{"c"}}, "issued"},
		"dry":          {issue.Event{DryRun: true}, "issued"},
		"dry, of some": {issue.Event{DryRun: true, Connections: []string{"c"}}, "issued"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newSlowWorld()
			w.connect("c", 24*time.Minute)
			w.delay = time.Minute // a scheduled run begins nothing that waits so long for its write
			if got := outcomes(w.runOf(t, 2*time.Minute, tt.event)); got["c"] != tt.want {
				t.Errorf("%s: %v, want %s", name, got, tt.want)
			}
		})
	}
}

// TestAConnectionWhoseTurnComesTooLateIsDeferred: it waited at a shared credential until
// too little time for an exchange remained, and has not failed.
func TestAConnectionWhoseTurnComesTooLateIsDeferred(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSlowWorld()
		w.exchanging = 15 * time.Second
		for _, name := range []string{"a", "b"} {
			w.connect(name, 24*time.Minute)
			w.parameters["/evertoken/connections/"+name] = secrets.Listed{Value: `{"provider":"oauth2","credential":"shared"}`}
		}
		w.values["shared"] = w.values["evertoken/a/credential"]
		report := w.run(t, 30*time.Second)
		if report.Issued != 1 || report.Deferred != 1 || len(w.exchanged) != 1 {
			t.Errorf("%+v, exchanged %q", report, w.exchanged)
		}
		for _, e := range report.Connections {
			if e.Outcome == "deferred" && (e.Reason != "no time left in this run" || e.ErrorClass != "") {
				t.Errorf("entry %+v", e)
			}
		}
	})
}

func TestAnIdleRunReadsTheTokensAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSlowWorld()
		for i := range 50 {
			w.connect(fmt.Sprintf("c-%02d", i), 55*time.Minute)
		}
		if report := w.run(t, 4*time.Minute); report.Fresh != 50 || len(report.Connections) != 0 {
			t.Errorf("%+v", report)
		}
		if len(w.read) != 50 {
			t.Errorf("%d documents were read of 50 connections", len(w.read))
		}
		for _, id := range w.read {
			if !strings.HasSuffix(id, "/token") {
				t.Errorf("read %s", id)
			}
		}
		w.read = nil
		w.connect("c-07", 24*time.Minute)
		if report := w.run(t, 4*time.Minute); report.Issued != 1 || report.Fresh != 49 {
			t.Errorf("with one due: %+v", report)
		}
		if len(w.read) != 51 || !slices.Contains(w.read, "evertoken/c-07/credential") {
			t.Errorf("with one due %d documents were read", len(w.read))
		}
	})
}
