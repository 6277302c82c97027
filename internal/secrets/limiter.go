package secrets

import (
	"context"
	"sync"
	"time"
)

// Limiter spaces writes evenly. Secrets Manager allows 50 writes a second in an
// account and Region, all callers together, and that quota cannot be raised.
// A nil Limiter does not wait.
type Limiter struct {
	mu    sync.Mutex
	next  time.Time
	every time.Duration
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

// NewLimiter returns a limiter for perSecond writes a second.
func NewLimiter(perSecond int, now func() time.Time, sleep func(context.Context, time.Duration) error) *Limiter {
	return &Limiter{every: time.Second / time.Duration(perSecond), now: now, sleep: sleep}
}

// Wait returns when a write may be made, or the context's error.
func (l *Limiter) Wait(ctx context.Context) error {
	if l == nil {
		return ctx.Err()
	}
	l.mu.Lock()
	now := l.now()
	if l.next.Before(now) {
		l.next = now
	}
	wait := l.next.Sub(now)
	l.next = l.next.Add(l.every)
	l.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	return l.sleep(ctx, wait)
}

// Sleep waits for d or until the context ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
