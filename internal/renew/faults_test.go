package renew_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// world is one with the template's time-out.
func world(t *testing.T, connect func(*fakeworld.World)) *fakeworld.World {
	t.Helper()
	w := fakeworld.New(t)
	w.RunTimeout = 4 * time.Minute
	connect(w)
	return w
}

// runNow is a run that names the connection.
func runNow(w *fakeworld.World) issue.Entry {
	return fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}}), name)
}

// sends counts how often each refresh token reached the provider.
func sends(w *fakeworld.World) map[string]int {
	out := map[string]int{}
	for _, r := range w.IDP.Requests() {
		if token := r.Form.Get("refresh_token"); token != "" && r.Status != http.StatusServiceUnavailable {
			out[token]++
		}
	}
	return out
}

// A note of a claim must not speak for a later one: two runs, each seen by
// another while the provider answers it.
func TestANoteDoesNotOutliveItsClaim(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503, Times: 1, Hook: func(fakeidp.Request) { runNow(w) }})
	runNow(w)
	w.IDP.ClearFaults()
	w.Clock.Advance(5 * time.Minute)
	var beside issue.Entry
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) { beside = runNow(w) }})
	if e := runNow(w); e.Outcome != "issued" || beside.Outcome != "deferred" {
		t.Errorf("the run: %+v; the one beside it: %+v", e, beside)
	}
	for _, n := range sends(w) {
		if n != 1 {
			t.Errorf("a refresh token in flight was sent %d times", n)
		}
	}
	ticks(w, 16)
	alive(t, w, name)
}

// The rescue parameter holds the only copy of a session that was received in the
// same second as the one before, or by a clock that is slow.
func TestWhichSessionIsNewerIsNotToldByClocks(t *testing.T) {
	t.Parallel()
	for _, slow := range []time.Duration{0, -time.Second, -time.Minute} {
		w := world(t, connects["oauth2 refresh_token"])
		w.Clock.Advance(2 * time.Minute)
		want(t, w, "issued", "")
		w.Clock.Advance(slow)
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
			refuse(w, "PutSecretValue", session, "AccessDeniedException")
		}})
		w.Sleep = func(context.Context, time.Duration) error { return nil }
		w.Run(issue.Event{Connections: []string{name}, Force: true})
		if _, ok := w.AWS.Parameter("/evertoken/rescue/c"); !ok {
			t.Fatal("nothing was rescued")
		}
		w.AWS.ClearFaults()
		ticks(w, 16)
		if _, ok := w.AWS.Parameter("/evertoken/rescue/c"); ok {
			t.Errorf("clock %s: the rescue parameter was left", slow)
		}
		alive(t, w, name)
	}
}

// Secrets Manager may answer several reads in a row from before a session was
// brought back: the refresh token before it is spent.
func TestStaleReadsAfterARestoreSendNothingTwice(t *testing.T) {
	t.Parallel()
	for _, stale := range []int{1, 2, 3, 5, 8} {
		w := world(t, connects["oauth2 password"])
		want(t, w, "issued", "")
		advance(t, w)
		w.IDP.ResetRequests()
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
			refuse(w, "PutSecretValue", session, "AccessDeniedException")
		}})
		runNow(w)
		w.AWS.ClearFaults()
		w.IDP.ClearFaults()
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.OnlyHook, Skip: 1, Times: 1, Hook: func(fakeaws.Call) {
			w.AWS.Inject(&fakeaws.Fault{Resource: session, Kind: fakeaws.Stale, StaleBy: time.Minute, Times: stale})
		}})
		w.Clock.Advance(20 * time.Minute)
		ticks(w, 12)
		for _, n := range sends(w) {
			if n > 1 {
				t.Errorf("%d stale reads: a refresh token was sent %d times", stale, n)
			}
		}
		w.AWS.ClearFaults()
		ticks(w, 12)
		alive(t, w, name)
	}
}

