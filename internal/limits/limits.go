// Package limits holds the time limits of both functions: how long one exchange may
// last, and how much time stays reserved for storing its answer.
package limits

import (
	"context"
	"time"
)

const (
	// Exchange is the longest that one request to a provider may take.
	Exchange = 20 * time.Second
	// LeastExchange is the shortest time in which a request is worth sending.
	LeastExchange = 5 * time.Second
	// Store is the time reserved for storing the answer to an exchange.
	Store = 10 * time.Second
	// Run is how long a Lambda can last (Lambda quotas: 900 seconds), for a run
	// that has no deadline.
	Run = 15 * time.Minute
)

// Remaining is the time left until the context's deadline, [Run] if it has none.
func Remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return Run
	}
	return time.Until(deadline)
}

// Enough reports whether there is time for one more exchange and for storing its
// answer. No exchange begins without it.
func Enough(ctx context.Context) bool { return Remaining(ctx) >= LeastExchange+Store }

// Bounded is the context of one exchange.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(Exchange, Remaining(ctx)-Store))
}
