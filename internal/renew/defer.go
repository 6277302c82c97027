package renew

import "time"

const (
	// LeastExchange is the least time that is worth beginning an exchange with.
	LeastExchange time.Duration = leastExchange
	// StoreReserve is the time kept for storing what an exchange yields.
	StoreReserve time.Duration = storeReserve
	// LeastTime is the least time in which an exchange can be made and stored:
	// with less, nothing is begun.
	LeastTime = LeastExchange + StoreReserve
)

// Defer is the answer for a connection that is left to a later run: what its
// token tells, and the reason.
func (e *Engine) Defer(j Job, reason string) Result {
	r := &renewal{Engine: e, job: j, conn: j.Connection, now: e.Now(), traits: j.Provider.Traits()}
	if j.Token.Err == nil {
		r.parseToken(j.Token.Version)
	}
	result := Result{Name: j.Connection.Name, Outcome: Deferred, Reason: reason, NeedsPersonAt: r.needsPerson}
	if r.token != nil {
		facts := r.facts()
		result.ExpiresAt, result.MinRemaining, result.RenewAfter = r.token.ExpiresAt, facts.minRemaining(), facts.RenewAfter()
	}
	return result
}
