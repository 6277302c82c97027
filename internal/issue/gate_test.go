package issue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

func TestAHostThatDoesNotAnswerThreeTimesIsSkippedInThatRun(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	for i := range 6 {
		w.OAuth2(fmt.Sprint("a", i), "client_credentials")
	}
	other, err := fakeidp.New(fakeidp.Options{Now: w.Clock.Now}) // another host
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	for i := range 2 {
		id, secret := other.OAuth2().AddClient(fakeidp.OAuth2Client{})
		w.Connect(fmt.Sprint("z", i), "oauth2", map[string]string{"client_id": id, "client_secret": secret},
			map[string]any{"token_url": other.OAuth2().TokenURL(), "grant": "client_credentials"}, nil)
	}
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
	for run := 1; run <= 2; run++ { // the gate is a run's own
		report := w.Run(issue.Event{})
		if n := len(w.IDP.Requests()); n != 3*run {
			t.Errorf("run %d: %d requests to a host that does not answer, want 3 in each run", run, n)
		}
		if report.Failed != 6 || len(other.Requests()) != 2 {
			t.Errorf("run %d: %d requests to the other host: %+v", run, len(other.Requests()), report)
		}
	}
	w.IDP.ClearFaults()
	if report := w.Run(issue.Event{}); report.Issued != 6 {
		t.Errorf("once it answers: %+v", report)
	}
}

func TestAHostThatAnswersIsUsedAgain(t *testing.T) {
	t.Parallel()
	// What the provider does with one request after the other: "." answers, "5"
	// answers 503, "-" does not answer.
	for pattern, want := range map[string]int{
		"------": 3, "--.--.": 6, "--5--5": 6, ".-----": 4, "-.---.": 5, "--.---": 6, "5.---.": 5,
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			for i := range len(pattern) {
				w.OAuth2(fmt.Sprint("a", i), "client_credentials")
			}
			var n atomic.Int32
			turn := func(r fakeidp.Request, what byte) bool {
				return r.Grant != "" && pattern[int(n.Load())%len(pattern)] == what
			}
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore,
				Hook: func(fakeidp.Request) { n.Add(1) }, Match: func(r fakeidp.Request) bool { return turn(r, '-') }})
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusServiceUnavailable,
				Hook: func(fakeidp.Request) { n.Add(1) }, Match: func(r fakeidp.Request) bool { return turn(r, '5') }})
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook,
				Hook: func(fakeidp.Request) { n.Add(1) }, Match: func(r fakeidp.Request) bool { return turn(r, '.') }})
			w.Run(issue.Event{})
			if diff := cmp.Diff(want, len(w.IDP.Requests())); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASharedWrongPasswordIsSentOnceByARun(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]struct{ sent, issued int }{"canary-wrong": {1, 0}, "right": {8, 8}} {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			w.Config.Concurrency = 8
			a := w.IDP.Apiax()
			a.SetPassword("u", "right")
			stored := fmt.Sprintf(`{"username":"u","password":%q}`, password)
			w.AWS.CreateSecret("evertoken/shared/credential", &stored, nil)
			for i := range 8 {
				c := fmt.Sprint("c", i)
				w.Declare(c,
					map[string]any{"provider": "apiax", "credential": "evertoken/shared/credential",
						"settings": map[string]any{"token_url": a.TokenURL()}})
				w.AWS.CreateSecret("evertoken/"+c+"/session", nil, nil)
				w.AWS.CreateSecret("evertoken/"+c+"/token", nil, nil)
			}
			report := w.Run(issue.Event{})
			if n := w.Sent("password"); n != want.sent || report.Issued != want.issued {
				t.Errorf("sent %d times, want %d: %+v", n, want.sent, report)
			}
			before := len(w.IDP.Requests())
			if w.Tick(); password != "right" && len(w.IDP.Requests()) != before {
				t.Error("a wrong password was sent by the next run too")
			}
		})
	}
}

