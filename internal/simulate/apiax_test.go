package simulate

import (
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// TestSixtyDaysOfApiax: the 14 days of a session count from the password login
// however often it is refreshed, so the password is sent a handful of times, and
// no reader ever meets an expired token.
func TestSixtyDaysOfApiax(t *testing.T) {
	t.Parallel()
	realms := []bool{true} // whether a refresh token dies by being used
	if soak() {
		realms = append(realms, false)
	}
	for _, revoke := range realms {
		w := fakeworld.New(t)
		w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = revoke })
		w.Apiax(subject)
		w.Run(issue.Event{})
		end := w.Clock.Now().Add(60 * 24 * time.Hour)
		for w.Clock.Now().Before(end) {
			token, _ := w.Token(subject)
			if !w.Clock.Now().Before(token.ExpiresAt) || !w.IDP.Accepts("apiax", token.AccessToken.Reveal()) {
				t.Fatalf("%s: a reader meets a dead token", w.Clock.Now())
			}
			// Heartbeats at which nothing can be due are passed over.
			if w.Clock.Advance(w.Config.Every); w.Clock.Now().Before(token.RenewAfter) {
				continue
			}
			if report := w.Run(issue.Event{}); report.Issued != 1 {
				t.Fatalf("%s: %+v", w.Clock.Now(), report)
			}
			w.AWS.ResetCalls()
			w.IDP.ResetRequests()
			w.Log.Reset()
		}
		logins := w.IDP.Apiax().Logins()
		if len(logins) < 5 || len(logins) > 6 { // every 13 days
			t.Errorf("%d password logins in 60 days", len(logins))
		}
		for i := 1; i < len(logins); i++ {
			if gap := logins[i].Sub(logins[i-1]); gap > 14*24*time.Hour {
				t.Errorf("%s between two logins", gap)
			}
		}
	}
}
