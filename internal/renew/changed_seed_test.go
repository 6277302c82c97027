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
	return w, storeSeed(t, w)
}

// storeSeed opens the session, and stores a new refresh token, which it returns.
func storeSeed(t *testing.T, w *fakeworld.World) string {
	t.Helper()
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
	return seed
}

// sending fits the requests that send a refresh token.
func sending(token string) func(fakeidp.Request) bool {
	return func(r fakeidp.Request) bool { return r.Form.Get("refresh_token") == token }
}

// loseOf loses the answers to the requests that send a refresh token, so many of them.
func loseOf(w *fakeworld.World, token string, times int) {
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: times, Match: sending(token)})
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

// A changed refresh token that cannot be noted is not sent, be it for lack of a right or of
// room. The session in force keeps the token alive, and the answer names the cause.
func TestAChangedSeedThatCannotBeNotedIsNotSent(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AccessDeniedException", "LimitExceededException"} {
		for labels, says := range map[int]string{0: "could not be marked as this session's", 1: "could not be noted"} {
			w, seed := reseeded(t)
			w.IDP.ResetRequests()
			w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Resource: cred, Kind: fakeaws.Refuse, Code: code, Skip: labels})
			told := false
			for range 60 {
				e := fakeworld.Entry(w.Tick(), name)
				told = told || e.Outcome == "issued" && strings.Contains(e.Hint, says) &&
					strings.Contains(e.Hint, "Evertoken uses the old one while it works")
			}
			alive(t, w, name)
			if n := sends(w)[seed]; n != 0 || !told {
				t.Errorf("%s after %d labels: sent %d times, told %t", code, labels, n, told)
			}
		}
	}
}

// A provider that takes a spent refresh token again for a while (reuse_grace) gets a changed
// one twice in one run, which counts as one sending and leaves no note once it works.
func TestAChangedSeedRepeatedInOneRunLeavesNoNote(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) { w.OAuth2Kind(name, "grace") })
	seed := storeSeed(t, w)
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 3,
		Match: sending(seed),
		Hook:  func(fakeidp.Request) { w.Clock.Advance(20 * time.Second) }})
	for range 2 {
		want(t, w, "issued", "")
		advance(t, w)
	}
	now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	if n := sends(w)[seed]; n != 4 || len(now.Labels) != 2 {
		t.Errorf("sent %d times, labels %q", n, now.Labels)
	}
}

// A changed refresh token got an unclear refusal. That it is then sent without an answer
// counts all the same, and however many runs are killed, they leave no more labels.
func TestAnUnclearRefusalExcusesNoLaterSilence(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 403, Body: []byte("{}"), Times: 1,
		Match: sending(seed)})
	want(t, w, "issued", "")
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Hook: func(fakeidp.Request) {
		w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore, Times: 60}) // nothing reaches AWS any more
	}})
	for range 12 * 24 * 6 {
		_, _ = w.TryRun(issue.Event{Connections: []string{name}})
		w.AWS.ClearFaults()
		w.Clock.Advance(5 * time.Minute)
	}
	now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	if n := sends(w)[seed]; n < 2 || n > 7 || len(now.Labels) > 4 {
		t.Errorf("sent %d times in six days, labels %q", n, now.Labels)
	}
}

// What was counted stands if somebody empties the session meanwhile.
func TestAnEmptiedSessionDoesNotExcuseAChangedSeed(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
	ticks(w, 12)
	for range 2 { // so that AWSPREVIOUS is no session either
		w.PutSecret(session, "{}")
	}
	ticks(w, 12*21)
	if n := sends(w)[seed]; n != 2 {
		t.Errorf("sent %d times in a day", n)
	}
}

// Notes are left on a seed that works, because the right to remove them was denied. They say
// nothing later: when its session is refused, a person is needed, and the answer says so.
func TestNotesLeftOnASeedThatWorkedHideNothing(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	loseOf(w, seed, 1)
	want(t, w, "issued", "")
	advance(t, w)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.OnlyHook, Skip: 1, Times: 1, Hook: func(fakeaws.Call) {
		refuse(w, "UpdateSecretVersionStage", cred, "AccessDeniedException")
	}})
	want(t, w, "issued", "")
	w.AWS.ClearFaults()
	w.Clock.Advance(40 * 24 * time.Hour)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 400, Body: []byte(`{"error":"invalid_grant"}`)})
	want(t, w, "failed", "")
	var e issue.Entry
	for range 4 { // tries for a dead token are spread over a few heartbeats
		if e = fakeworld.Entry(w.Tick(), name); e.Outcome == "blocked" {
			break
		}
	}
	if e.Outcome != "blocked" || !strings.Contains(e.Reason, "the provider refused the refresh token of the session") {
		t.Errorf("%+v", e)
	}
}

// A changed refresh token that is refused in unclear words is not used up: it is sent again
// with growing pauses, at most six times a day.
func TestAChangedSeedThatIsRefusedUnclearlyIsRetriedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 403, Body: []byte("{}"), Match: sending(seed)})
	w.Config.Every = 15 * time.Minute
	ticks(w, 4*23)
	alive(t, w, name)
	if n := sends(w)[seed]; n < 4 || n > 6 {
		t.Errorf("sent %d times in a day", n)
	}
}

// A server that is down answers nothing about a changed refresh token, so what was counted
// before stands.
func TestAnAnswer503ExcusesNoEarlierSilence(t *testing.T) {
	t.Parallel()
	w, seed := reseeded(t)
	advance(t, w)
	loseOf(w, seed, 1)
	want(t, w, "issued", "")
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503, Match: sending(seed)})
	for range 2 {
		advance(t, w)
		want(t, w, "issued", "")
		now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
		if !strings.Contains(strings.Join(now.Labels, " "), "EVERTOKEN_UNSURE_1_") {
			t.Errorf("labels %q", now.Labels)
		}
	}
}

// Another run finds the changed password refused while this run begins: this run does not
// send it again, and uses the session in force.
func TestAPasswordRefusedMeanwhileLeavesTheOldSession(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, strings.Replace(stored.Value, `"password":"`, `"password":"typo-`, 1))
	advance(t, w)
	want(t, w, "issued", "uses the old one while it works")
	refused, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	var label string
	for _, l := range refused.Labels {
		if strings.HasPrefix(l, "EVERTOKEN_REJECTED_") {
			label = l
		}
	}
	if err := w.Store().MoveLabel(t.Context(), cred, label, "", refused.ID); err != nil {
		t.Fatal(err)
	}
	w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Resource: session, Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) {
		if err := w.Store().MoveLabel(t.Context(), cred, label, refused.ID, ""); err != nil {
			t.Error(err)
		}
	}})
	advance(t, w)
	before := sent(w, "password")
	want(t, w, "issued", "uses the old one while it works")
	if n := sent(w, "password") - before; n != 0 {
		t.Errorf("the refused password was sent %d times more", n)
	}
}
