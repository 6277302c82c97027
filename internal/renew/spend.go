package renew

import (
	"context"
	"slices"
	"time"

	"evertoken/internal/exchange"
)

const (
	// exchangeTimeout is the longest that one exchange may take.
	exchangeTimeout = 20 * time.Second
	// leastExchange is the least time that is worth beginning one with.
	leastExchange = 5 * time.Second
	// storeReserve is the time kept for storing what an exchange yields: none
	// is begun without it.
	storeReserve = 10 * time.Second
)

// remaining is the time left in this run. A run without a deadline, as on a
// laptop, has an hour.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(deadline)
}

// failures are what went wrong before an attempt succeeded or all had failed.
type failures struct {
	last           *exchange.Error
	refused        *exchange.Error // a grant of the credential was refused
	refreshRefused bool
	unsure         bool // a grant of the credential failed in another way
	lost           bool // an answer was lost and nothing better came after it
}

// spend makes the attempts in order until one succeeds, and stores what it
// yields.
func (r *renewal) spend(ctx context.Context, attempts []attempt) Result {
	var f failures
	for i, a := range attempts {
		if remaining(ctx) < leastExchange+storeReserve {
			r.settleFailure(ctx, f)
			return Result{Outcome: Deferred, Reason: "no time left in this run"}
		}
		issued, err := r.exchange(ctx, a.grant)
		if err == nil {
			return r.succeed(ctx, a, issued, f)
		}
		x := asExchange(err)
		if x.Lost && !issued.RefreshToken.IsZero() { // the token is of no use, the refresh token beside it is
			if next, changed := r.nextSession(a.grant, issued); changed {
				r.keepSession(ctx, next)
				r.session, x.Lost = next, false
			}
		}
		f.add(a, x, r.traits.SingleUse && r.usesSession())
		r.Log.WarnContext(ctx, "exchange failed", "connection", r.conn.Name, "grant_type", a.grant.Type,
			"error_class", string(x.Class), "status", x.Status, "error_code", x.Code, "lost", x.Lost)
		if i+1 < len(attempts) && !r.goesOn(a, attempts[i+1], x) {
			break
		}
	}
	if f.refused != nil && r.rescuedSession(ctx) { // a changed refresh token that had no session to be kept in
		issued, err := r.exchange(ctx, exchange.Refresh)
		if err == nil {
			return r.succeed(ctx, attempt{grant: exchange.Refresh}, issued, failures{})
		}
		f.add(attempt{grant: exchange.Refresh}, asExchange(err), false)
	}
	return r.settleFailure(ctx, f)
}

func (f *failures) add(a attempt, x *exchange.Error, singleUse bool) {
	f.last = x
	dead := x.Class == exchange.GrantDead || x.Class == exchange.CredentialDead
	switch {
	case dead && a.grant.FromSession():
		f.refreshRefused = true
	case dead:
		f.refused = x
	case !a.grant.FromSession():
		f.unsure = true
	}
	spends := a.grant.FromSession() || (a.grant.Seed && !a.grant.Reusable) || a.grant.Password
	f.lost = f.lost || (x.Lost && singleUse && spends)
}

// goesOn reports whether the next attempt is to be made in this run.
func (r *renewal) goesOn(a, next attempt, x *exchange.Error) bool {
	switch {
	case x.Class == exchange.GrantDead || x.Class == exchange.CredentialDead:
		return true
	case next.fallback: // the new session cannot be opened: the old one serves
		return true
	case x.Lost && r.traits.SingleUse && a.grant.FromSession() && !r.traits.Replay:
		return true // the stronger grant costs nothing; a replay would be taken for theft
	}
	return r.decision.Emergency
}

// exchange makes one exchange once the gate lets it.
func (r *renewal) exchange(ctx context.Context, g exchange.Grant) (issued exchange.Issued, err error) {
	leave, refused := r.gate().Enter(ctx, g)
	if refused != nil {
		return exchange.Issued{}, refused
	}
	told := &exchange.Error{Class: exchange.Misconfigured, Doing: "exchanging", Problem: "an internal fault"}
	defer func() { leave(told) }()                   // also where the provider's code panics
	if remaining(ctx) < leastExchange+storeReserve { // the turn may have been long in coming
		told = nil
		return exchange.Issued{}, &exchange.Error{Class: exchange.Transient, Doing: "exchanging", Problem: "no time left in this run"}
	}
	ctx, cancel := context.WithTimeout(ctx, min(exchangeTimeout, remaining(ctx)-storeReserve))
	defer cancel()
	issued, err = r.job.Provider.Exchange(ctx, r.request(g))
	told = nil
	if err != nil {
		told = asExchange(err)
	}
	return issued, err
}

func (r *renewal) request(g exchange.Grant) exchange.Request {
	q := exchange.Request{Grant: g, Credential: r.credential, Published: r.published}
	if g.FromSession() {
		q.RefreshToken = r.session.RefreshToken
	}
	return q
}

