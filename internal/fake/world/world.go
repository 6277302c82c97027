// Package fakeworld is the world that tests run Evertoken in: strict fakes of AWS
// and of the providers on loopback sockets, one injected clock, and the real
// runner over the real SDK. Only tests import it.
package fakeworld

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeclock "evertoken/internal/fake/clock"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
	"evertoken/internal/wiring"
)

// Start is the time at which every world begins.
var Start = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// Clock is the clock of a world: it moves only by its methods Advance and Sleep.
type Clock = fakeclock.Clock

// NewClock returns a clock that shows [Start].
func NewClock() *Clock { return fakeclock.New(Start) }

// Buffer is a bytes.Buffer for several writers.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the buffer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Reset empties the buffer.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// TB is the part of testing.TB that a world needs; rapid.T has it too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// World is the fakes and what runs against them.
type World struct {
	// OnRotation serves the steps of rotations; [Stuck] by default.
	OnRotation func(ctx context.Context, functionARN string, payload []byte) ([]byte, error)

	tb      TB
	Clock   *Clock
	AWS     *fakeaws.Server
	IDP     *fakeidp.Server
	Config  config.Config
	Log     *Buffer
	Metrics *Buffer
	// RunTimeout is the deadline of each run, in real time.
	RunTimeout time.Duration
	http       *http.Client
	oauth      *oauth.Client
	// Paces keep the calls to AWS within its quotas; by default they do not wait.
	Paces *secrets.Paces
	// Sleep replaces the waits between tries; the clock's own by default.
	Sleep func(context.Context, time.Duration) error
}

// New starts a world that ends with the test.
func New(tb TB) *World {
	tb.Helper()
	clock := NewClock()
	providers, err := fakeidp.New(fakeidp.Options{Now: clock.Now, ControlCharacters: true})
	if err != nil {
		tb.Fatalf("starting the fake providers: %v", err)
	}
	tb.Cleanup(providers.Close)
	return start(tb, clock, providers)
}

// Beside starts another world, like a second AWS account: it has its own AWS, and shares
// the clock and the providers.
func (w *World) Beside(tb TB) *World {
	tb.Helper()
	return start(tb, w.Clock, w.IDP)
}

func start(tb TB, clock *Clock, providers *fakeidp.Server) *World {
	tb.Helper()
	w := &World{tb: tb, Clock: clock, IDP: providers, Log: &Buffer{}, Metrics: &Buffer{},
		RunTimeout: 5 * time.Minute, OnRotation: Stuck}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	w.http, w.oauth = &http.Client{Transport: oneWrite{transport}}, &oauth.Client{Now: w.Clock.Now}
	tb.Cleanup(transport.CloseIdleConnections)
	w.Sleep = w.Clock.Sleep
	invoke := func(ctx context.Context, arn string, payload []byte) ([]byte, error) {
		return w.OnRotation(ctx, arn, payload)
	}
	var err error
	if w.AWS, err = fakeaws.New(fakeaws.Options{Now: w.Clock.Now, Invoke: invoke}); err != nil {
		tb.Fatalf("starting the fake of AWS: %v", err)
	}
	tb.Cleanup(w.AWS.Close)
	w.Config, err = config.Load(func(name string) string {
		return map[string]string{"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "1", "EVERTOKEN_CONCURRENCY": "1",
			"AWS_REGION": "us-east-1"}[name]
	})
	if err != nil {
		tb.Fatalf("loading the configuration: %v", err)
	}
	return w
}

// oneWrite sends a request's head and body together. The SDK's bodies are of a type that
// net/http writes apart from the head, which costs the tests a tenth of their time: they
// make hundreds of thousands of calls.
type oneWrite struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o oneWrite) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return o.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("reading the request's body: %w", err)
	}
	out := *r // a RoundTripper must not change the request
	out.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.RoundTrip(&out)
}

// AWSConfig is the SDK's configuration: the product's retries without their
// waits.
func (w *World) AWSConfig() aws.Config {
	c := w.AWS.AWSConfig()
	c.HTTPClient = w.http // one, so that connections are used again and files do not run out
	c.Retryer = func() aws.Retryer { return retry.AddWithMaxBackoffDelay(secrets.Retryer()(), time.Nanosecond) }
	return c
}

// SecretsManager is the SDK's client, for calls that the product does not make.
func (w *World) SecretsManager() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(w.AWSConfig())
}

// Store is the product's store over the fake.
func (w *World) Store() *secrets.Store { return secrets.NewStore(w.SecretsManager(), w.Paces) }

func (w *World) parameters() *secrets.Parameters {
	p := secrets.NewParameters(ssm.NewFromConfig(w.AWSConfig()))
	if w.Paces != nil {
		p = p.Paced(w.Paces)
	}
	return p
}

