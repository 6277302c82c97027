package renew

import "evertoken/internal/credential"

// Defer returns the result for a connection that is left to a later run: what its token
// shows, and the reason.
func (e *Engine) Defer(j Job, reason string) Result {
	r := e.begin(j)
	if j.Token.Err == nil {
		r.parseToken(j.Token.Version)
	}
	return r.complete(Result{Outcome: Deferred, Reason: reason})
}

// Glance says, from the published token alone, what else a scheduled run must read of a
// connection, as [Needs] does, and returns the result if that is nothing. It ignores a plain
// copy. It parses the token once, because an idle run over many connections does little
// else.
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
