package renew

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"evertoken/internal/exchange"
)

const (
	m = time.Minute
	h = time.Hour
	// unspread and spreadMost are names of connections that are renewed no earlier, and
	// 999 thousandths of a tenth of the token's life earlier.
	unspread   = "c1896"
	spreadMost = "c5585"
)

// t0 is when the token of every table was issued.
var t0 = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// alive are the facts of a secret's token of that life, with runs every 5
// minutes.
func alive(life time.Duration) Facts {
	return Facts{Name: unspread, Every: 5 * m, Token: &TokenTimes{t0, t0.Add(life)}}
}

func with(f Facts, change func(*Facts)) Facts {
	change(&f)
	return f
}

var (
	fresh   = Decision{Reason: reasonFresh}
	isDue   = Decision{Reason: reasonDue, Due: true}
	urgent  = Decision{Reason: reasonEmergency, Due: true, Emergency: true}
	expired = Decision{Reason: reasonExpired, Due: true, Emergency: true}
)

func within(d Decision) Decision {
	d.WithinFloor = true
	return d
}

// without is a decision after a session was stored without its token.
func without(d Decision) Decision {
	d.Unpublished = true
	return d
}

func TestRenewAfterLeavesTheLeadBeforeTheEnd(t *testing.T) {
	t.Parallel()
	parameter := func(f *Facts) { f.InParameter = true }
	tests := []struct {
		name  string
		facts Facts
		after time.Duration // of issued_at
	}{
		// lead = min_remaining + max(15m, life/4)
		{"1h: lead 10m + 15m", alive(h), 35 * m},
		{"30m: lead 5m + 15m, earlier than a secret takes", alive(30 * m), 15 * m},
		{"30m in a parameter", with(alive(30*m), parameter), 10 * m},
		{"24h: lead 4h + 6h", alive(24 * h), 14 * h},
		{"10m: lead longer than the life", alive(10 * m), 15 * m},
		{"10m in a parameter: at once", with(alive(10*m), parameter), 0},
		{"1h, min_remaining 30m", with(alive(h), func(f *Facts) { f.MinRemaining = 30 * m }), 15 * m},
		{"1h, min_remaining 1m", with(alive(h), func(f *Facts) { f.MinRemaining = m }), 44 * m},
		{"24h, min_remaining 1h", with(alive(24*h), func(f *Facts) { f.MinRemaining = h }), 17 * h},
		{"1h, min_remaining of 2h counts as half the life", with(alive(h), func(f *Facts) { f.MinRemaining = 2 * h }), 15 * m},
		{"1h in a parameter, min_remaining of 2h counts as half the life",
			with(alive(h), func(f *Facts) { f.MinRemaining, f.InParameter = 2*h, true }), 15 * m},
		{"24h, min_remaining of 23h counts as half the life", with(alive(24*h), func(f *Facts) { f.MinRemaining = 23 * h }), 6 * h},
		{"1h, renewed late: two heartbeats are left",
			with(alive(h), func(f *Facts) { f.MinRemaining, f.Traits.RenewLate = m, true }), 50 * m},
		{"1h, renewed late: min_remaining is left",
			with(alive(h), func(f *Facts) { f.MinRemaining, f.Traits.RenewLate = 20*m, true }), 40 * m},
		{"the spread is no part of it", with(alive(24*h), func(f *Facts) { f.Name = spreadMost }), 14 * h},
	}
	for _, tt := range tests {
		if got := tt.facts.RenewAfter().Sub(t0); got != tt.after {
			t.Errorf("%s: renew_after is %s after issued_at, want %s", tt.name, got, tt.after)
		}
	}
}

