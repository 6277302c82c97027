package renew

// Defer is the answer for a connection that is left to a later run: what its
// token tells, and the reason.
func (e *Engine) Defer(j Job, reason string) Result {
	r := e.begin(j)
	if j.Token.Err == nil {
		r.parseToken(j.Token.Version)
	}
	return r.complete(Result{Outcome: Deferred, Reason: reason})
}
