package renew

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawn are any facts of a living token that a connection may have.
func drawn(t *rapid.T) Facts {
	seconds := func(name string, least, most time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(least/time.Second), int64(most/time.Second)).Draw(t, name)) * time.Second
	}
	return Facts{
		Name:         rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,20}`).Draw(t, "name"),
		Every:        seconds("every", m, h),
		MinRemaining: seconds("min_remaining", 0, 50*h),
		InParameter:  rapid.Bool().Draw(t, "in parameter"),
		Token:        &TokenTimes{t0, t0.Add(seconds("life", 30*time.Second, 48*h))},
	}
}

// At every heartbeat from renew_after on the token is renewed: never later than
// its lead before its end by more than the heartbeat itself, unless the floor
// forbids it.
func TestRenewalIsNeverLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawn(t)
		minRemaining := f.MinRemaining
		if minRemaining == 0 {
			minRemaining = f.life() / 6
		}
		lead := min(minRemaining, f.life()/2) + max(15*m, f.life()/4)
		f.Now = t0.Add(time.Duration(rapid.Int64Range(0, int64(f.Every)-1).Draw(t, "phase")))
		for !Decide(f).Due {
			f.Now = f.Now.Add(f.Every)
		}
		latest := f.Token.ExpiresAt.Add(-lead)
		if earliest := t0; f.InParameter && latest.Before(earliest) {
			latest = earliest
		}
		if earliest := t0.Add(15 * m); !f.InParameter && latest.Before(earliest) {
			latest = earliest
		}
		if !f.Now.Before(latest.Add(f.Every)) {
			t.Fatalf("renewed at %s, due at %s", f.Now, latest)
		}
	})
}

func TestRenewalIsNeverTooEarly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawn(t)
		f.Now = t0.Add(time.Duration(rapid.Int64Range(0, int64(50*h)).Draw(t, "age")))
		d := Decide(f)
		if !d.Due || d.Emergency {
			return
		}
		if f.Now.Before(f.RenewAfter().Add(-f.life() / 10)) {
			t.Fatalf("renewed more than a tenth of its life before %s", f.RenewAfter())
		}
		if !f.InParameter && f.Now.Before(t0.Add(floorOf(f.Every))) {
			t.Fatal("a secret was written twice within 15 minutes without need")
		}
	})
}

func TestRenewAfterIsWithinTheTokensLife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawn(t)
		at := f.RenewAfter()
		if at.Before(t0) {
			t.Fatalf("renew_after %s is before issued_at", at)
		}
		if (f.life() >= 15*m || f.InParameter) && at.After(f.Token.ExpiresAt) {
			t.Fatalf("renew_after %s is after expires_at %s", at, f.Token.ExpiresAt)
		}
	})
}

// In the first two heartbeats after a token's death every run tries, whatever the
// connection's name chooses afterwards.
func TestBackOffBeginsAfterTwoHeartbeats(t *testing.T) {
	t.Parallel()
	waits := 0
	for i := range 20 {
		f := alive(h)
		f.Name = fmt.Sprint("connection-", i)
		for _, after := range []time.Duration{0, 5 * m, 10*m - 1} {
			if f.Now = t0.Add(h + after); !f.backOffOver() {
				t.Errorf("%s waits %s after the end", f.Name, after)
			}
		}
		if f.Now = t0.Add(h + 10*m); !f.backOffOver() {
			waits++
		}
	}
	if waits == 0 {
		t.Error("no connection waits at the third heartbeat")
	}
}

// Evertoken tries a dead token in the first two heartbeats and then in about every other
// one, at most three apart, however slowly the runs come.
func TestBackOffNeverEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawn(t)
		f.Now = f.Token.ExpiresAt.Add(time.Duration(rapid.Int64Range(0, int64(f.Every)-1).Draw(t, "phase")))
		last, tries, runs := f.Now, 0, 0
		for end := f.Now.Add(24 * h); f.Now.Before(end); f.Now = f.Now.Add(f.Every) {
			runs++
			d := Decide(f)
			if d.Due == d.BackOff || !d.Emergency {
				t.Fatalf("%s after the end: %+v", f.Now.Sub(f.Token.ExpiresAt), d)
			}
			if !d.Due {
				continue
			}
			tries++
			if gap := f.Now.Sub(last); gap > 3*f.Every {
				t.Fatalf("no try for %s", gap)
			}
			last = f.Now
		}
		if tries < runs/3 || tries > runs/2+3 {
			t.Fatalf("%d tries in %d runs", tries, runs)
		}
	})
}
