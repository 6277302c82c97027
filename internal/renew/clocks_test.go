package renew_test

import (
	"fmt"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
)

// Every provider and grant, on functions whose clocks differ by 90 seconds, with old
// states from AWS in a row after an answer was lost or a run was killed: the token is
// renewed, and no refresh token is sent more often than the one repetition allows.
func TestEveryGrantSurvivesALostAnswerOnWrongClocksAndOldStates(t *testing.T) {
	t.Parallel()
	for grant, connect := range connects {
		for _, wrongBy := range []time.Duration{-90 * time.Second, 90 * time.Second} {
			for i, stale := range []int{1, 8, 1, 8} {
				lost := fakeidp.DropAfter // the provider has acted
				if i >= 2 {
					lost = fakeidp.DropBefore
				}
				t.Run(fmt.Sprintf("%s/%s/%d/%v", grant, wrongBy, stale, lost), func(t *testing.T) {
					t.Parallel()
					w := world(t, connect)
					want(t, w, "issued", "")
					advance(t, w)
					w.IDP.ResetRequests()
					w.IDP.Inject(&fakeidp.Fault{Kind: lost, Times: 1})
					runNow(w)
					w.AWS.Inject(&fakeaws.Fault{Resource: session, Kind: fakeaws.Stale, StaleBy: time.Minute, Times: stale})
					for range 8 {
						w.Clock.Advance(wrongBy) // another function's clock
						w.Tick()
						w.Clock.Advance(-wrongBy)
						w.Tick()
					}
					w.AWS.ClearFaults()
					ticks(w, 12)
					// A provider that does not accept a spent refresh token again has
					// ended that session.
					if grant != "oauth2 refresh_token" || lost == fakeidp.DropBefore {
						alive(t, w, name)
					}
					for token, n := range sends(w) {
						if n > 2 && grant != "flexera user" {
							t.Errorf("%s was sent %d times", token, n)
						}
					}
				})
			}
		}
	}
}