// A provider that accepts connections and answers nothing does not see the
// refresh token, and an outage needs no person.
func TestAnOutageByTimeoutsNeedsNoPerson(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{10 * time.Minute, 20 * time.Minute, 30 * time.Minute, 6 * time.Hour} {
		w := world(t, connects["oauth2 refresh_token"])
		want(t, w, "issued", "")
		advance(t, w)
		w.IDP.ResetRequests()
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
		for range outage / (5 * time.Minute) {
			w.Tick()
		}
		w.IDP.ClearFaults()
		if n := len(w.IDP.Requests()); n > 2 {
			t.Errorf("outage of %s: the refresh token was sent %d times", outage, n)
		}
		for range 26 {
			w.Clock.Advance(50 * time.Minute)
			ticks(w, 2)
		}
		alive(t, w, name)
	}
}

// Passwords are not worn out by servers that refuse in other words, or answer
// nothing at all.
func TestAWrongPasswordInAnyWordsIsSentOnce(t *testing.T) {
	t.Parallel()
	for what, a := range map[string]fakeidp.Fault{
		"401 server_error":                  {Status: 401, Body: []byte(`{"error":"server_error","error_description":"access_denied"}`)},
		"401 access_denied":                 {Status: 401, Body: []byte(`{"error":"access_denied"}`)},
		"401 an HTML page":                  {Status: 401, Body: []byte(`<!doctype html><h1>Unauthorized</h1>`)},
		"400 without a code":                {Status: 400, Body: []byte(`{"message":"Bad credentials"}`)},
		"400 invalid_request":               {Status: 400, Body: []byte(`{"error":"invalid_request"}`)},
		"403 without a code":                {Status: 403, Body: []byte(`{}`)},
		"404":                               {Status: 404},
		"400 invalid_grant, as it ought be": {Status: 400, Body: []byte(`{"error":"invalid_grant"}`)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := world(t, connects["oauth2 password"])
			a.Grant, a.Kind, a.Header = "password", fakeidp.Answer, http.Header{"Content-Type": {"application/json"}}
			w.IDP.Inject(&a)
			ticks(w, 24)
			e := runNow(w)
			if n := sent(w, "password"); n != 1 || e.Outcome != "blocked" || !strings.Contains(e.Reason, "on 2026-11-21: HTTP ") {
				t.Errorf("sent %d times: %+v", n, e)
			}
		})
	}
}

func TestPasswordsIntoSilence(t *testing.T) {
	t.Parallel()
	for what, f := range map[string]fakeidp.Fault{"no answer": {Kind: fakeidp.DropAfter}, "504": {Kind: fakeidp.AnswerAfter, Status: 504}} {
		worked := world(t, connects["apiax"])
		want(t, worked, "issued", "")
		worked.IDP.Apiax().EndSessions(name)
		never := world(t, connects["apiax"])
		for name, tt := range map[string]struct {
			w    *fakeworld.World
			most int
		}{"worked": {worked, 6}, "never worked": {never, 3}} {
			silent := f
			silent.Grant = "password"
			tt.w.IDP.ResetRequests()
			tt.w.IDP.Inject(&silent)
			tt.w.Config.Every = 15 * time.Minute
			ticks(tt.w, 4*23)
			if n := sent(tt.w, "password"); n > tt.most || n < 2 {
				t.Errorf("%s, a password that %s: sent %d times in a day, at most %d", what, name, n, tt.most)
			}
		}
	}
}

// What never left does not count: there is no such host, or nobody listens.
func TestWhatNeverLeftDoesNotCount(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.Apiax(name)
		w.Declare(name, map[string]any{"provider": "apiax", "settings": map[string]any{"token_url": "http://127.0.0.1:1/token"}})
	})
	ticks(w, 12)
	if e := runNow(w); e.Outcome != "failed" || e.ErrorClass != "transient" {
		t.Errorf("%+v", e)
	}
	if v, _ := w.AWS.Secret(cred).Labelled(secrets.Current); len(v.Labels) != 1 {
		t.Errorf("labels %q", v.Labels)
	}
}

