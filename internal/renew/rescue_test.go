package renew_test

import (
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// A replay's answer cannot be stored: the session waits in the rescue parameter, and the
// refresh token that was sent must not be sent again. That does not block the connection.
func TestASessionOfAReplayIsRescued(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Config.RescueKey = "alias/rescue"
	w.OAuth2(name, "refresh_token")
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1})
	want(t, w, "failed", "its answer is lost")
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session,
			Kind: fakeaws.Refuse, Code: "AccessDeniedException"})
	}})
	outcomes := map[string]int{}
	for range 5 { // until the published token is about to die
		outcomes[fakeworld.Entry(w.Tick(), name).Outcome]++
	}
	rescued, ok := w.AWS.Parameter("/evertoken/rescue/c")
	if !ok {
		t.Fatalf("nothing was rescued: %v\n%s", outcomes, w.Log)
	}
	if rescued.Type != "SecureString" || rescued.KeyID != "alias/rescue" {
		t.Errorf("the rescued session is a %s under the key %q", rescued.Type, rescued.KeyID)
	}
	w.AWS.ClearFaults()
	advance(t, w)
	want(t, w, "issued", "restored the session from the rescue parameter")
	if _, ok := w.AWS.Parameter("/evertoken/rescue/c"); ok {
		t.Error("the rescue parameter was left")
	}
	for _, r := range w.IDP.Requests() {
		if r.Status >= 400 {
			t.Error("the provider refused a request: a spent refresh token was sent")
		}
	}
}

func TestARescueIsClearedWhateverComesNext(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{15 * time.Minute, 9 * time.Minute} { // and in an emergency
		w := world(t, connects["apiax"])
		want(t, w, "issued", "")
		w.Clock.Advance(30*time.Minute - left)
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session,
			Kind: fakeaws.Refuse, Code: "EncryptionFailure", Skip: 1, Times: 12})
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token,
			Kind: fakeaws.Refuse, Code: "EncryptionFailure", Times: 12})
		w.Run(issue.Event{})
		if _, there := w.AWS.Parameter("/evertoken/rescue/c"); !there {
			t.Fatalf("%s left: nothing was rescued", left)
		}
		restored(t, w, 60, left)
	}
}

func TestASessionWithoutARefreshTokenIsNotRescued(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = map[string]any{"refresh_token": ""} })
	w.OAuth2(name, "password")
	want(t, w, "issued", "")
	advance(t, w)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session,
		Kind: fakeaws.Refuse, Code: "EncryptionFailure", Skip: 1, Times: 12})
	want(t, w, "issued", "could not be stored")
	if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
		t.Error("nothing in it is the only copy of anything")
	}
	w.AWS.ClearFaults()
	ticks(w, 40)
	alive(t, w, name)
}
