package issue

import (
	"log/slog"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/renew"
)

func TestTheLivingTokenThatEndsFirstGoesFirst(t *testing.T) {
	t.Parallel()
	alive := func(left time.Duration, turn int) *task { return &task{ends: now.Add(left), turn: turn} }
	dead := func(ago time.Duration, turn int) *task { return &task{ends: now.Add(-ago), dead: true, turn: turn} }
	for name, tt := range map[string]struct{ first, second *task }{
		"less life before more":                       {alive(time.Hour, 2), alive(2*time.Hour, 1)},
		"a living token before a dead one":            {alive(time.Hour, 2), dead(time.Hour, 1)},
		"a living token before a missing one":         {alive(time.Hour, 2), &task{dead: true, turn: 1}},
		"equal lives take turns":                      {alive(time.Hour, 1), alive(time.Hour, 2)},
		"dead tokens take turns, whenever they ended": {dead(time.Hour, 1), dead(2*time.Hour, 2)},
		"a dead and a missing token take turns":       {dead(time.Hour, 1), &task{dead: true, turn: 2}},
	} {
		if !tt.first.before(tt.second) || tt.second.before(tt.first) {
			t.Errorf("%s: before is %t, and the other way round %t", name,
				tt.first.before(tt.second), tt.second.before(tt.first))
		}
		if tt.first.before(tt.first) {
			t.Errorf("%s: a task comes before itself", name)
		}
	}
}

// TestALivingTokenShortOfItsPromiseIsPressing: a task is pressing if its token lives, but
// would have less than the promised life left two heartbeats from now. A task whose token
// has expired is not: its promise is broken already.
func TestALivingTokenShortOfItsPromiseIsPressing(t *testing.T) {
	t.Parallel()
	const promise = 10 * time.Minute // and two heartbeats of five minutes
	for name, tt := range map[string]struct {
		left time.Duration
		want bool
	}{
		"an hour":                        {time.Hour, false},
		"the promise and two heartbeats": {20 * time.Minute, false},
		"a moment less":                  {20*time.Minute - 1, true},
		"the promise alone":              {promise, true},
		"the last moment":                {1, true},
		"it expires now":                 {0, false},
		"it has expired":                 {-time.Minute, false},
		"it expired long ago":            {-time.Hour, false},
	} {
		one := &task{}
		one.looked(renew.Result{ExpiresAt: now.Add(tt.left), MinRemaining: promise}, now)
		if got := one.pressing(every, now); got != tt.want {
			t.Errorf("%s: pressing %t", name, got)
		}
		if one.dead != (tt.left <= 0) {
			t.Errorf("%s: dead %t", name, one.dead)
		}
	}
	if (&task{promise: promise}).pressing(every, now) {
		t.Error("a connection without a token is pressing")
	}
}

// TestEveryTaskIsFirstInTurn: of equally urgent tasks another one comes first in each
// run, in name order, and the others follow it in name order.
func TestEveryTaskIsFirstInTurn(t *testing.T) {
	t.Parallel()
	at := time.Unix(0, 0)
	r := (&Runner{Config: config.Config{Every: every}, Now: func() time.Time { return at },
		Log: slog.New(slog.DiscardHandler)}).newRun(Event{}, time.Minute)
	for _, want := range []string{"abcd", "bcda", "cdab", "dabc", "abcd"} {
		var all []*task
		for _, name := range []string{"a", "b", "c", "d"} {
			all = append(all, &task{dead: true, job: renew.Job{Connection: connection.Connection{Name: name}}})
		}
		r.takeTurns(all)
		sort.Sort(tasks(all))
		got := ""
		for _, one := range all {
			got += one.job.Connection.Name
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", at.UTC(), diff)
		}
		at = at.Add(every)
	}
	r.takeTurns(nil) // a run over nothing
}
