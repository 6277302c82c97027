package secrets_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// clock moves only by being slept on.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, d)
	return ctx.Err()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLimiterSpacesWritesEvenly(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)}
	l := secrets.NewLimiter(20, c.time, c.sleep)
	for range 4 {
		if err := l.Wait(t.Context()); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	}
	const step = 50 * time.Millisecond
	if want := []time.Duration{step, 2 * step, 3 * step}; !slices.Equal(c.waits, want) {
		t.Errorf("waits %v, want %v", c.waits, want)
	}
	c.waits = nil
	c.advance(time.Second) // nothing is saved up while idle
	for range 3 {
		if err := l.Wait(t.Context()); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	}
	if want := []time.Duration{step, 2 * step}; !slices.Equal(c.waits, want) {
		t.Errorf("waits after idling %v, want %v", c.waits, want)
	}
}

func TestLimiterGivesEachCallerItsOwnTurn(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)}
	l := secrets.NewLimiter(50, c.time, c.sleep)
	var wait sync.WaitGroup
	for range 51 {
		wait.Go(func() {
			if err := l.Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
	}
	wait.Wait()
	slices.Sort(c.waits)
	for i, got := range c.waits {
		if want := time.Duration(i+1) * 20 * time.Millisecond; got != want {
			t.Fatalf("wait %d is %s, want %s", i, got, want)
		}
	}
	if len(c.waits) != 50 {
		t.Errorf("%d of 51 waited, want 50", len(c.waits))
	}
}

func TestLimiterEndsWithTheContext(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var none *secrets.Limiter
	for _, l := range []*secrets.Limiter{none, secrets.NewLimiter(1, c.time, c.sleep)} {
		for range 2 {
			if err := l.Wait(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait after the end: %v", err)
			}
		}
		if l == nil {
			if err := l.Wait(t.Context()); err != nil {
				t.Errorf("a nil limiter: %v", err)
			}
		}
	}
	if err := secrets.Sleep(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep after the end: %v", err)
	}
	if err := secrets.Sleep(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("Sleep: %v", err)
	}
}

func TestEveryWriteWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "v")
	c := &clock{now: time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)}
	store := secrets.NewStore(w.sm, secrets.NewLimiter(1, c.time, c.sleep))
	id := secrets.FreshID()
	wantKind(t, store.Put(t.Context(), "a", id, redact.New("x")), nil)
	wantKind(t, store.MoveLabel(t.Context(), "a", "L", id, ""), nil)
	_, err := store.Get(t.Context(), "a", secrets.Current)
	wantKind(t, err, nil)
	if want := []time.Duration{time.Second}; !slices.Equal(c.waits, want) {
		t.Errorf("waits of two writes and a read %v, want %v", c.waits, want)
	}
}