// Parts are the product's parts, wired to the fakes.
func (w *World) Parts() wiring.Parts {
	return wiring.Parts{
		Config: w.Config, Secrets: w.Store(), Parameters: w.parameters(),
		Paces: w.Paces, OAuth: w.oauth, Now: w.Clock.Now, Sleep: w.Sleep,
		Log: slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// Runner is the product's runner over the fakes.
func (w *World) Runner() *issue.Runner {
	return w.Parts().Runner(telemetry.NewMetrics(w.Metrics, "test", w.Clock.Now))
}

// Run makes one run with a deadline, as Lambda would.
func (w *World) Run(e issue.Event) issue.Report {
	w.tb.Helper()
	report, err := w.TryRun(e)
	if err != nil {
		w.tb.Fatalf("the run failed as a whole: %v", err)
	}
	return report
}

// TryRun is Run for a run that may fail as a whole.
func (w *World) TryRun(e issue.Event) (issue.Report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.RunTimeout)
	defer cancel()
	return w.Runner().Run(ctx, e)
}

// Tick moves the clock by one heartbeat and runs.
func (w *World) Tick() issue.Report {
	w.tb.Helper()
	w.Clock.Advance(w.Config.Every)
	return w.Run(issue.Event{})
}

// Connect declares a connection and creates its secrets: the credential with
// the given value, session and token empty.
func (w *World) Connect(name, provider string, credential map[string]string,
	settings map[string]any, more map[string]any) {
	w.tb.Helper()
	declared := map[string]any{"provider": provider, "settings": settings}
	for k, v := range more {
		declared[k] = v
	}
	w.Declare(name, declared)
	value := marshal(credential)
	w.AWS.CreateSecret("evertoken/"+name+"/credential", &value, nil)
	w.AWS.CreateSecret("evertoken/"+name+"/session", nil, nil)
	w.AWS.CreateSecret("evertoken/"+name+"/token", nil, nil)
}

// Declare writes a connection's parameter.
func (w *World) Declare(name string, declared any) {
	w.AWS.PutParameter(w.Config.ConnectionsPath+name, "String", marshal(declared))
}

// PutSecret stores a value as an operator does.
func (w *World) PutSecret(name, value string) {
	w.tb.Helper()
	if err := w.Store().Put(context.Background(), name, secrets.FreshID(), redact.New(value)); err != nil {
		w.tb.Fatalf("storing %s: %v", name, err)
	}
}

// DeleteSecret marks a secret for deletion, or deletes it at once.
func (w *World) DeleteSecret(name string, atOnce bool) {
	w.tb.Helper()
	in := &secretsmanager.DeleteSecretInput{SecretId: &name}
	if atOnce {
		in.ForceDeleteWithoutRecovery = &atOnce
	}
	if _, err := w.SecretsManager().DeleteSecret(context.Background(), in); err != nil {
		w.tb.Fatalf("deleting %s: %v", name, err)
	}
}

// RestoreSecret takes back a deletion.
func (w *World) RestoreSecret(name string) {
	w.tb.Helper()
	if _, err := w.SecretsManager().RestoreSecret(context.Background(), &secretsmanager.RestoreSecretInput{SecretId: &name}); err != nil {
		w.tb.Fatalf("restoring %s: %v", name, err)
	}
}

// Exchanges counts the grants that reached a provider, and the requests for a FlexNet
// token.
func (w *World) Exchanges() int {
	n := 0
	for _, r := range w.IDP.Requests() {
		created := r.Provider == fakeidp.ProviderFlexNet && r.Method == http.MethodPost &&
			(strings.HasSuffix(r.Path, "/token") || strings.HasSuffix(r.Path, "/rotation"))
		if r.Processed && (r.Grant != "" || created) {
			n++
		}
	}
	return n
}

// Sent counts the requests that reached a provider by a grant.
func (w *World) Sent(grant string) int {
	n := 0
	for _, r := range w.IDP.Requests() {
		if r.Grant == grant {
			n++
		}
	}
	return n
}

// Token is the token document that an application now reads; ok is false if
// there is none.
func (w *World) Token(name string) (token credential.Token, ok bool) {
	v, found := w.AWS.Secret("evertoken/" + name + "/token").Labelled(secrets.Current)
	if !found || !v.HasValue {
		return credential.Token{}, false
	}
	token, err := credential.ParseToken(redact.New(v.Value))
	if err != nil {
		w.tb.Fatalf("the published token of %s: %v", name, err)
	}
	return token, true
}

// Session is the current session; ok is false if there is none.
func (w *World) Session(name string) (session credential.Session, ok bool) {
	v, found := w.AWS.Secret("evertoken/" + name + "/session").Labelled(secrets.Current)
	if !found || !v.HasValue {
		return credential.Session{}, false
	}
	session, err := credential.ParseSession(redact.New(v.Value))
	if err != nil {
		w.tb.Fatalf("the session of %s: %v", name, err)
	}
	return session, true
}

// Entry is one connection's entry of a report.
func Entry(report issue.Report, name string) issue.Entry {
	for _, e := range report.Connections {
		if e.Name == name {
			return e
		}
	}
	return issue.Entry{Name: name, Outcome: "absent"}
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marshaling a %T: %v", v, err))
	}
	return string(b)
}