func TestAThrottledConnectionDelaysNoOtherToken(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2("a", "client_credentials")
	w.Run(issue.Event{})
	first := w.IDP.Requests()[0].Form.Get("client_id")
	w.Clock.Advance(3 * time.Minute)
	w.OAuth2("b", "client_credentials") // less urgent than a in every run
	w.Run(issue.Event{})
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusTooManyRequests,
		Match: func(r fakeidp.Request) bool {
			return r.Form.Get("client_id") == first
		}})
	for range 24 {
		w.Tick()
		if token, _ := w.Token("b"); token.ExpiresAt.Sub(w.Clock.Now()) < token.ExpiresAt.Sub(token.IssuedAt)/6 {
			t.Fatalf("%s: b has %s left, less than its readers are promised", w.Clock.Now(),
				token.ExpiresAt.Sub(w.Clock.Now()))
		}
	}
}

// share declares connections that use one credential.
func share(w *fakeworld.World, n int, provider string, settings map[string]any,
	credential map[string]string) {
	value, _ := json.Marshal(credential)
	text := string(value)
	w.AWS.CreateSecret("evertoken/shared/credential", &text, nil)
	for i := range n {
		c := fmt.Sprint("c", i)
		w.Declare(c,
			map[string]any{"provider": provider, "credential": "evertoken/shared/credential",
				"settings": settings})
		w.AWS.CreateSecret("evertoken/"+c+"/session", nil, nil)
		w.AWS.CreateSecret("evertoken/"+c+"/token", nil, nil)
	}
}

func TestASharedRevokedClientSecretIsSentOnceByARun(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Config.Concurrency = 8
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	share(w, 8, "oauth2", map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"},
		map[string]string{"client_id": id, "client_secret": secret})
	if report := w.Run(issue.Event{}); report.Issued != 8 {
		t.Fatalf("%+v", report)
	}
	o.RemoveClient(id)
	w.Clock.Advance(40 * time.Minute)
	for run := range 12 {
		w.IDP.ResetRequests()
		report := w.Tick()
		if n := len(w.IDP.Requests()); n > 1 {
			t.Fatalf("run %d sent it %d times: %+v", run, n, report)
		}
		if report.Failed+report.Blocked != 8 {
			t.Errorf("run %d: %+v", run, report)
		}
	}
}

func TestAPanicLeavesNoConnectionWaiting(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Config.Concurrency = 8
	a := w.IDP.Apiax()
	password := a.SetPassword("u", "")
	share(w, 8, "apiax", map[string]any{"token_url": a.TokenURL()},
		map[string]string{"username": "u", "password": password})
	runner := w.Runner()
	provider := runner.Provider
	runner.Provider = func(c connection.Connection) (exchange.Provider, error) {
		p, err := provider(c)
		if c.Name == "c0" || c.Name == "c3" {
			p = faulty{p}
		}
		return p, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	report, err := runner.Run(ctx, issue.Event{})
	if err != nil || report.Failed != 2 || report.Issued != 6 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A refusal of a connection with other settings says nothing about a password that
// several connections share: it does not count as theirs, and labels nothing of theirs.
func TestARefusalDoesNotCountAgainstOtherSettings(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]map[string]any{
		"a client that is not there": {"client_id": "nobody"},
		"another realm":              {"token_url": "ELSEWHERE"},
		"a parameter":                {"extra": map[string]string{"totp": "000000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			a := w.IDP.Apiax()
			share(w, 3, "apiax", map[string]any{"token_url": a.TokenURL()},
				map[string]string{"username": "u", "password": a.SetPassword("u", "")})
			settings := map[string]any{"token_url": a.TokenURL()}
			for setting, value := range wrong {
				settings[setting] = value
			}
			if settings["token_url"] == "ELSEWHERE" {
				settings["token_url"] = strings.Replace(a.TokenURL(), "/realms/", "/realms/elsewhere-", 1)
			}
			first := ""
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusUnauthorized,
				Body: []byte(`{"error":"invalid_grant","error_description":"Invalid user credentials"}`),
				Match: func(r fakeidp.Request) bool {
					mine := r.Form.Get("client_id") == "nobody" || r.Form.Has("totp") ||
						strings.Contains(r.Path, "elsewhere")
					if first == "" && r.Grant == "password" {
						first = map[bool]string{true: "the intruder", false: "an owner"}[mine]
					}
					return mine
				}})
			w.Declare("aa",
				map[string]any{"provider": "apiax", "credential": "evertoken/shared/credential",
					"settings": settings})
			w.AWS.CreateSecret("evertoken/aa/session", nil, nil)
			w.AWS.CreateSecret("evertoken/aa/token", nil, nil)
			for first != "the intruder" && w.Clock.Now().Unix()/300%4 != 0 { // the intruder's turn comes first
				w.Clock.Advance(5 * time.Minute)
			}
			w.Run(issue.Event{})
			if first != "the intruder" {
				t.Fatalf("%s was first", first)
			}
			for range 12 {
				w.Tick()
			}
			for i := range 3 {
				if _, ok := w.Token(fmt.Sprint("c", i)); !ok {
					t.Errorf("c%d has no token: %+v", i,
						fakeworld.Entry(w.Run(issue.Event{DryRun: true}), fmt.Sprint("c", i)))
				}
			}
		})
	}
}

