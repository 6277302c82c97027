package issue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// workbench is a pool whose tasks only take time, in a bubble of synctest.
type workbench struct {
	*pool
	mu    sync.Mutex
	now   map[*host]int
	most  map[*host]int
	order []string
	ended map[string]time.Duration
}

// newWorkbench makes tasks whose duration and end are those that takes returns.
func newWorkbench(most int, takes func(t *task) (time.Duration, *exchange.Error)) *workbench {
	w := &workbench{now: map[*host]int{}, most: map[*host]int{}, ended: map[string]time.Duration{}}
	began := time.Now()
	w.pool = &pool{most: most, sleep: secrets.Sleep, do: func(t *task) {
		w.mu.Lock()
		w.now[t.host]++
		w.most[t.host] = max(w.most[t.host], w.now[t.host])
		w.order = append(w.order, t.job.Connection.Name)
		w.mu.Unlock()
		d, x := takes(t)
		time.Sleep(d)
		t.host.told(context.Background(), x, d)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now[t.host]--
		w.ended[t.job.Connection.Name] = time.Since(began)
	}}
	return w
}

func some(h *host, prefix string, n int) []*task {
	var out []*task
	for i := range n {
		out = append(out,
			&task{job: renew.Job{Connection: connection.Connection{Name: fmt.Sprintf("%s%03d",
				prefix, i)}}, host: h, dead: true, turn: i})
	}
	return out
}

func answered(d time.Duration) func(*task) (time.Duration, *exchange.Error) {
	return func(*task) (time.Duration, *exchange.Error) { return d, nil }
}

func TestAHostGetsAFewConcurrentRequestsAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench(128, answered(time.Second))
		h := w.newHost(0)
		w.add(some(h, "a", 12)...)
		w.wait()
		if w.most[h] > 6 {
			t.Errorf("a small fleet sent a burst of %d", w.most[h])
		}
		h = w.newHost(0)
		w.add(some(h, "b", 2000)...)
		w.wait()
		if w.most[h] != mostAtOnce {
			t.Errorf("a large fleet was given %d at a time", w.most[h])
		}
		h = w.newHost(2)
		w.add(some(h, "c", 100)...)
		w.wait()
		if w.most[h] != 2 {
			t.Errorf("a provider with a limit of 2 got %d at a time", w.most[h])
		}
	})
}

// atHost is a provider that has only a host.
type atHost struct {
	exchange.Provider
	name   string
	atOnce int
}

func (p atHost) Host() string            { return p.name }
func (p atHost) Traits() exchange.Traits { return exchange.Traits{AtOnce: p.atOnce} }

// TestAProvidersConnectionsShareItsLimit: connections of one provider at one host share
// the host's places: as many as the provider's traits say, or else the default.
func TestAProvidersConnectionsShareItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench(128, answered(time.Second))
		r, hosts := &run{pool: w.pool}, map[string]*host{}
		var all []*task
		for i := range 3000 {
			p := []atHost{{name: "one", atOnce: 2}, {name: "two", atOnce: 10}, {name: "three"}}[i%3]
			c := connection.Connection{Name: fmt.Sprintf("c%04d", i), Provider: "preset"}
			task := &task{job: renew.Job{Connection: c, Provider: p}, dead: true, turn: i}
			task.host = r.hostOf(task, hosts)
			all = append(all, task)
		}
		for i := 3000; i < 3002; i++ { // their host is not known
			c := connection.Connection{Name: fmt.Sprintf("c%04d", i), Provider: "preset"}
			task := &task{job: renew.Job{Connection: c, Provider: atHost{}}, dead: true, turn: i}
			task.host = r.hostOf(task, hosts)
			all = append(all, task)
		}
		w.add(all...)
		w.wait()
		got := map[string]int{}
		for name, h := range hosts {
			got[name] = w.most[h]
		}
		want := map[string]int{
			"preset at one": 2, "preset at two": 10, "preset at three": mostAtOnce, "that of c3000": 1, "that of c3001": 1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at a time (-want +got):\n%s", diff)
		}
	})
}

func TestAHangingHostDelaysNoOtherHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		with := func(hanging int) time.Duration {
			w := newWorkbench(128, func(t *task) (time.Duration, *exchange.Error) {
				if t.job.Connection.Name[0] == 'h' {
					return 20 * time.Second, &exchange.Error{Class: exchange.Transient, Lost: true}
				}
				return 300 * time.Millisecond, nil
			})
			w.add(slices.Concat(some(w.newHost(0), "h", hanging), some(w.newHost(0), "a", 270))...)
			w.wait()
			return w.ended["a269"]
		}
		if alone, beside := with(0), with(30); alone != beside {
			t.Errorf("done after %s, and with a host that hangs after %s", alone, beside)
		}
	})
}

func TestThePoolBeginsWithTheMostUrgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench(1, answered(time.Second))
		now := time.Now()
		one, two := w.newHost(0), w.newHost(0)
		all := append(some(one, "a", 3), some(two, "b", 3)...)
		for i, left := range []time.Duration{4, 0, 2, 3, 0, 1} { // hours; 0 is dead
			all[i].ends, all[i].dead = now.Add(left*time.Hour), left == 0
			all[i].turn = 10 - i
		}
		w.add(all...)
		w.wait()
		if diff := cmp.Diff([]string{"b002", "a002", "b000", "a000", "b001", "a001"}, w.order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestAHostThatThrottlesIsPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		w := newWorkbench(1, func(task *task) (time.Duration, *exchange.Error) {
			if n++; task.job.Connection.Name == "a000" {
				return 0, &exchange.Error{Class: exchange.Throttled, Status: 429}
			}
			return 0, nil
		})
		one, other := w.newHost(0), w.newHost(0)
		w.add(slices.Concat(some(one, "a", 3), some(other, "b", 2))...)
		w.wait()
		if w.ended["a001"] != 2*time.Second || w.ended["b001"] != 0 {
			t.Errorf("the next at that host after %s, at another after %s", w.ended["a001"], w.ended["b001"])
		}
		if x := one.closedTo(false); x != nil {
			t.Errorf("one connection's 429 closed its host: %v", x)
		}
	})
}

func TestOnlyPressingTasksContinueAtAHostThatKeepsThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for asks, times := range map[time.Duration]int{0: 3, time.Second: 3, 10 * time.Second: 3, 10*time.Second + 1: 1, time.Minute: 1} {
			w := newWorkbench(1, nil)
			h := w.newHost(0)
			for i := range times {
				if h.closedTo(false) != nil {
					t.Errorf("told to wait %s: closed after %d", asks, i)
				}
				h.told(t.Context(), &exchange.Error{Class: exchange.Throttled, Status: 429, RetryAfter: asks}, 0)
			}
			if h.closedTo(false) == nil || h.closedTo(true) != nil {
				t.Errorf("told %d times to wait %s: closed to others %v, to the pressing %v", times,
					asks, h.closedTo(false), h.closedTo(true))
			}
		}
		h := newWorkbench(1, nil).newHost(0)
		for range silences {
			h.told(t.Context(), &exchange.Error{Class: exchange.Transient}, 0)
		}
		if h.closedTo(true) == nil {
			t.Error("a host that does not answer is tried on")
		}
	})
}

// TestAHostThatDoesNotKeepUpGetsHalfTheRequests: each request for fewer requests, and each
// missing answer, halves the requests at a time. One at a time always remains.
func TestAHostThatDoesNotKeepUpGetsHalfTheRequests(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]*exchange.Error{
		"it asks for fewer requests": {Class: exchange.Throttled, Status: 429},
		"it does not answer":         {Class: exchange.Transient, Lost: true},
	} {
		h := newWorkbench(1, nil).newHost(0)
		got := []float64{h.atOnce}
		for range 3 {
			h.told(t.Context(), x, time.Second)
			got = append(got, h.atOnce)
		}
		if diff := cmp.Diff([]float64{4, 2, 1, 1}, got); diff != "" {
			t.Errorf("%s: at a time (-want +got):\n%s", name, diff)
		}
	}
}

// TestAHostIsPausedOnlyForWaitingTasks: if no task waits for the host, later tasks begin
// at once, and no timer outlives the run.
func TestAHostIsPausedOnlyForWaitingTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench(1, answered(0))
		h := w.newHost(0)
		h.told(t.Context(), &exchange.Error{Class: exchange.Throttled, Status: 429}, 0)
		w.add(some(h, "a", 1)...)
		w.wait()
		if w.ended["a000"] != 0 {
			t.Errorf("begun after %s", w.ended["a000"])
		}
	})
}

func TestAPauseEndsWithTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := newWorkbench(1, answered(0))
		h := w.newHost(0)
		w.mu.Lock() // holds the first task
		w.add(some(h, "a", 3)...)
		h.told(ctx, &exchange.Error{Class: exchange.Throttled, Status: 429, RetryAfter: 5 * time.Second}, 0)
		w.mu.Unlock()
		w.wait()
		if w.ended["a002"] > 2*time.Second {
			t.Errorf("the task that waited ended after %s", w.ended["a002"])
		}
	})
}
