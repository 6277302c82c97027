package rotate

import (
	"context"
	"errors"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

const (
	// exchangeTimeout is the longest that one request to a provider may take,
	// and storeReserve the time kept for storing what it yields.
	exchangeTimeout = 20 * time.Second
	storeReserve    = 10 * time.Second
	// leastTime is the least time worth beginning an exchange with.
	leastTime = storeReserve + 5*time.Second
	// tellReserve is the time kept for telling what could not be stored.
	tellReserve = time.Second
	// longestWait is the longest wait between two tries.
	longestWait = 5 * time.Second
)

// remaining is the time left in this invocation; without a deadline, as on a
// laptop, as long as a Lambda can last.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return longestRun
	}
	return time.Until(deadline)
}

// keep stores the only copy of a value under AWSPENDING, and tries until the
// time is up. The error is that of package secrets: ErrConflict where another
// invocation has stored one first.
func (r *rotation) keep(ctx context.Context, value redact.Secret) error {
	budget := remaining(ctx) - tellReserve
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := r.Secrets.PutAs(ctx, r.event.SecretID, r.id, r.event.RotationToken, value, secrets.Pending)
		switch secrets.ErrorKind(err) {
		case secrets.ErrTransient, secrets.ErrThrottled, secrets.ErrDenied, secrets.ErrKMS, secrets.ErrNotFound:
			// any of these may pass while there is time: a right or a key that
			// was just granted takes a moment to be seen
		default:
			return err
		}
		if budget -= wait; budget <= 0 || remaining(ctx) < wait || r.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// takeOff takes AWSPENDING off the version that is made, because no rotation to
// it can succeed, and returns the error that says so. What is then left is a
// version without a label; Secrets Manager begins the next rotation anew.
func (r *rotation) takeOff(ctx context.Context, because string) error {
	return RotationStuck{r.failure(because, r.takenOff(ctx))}
}

// takenOff does it and says what to do now.
func (r *rotation) takenOff(ctx context.Context) string {
	err := r.Secrets.MoveLabel(ctx, r.event.SecretID, secrets.Pending, "", r.id)
	switch secrets.ErrorKind(err) {
	case secrets.NoError, secrets.ErrLabelMoved, secrets.ErrNotFound: // the last two: it was off already
		return "AWSPENDING was taken off that version, which no rotation could have promoted; begin a new one: " + rotateCommand(r.name)
	}
	return "take AWSPENDING off that version: " + takeOffCommand(r.name, r.id) + " (it could not be done here: " + err.Error() + "), then begin a new rotation: " + rotateCommand(r.name)
}

// exchange makes one exchange with time kept for storing what it yields.
func (r *rotation) exchange(ctx context.Context, p renew.Provider, q exchange.Request) (exchange.Issued, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return p.Exchange(ctx, q)
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(exchangeTimeout, remaining(ctx)-storeReserve))
}

// asExchange returns a provider's error; one that is none is from our own code
// or about a document.
func asExchange(err error) *exchange.Error {
	if x, ok := errors.AsType[*exchange.Error](err); ok {
		return x
	}
	return &exchange.Error{Class: exchange.Misconfigured, Doing: "preparing the request", Problem: err.Error()}
}

func dead(err error) bool {
	class := asExchange(err).Class
	return class == exchange.CredentialDead || class == exchange.GrantDead
}
