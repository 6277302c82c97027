package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Doer sends an HTTP request; *http.Client and the SDK's clients are such.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Calls counts the calls to AWS that go through it. It counts each try, as AWS does for its
// quotas. It is safe for concurrent use.
type Calls struct {
	through Doer

	mu     sync.Mutex
	counts map[string]int
}

// NewCalls returns a count of the requests sent through the client.
func NewCalls(through Doer) *Calls { return &Calls{through: through, counts: map[string]int{}} }

// Do sends the request and counts it under its operation, as "PutSecretValue".
func (c *Calls) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	c.counts[operation]++
	c.mu.Unlock()
	return c.through.Do(r)
}

// Take returns the counts by operation since it was last called.
func (c *Calls) Take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := maps.Clone(c.counts)
	clear(c.counts)
	return out
}

// LogRequests returns a function that logs each request to a provider: its host, the status
// of the answer or 0 for none, and how long it took.
func LogRequests(log *slog.Logger) func(context.Context, string, int, time.Duration) {
	return func(ctx context.Context, host string, status int, took time.Duration) {
		log.InfoContext(ctx, "provider request", "host", host, "status", status,
			"took_ms", took.Milliseconds())
	}
}
