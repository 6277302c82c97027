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

// An unreadable credential that a refresh does not need, or a session that a provider
// does not need, stops nothing.
func TestADocumentThatIsNotNeededStopsNothing(t *testing.T) {
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
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook,
				Hook: func(fakeidp.Request) { w.Clock.Advance(time.Second) }})
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
		w.Connect(name, "oauth2",
			map[string]string{"client_id": id, "client_secret": secret,
				"refresh_token": o.AddRefreshToken(id, "subject", "read")},
			map[string]any{"token_url": o.TokenURL(),
				"grant": "refresh_token"}, map[string]any{"renewed_by": "rotation"})
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

// A refresh token whose end no refresh moves is used once in its last third, and a new
// session is opened before that end.
func TestARefreshTokenWithAFixedEndIsReplacedBeforeIt(t *testing.T) {
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

// An end of the session that only the server shows: it no longer moves the end of its
// refresh tokens.
func TestASessionIsReplacedBeforeAnEndThatOnlyTheServerShows(t *testing.T) {
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
			t.Fatalf("%s: an application reads a dead token that says it lives until %s",
				w.Clock.Now().Format("15:04"), p.ExpiresAt.Format("15:04"))
		}
	}
	if n := sent(w, "password"); n > 7 {
		t.Errorf("%d logins in twelve hours", n)
	}
}

// A short-lived token in a parameter, with a session that changes at each
// refresh, is reported with figures by the first run.
func TestASessionThatChangesTooOftenIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 5 * time.Minute })
		w.OAuth2(name, "refresh_token")
		w.Declare(name, map[string]any{"provider": "oauth2", "token_parameter": "/evertoken/tokens/c",
			"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token"}})
	})
	want(t, w, "issued", "about 288 versions of the session a day")
}

// A token that another connection wrote does not count as this one's.
func TestAnotherConnectionsTokenDoesNotCount(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	w.PutSecret(token,
		`{"access_token":"canary-other","token_type":"Bearer","issued_at":"2026-11-21T16:00:00Z","expires_at":"2026-11-21T23:00:00Z","connection":"sandbox"}`)
	w.Tick()
	alive(t, w, name)
	if p, _ := w.Token(name); p.Connection != name {
		t.Errorf("published for %s", p.Connection)
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
		w.AWS.Inject(&fakeaws.Fault{Operation: operation, Resource: resource, Kind: fakeaws.Refuse,
			Code: "ThrottlingException", Times: 3})
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

// A run is killed between storing the session and publishing, or may not publish: the
// next run publishes.
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

// A token of half an hour takes 96 versions a day, and somebody else writes two more.
// One missed heartbeat then leaves an emergency, in which the next run renews it all the same.
func TestAMissedHeartbeatWhereOthersWriteLetsNoTokenDie(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	ticks(w, 12*25)
	for fakeworld.Entry(w.Tick(), name).Outcome != "issued" {
	}
	w.AWS.ResetCalls()
	stored, _ := w.AWS.Secret(token).Labelled(secrets.Current)
	for range 2 {
		w.PutSecret(token, stored.Value)
	}
	w.Clock.Advance(4*w.Config.Every + time.Second) // the third heartbeat is missing
	n := w.AWS.VersionsYoungerThan(token, 24*time.Hour)
	e := runNow(w)
	if n < 97 || e.Outcome != "issued" || e.Reason != "emergency" {
		t.Errorf("%d versions: %+v", n, e)
	}
}

// A run stores its session and may not publish the token, or is killed before. The next run
// renews it at once, although the connection has made 96 versions within a day.
func TestAnUnpublishedTokenIsRenewedAtOnceOnEveryDay(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	ticks(w, 12*25)
	for fakeworld.Entry(w.Tick(), name).Outcome != "issued" {
	}
	ticks(w, 2)
	w.AWS.ResetCalls()
	refuse(w, "PutSecretValue", token, "AccessDeniedException")
	if e := fakeworld.Entry(w.Tick(), name); e.Outcome != "failed" {
		t.Fatalf("%+v", e)
	}
	w.AWS.ClearFaults()
	e := fakeworld.Entry(w.Tick(), name)
	if n := w.AWS.VersionsYoungerThan(session, 24*time.Hour); n < 96 || e.Outcome != "issued" {
		t.Errorf("%d versions: %+v", n, e)
	}
}
