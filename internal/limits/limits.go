// Package limits holds the rules of time that both functions keep to: how long
// one exchange may last, and what time is kept for storing what it yields.
package limits

import (
	"context"
	"time"
)

const (
	// Exchange is the longest that one request to a provider may take.
	Exchange = 20 * time.Second
	// LeastExchange is the least time that is worth beginning one with.
	LeastExchange = 5 * time.Second
	// Store is the time kept for storing what an exchange yields.
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

// Enough reports whether there is time for one more exchange and for storing
// what it yields. None is begun without it.
func Enough(ctx context.Context) bool { return Remaining(ctx) >= LeastExchange+Store }

// Bounded is the context of one exchange.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(Exchange, Remaining(ctx)-Store))
}
