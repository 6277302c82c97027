package secrets

import (
	"context"
	"time"

	"evertoken/internal/limits"
)

const (
	firstWait = 200 * time.Millisecond
	longWait  = 5 * time.Second
	// fewTries is how often a call is tried whose failure loses nothing.
	fewTries = 4
)

// Wait waits as [Sleep] does.
type Wait func(context.Context, time.Duration) error

// Try makes a call a few times. If it still fails, a later run makes it.
func (wait Wait) Try(ctx context.Context, call func(context.Context) error) error {
	return wait.again(ctx, func(try int, _ Kind) bool { return try < fewTries }, call)
}

// Insist repeats a call that stores the only copy of something until only reserve is left of
// the time. It also repeats errors that do not pass as a rule, because AWS may be slow to
// see a right or a version. It does not repeat those until the end: there are other places
// for the copy.
func (wait Wait) Insist(ctx context.Context, reserve time.Duration,
	call func(context.Context) error,
) error {
	// A call that never answers must not use the reserve.
	ctx, cancel := context.WithTimeout(ctx, limits.Remaining(ctx)-reserve)
	defer cancel()
	return wait.again(ctx, func(try int, kind Kind) bool {
		return kind == ErrTransient || kind == ErrThrottled || try < fewTries
	}, call)
}

// Keep is Insist for a copy that has no other place. It tries until the end whatever may
// pass in that time: AWS may take a moment to see a right, a key or a version.
func (wait Wait) Keep(ctx context.Context, reserve time.Duration,
	call func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, limits.Remaining(ctx)-reserve)
	defer cancel()
	return wait.again(ctx, func(_ int, kind Kind) bool {
		switch kind {
		case ErrTransient, ErrThrottled, ErrDenied, ErrKMS, ErrNotFound:
			return true
		}
		return false
	}, call)
}

func (wait Wait) again(ctx context.Context, more func(try int, kind Kind) bool,
	call func(context.Context) error,
) error {
	budget := limits.Remaining(ctx) // counted here too, for an injected clock that stands still
	for try, pause := 1, firstWait; ; try, pause = try+1, min(2*pause, longWait) {
		err := call(ctx)
		kind := ErrorKind(err)
		switch kind {
		case NoError, ErrConflict, ErrLabelMoved: // an answer that a repetition cannot change
			return err
		}
		budget -= pause
		late := budget < 0 || limits.Remaining(ctx) < pause
		if !more(try, kind) || late || wait(ctx, pause) != nil {
			return err
		}
	}
}