// settleFailure records what all attempts have told and gives the claim back,
// unless an answer was lost: then the claim stays and says so.
func (r *renewal) settleFailure(ctx context.Context, f failures) Result {
	if f.last == nil {
		r.unspend(ctx)
		r.release(ctx)
		return Result{Outcome: Deferred, Reason: "nothing was tried"}
	}
	result := exchangeFailure(f.last)
	if f.refused != nil {
		result = exchangeFailure(f.refused)
	}
	if f.refreshRefused {
		r.markRejected(ctx, "session", r.conn.Session, r.sessionVersion.ID)
	}
	onlyRefresh := f.refreshRefused && f.refused == nil && (f.last.Class == exchange.GrantDead || f.last.Class == exchange.CredentialDead)
	if f.refused != nil && !f.unsure || onlyRefresh {
		r.markRejected(ctx, "credential", r.conn.Credential, r.job.Credential.Version.ID)
		result.Class = exchange.CredentialDead
	}
	if f.refused != nil && r.unmarked && r.usesSession() && r.traits.SingleUse {
		return result // the claim stays: at most one more try, as after a lost answer
	}
	if f.lost {
		result.Reason += "; its answer is lost, and is settled by the rule for this provider in a later run"
		return result
	}
	if !f.refreshRefused {
		r.unspend(ctx)
	}
	r.release(ctx)
	return result
}

func (r *renewal) markRejected(ctx context.Context, document, id, versionID string) {
	if r.job.Candidate { // its refusal leaves no trace
		return
	}
	if err := r.mark(ctx, labelRejected, id, versionID); err != nil {
		r.unmarked = r.unmarked || document == "credential"
		r.hint("the rejection could not be noted on the " + document + ", so it may be tried again: " + err.Error())
	}
}

// succeed stores the session, finishes the exchange where the provider needs a
// second request, and publishes the token.
func (r *renewal) succeed(ctx context.Context, a attempt, issued exchange.Issued, f failures) Result {
	r.tellFailures(a, f)
	for _, h := range issued.Hints {
		r.hint(h)
	}
	result := Result{Outcome: Issued, Reason: r.decision.Reason, Grant: a.grant.Type, CredentialEnds: issued.CredentialExpiresAt,
		CredentialRefused: f.refused != nil}
	finisher, twoRequests := r.job.Provider.(exchange.Finisher)
	session, write := r.nextSession(a.grant, issued)
	if write {
		r.keepSession(ctx, session)
	} else {
		r.release(ctx)
	}
	r.session = session
	switch {
	case !a.grant.FromSession() && f.refused != nil: // a weaker grant of the credential
		if err := r.mark(ctx, labelWeaker, r.conn.Credential, r.job.Credential.Version.ID); err != nil {
			r.hint("that it was refused could not be noted, so it is tried again: " + err.Error())
		}
	case !a.grant.FromSession() && !twoRequests:
		r.accept(ctx, r.conn.Credential, r.job.Credential.Version)
	case f.refused != nil: // the old session serves; do not try the refused credential in every run
		r.markRejected(ctx, "credential", r.conn.Credential, r.job.Credential.Version.ID)
	}
	if twoRequests {
		var stop *Result
		if issued, stop = r.finish(ctx, finisher, a.grant, issued); stop != nil {
			return *stop
		}
		if !a.grant.FromSession() || r.sessionFits() {
			r.accept(ctx, r.conn.Credential, r.job.Credential.Version)
		}
	}
	token := newToken(r.conn, r.facts(), issued)
	if token.NeedsPersonAt.IsZero() && r.onlySeeds() {
		token.NeedsPersonAt = sessionEnd(r.session.StartedAt, r.traits)
	}
	result.NeedsPersonAt = token.NeedsPersonAt
	return r.publish(ctx, token, result)
}

// onlySeeds reports whether nothing stronger than a refresh token is stored.
func (r *renewal) onlySeeds() bool {
	return !slices.ContainsFunc(r.grants, func(g exchange.Grant) bool { return !g.Seed })
}

// finish makes the second request. The session of the first is stored by now,
// so that a failure here costs only this run.
func (r *renewal) finish(ctx context.Context, p exchange.Finisher, g exchange.Grant, user exchange.Issued) (exchange.Issued, *Result) {
	if remaining(ctx) < leastExchange+storeReserve {
		return user, &Result{Outcome: Deferred, Reason: "no time left in this run for the second request; the session is stored"}
	}
	exchanging, cancel := context.WithTimeout(ctx, min(exchangeTimeout, remaining(ctx)-storeReserve))
	defer cancel()
	issued, err := p.Finish(exchanging, r.request(g), user)
	if err != nil {
		result := exchangeFailure(err)
		if dead := result.Class == exchange.CredentialDead || result.Class == exchange.GrantDead; dead {
			result.Class = exchange.CredentialDead
			r.markRejected(ctx, "credential", r.conn.Credential, r.job.Credential.Version.ID)
		}
		return user, &result
	}
	return issued, nil
}

// tellFailures tells what failed although the connection has its token.
func (r *renewal) tellFailures(a attempt, f failures) {
	switch {
	case f.last == nil:
	case a.fallback:
		r.hint("a new session could not be opened, the old one is used while it works: " + f.last.Error())
		r.hint(f.last.Hint)
	default:
		r.hint("the " + a.grant.Type + " grant was used, because: " + f.last.Error())
	}
}
