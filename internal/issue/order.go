package issue

import (
	"time"

	"evertoken/internal/renew"
)

// task is one connection on its way through a run.
type task struct {
	job  renew.Job
	host *host
	// ends is the expiry of the published token; zero if none can be read.
	ends time.Time
	dead bool // it has expired, or there is none
	// promise is the least life that applications are promised.
	promise time.Duration
	gate    *gate
	// turn orders tasks that are equally urgent, in each run in another way.
	turn int
}

// looked takes the times from the published token.
func (t *task) looked(glance renew.Result, now time.Time) {
	t.ends, t.promise = glance.ExpiresAt, glance.MinRemaining
	t.dead = !t.ends.After(now)
}

// pressing reports whether the connection would break its promise to applications if this
// run and the next did not renew it.
func (t *task) pressing(every time.Duration, now time.Time) bool {
	return t.ends.After(now) && t.ends.Sub(now) < t.promise+2*every
}

// before orders tasks by the life left to the published token, the shortest first, so that
// urgent tasks run while there is time. Tasks with a dead or missing token come after
// those with a living one: their promise is broken already.
func (t *task) before(other *task) bool {
	switch {
	case t.dead != other.dead:
		return other.dead
	case !t.dead && !t.ends.Equal(other.ends):
		return t.ends.Before(other.ends)
	}
	return t.turn < other.turn
}

// tasks are the tasks that wait for a host, the most urgent first; a
// container/heap.
type tasks []*task

func (q tasks) Len() int           { return len(q) }
func (q tasks) Less(i, j int) bool { return q[i].before(q[j]) }
func (q tasks) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

func (q *tasks) Push(x any) {
	if t, ok := x.(*task); ok {
		*q = append(*q, t)
	}
}

func (q *tasks) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
