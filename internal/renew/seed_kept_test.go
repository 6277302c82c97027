package renew_test

import (
	"testing"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
)

// Somebody empties the session after the client's secret was rotated. The session that is kept
// as AWSPREVIOUS goes on, and the spent seed is not sent.
func TestAnEmptiedSessionAfterANewClientSecret(t *testing.T) {
	t.Parallel()
	for _, rotated := range []bool{false, true} {
		w := world(t, connects["oauth2 refresh_token"])
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
		want(t, w, "issued", "")
		edit := func(map[string]string) {}
		if rotated {
			edit = newSecret(w)
		}
		seed := change(t, w, edit)["refresh_token"]
		for range 3 {
			advance(t, w)
			want(t, w, "issued", "")
		}
		w.IDP.ResetRequests()
		w.PutSecret(session, "{}")
		for range 12 * 26 {
			w.Clock.Advance(w.Config.Every)
			runNow(w)
			w.AWS.ResetCalls()
			if p, _ := w.Token(name); !p.ExpiresAt.After(w.Clock.Now()) {
				break
			}
		}
		if n := sends(w)[seed]; n > 0 {
			t.Errorf("client secret rotated: %t: the spent seed was sent %d times", rotated, n)
		}
		alive(t, w, name)
	}
}

// The first session cannot be stored and is kept in the rescue parameter. Before the next run the
// client's secret is rotated. The rescued session goes on, and the spent seed is not sent.
func TestARescuedFirstSessionSurvivesANewClientSecret(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.Refuse, Code: "EncryptionFailure", Skip: 1})
	e := runNow(w)
	if _, held := w.AWS.Parameter("/evertoken/rescue/c"); !held {
		t.Fatalf("no session was rescued: %+v", e)
	}
	seed := change(t, w, newSecret(w))["refresh_token"]
	w.AWS.ClearFaults()
	for range 12 * 3 {
		w.Clock.Advance(w.Config.Every)
		if e = runNow(w); e.Outcome == "failed" || e.Outcome == "blocked" {
			break
		}
	}
	if n := sends(w)[seed]; n > 1 || e.Outcome != "issued" && e.Outcome != "fresh" {
		t.Errorf("the spent seed was sent %d times, and the session in the rescue parameter is lost: %+v", n, e)
	}
}
