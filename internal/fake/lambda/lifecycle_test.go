package fakelambda

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// barrier answers once n requests wait in it, and signals each arrival.
func barrier(t *testing.T, n int) (url string, arrived <-chan struct{}) {
	t.Helper()
	var all sync.WaitGroup
	all.Add(n)
	arrivals := make(chan struct{}, n)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrivals <- struct{}{}
		all.Done()
		met := make(chan struct{})
		go func() { all.Wait(); close(met) }()
		select {
		case <-met:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, arrivals
}

func TestConcurrentInvocationsHaveTheirOwnProcesses(t *testing.T) {
	t.Parallel()
	f := start(t, Options{Concurrency: 2})
	url, _ := barrier(t, 2)

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			result, err := f.Invoke(t.Context(), event(t, "get", url))
			if err != nil || result.FunctionError != "" {
				t.Errorf("Invoke: %+v, %v", result, err)
			}
		})
	}
	wg.Wait() // each needs the other one in flight

	if got := len(f.live); got != 2 {
		t.Errorf("%d processes, want 2", got)
	}
}

func TestInvocationsBeyondTheConcurrencyWait(t *testing.T) {
	t.Parallel()
	f := start(t, Options{})
	var mu sync.Mutex
	pids := map[int]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d, _ := describe(t, f, "")
			mu.Lock()
			defer mu.Unlock()
			pids[d.PID]++
		})
	}
	wg.Wait()
	if len(pids) != 1 {
		t.Errorf("processes and their invocations are %v, want one process", pids)
	}
}

func TestAKilledProcessIsReplaced(t *testing.T) {
	t.Parallel()
	f := start(t, Options{})
	before, _ := describe(t, f, "")
	url, arrived := barrier(t, 2)
	go func() {
		<-arrived
		f.Kill()
	}()

	result := invoke(t, f, "get", url)

	if !result.Exited || result.TimedOut ||
		!strings.HasSuffix(result.ErrorMessage, "Runtime exited with error: signal: killed") {
		t.Errorf("result is %+v", result)
	}
	f.Kill() // with no process
	after, warm := describe(t, f, "")
	f.Kill() // with an idle one
	last, cold := describe(t, f, "")
	pids := []int{before.PID, after.PID, last.PID}
	slices.Sort(pids)
	if len(slices.Compact(pids)) != 3 {
		t.Errorf("processes were %d, %d and %d, want three", before.PID, after.PID, last.PID)
	}
	if warm.InitDuration == 0 || cold.InitDuration == 0 {
		t.Error("an invocation after Kill was not a cold start")
	}
}

func TestAnInvocationEndsWithItsContextOrTheFunction(t *testing.T) {
	t.Parallel()
	t.Run("by its context", func(t *testing.T) {
		t.Parallel()
		f := start(t, Options{})
		url, arrived := barrier(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, err := f.Invoke(ctx, event(t, "get", url)); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		if result := invoke(t, f, "log", ""); result.InitDuration == 0 {
			t.Error("the process was not replaced")
		}
	})
	t.Run("by Close", func(t *testing.T) {
		t.Parallel()
		f := start(t, Options{})
		url, arrived := barrier(t, 2)
		go func() {
			<-arrived
			_ = f.Close()
		}()
		if result := invoke(t, f, "get", url); !result.Exited {
			t.Errorf("result is %+v", result)
		}
		if _, err := f.Invoke(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("error after Close is %v", err)
		}
	})
	t.Run("by the context of Start", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		f, err := Start(ctx, Options{Binary: bootstrap})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-f.closed
		if _, err := f.Invoke(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("error is %v", err)
		}
	})
}