// A run that is forced for a token that failed never sends what was rejected.
func TestAForcedRunForATokenSendsNothingThatWasRejected(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	w.IDP.Apiax().SetPassword(name, "changed-by-the-operator")
	w.IDP.Apiax().EndSessions(name)
	p, _ := w.Token(name)
	w.IDP.ResetRequests()
	for range 10 {
		w.Run(issue.Event{Connections: []string{name}, Force: true, IssuedAt: p.IssuedAt})
	}
	if p, r := sent(w, "password"), sent(w, "refresh_token"); p != 1 || r != 1 {
		t.Errorf("a refused password was sent %d times, the refused refresh token %d times", p, r)
	}
	w.Run(issue.Event{Connections: []string{name}, Force: true})
	if p := sent(w, "password"); p != 2 {
		t.Errorf("an operator who forces it: sent %d times", p)
	}
}

// A credential that a refresh does not need, and a session that a provider does
// not need, stop nothing.
func TestWhatIsNotNeededStopsNothing(t *testing.T) {
	t.Parallel()
	for what, value := range map[string]string{
		"a comma": `{"username":"c","password":"x",}`, "a member": `{"user":"c","password":"x"}`, "nothing": "",
		"a line break": `{"username":"c","password":"x\n"}`,
	} {
		w := world(t, connects["apiax"])
		want(t, w, "issued", "")
		if value != "" {
			w.PutSecret(cred, value)
		} else {
			w.AWS.SetKMS(cred, true, true)
		}
		ticks(w, 8)
		alive(t, w, name)
		advance(t, w)
		if e := runNow(w); e.Outcome != "issued" || e.Hint == "" {
			t.Errorf("%s: %+v", what, e)
		}
		if n := sent(w, "password"); n != 1 {
			t.Errorf("%s: the password was sent %d times", what, n)
		}
	}
	w := world(t, connects["flexera user"])
	want(t, w, "issued", "")
	w.DeleteSecret(session, false)
	ticks(w, 32)
	alive(t, w, name)
}

// The heartbeats that the template offers, with tokens of 30 minutes; an
// exchange takes a second.
func TestEveryHeartbeatKeepsTokensOfHalfAnHour(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute} {
		t.Run(every.String(), func(t *testing.T) {
			t.Parallel()
			w := world(t, connects["apiax"])
			w.Config.Every = every
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Hook: func(fakeidp.Request) { w.Clock.Advance(time.Second) }})
			start := w.Clock.Now()
			for at := start; at.Before(start.Add(min(26*time.Hour, 250*every))); at = at.Add(every) {
				w.Clock.Advance(at.Sub(w.Clock.Now()))
				if p, ok := w.Token(name); ok && !p.ExpiresAt.After(w.Clock.Now()) {
					t.Fatalf("a dead token at %s", w.Clock.Now())
				}
				if e := runNow(w); e.Outcome == "failed" {
					t.Fatalf("%+v", e)
				}
				w.AWS.ResetCalls()
			}
			for _, secret := range []string{token, session} {
				if n := w.AWS.VersionsYoungerThan(secret, 24*time.Hour); n > 98 {
					t.Errorf("%d versions of %s in a day", n, secret)
				}
			}
		})
	}
}

func TestRotationLetsNoUnusedRefreshTokenDie(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		o := w.IDP.OAuth2()
		o.Configure(func(o *fakeidp.OAuth2Options) {
			o.AccessLife, o.RefreshLife, o.RefreshExpiresIn = 24*time.Hour, 8*time.Hour, true
		})
		id, secret := o.AddClient(fakeidp.OAuth2Client{})
		w.Connect(name, "oauth2", map[string]string{"client_id": id, "client_secret": secret, "refresh_token": o.AddRefreshToken(id, "subject", "read")},
			map[string]any{"token_url": o.TokenURL(), "grant": "refresh_token"}, map[string]any{"renewed_by": "rotation"})
	})
	want(t, w, "issued", "")
	ticks(w, 12*12)
	if s, _ := w.Session(name); !s.ExpiresAt.After(w.Clock.Now()) {
		t.Errorf("the refresh token ended %s, unused", s.ExpiresAt)
	}
	if n := len(w.IDP.Requests()); n > 4 {
		t.Errorf("%d exchanges in twelve hours", n)
	}
}

