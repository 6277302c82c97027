package session

import (
	"testing"
	"time"
)

// Runs that pass by a claim open other sessions. The note keeps the time of the claim, so
// the claim can be taken over while they do, and a second run can pass by at once. None
// of that sends the claimed refresh token twice or loses a session.
func TestRunsThatPassByOneClaimLoseNothing(t *testing.T) {
	t.Parallel()
	dying := run(Terms{Dying: true, Stronger: true})
	w := newWorld(t, "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_155800")
	first, second := w.keeper(), w.keeper()
	for i, k := range []*Keeper{first, second} {
		if err := k.Begin(t.Context(), dying); !k.Beside() || k.Claimed() {
			t.Fatalf("run %d: %s", i+1, came(k, err))
		}
	}
	w.is("noted twice, with the time of the claim", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_3_155800")

	w.now = w.now.Add(lasts)
	third := w.claimed() // takes the claim over, and may replay rt-2 alone
	if third.Doubt().Sent != 1 {
		t.Errorf("the claim that was taken over counts as sent %d times", third.Doubt().Sent)
	}
	first.Store(t.Context(), session("opened-1"))
	w.now = w.now.Add(time.Second)
	second.Store(t.Context(), session("opened-2"))
	w.is("one session is in force, the other is kept",
		"rt-2: PREVIOUS EXCHANGE SENT_1_155800 | opened-1: CURRENT | opened-2: KEPT")
	third.Store(t.Context(), session("replayed"))
	if got := w.claimed().Session().RefreshToken.Reveal(); got == "rt-2" {
		t.Errorf("a run claims the spent %s", got)
	}
}
