package renew_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// reseeded is a world whose session lives, and in which a new refresh token was stored. It
// returns that refresh token too.
func reseeded(t *testing.T) (*fakeworld.World, string) {
	t.Helper()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	members := map[string]string{}
	if err := json.Unmarshal([]byte(stored.Value), &members); err != nil {
		t.Fatal(err)
	}
	seed := w.IDP.OAuth2().AddRefreshToken(members["client_id"], "subject", "read")
	members["refresh_token"] = seed
	b, _ := json.Marshal(members)
	w.PutSecret(cred, string(b))
	return w, seed
}

// loseOf loses the answers to the requests that send a refresh token, so many of them.
func loseOf(w *fakeworld.World, token string, times int) {
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: times, Match: func(r fakeidp.Request) bool {
		return r.Form.Get("refresh_token") == token
	}})
}

// The answer to a changed refresh token is lost, and the session in force keeps the token
// alive. The changed one is sent once more, then once a day, and opens its session as soon as
// the provider answers.
func TestAChangedSeedWhoseAnswerIsLostIsSentOnceMoreThenDaily(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	loseOf(w, seed, 3)
	w.IDP.ResetRequests()
	began := w.Clock.Now()
	for n := 1; w.Clock.Now().Sub(began) < 52*time.Hour; {
		advance(t, w)
		e := runNow(w)
		alive(t, w, name)
		if e.Outcome != "issued" {
			t.Fatalf("at %s: %+v", w.Clock.Now(), e)
		}
		sent := sends(w)[seed]
		most := min(2+int(w.Clock.Now().Sub(began)/(24*time.Hour-time.Minute)), 4)
		if sent > most {
			t.Fatalf("at %s: the changed refresh token was sent %d times, at most %d are right", w.Clock.Now(), sent, most)
		}
		if sent < n { // this run did not try it
			continue
		}
		if n++; n <= 4 && !strings.Contains(e.Hint, "A new session could not be opened, so Evertoken uses the old one while it works") {
			t.Fatalf("the operator is not told: %+v", e)
		}
	}
	now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	if n := sends(w)[seed]; n != 4 || strings.Contains(strings.Join(now.Labels, " "), "UNSURE") {
		t.Errorf("sent %d times, labels %q", n, now.Labels)
	}
	s, _ := w.Session(name)
	if want := w.Clock.Now().Sub(s.StartedAt); want > 30*time.Hour {
		t.Errorf("the session in force was opened %s ago, by the earlier refresh token", want)
	}
}

// Nothing is answered for hours: the changed refresh token and the session's own are each
// sent as often as after one lost answer, and the run says when it sends again.
func TestAChangedSeedIsNotSentAtEveryHeartbeatIntoSilence(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
	w.Config.Every = 15 * time.Minute
	ticks(w, 4*22)
	for token, n := range sends(w) {
		if n > 2 {
			t.Errorf("sent %d times, the changed one: %t", n, token == seed)
		}
	}
	e := runNow(w)
	if e.Outcome != "failed" || e.ErrorClass != "transient" ||
		!strings.Contains(e.Reason, "the provider did not answer what was sent 2 times") ||
		!strings.Contains(e.Reason, "Evertoken sends it again once a day, next at 2026-11-22") {
		t.Errorf("%+v", e)
	}
	w.IDP.ClearFaults()
	ticks(w, 4*4)
	alive(t, w, name)
}

// A run that is killed while a changed refresh token is on its way leaves a note of it.
func TestAChangedSeedWhoseRunsAreKilledIsNotSentAtEveryHeartbeat(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Hook: func(fakeidp.Request) {
		w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore, Times: 60}) // nothing reaches AWS any more
	}})
	for range 12 * 8 {
		_, _ = w.TryRun(issue.Event{Connections: []string{name}})
		w.AWS.ClearFaults()
		w.Clock.Advance(5 * time.Minute)
	}
	if n := sends(w)[seed]; n < 1 || n > 2 {
		t.Errorf("sent %d times", n)
	}
}

// A changed refresh token that cannot be noted is not sent.
func TestAChangedSeedThatCannotBeNotedIsNotSent(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	w.IDP.ResetRequests()
	moves := 0
	w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Resource: cred, Kind: fakeaws.OnlyHook, Hook: func(fakeaws.Call) {
		if moves++; moves == 1 { // after the label that names the seed's session
			refuse(w, "UpdateSecretVersionStage", cred, "AccessDeniedException")
		}
	}})
	e := runNow(w)
	if n := sends(w)[seed]; n != 0 || e.Outcome != "failed" ||
		!strings.Contains(e.Reason, "nothing was sent, because the attempt with the refresh token could not be noted") {
		t.Errorf("sent %d times: %+v", n, e)
	}
}

// A changed refresh token that is refused in unclear words is not used up: it is sent again
// with growing pauses, at most six times a day.
func TestAChangedSeedThatIsRefusedUnclearlyIsRetriedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 403, Body: []byte("{}"), Match: func(r fakeidp.Request) bool {
		return r.Form.Get("refresh_token") == seed
	}})
	w.Config.Every = 15 * time.Minute
	ticks(w, 4*23)
	alive(t, w, name)
	if n := sends(w)[seed]; n < 4 || n > 6 {
		t.Errorf("sent %d times in a day", n)
	}
}