// dueWithAPanic lets the connection's token become due, and returns it and a runner whose
// provider panics.
func dueWithAPanic(w *fakeworld.World) (*issue.Runner, credential.Token) {
	w.Run(issue.Event{})
	token, _ := w.Token("c")
	w.Clock.Advance(token.RenewAfter.Sub(w.Clock.Now()))
	runner := w.Runner()
	provider := runner.Provider
	runner.Provider = func(c connection.Connection) (exchange.Provider, error) {
		p, err := provider(c)
		return faulty{p}, err
	}
	return runner, token
}

// A panic during the exchange of a session's refresh token leaves the claim. A later
// heartbeat takes it over: the session does not stay claimed, and no person is needed.
func TestAPanicUnderAClaimNeedsNoPerson(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.RunTimeout = 4 * time.Minute
	w.Apiax("c")
	runner, token := dueWithAPanic(w)
	ctx, cancel := context.WithTimeout(t.Context(), w.RunTimeout)
	defer cancel()
	if report, err := runner.Run(ctx, issue.Event{}); err != nil || report.Failed != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for range 4 {
		w.Tick()
	}
	after, _ := w.Token("c")
	if !after.IssuedAt.After(token.IssuedAt) || !after.ExpiresAt.After(w.Clock.Now()) {
		t.Errorf("the token was not renewed: issued %s, until %s", after.IssuedAt, after.ExpiresAt)
	}
}

// TestAClaimOutlivesTheRunThatMadeIt: no run takes a claim over before the timeout of the
// function that made it.
func TestAClaimOutlivesTheRunThatMadeIt(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("c")
	runner, _ := dueWithAPanic(w)
	if _, err := runner.Run(t.Context(), issue.Event{}); err != nil { // leaves a claim
		t.Fatal(err)
	}
	for timeout, want := range map[time.Duration]string{4 * time.Minute: "4m1s", 14 * time.Minute: "14m1s", time.Hour: "15m0s"} {
		report, err := runner.Run(always{t.Context(), timeout}, issue.Event{})
		if err != nil {
			t.Fatal(err)
		}
		if e := fakeworld.Entry(report, "c"); !strings.Contains(e.Reason, "takes the claim over "+want+" after it was first noted") {
			t.Errorf("with a timeout of %s: %+v", timeout, e)
		}
	}
}

// always is a context whose deadline stays equally far away, so that a slow machine
// changes nothing.
type always struct {
	context.Context
	left time.Duration
}

func (c always) Deadline() (time.Time, bool) { return time.Now().Add(c.left), true }
