package renew_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// A password is mistyped now and then, for years. The labels about old ones leave room for that
// of a new password.
func TestOldRefusalsLeaveRoomForLabels(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	w.Config.Every = 15 * time.Minute
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	for i := range 20 {
		w.PutSecret(cred, strings.Replace(stored.Value, `"password":"`, fmt.Sprintf(`"password":"typo-%d-`, i), 1))
		for range 3 {
			advance(t, w)
			runNow(w)
		}
		w.PutSecret(cred, stored.Value)
		advance(t, w)
		ticks(w, 8)
		w.Clock.Advance(30 * 24 * time.Hour)
		w.Tick()
		w.AWS.ResetCalls()
		w.IDP.ResetRequests()
	}
	// The password is changed at FlexNet, and stored.
	changed := w.IDP.FlexNet().AddUser(name, "")
	w.PutSecret(cred, fmt.Sprintf(`{"username":%q,"password":%q}`, name, changed))
	w.Clock.Advance(30 * time.Hour)
	e := runNow(w)
	for range 4 * 24 * 7 {
		if x := fakeworld.Entry(w.Tick(), name); strings.HasPrefix(x.Reason, "nothing was sent") {
			e = x
		}
		w.AWS.ResetCalls()
	}
	if p, _ := w.Token(name); !p.ExpiresAt.After(w.Clock.Now()) {
		t.Errorf("a week later: %s: %s %s", e.Outcome, e.Reason, e.Hint)
	}
}
