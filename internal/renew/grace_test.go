package renew_test

import (
	"testing"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
)

// Both requests of a run get no answer. While the provider accepts the refresh token again
// (reuse_grace), the next run repeats it.
func TestALostAnswerIsRepeatedWithinTheGrace(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) { w.OAuth2Kind(name, "grace") })
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 1})
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1})
	e := want(t, w, "failed", "")
	for range 24 {
		w.Clock.Advance(w.Config.Every)
		e = runNow(w)
		if e.Outcome == "issued" || e.Outcome == "blocked" {
			break
		}
	}
	if e.Outcome != "issued" {
		t.Errorf("%+v", e)
	}
}
