package secrets_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func newPace(perSecond int) *secrets.Pace {
	return secrets.NewPace(perSecond, 0.5, time.Now, secrets.Sleep)
}

// took is how long n simultaneous calls wait; it runs in a bubble of synctest, whose time
// passes only while all wait.
func took(t *testing.T, p *secrets.Pace, n int) time.Duration {
	t.Helper()
	began := time.Now()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			if err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
	}
	calls.Wait()
	return time.Since(began)
}

func TestAPaceAllowsABurstAndSpacesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(50) // begins with 25, of which 10 at once
		if d := took(t, p, 10); d != 0 {
			t.Errorf("the first ten took %s", d)
		}
		if d := took(t, p, 50); d.Round(time.Millisecond) != 2*time.Second {
			t.Errorf("fifty more took %s, want two seconds", d)
		}
		time.Sleep(time.Hour)
		if d := took(t, p, 35); d.Round(time.Millisecond) != time.Second {
			t.Errorf("after an hour 35 took %s, want a second: at most ten are saved up", d)
		}
	})
}

func TestThePaceOfOneCallASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if d := took(t, newPace(1), 4); d.Round(time.Millisecond) != 3*time.Second {
			t.Errorf("four calls took %s", d)
		}
	})
}

func TestAPaceEndsWithTheContextAndFreesItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var none *secrets.Pace
		for _, p := range []*secrets.Pace{none, newPace(1)} {
			if err := p.Wait(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait after the end: %v", err)
			}
		}
		if err := none.Wait(t.Context()); err != nil {
			t.Errorf("without a pace: %v", err)
		}
		p := newPace(1)
		took(t, p, 1)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 100 {
			if err := p.Wait(short); err == nil {
				t.Fatal("a call passed too early")
			}
		}
		if d := took(t, p, 1); d > time.Second {
			t.Errorf("the next call waited %s after a hundred calls that ended", d)
		}
	})
}

func TestSleepEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := secrets.Sleep(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep after the end: %v", err)
	}
	if err := secrets.Sleep(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("Sleep: %v", err)
	}
}

// pacedWorld is the fake with stores whose paces take no real time: sleeping moves their
// clock.
func pacedWorld(t *testing.T) (*world, *secrets.Paces, *stepClock) {
	t.Helper()
	w := newWorld(t)
	c := &stepClock{now: w.clock.Now()}
	paces := secrets.NewPaces(50, c.time, c.sleep)
	w.store = secrets.NewStore(w.sm, paces)
	config := w.AWSConfig()
	config.Retryer = retryWithoutWaiting
	w.parameters = secrets.NewParameters(ssm.NewFromConfig(config)).Paced(paces)
	return w, paces, c
}

type stepClock struct {
	mu     sync.Mutex
	now    time.Time
	sleeps int
}

func (c *stepClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.sleeps++
	return ctx.Err()
}

func TestAPaceFollowsAWS(t *testing.T) {
	t.Parallel()
	w, paces, clock := pacedWorld(t)
	w.secret("a", "v")
	first := paces.Writes.Rate()
	write := func(n int) {
		for range n {
			wantKind(t, w.store.MoveLabel(t.Context(), "a", "L", w.Secret("a").Versions[0].ID, holder(w)), nil)
		}
	}
	write(300)
	full := paces.Writes.Rate()
	if first != 25 || full != 50 {
		t.Fatalf("it began with %v calls a second and reached %v, want 25 and 50", first, full)
	}
	w.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Code: "ThrottlingException", Times: 7})
	before := w.counted("UpdateSecretVersionStage")
	write(1) // seven throttles and then the call: they cost time, not the run
	if n := w.counted("UpdateSecretVersionStage") - before; n != 8 {
		t.Errorf("%d tries, want 8", n)
	}
	slowed := paces.Writes.Rate()
	if slowed >= full*0.81 || slowed < full*0.6 {
		t.Errorf("after one moment's throttles %v calls a second of %v", slowed, full)
	}
	began := clock.time()
	write(100)
	if gained := paces.Writes.Rate() - slowed; gained < 3 || gained > 2.5*clock.time().Sub(began).Seconds() {
		t.Errorf("gained %v calls a second in %s", gained, clock.time().Sub(began))
	}
}

func holder(w *world) string {
	for _, v := range w.Secret("a").Versions {
		for _, l := range v.Labels {
			if l == "L" {
				return v.ID
			}
		}
	}
	return ""
}

func TestAPacedCallEndsAfterItsLastRetry(t *testing.T) {
	t.Parallel()
	for code, tries := range map[string]int{"ThrottlingException": 8, "InternalServiceError": 3, "LimitExceededException": 1, "AccessDeniedException": 1} {
		w, _, _ := pacedWorld(t)
		w.secret("a", "v")
		w.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: code})
		if err := w.store.Put(t.Context(), "a", secrets.FreshID(), redact.New("x")); err == nil {
			t.Errorf("%s: no error", code)
		}
		if n := w.counted("PutSecretValue"); n != tries {
			t.Errorf("%s: %d tries, want %d", code, n, tries)
		}
	}
}

func TestEachKindOfCallHasItsPace(t *testing.T) {
	t.Parallel()
	w, _, clock := pacedWorld(t)
	w.secret("a", "v")
	id := w.Secret("a").Versions[0].ID
	value := redact.New("v")
	calls := map[string]func() error{
		"PutSecretValue":           func() error { return w.store.Put(t.Context(), "a", id, value) },
		"UpdateSecretVersionStage": func() error { return w.store.MoveLabel(t.Context(), "a", "L", id, holder(w)) },
		"BatchGetSecretValue":      func() error { return w.store.Batch(t.Context(), []string{"a"})["a"].Err },
		"GetParametersByPath":      func() error { _, err := w.parameters.ByPath(t.Context(), "/x/"); return err },
		"GetParameters":            func() error { w.parameters.Batch(t.Context(), []string{"/x"}); return nil },
		"PutParameter":             func() error { return w.parameters.Put(t.Context(), "/x", "", value) },
	}
	for operation, call := range calls {
		before := clock.sleeps
		for range 40 {
			if err := call(); err != nil {
				t.Fatalf("%s: %v", operation, err)
			}
		}
		if clock.sleeps == before {
			t.Errorf("forty calls of %s did not wait", operation)
		}
	}
	before := clock.sleeps
	for range 40 { // 40,000 a second are allowed
		if _, err := w.store.Describe(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if clock.sleeps != before {
		t.Error("DescribeSecret waited")
	}
}

var _ secrets.API = (*secretsmanager.Client)(nil)

func TestDelayIsWhatTheNextCallWouldWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(50) // 25 a second, ten at once
		if d := p.Delay(); d != 0 {
			t.Errorf("without a call before it, the delay is %s", d)
		}
		for range 60 {
			go func() { _ = p.Wait(t.Context()) }()
		}
		synctest.Wait()
		if d := p.Delay(); d.Round(time.Millisecond) != 2*time.Second {
			t.Errorf("behind fifty that wait %s, want two seconds", d)
		}
		time.Sleep(time.Second)
		if d := p.Delay(); d.Round(time.Millisecond) != time.Second {
			t.Errorf("a second later %s, want one", d)
		}
		time.Sleep(time.Minute)
		if d := p.Delay(); d != 0 {
			t.Errorf("once all have passed %s", d)
		}
	})
}
