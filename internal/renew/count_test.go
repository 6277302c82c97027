package renew_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// exchangesADay is how many runs of a day sent something to the provider. Its runs are
// half an hour apart: a request in every run shows as well as with runs five minutes
// apart.
func exchangesADay(w *fakeworld.World) int {
	w.Config.Every = 15 * time.Minute
	n := 0
	for range 24 * 2 {
		w.IDP.ResetRequests()
		w.Clock.Advance(15 * time.Minute)
		w.Tick()
		if len(w.IDP.Requests()) > 0 {
			n++
		}
	}
	return n
}

// A password whose note cannot be written is not sent at every heartbeat, whatever the
// reason and whatever the provider answers: the account would be locked.
func TestAPasswordThatCannotBeNotedIsNotSentAgainAndAgain(t *testing.T) {
	t.Parallel()
	answers := map[string]*fakeidp.Fault{
		"wrong password": {Kind: fakeidp.Answer, Status: http.StatusUnauthorized},
		"no answer":      {Kind: fakeidp.DropAfter},
		"gateway":        {Kind: fakeidp.Answer, Status: http.StatusGatewayTimeout},
	}
	for _, code := range []string{"AccessDeniedException", "LimitExceededException"} {
		for answer, fault := range answers {
			if code != "AccessDeniedException" && answer != "wrong password" {
				continue // the label is refused alike, whatever the answer
			}
			for _, worked := range []bool{false, true} {
				w := world(t, connects["flexnet"])
				most := 0 // a password that has never worked is not sent unnoted
				if worked {
					want(t, w, "issued", "")
					w.Clock.Advance(11 * time.Hour) // before the token is due
					most = 2                        // in the first heartbeat in which the token is due, and once a day
				}
				refuse(w, "UpdateSecretVersionStage", cred, code)
				w.IDP.Inject(fault)
				if n := exchangesADay(w); n > most || worked && n == 0 {
					t.Errorf("%s, %s, worked before %t: sent in %d heartbeats of a day, want at most %d", code, answer, worked, n, most)
				}
				e := runNow(w)
				for strings.Contains(e.Reason, "tries are spread out") { // two heartbeats at most
					e = fakeworld.Entry(w.Tick(), name)
				}
				if e.Outcome != "failed" ||
					!strings.Contains(e.Reason,
						"nothing was sent, because the attempt with the password could not be noted") {
					t.Errorf("%s, %s, worked before %t: %+v", code, answer, worked, e)
				}
			}
		}
	}
}

// A run that is killed while the password is on its way cannot note the answer.
func TestAPasswordWhoseRunsAreKilledIsNotSentAtEveryHeartbeat(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	want(t, w, "issued", "")
	w.Clock.Advance(24 * time.Hour)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Hook: func(fakeidp.Request) {
		w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore, Times: 60}) // nothing reaches AWS any more
	}})
	n := 0
	for range 48 {
		w.IDP.ResetRequests()
		_, _ = w.TryRun(issue.Event{Connections: []string{name}})
		if len(w.IDP.Requests()) > 0 {
			n++
		}
		w.AWS.ClearFaults()
		w.Clock.Advance(5 * time.Minute)
	}
	if n > 6 {
		t.Errorf("sent in %d of 48 heartbeats", n)
	}
}

// A password that works costs no call for its note.
func TestARenewalOnTimeMovesNoLabel(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	want(t, w, "issued", "")
	first, _ := w.Token(name)
	w.AWS.ResetCalls()
	for range 200 {
		w.Tick()
	}
	if renewed, _ := w.Token(name); renewed.AccessToken.Equal(first.AccessToken) {
		t.Error("the token was not renewed")
	}
	for _, c := range w.AWS.Calls() {
		if c.Operation == "UpdateSecretVersionStage" {
			t.Errorf("a label was moved in a renewal on time")
		}
	}
	alive(t, w, name)
	if v, _ := w.AWS.Secret(cred).Labelled("AWSCURRENT"); len(v.Labels) != 1 {
		t.Errorf("notes were left: %s", v.Labels)
	}
}
