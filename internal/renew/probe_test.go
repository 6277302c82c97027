package renew

import (
	"fmt"
	"testing"
	"time"
)

// In every period exactly one heartbeat probes, whenever in its heartbeat a run
// happens, and the probes of a fleet are spread.
func TestOneHeartbeatOfEachPeriodProbes(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ every, heartbeat time.Duration }{
		{15 * time.Minute, time.Minute}, {15 * time.Minute, 5 * time.Minute}, {15 * time.Minute, 2 * time.Minute}, {time.Hour, 10 * time.Minute},
		{24 * time.Hour, 15 * time.Minute}, {50 * time.Minute, 15 * time.Minute},
	} {
		for _, jitter := range []time.Duration{0, time.Second, tt.heartbeat - time.Second} {
			for _, name := range []string{"a", "apiax-prod", "zz-9"} {
				var due []time.Time
				for at := start; at.Before(start.Add(20 * tt.every)); at = at.Add(tt.heartbeat) {
					if probeDue(name, tt.every, tt.heartbeat, at.Add(jitter)) {
						due = append(due, at)
					}
				}
				if len(due) < 19 || len(due) > 21 {
					t.Errorf("every %s, heartbeat %s, %s: %d probes in 20 periods", tt.every, tt.heartbeat, name, len(due))
				}
				for i := 1; i < len(due); i++ {
					if gap := due[i].Sub(due[i-1]); gap <= tt.every-tt.heartbeat || gap >= tt.every+tt.heartbeat {
						t.Errorf("every %s, heartbeat %s, %s: %s between two probes", tt.every, tt.heartbeat, name, gap)
					}
				}
			}
		}
	}
	if probeDue("a", 0, time.Minute, start) || !probeDue("a", 15*time.Minute, time.Hour, start) {
		t.Error("nothing declared is probed, or a long heartbeat is not")
	}
	at := map[bool]int{}
	for i := range 300 {
		at[probeDue(fmt.Sprintf("connection-%d", i), 15*time.Minute, 5*time.Minute, start)]++
	}
	if at[true] < 60 || at[true] > 140 {
		t.Errorf("%d of 300 connections probe in one heartbeat of three", at[true])
	}
}

func TestAWrongProbeRenewsOncePerPeriod(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: false, 14 * time.Minute: false, 15 * time.Minute: true, time.Hour: true} {
		if got := probeRenews(now.Add(-age), 15*time.Minute, now); got != want {
			t.Errorf("a token of %s: %t", age, got)
		}
	}
}