// A refresh token whose end no refresh moves is used once in its last third, and
// the session is opened anew before it.
func TestARefreshTokenWithAFixedEnd(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) {
			o.AccessLife, o.RefreshLife, o.RefreshExpiresIn, o.KeepRefreshTokens = 12*time.Hour, 9*24*time.Hour, true, true
		})
		w.OAuth2(name, "password")
	})
	want(t, w, "issued", "")
	for day := range 12 {
		w.IDP.ResetRequests()
		for range 48 { // at which nothing can be due in between
			w.Clock.Advance(25 * time.Minute)
			w.Tick()
		}
		if n := len(w.IDP.Requests()); n > 8 {
			t.Errorf("day %d: %d exchanges", day+1, n)
		}
		alive(t, w, name)
	}
}

// One refusal in words that nobody knows, which ends.
func TestARefusalForAMomentCostsAMoment(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"flexera user", "flexera service", "oauth2 refresh_token"} {
		w := world(t, connects[connection])
		want(t, w, "issued", "")
		advance(t, w)
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusForbidden, Body: []byte(`{"message":"Forbidden"}`)})
		w.Tick()
		w.IDP.ClearFaults()
		for range 12 * 8 {
			w.Tick()
			if p, _ := w.Token(name); !p.ExpiresAt.After(w.Clock.Now()) {
				t.Fatalf("%s: a dead token at %s", connection, w.Clock.Now())
			}
		}
	}
}

// A client that is refused says nothing about the refresh token.
func TestAClientThatIsRefusedForAMomentBlocksNothing(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 401, Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	if e := want(t, w, "failed", "settings.client_auth"); e.ErrorClass != "credential_dead" {
		t.Errorf("%+v", e)
	}
	w.IDP.ClearFaults()
	ticks(w, 6)
	alive(t, w, name)
	want(t, w, "fresh", "")
}

// A corrected setting is tried at once, and so are changed members; the same
// members stored again are not.
func TestACorrectedSettingIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 password"])
	w.IDP.Inject(&fakeidp.Fault{Grant: "password", Kind: fakeidp.Answer, Status: 401, Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	want(t, w, "failed", "")
	want(t, w, "blocked", `"force":true`)
	w.IDP.ClearFaults()
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, stored.Value)
	want(t, w, "blocked", "Evertoken does not send the same members again")
	w.Declare(name, map[string]any{"provider": "oauth2", "settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "password", "scope": "read"}})
	want(t, w, "issued", "")
}

// An end of the session that only the server tells, by moving its refresh
// tokens' end no further.
func TestASessionThatEndsUntoldIsOpenedAnewBeforeIt(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		a := w.IDP.Apiax()
		a.Configure(func(o *fakeidp.ApiaxOptions) { o.SSOMax = 3 * time.Hour })
		w.Apiax(name)
	})
	want(t, w, "issued", "")
	for range 12 * 12 {
		w.Tick()
		p, _ := w.Token(name)
		if !p.ExpiresAt.After(w.Clock.Now()) || !w.IDP.Accepts("apiax", p.AccessToken.Reveal()) {
			t.Fatalf("%s: a reader meets a dead token that says it lives until %s", w.Clock.Now().Format("15:04"), p.ExpiresAt.Format("15:04"))
		}
	}
	if n := sent(w, "password"); n > 7 {
		t.Errorf("%d logins in twelve hours", n)
	}
}

// A short-lived token in a parameter, with a session that changes at each
// refresh, is told with figures at the first run.
func TestASessionThatChangesTooOftenIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 5 * time.Minute })
		w.OAuth2(name, "refresh_token")
		w.Declare(name, map[string]any{"provider": "oauth2", "token_parameter": "/evertoken/tokens/c",
			"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token"}})
	})
	want(t, w, "issued", "about 288 versions of the session a day")
}