func TestDecideByTheTokensAge(t *testing.T) {
	t.Parallel()
	parameter := func(f *Facts) { f.InParameter = true }
	tests := []struct {
		name  string
		facts Facts
		age   time.Duration
		want  Decision
	}{
		{"1h, new", alive(h), 0, within(fresh)},
		{"1h, before renew_after", alive(h), 35*m - 1, fresh},
		{"1h, at renew_after", alive(h), 35 * m, isDue},
		{"1h, two heartbeats left", alive(h), 50 * m, isDue},
		{"1h, less than two heartbeats left", alive(h), 50*m + 1, urgent},
		{"1h, at its end", alive(h), 60 * m, expired},
		{"30m, before the floor and its slack", alive(30 * m), 14*m - 1, within(fresh)},
		{"30m, before its time", alive(30 * m), 15*m - 1, fresh},
		{"30m, at the floor", alive(30 * m), 15 * m, isDue},
		{"30m in a parameter, before", with(alive(30*m), parameter), 10*m - 1, fresh},
		{"30m in a parameter, at", with(alive(30*m), parameter), 10 * m, isDue},
		{"30m, emergency", alive(30 * m), 20*m + 1, urgent},
		{"24h, before", alive(24 * h), 14*h - 1, fresh},
		{"24h, at", alive(24 * h), 14 * h, isDue},
		{"24h, half of min_remaining left", alive(24 * h), 22 * h, isDue},
		{"24h, less than half of min_remaining left", alive(24 * h), 22*h + 1, urgent},
		{"1h, min_remaining 30m, half of it left", with(alive(h), func(f *Facts) { f.MinRemaining = 30 * m }), 45 * m, isDue},
		{"1h, min_remaining 30m, less left", with(alive(h), func(f *Facts) { f.MinRemaining = 30 * m }), 45*m + 1, urgent},
		{"24h, hourly runs, two of them left", with(alive(24*h), func(f *Facts) { f.MinRemaining, f.Every = h, h }), 22*h + 1, urgent},
		{"15m, emergency within the floor", alive(15 * m), 5*m + 1, within(urgent)},
		{"10m, expired within the floor", alive(10 * m), 10 * m, within(expired)},
		{"24h, spread, before", with(alive(24*h), func(f *Facts) { f.Name = spreadMost }), 14*h - 143*m - 52*time.Second, fresh},
		{"24h, spread: 2h23m51s earlier", with(alive(24*h), func(f *Facts) { f.Name = spreadMost }), 14*h - 143*m - 51*time.Second, isDue},
		{"30m, spread, still not below the floor", with(alive(30*m), func(f *Facts) { f.Name = spreadMost }), 14*m - 1, within(Decision{Reason: reasonFloor})},
		{"runs every minute have no slack", with(alive(30*m), func(f *Facts) { f.Name, f.Every = spreadMost, m }), 15*m - 1, within(Decision{Reason: reasonFloor})},
		{"30m, spread in a parameter", with(alive(30*m), func(f *Facts) { f.Name = spreadMost; f.InParameter = true }), 8 * m, isDue},
		{"dead for a heartbeat", alive(h), 65 * m, expired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Now = t0.Add(tt.age)
			if diff := cmp.Diff(tt.want, Decide(tt.facts), cmpopts.IgnoreFields(Decision{}, "Late", "Often")); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideByTheSession(t *testing.T) {
	t.Parallel()
	refresh := func(received, life time.Duration) func(*Facts) {
		return func(f *Facts) {
			f.RefreshedAt = t0.Add(received)
			f.RefreshExpiresAt = f.RefreshedAt.Add(life)
		}
	}
	session := func(started time.Duration) func(*Facts) {
		return func(f *Facts) {
			f.SessionStartedAt = t0.Add(started)
			f.CanRemint = true
			f.Traits = exchange.Traits{SessionMax: 336 * h, RemintBefore: 24 * h}
		}
	}
	shown := func(end time.Duration) func(*Facts) {
		return func(f *Facts) { f.SessionEndsAt, f.CanRemint = t0.Add(end), true }
	}
	ending := Decision{Due: true, Reason: reasonRefreshEnding}
	remint := Decision{Due: true, Reason: reasonSessionEnding}
	tests := []struct {
		name  string
		facts Facts
		age   time.Duration
		want  Decision
	}{
		{"refresh token of 6h, before its last third", with(alive(24*h), refresh(0, 6*h)), 4*h - 1, fresh},
		{"refresh token of 6h, in its last third", with(alive(24*h), refresh(0, 6*h)), 4 * h, ending},
		{"refresh token of 25m, before its last two heartbeats", with(alive(24*h), refresh(0, 25*m)), 15*m - 1, fresh},
		{"refresh token of 25m, in its last two heartbeats", with(alive(24*h), refresh(0, 25*m)), 15 * m, ending},
		{"refresh token ending within the floor", with(alive(24*h), refresh(0, 12*m)), 3 * m, within(Decision{Reason: reasonFloor})},
		{"used by an earlier renewal, in its last third", with(alive(24*h), refresh(-m, 6*h)), 4*h - m, ending},
		{"used by an earlier renewal, before its last third", with(alive(24*h), refresh(-m, 6*h)), 4*h - m - 1, fresh},
		{"end of the refresh token not told", with(alive(24*h), func(f *Facts) { f.RefreshedAt = t0 }), 13 * h, fresh},
		{"session two weeks less a day old", with(alive(24*h), session(-312*h)), 20 * m, remint},
		{"session not yet so old", with(alive(24*h), session(-311*h)), 20 * m, fresh},
		{"session past its end", with(alive(24*h), session(-400*h)), 20 * m, remint},
		{"session without an end", with(alive(24*h), func(f *Facts) { f.SessionStartedAt = t0.Add(-9999 * h) }), 20 * m, fresh},
		{"session ending within the floor", with(alive(24*h), session(-312*h)), 10 * m, within(Decision{Reason: reasonFloor})},
		{"used within the last third of the refresh token, whose end did not move", with(alive(24*h), func(f *Facts) { f.RefreshedAt, f.RefreshExpiresAt = t0.Add(-8*h), t0.Add(3*h) }), 2 * h, fresh},
		{"session whose end the provider showed, a life before it", with(alive(h), shown(90*m)), 30 * m, remint},
		{"session whose end the provider showed, earlier", with(alive(h), shown(90*m)), 30*m - 1, fresh},
		{"session at its end and nothing to open another with", with(alive(h), func(f *Facts) { shown(30 * m)(f); f.CanRemint = false }), 20 * m, fresh},
		{"the token's own time comes first", with(alive(h), session(-312*h)), 40 * m, isDue},
		{"session written within the floor, token due", with(alive(h), refresh(30*m, 24*h)), 40 * m, without(within(isDue))},
		{"session written within the floor, token in an emergency", with(alive(h), refresh(40*m, 24*h)), 51 * m, without(within(urgent))},
		{"session written within the floor, parameter", with(alive(h), func(f *Facts) { refresh(30*m, 24*h)(f); f.InParameter = true }), 40 * m, without(within(isDue))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Now = t0.Add(tt.age)
			if diff := cmp.Diff(tt.want, Decide(tt.facts), cmpopts.IgnoreFields(Decision{}, "Late", "Often")); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideByWhoRenews(t *testing.T) {
	t.Parallel()
	forced := func(f *Facts) { f.Force = true }
	rotated := func(f *Facts) { f.ByRotation = true }
	none := func(f *Facts) { f.Token = nil }
	missing := Decision{Due: true, Reason: reasonMissing, Emergency: true}
	tests := []struct {
		name  string
		facts Facts
		age   time.Duration
		want  Decision
	}{
		{"missing", with(alive(h), none), 0, missing},
		{"missing, session just written", with(alive(h), func(f *Facts) { f.Token, f.RefreshedAt = nil, t0 }), m, within(missing)},
		{"missing, by rotation", with(with(alive(h), none), rotated), 0, missing},
		{"due, by rotation", with(alive(24*h), rotated), 15 * h, Decision{Reason: reasonRotation}},
		{"unused refresh token ending, by rotation", with(with(alive(24*h), rotated), func(f *Facts) { f.RefreshedAt, f.RefreshExpiresAt = t0, t0.Add(9*h) }), 6 * h, Decision{Due: true, Reason: reasonRefreshEnding}},
		{"fresh, by rotation", with(alive(24*h), rotated), h, Decision{Reason: reasonRotation}},
		{"emergency, by rotation", with(alive(24*h), rotated), 23 * h, urgent},
		{"expired, by rotation", with(alive(24*h), rotated), 24 * h, expired},
		{"forced while fresh", with(alive(h), forced), 20 * m, Decision{Due: true, Reason: reasonForced}},
		{"forced within the floor", with(alive(h), forced), m, within(Decision{Due: true, Reason: reasonForced})},
		{"forced, by rotation", with(with(alive(24*h), forced), rotated), h, Decision{Due: true, Reason: reasonForced}},
		{"forced while tries are spread out", with(alive(h), forced), 70 * m, Decision{Due: true, Reason: reasonForced, Emergency: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Now = t0.Add(tt.age)
			if diff := cmp.Diff(tt.want, Decide(tt.facts), cmpopts.IgnoreFields(Decision{}, "Late", "Often")); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

// At a provider whose refresh ends the previous token, Evertoken renews as late as
// heartbeats allow, and again at once where a run stored the session and did not publish.
func TestDecideWhereARefreshEndsTheToken(t *testing.T) {
	t.Parallel()
	late := func(f *Facts) { f.Traits.RenewLate, f.Name = true, spreadMost }
	unpublished := func(f *Facts) { late(f); f.RefreshedAt = t0.Add(20 * m) }
	for _, tt := range []struct {
		name  string
		facts Facts
		age   time.Duration
		want  Decision
	}{
		{"before its last two heartbeats", with(alive(h), late), 50*m - 1, fresh},
		{"at them", with(alive(h), late), 50 * m, isDue},
		{"min_remaining is more", with(alive(h), func(f *Facts) { late(f); f.MinRemaining = 20 * m }), 40 * m, isDue},
		{"no token after the session", with(alive(h), unpublished), 21 * m, without(within(Decision{Due: true, Reason: reasonUnpublished}))},
		{"the session and the token of one time", with(alive(h), func(f *Facts) { late(f); f.RefreshedAt = t0 }), 21 * m, fresh},
	} {
		tt.facts.Now = t0.Add(tt.age)
		if diff := cmp.Diff(tt.want, Decide(tt.facts), cmpopts.IgnoreFields(Decision{}, "Late", "Often")); diff != "" {
			t.Errorf("%s: Decide (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestATokenOfHalfAnHourIsRenewedOften(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]bool{20 * m: true, 30 * m: true, 42*m - time.Second: true, 42 * m: false, h: false} {
		f := alive(life)
		f.Now = t0
		if got := Decide(f).Often; got != want {
			t.Errorf("a token of %s is renewed often: %t", life, got)
		}
	}
}

func TestATokenIsLateAFloorAfterItsTime(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]bool{35 * m: false, 50 * m: false, 50*m + 1: true, 80 * m: true} {
		f := alive(h)
		f.Now = t0.Add(age)
		if got := Decide(f).Late; got != want {
			t.Errorf("a token due at 35m is late at %s: %t", age, got)
		}
	}
}

// Before look_after nothing is due; at that time something is, or will be soon.
func TestNothingIsDueBeforeLookAfter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawn(t)
		f.ByRotation, f.CanRemint, f.Traits.RenewLate = rapid.Bool().Draw(t,
			"by rotation"), rapid.Bool().Draw(t, "can re-mint"), rapid.Bool().Draw(t, "late")
		f.RefreshedAt, f.SessionStartedAt = t0, t0
		f.RefreshExpiresAt = t0.Add(time.Duration(rapid.Int64Range(0, int64(48*h)).Draw(t, "refresh token's life")))
		f.SessionEndsAt = t0.Add(time.Duration(rapid.Int64Range(0, int64(48*h)).Draw(t, "session's end")))
		look := f.LookAfter()
		if f.Now = look.Add(-1); Decide(f).Due {
			t.Fatalf("due before %s: %+v", look, Decide(f))
		}
		f.Now = look.Add(1) // an emergency begins just after it
		if d := Decide(f); !d.Due && d.Reason != reasonFloor && d.Reason != reasonRotation {
			t.Fatalf("nothing due at %s: %+v", look, d)
		}
	})
}

func TestSpreadIsLessThanATenthOfTheLife(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		got := spread(fmt.Sprintf("connection-%d", i), 24*h)
		if got < 0 || got >= 144*m {
			t.Fatalf("spread %s of a day", got)
		}
		seen[got.Truncate(9*m)] = true
	}
	if len(seen) != 16 {
		t.Errorf("a thousand names fill %d of 16 slots", len(seen))
	}
	if spread(unspread, 24*h) != 0 || spread(spreadMost, 24*h) <= 143*m {
		t.Error("the tables' names are spread otherwise than they say")
	}
}
