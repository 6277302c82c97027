package renew_test

import (
	"context"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// A note of a claim must not count for a later one: two runs, each observed by another
// during its exchange.
func TestANoteDoesNotOutliveItsClaim(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503, Times: 1,
		Hook: func(fakeidp.Request) { runNow(w) }})
	runNow(w)
	w.IDP.ClearFaults()
	w.Clock.Advance(5 * time.Minute)
	var beside issue.Entry
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1,
		Hook: func(fakeidp.Request) { beside = runNow(w) }})
	if e := runNow(w); e.Outcome != "issued" || beside.Outcome != "deferred" {
		t.Errorf("the run: %+v; the other one: %+v", e, beside)
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
func TestClocksDoNotDecideWhichSessionIsNewer(t *testing.T) {
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
		restored(t, w, 16, slow)
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
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session,
			Kind: fakeaws.OnlyHook, Skip: 1, Times: 1, Hook: func(fakeaws.Call) {
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

// A provider that accepts connections and does not answer never gets the refresh token,
// and its outage needs no person.
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
	w.AWS.PutParameter("/evertoken/connections/d", "String",
		strings.Replace(p.Value, "{", `{"credential":"`+cred+`",`, 1))
	w.AWS.CreateSecret("evertoken/d/session", nil, nil)
	w.AWS.CreateSecret("evertoken/d/token", nil, nil)
	w.IDP.ResetRequests()
	e := fakeworld.Entry(w.Tick(), "d")
	if e.Outcome != "failed" || e.ErrorClass != "misconfigured" ||
		!strings.Contains(e.Hint, "copy its session secret") || len(w.IDP.Requests()) != 0 {
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

// Copies that open a session from one seed at the same time make one exchange.
func TestSimultaneousCopiesMakeOneExchange(t *testing.T) {
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
			w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token,
				Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) { hook() }})
			e := runNow(w)
			if n := len(w.IDP.Requests()); n != 1 || e.Outcome != "issued" || len(beside) != 2 {
				t.Errorf("%s, emergency %t: %d exchanges; %+v; the other run: %+v", connection, emergency, n, e, beside)
			}
		}
	}
}

// A run that saw its own answer get lost leaves the replay to the next heartbeat; if a
// provider accepts a spent refresh token again for a while, the same run sends it once
// more.
func TestALostAnswerIsResolvedByTheNextHeartbeat(t *testing.T) {
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
		w.Declare(name,
			map[string]any{"provider": "oauth2",
				"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(),
					"grant": "refresh_token", "reuse_grace": "10m"}})
	})
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1})
	want(t, w, "issued", "asked the provider once more")
}