// A token secret that another connection wrote is not this one's.
func TestAnotherConnectionsTokenDoesNotCount(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	w.PutSecret(token, `{"access_token":"canary-other","token_type":"Bearer","issued_at":"2026-11-21T16:00:00Z","expires_at":"2026-11-21T23:00:00Z","connection":"sandbox"}`)
	w.Tick()
	alive(t, w, name)
	if p, _ := w.Token(name); p.Connection != name {
		t.Errorf("published for %s", p.Connection)
	}
}

// A connection that was renamed or copied does not send a seed that has opened
// another session; an operator may force it.
func TestACopiedConnectionSendsNoSpentSeed(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	p, _ := w.AWS.Parameter("/evertoken/connections/c")
	w.AWS.PutParameter("/evertoken/connections/c", "String", `{"connections":{}}`)
	// The same secret under another name, and the same members in a secret of its own.
	w.AWS.PutParameter("/evertoken/connections/d", "String", strings.Replace(p.Value, "{", `{"credential":"`+cred+`",`, 1))
	w.AWS.CreateSecret("evertoken/d/session", nil, nil)
	w.AWS.CreateSecret("evertoken/d/token", nil, nil)
	w.IDP.ResetRequests()
	e := fakeworld.Entry(w.Tick(), "d")
	if e.Outcome != "failed" || e.ErrorClass != "misconfigured" || !strings.Contains(e.Hint, "copy its session secret") || len(w.IDP.Requests()) != 0 {
		t.Errorf("%+v, %d requests", e, len(w.IDP.Requests()))
	}
	w.PutSecret(cred, stored.Value) // IaC re-applies it
	if e := fakeworld.Entry(w.Tick(), "d"); e.Outcome != "failed" || len(w.IDP.Requests()) != 0 {
		t.Errorf("stored again: %+v, %d requests", e, len(w.IDP.Requests()))
	}
	w.Run(issue.Event{Connections: []string{"d"}, Force: true})
	if len(w.IDP.Requests()) != 1 {
		t.Error("an operator who forces it is not obeyed")
	}
}

// One run stores its session and is throttled while publishing; another renews
// meanwhile. The first's token is dead by then, or the older one.
func TestADeadTokenIsNotPublishedAsFresh(t *testing.T) {
	t.Parallel()
	for _, inParameter := range []bool{false, true} {
		w := world(t, connects["oauth2 refresh_token"])
		operation, resource := "PutSecretValue", token
		if inParameter {
			w.Declare(name, map[string]any{"provider": "oauth2", "token_parameter": "/evertoken/tokens/c",
				"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token"}})
			operation, resource = "PutParameter", "/evertoken/tokens/c"
		}
		second := issue.Entry{}
		w.AWS.Inject(&fakeaws.Fault{Operation: operation, Resource: resource, Kind: fakeaws.Refuse, Code: "ThrottlingException", Times: 3})
		slept := false
		w.Sleep = func(ctx context.Context, d time.Duration) error {
			w.Clock.Advance(d)
			if !slept { // between two tries of the first
				slept = true
				w.Clock.Advance(time.Minute)
				second = runNow(w)
			}
			return ctx.Err()
		}
		first := runNow(w)
		if second.Outcome != "issued" || !strings.Contains(first.Hint, "Another run published a token meanwhile") {
			t.Fatalf("first %+v\nsecond %+v", first, second)
		}
		living := ""
		if p, ok := w.AWS.Parameter("/evertoken/tokens/c"); ok {
			living = p.Value
		} else {
			v, _ := w.AWS.Secret(token).Labelled(secrets.Current)
			living = v.Value
		}
		if s, _ := w.Session(name); !strings.Contains(living, `"issued_at":"`+s.RefreshedAt.Format(time.RFC3339)) {
			t.Errorf("in a parameter %t: what is published did not come with the session in force:\n%s", inParameter, living)
		}
	}
}

