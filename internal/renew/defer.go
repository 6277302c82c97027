package renew

import "evertoken/internal/credential"

// Defer is the answer for a connection that is left to a later run: what its
// token tells, and the reason.
func (e *Engine) Defer(j Job, reason string) Result {
	r := e.begin(j)
	if j.Token.Err == nil {
		r.parseToken(j.Token.Version)
	}
	return r.complete(Result{Outcome: Deferred, Reason: reason})
}

// Glance is what the published token alone tells of a connection: what else a
// scheduled run must read, see [Needs], and the answer where that is nothing. A
// plain copy it does not look at. It reads the token once: an idle run over a
// large fleet does little else.
func (e *Engine) Glance(j Job) (Reads, Result) {
	r := e.begin(j)
	if j.Token.Err == nil {
		r.parseToken(j.Token.Version)
	}
	var published *credential.Token
	result := Result{Outcome: Fresh}
	if r.token != nil {
		published, result.Reason = &r.published, Decide(r.facts()).Reason
	}
	return needs(j, published, e.Every, r.now), r.complete(result)
}
