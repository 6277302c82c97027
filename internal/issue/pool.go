package issue

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"evertoken/internal/exchange"
)

// The bounds of one provider's host. A run begins with a few exchanges at a time, and
// makes more while the host answers and more are needed. So a small fleet never makes a
// burst, and a large one does not wait: 32 at a time use up the write quota if an exchange
// takes 0.6 seconds.
const (
	firstAtOnce = 4
	mostAtOnce  = 32
)

const (
	// silences is how many exchanges in a row may get no answer before the run stops
	// asking the host: each takes as long as an exchange may last.
	silences = 3
	// throttles is how many times in a row a host may ask for fewer requests. After that
	// only connections that would break their promise still try.
	throttles = 3
	// leastPause and mostPause bound the pause after a host asked for fewer requests. If
	// it asks for a longer pause itself, the run tries only pressing connections: a run
	// that waits costs more than the next run.
	leastPause = 2 * time.Second
	mostPause  = 10 * time.Second
)

// pool renews tasks, several at a time and the most urgent first, and for each host no
// more at a time than the host answers. Tasks that wait for one host take no place from
// the others.
type pool struct {
	most  int // tasks at a time
	do    func(*task)
	sleep func(context.Context, time.Duration) error
	left  sync.WaitGroup // tasks that were added and have not ended

	mu      sync.Mutex
	running int
	ready   readyHosts // hosts with a task and a free place
}

// host is a provider's host and what a run has learned of it. The pool's mutex
// guards it.
type host struct {
	pool    *pool
	waiting tasks
	running int
	// atOnce is how many tasks may run at a time. It grows while all of these places are
	// used and the host answers.
	atOnce, mostAtOnce float64
	paused             bool
	slowest            time.Duration // of the exchanges that were answered
	place              int           // in pool.ready; -1 if not there

	silent    int             // exchanges without an answer since the last answer
	throttled int             // answers that asked for fewer requests since the last success
	closed    *exchange.Error // why this run tries nothing more
	calmed    *exchange.Error // why the run tries only pressing tasks
}

func (p *pool) newHost(most int) *host {
	if most <= 0 {
		most = mostAtOnce
	}
	return &host{pool: p, atOnce: float64(min(firstAtOnce, most)), mostAtOnce: float64(most),
		place: -1}
}

// add gives the pool tasks that are ready to be renewed.
func (p *pool) add(all ...*task) {
	p.left.Add(len(all))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range all {
		heap.Push(&t.host.waiting, t)
	}
	for _, t := range all {
		p.arrange(t.host)
	}
	p.start()
}

// wait returns when all tasks have ended.
func (p *pool) wait() { p.left.Wait() }

// start begins as many tasks as there are free places. The caller holds p.mu.
func (p *pool) start() {
	for p.running < p.most && len(p.ready) > 0 {
		h := p.ready[0]
		t, ok := heap.Pop(&h.waiting).(*task)
		if !ok {
			return // it holds nothing else
		}
		p.running++
		h.running++
		p.arrange(h)
		go p.run(t)
	}
}

func (p *pool) run(t *task) {
	defer p.left.Done()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running--
		t.host.running--
		p.arrange(t.host)
		p.start()
	}()
	p.do(t)
}

// arrange puts the host at its place among the ready ones. The caller holds p.mu.
func (p *pool) arrange(h *host) {
	ready := len(h.waiting) > 0 && !h.paused && h.running < int(h.atOnce)
	switch {
	case ready && h.place < 0:
		heap.Push(&p.ready, h)
	case ready:
		heap.Fix(&p.ready, h.place)
	case h.place >= 0:
		heap.Remove(&p.ready, h.place)
	}
}

// closedTo says why this run does not try a task at the host; nil if it may.
func (h *host) closedTo(pressing bool) *exchange.Error {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	if h.closed == nil && !pressing {
		return h.calmed
	}
	return h.closed
}

// answersIn is how long an exchange at the host is expected to take at most: twice the
// slowest of this run.
func (h *host) answersIn() time.Duration {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return 2 * h.slowest
}

// told records the result of an exchange and how long it took; x is nil for a success.
func (h *host) told(ctx context.Context, x *exchange.Error, took time.Duration) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	switch {
	case x == nil || (x.Status != 0 && x.Class != exchange.Throttled):
		h.silent, h.throttled = 0, 0
		h.slowest = max(h.slowest, took)
		if h.running >= int(h.atOnce) {
			h.atOnce = min(h.mostAtOnce, h.atOnce+1/h.atOnce)
		}
	case x.Class == exchange.Throttled:
		h.throttled++
		h.atOnce = max(1, h.atOnce/2)
		if h.throttled >= throttles || x.RetryAfter > mostPause {
			h.calmed = x
		}
		h.pause(ctx, max(leastPause, min(mostPause, x.RetryAfter)))
	case x.Class == exchange.Transient:
		h.silent++
		h.atOnce = max(1, h.atOnce/2)
		if h.silent >= silences {
			h.closed = x
		}
	}
}

// pause lets no task begin at the host for a while. The caller holds the pool's mutex.
func (h *host) pause(ctx context.Context, d time.Duration) {
	if h.paused || len(h.waiting) == 0 {
		return // tasks that have begun go on
	}
	h.paused = true
	h.pool.arrange(h)
	go func() {
		_ = h.pool.sleep(ctx, d) // an error is the end of the run, at which waiting tasks are reported
		h.pool.mu.Lock()
		defer h.pool.mu.Unlock()
		h.paused = false
		h.pool.arrange(h)
		h.pool.start()
	}()
}

// readyHosts are hosts by their most urgent task; a container/heap.
type readyHosts []*host

func (r readyHosts) Len() int           { return len(r) }
func (r readyHosts) Less(i, j int) bool { return r[i].waiting[0].before(r[j].waiting[0]) }
func (r readyHosts) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = i, j
}

func (r *readyHosts) Push(x any) {
	h, ok := x.(*host)
	if ok {
		h.place = len(*r)
		*r = append(*r, h)
	}
}

func (r *readyHosts) Pop() any {
	last := len(*r) - 1
	h := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	h.place = -1
	return h
}
