package simulate

import (
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// TestWeeksOfApiaxExpireNoToken lets weeks pass, sixty days with EVERTOKEN_SOAK set. A session
// ends 14 days after the password login, however often it is refreshed, so Evertoken
// logs in every 13 days. No application ever reads an expired token.
func TestWeeksOfApiaxExpireNoToken(t *testing.T) {
	t.Parallel()
	days, realms := 14, []bool{true} // whether a refresh token dies by being used
	if soak() {
		days, realms = 60, append(realms, false)
	}
	for _, revoke := range realms {
		w := fakeworld.New(t)
		w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = revoke })
		w.Apiax(subject)
		w.Run(issue.Event{})
		end := w.Clock.Now().Add(time.Duration(days) * 24 * time.Hour)
		for w.Clock.Now().Before(end) {
			token, _ := w.Token(subject)
			if !w.Clock.Now().Before(token.ExpiresAt) || !w.IDP.Accepts("apiax", token.AccessToken.Reveal()) {
				t.Fatalf("%s: an application reads a dead token", w.Clock.Now())
			}
			// Heartbeats at which nothing can be due are skipped.
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
		if want := 1 + days/13; len(logins) < want || len(logins) > want+1 {
			t.Errorf("%d password logins in %d days", len(logins), days)
		}
		for i := 1; i < len(logins); i++ {
			if gap := logins[i].Sub(logins[i-1]); gap > 14*24*time.Hour {
				t.Errorf("%s between two logins", gap)
			}
		}
	}
}