// Copies that open a session from one seed at once make one exchange.
func TestCopiesAtOnceMakeOneExchange(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"oauth2 refresh_token", "apiax"} {
		// A second run begins when the first has stored its session and not yet
		// published, in the first run and in an emergency.
		for _, emergency := range []bool{false, true} {
			w := world(t, connects[connection])
			if emergency {
				want(t, w, "issued", "")
				p, _ := w.Token(name)
				w.Clock.Advance(p.ExpiresAt.Sub(w.Clock.Now()) - 2*time.Minute)
			}
			w.IDP.ResetRequests()
			var beside []issue.Entry
			hook := func() { beside = append(beside, runNow(w)) }
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) { hook() }})
			w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token, Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) { hook() }})
			e := runNow(w)
			if n := len(w.IDP.Requests()); n != 1 || e.Outcome != "issued" || len(beside) != 2 {
				t.Errorf("%s, emergency %t: %d exchanges; %+v; beside: %+v", connection, emergency, n, e, beside)
			}
		}
	}
}

// What cannot be used is not asked for again at every heartbeat, and goes on
// being told.
func TestAnAnswerThatCannotBeUsedIsNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	for what, extra := range map[string]map[string]any{
		"a life of seconds": {"expires_in": 20},
		"another type":      {"token_type": "mac"},
	} {
		for _, connection := range []string{"oauth2 refresh_token", "oauth2 password"} {
			w := world(t, connects[connection])
			want(t, w, "issued", "")
			advance(t, w)
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = extra })
			w.IDP.ResetRequests()
			told := 0
			w.Config.Every = 15 * time.Minute
			for range 4 * 23 {
				if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "failed" && strings.Contains(e.Reason, "HTTP 200") {
					told++
				}
			}
			if n := len(w.IDP.Requests()); n > 6 || told < 33 {
				t.Errorf("%s, %s: %d exchanges in a day, told %d times", what, connection, n, told)
			}
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = nil })
			w.Run(issue.Event{Connections: []string{name}, Force: true})
			alive(t, w, name)
		}
	}
}

// A run that saw its own answer get lost leaves the replay to the next
// heartbeat; a provider that takes a spent refresh token again for a while is
// asked once more in the same run.
func TestALostAnswerIsSettledByTheNextHeartbeat(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 password"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1})
	want(t, w, "failed", "its answer is lost")
	w.Tick()
	if n := len(w.IDP.Requests()); n != 2 {
		t.Errorf("%d requests within a heartbeat", n)
	}
	alive(t, w, name)

	w = world(t, func(w *fakeworld.World) {
		w.OAuth2(name, "refresh_token")
		w.Declare(name, map[string]any{"provider": "oauth2", "settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token", "reuse_grace": "10m"}})
	})
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1})
	want(t, w, "issued", "asked the provider once more")
}

// Killed between storing the session and publishing, or refused the publishing:
// the next run publishes.
func TestATokenThatWasNotPublishedFollowsAtTheNextHeartbeat(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	advance(t, w)
	refuse(w, "PutSecretValue", token, "AccessDeniedException")
	want(t, w, "failed", "could not be published")
	w.AWS.ClearFaults()
	before, _ := w.Token(name)
	w.Tick()
	if after, _ := w.Token(name); !after.IssuedAt.After(before.IssuedAt) {
		t.Error("the token was not published at the next heartbeat")
	}
}

// A shared client that was revoked is sent once a day by each connection, not at
// every heartbeat.
func TestASharedRevokedClientIsNotSentAtEveryHeartbeat(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	stored := `{"client_id":"` + id + `","client_secret":"` + secret + `"}`
	w.AWS.CreateSecret("evertoken/shared/credential", &stored, nil)
	for _, c := range []string{"a", "b"} {
		w.Declare(c, map[string]any{"provider": "oauth2", "credential": "evertoken/shared/credential", "settings": map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}})
		w.AWS.CreateSecret("evertoken/"+c+"/token", nil, nil)
	}
	w.Run(issue.Event{})
	w.IDP.Inject(&fakeidp.Fault{Grant: "client_credentials", Kind: fakeidp.Answer, Status: 401, Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	w.IDP.ResetRequests()
	ticks(w, 60)
	if n := sent(w, "client_credentials"); n > 2 {
		t.Errorf("a revoked client was sent %d times in five hours", n)
	}
}
