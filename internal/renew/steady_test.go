package renew_test

import (
	"net/http"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// steady is an Apiax connection with tokens of that life, after so many hours without trouble.
func steady(t *testing.T, life time.Duration, hours int) *fakeworld.World {
	t.Helper()
	w := world(t, func(w *fakeworld.World) {
		w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.AccessLife = life })
		connects["apiax"](w)
	})
	want(t, w, "issued", "")
	quiet(w, time.Duration(hours)*time.Hour)
	return w
}

// quiet lets heartbeats pass. It returns at how many of them an application read a dead token.
func quiet(w *fakeworld.World, during time.Duration) (dead int) {
	for range int(during / w.Config.Every) {
		w.Tick()
		w.AWS.ResetCalls()
		if p, ok := w.Token(name); !ok || !p.ExpiresAt.After(w.Clock.Now()) {
			dead++
		}
	}
	return dead
}

// Runs in time make 96 versions a day for a token of half an hour. After a few forced runs they
// wait for the emergency, so that there is always room.
func TestForcedRunsLetNoTokenDieHoursLater(t *testing.T) {
	t.Parallel()
	for _, forced := range []int{5, 10} {
		w := steady(t, 30*time.Minute, 12)
		for range forced {
			if e := w.Run(issue.Event{Connections: []string{name}, Force: true}); e.Issued != 1 {
				t.Fatalf("%+v", e)
			}
		}
		if dead := quiet(w, 26*time.Hour); dead > 0 {
			t.Errorf("after %d forced runs applications read a dead token at %d heartbeats (%s)", forced, dead, time.Duration(dead)*w.Config.Every)
		}
	}
}

// One answer of 24 is lost. Each costs a version more, and there is still room for the run that
// follows.
func TestFourLostAnswersADayLetNoTokenDie(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	n := 0
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Match: func(r fakeidp.Request) bool {
		if r.Grant == "refresh_token" {
			n++
		}
		return r.Grant == "refresh_token" && n%24 == 0
	}})
	most, dead := 0, 0
	for range 50 * 12 {
		dead += quiet(w, w.Config.Every)
		most = max(most, w.AWS.VersionsYoungerThan(session, 24*time.Hour))
	}
	if dead > 0 {
		t.Errorf("applications read a dead token at %d heartbeats; the session had at most %d versions", dead, most)
	}
}

// For hours the token cannot be published: a right is missing, or the second request of
// Sharetribe is answered 503. Each try stores a session, so tries are spaced once the token is
// dead, and there is room when the cause is mended.
func TestATokenThatCannotBePublishedForHoursUsesNoRoomUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		which   string
		every   time.Duration
		trouble time.Duration
	}{
		{"apiax", 5 * time.Minute, 17 * time.Hour}, {"sharetribe trusted", time.Minute, 6 * time.Hour},
	} {
		w := world(t, connects[c.which])
		w.Config.Every = c.every
		want(t, w, "issued", "")
		if c.which == "apiax" {
			refuse(w, "PutSecretValue", token, "AccessDeniedException")
		} else {
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusServiceUnavailable, Grant: "token_exchange"})
		}
		quiet(w, c.trouble)
		w.AWS.ClearFaults()
		w.IDP.ClearFaults()
		mended := w.Clock.Now()
		e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Force: true}), name)
		first := e
		for e.Outcome != "issued" && w.Clock.Now().Sub(mended) < 30*time.Hour {
			e = fakeworld.Entry(w.Tick(), name)
			w.AWS.ResetCalls()
		}
		if dead := w.Clock.Now().Sub(mended); dead > time.Hour {
			t.Errorf("%s, heartbeat %s, trouble of %s: dead for %s after it was mended; a forced run: %s: %s %s",
				c.which, c.every, c.trouble, dead, first.Outcome, first.Reason, first.Hint)
		}
	}
}

// AWS does not take the token of one renewal, whose session is stored, at a connection that
// makes 96 versions a day. The next run renews it.
func TestATokenThatWasNotPublishedIsRenewedBeforeItDies(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{5 * time.Minute, time.Minute} {
		w := steady(t, 30*time.Minute, 26)
		w.Config.Every = every
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token, Kind: fakeaws.Refuse, Code: "InternalServiceError"})
		for fakeworld.Entry(w.Tick(), name).Outcome != "failed" {
		}
		w.AWS.ClearFaults()
		p, _ := w.Token(name)
		left, refused := p.ExpiresAt.Sub(w.Clock.Now()), 0
		for {
			e := fakeworld.Entry(w.Tick(), name)
			if !p.ExpiresAt.After(w.Clock.Now()) {
				t.Errorf("heartbeat %s: %s were left, %d whole runs renewed nothing, and applications read a dead token", every, left, refused)
				break
			}
			if e.Outcome == "issued" {
				break
			}
			refused++
		}
	}
}
