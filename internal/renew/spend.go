package renew

import (
	"context"
	"errors"
	"slices"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
)

// spend makes the attempts in order until one succeeds, and stores the result.
func (r *renewal) spend(ctx context.Context, attempts []attempt) (Result, error) {
	var failed failures
	for i := 0; i < len(attempts); i++ {
		a := attempts[i]
		issued, err := r.attempt(ctx, a.grant)
		if err == nil {
			return r.succeed(ctx, a, issued, failed)
		}
		if stopped, ok := errors.AsType[*Stopped](err); ok { // before anything was sent
			next := i + 1
			if next < len(attempts) && attempts[next].fallback && stopped.Outcome != Deferred {
				r.hintOldSession(stopped.Reason, stopped.Hint)
				continue
			}
			if len(failed) == 0 {
				r.session.Release(ctx)
			} else {
				_ = r.conclude(ctx, failed) // the answer reports what stopped the run
			}
			return Result{}, stopped
		}
		failed = append(failed, r.failed(ctx, a, issued, asExchange(err)))
		f := &failed[len(failed)-1]
		last := i+1 == len(attempts)
		if !last && !r.goesOn(*f, attempts[i+1]) {
			break
		}
		if last && f.verdict == refused && r.recovered(ctx, f) {
			attempts = append(attempts, attempt{grant: exchange.Refresh})
		}
	}
	return Result{}, r.conclude(ctx, failed)
}

// attempt makes one exchange. Before that it writes the labels that must be there if the
// run ends during the exchange.
func (r *renewal) attempt(ctx context.Context, g exchange.Grant) (exchange.Issued, error) {
	if !limits.Enough(ctx) {
		return exchange.Issued{}, noTime()
	}
	if !r.job.Candidate {
		if err := r.takeSeed(ctx, g); err != nil {
			return exchange.Issued{}, err
		}
	}
	// Another run may have been refused since this run read the labels.
	if g.Password && !r.overrides() {
		if err := r.readNotes(ctx); err != nil {
			return exchange.Issued{}, err
		}
		if !r.mayOpen(g) {
			return exchange.Issued{}, asStopped(r.nothing(false))
		}
	}
	if g.FromSession() || r.session.Session().RefreshToken.IsZero() {
		if err := r.session.Sending(ctx); err != nil {
			return exchange.Issued{}, r.sessionStopped(err)
		}
	}
	began := r.Now()
	issued, err := r.exchange(ctx, g)
	grace := r.traits.ReuseGrace
	lost := err != nil && (g.FromSession() || singleUse(g)) && asExchange(err).Lost
	if lost && grace > 0 && limits.Enough(ctx) && r.Now().Sub(began) < grace {
		r.hint("The answer to the " + g.Type + " grant was lost, and Evertoken asked the provider " +
			"once more.")
		issued, err = r.exchange(ctx, g)
	}
	return issued, err
}

// exchange makes one exchange when the gate allows it.
func (r *renewal) exchange(ctx context.Context, g exchange.Grant) (
	issued exchange.Issued, err error,
) {
	leave, refused := r.gate().Enter(ctx, g)
	if refused != nil {
		return exchange.Issued{}, refused
	}
	told := &exchange.Error{Class: exchange.Misconfigured, Doing: "exchanging",
		Problem: "an internal fault"}
	defer func() { leave(told) }() // also if the provider's code panics
	if !limits.Enough(ctx) {       // the wait for the turn may have been long
		told = NotSent
		return exchange.Issued{}, noTime()
	}
	if err := r.count(ctx, g); err != nil {
		told = NotSent
		return exchange.Issued{}, err
	}
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	issued, err = r.job.Provider.Exchange(ctx, r.request(g))
	told = nil
	if err != nil {
		told = asExchange(err)
	}
	return issued, err
}

// failed records a failed exchange, and stores a refresh token that came with it.
func (r *renewal) failed(ctx context.Context, a attempt, issued exchange.Issued,
	x *exchange.Error,
) failure {
	worked := a.grant.FromSession() && r.sessionFits() || !a.grant.FromSession() && r.worked(a.grant)
	f := failure{attempt: a, x: x, verdict: judge(a.grant, x, worked)}
	if x.Lost && r.opensOver(a.grant) {
		f.verdict = unsure // the session's labels do not tell that the seed was sent
	}
	// The answer reports what the failure counts as.
	if a.grant.FromSession() && f.verdict == refused && x.Unsure {
		dead := *x
		dead.Class, dead.Hint = exchange.GrantDead, answer{class: exchange.GrantDead}.advice("")
		f.x = &dead
	}
	r.Log.WarnContext(ctx, "exchange failed", "connection", r.conn.Name, "grant_type", a.grant.Type,
		"error_class", string(f.x.Class), "status", x.Status, "error_code", x.Code, "lost", x.Lost)
	if issued.RefreshToken.IsZero() {
		return f
	}
	// The access token cannot be used, but the refresh token beside it can.
	next, changed := nextSession(r.session.Session(), r.traits.Session, r.credential, a.grant, issued)
	if changed {
		r.session.Store(ctx, next)
		kept := *f.x
		kept.Lost = false
		f.x = &kept
	}
	return f
}

// goesOn reports whether this run makes the next attempt.
func (r *renewal) goesOn(f failure, next attempt) bool {
	fromSession := f.grant.FromSession()
	switch {
	case f.x.Unusable: // another grant would get the same answer
		return false
	case fromSession && f.x.Class == exchange.CredentialDead:
		return false // the client is refused, whatever it sends
	case f.verdict == refused, next.fallback:
		return true // a fallback: the new session cannot be opened, so the old one is used
	case f.x.Lost && r.traits.SingleUse && fromSession && !r.traits.Replay:
		return true // the stronger grant costs nothing, and a replay would look like theft
	case fromSession && f.x.Status >= 500 && r.late():
		return true // some servers always answer a dead refresh token this way
	}
	return r.decision.Emergency
}

// late reports whether the token has been due for at least two heartbeats.
func (r *renewal) late() bool {
	return r.token != nil && r.now.Sub(r.facts().RenewAfter()) >= 2*r.Every
}

// recovered looks for a session that is stored elsewhere, after the provider refused the
// current one. It makes that session current and claims it. A run looks only once.
func (r *renewal) recovered(ctx context.Context, f *failure) bool {
	if r.looked || r.job.Candidate || !f.grant.FromSession() && !f.grant.Seed {
		return false
	}
	r.looked = true
	// The label belongs on the version that was refused. Another is about to be current.
	if f.grant.FromSession() {
		r.note(ctx, *f)
		f.noted = true
	}
	found, err := r.session.Recover(ctx)
	if err == nil && found && r.claims() {
		err = r.session.Begin(ctx, r.turns(ctx))
	}
	if err != nil {
		r.hint(r.sessionStopped(err).Reason)
		return false
	}
	return found
}

// conclude labels what all attempts showed. It releases the claim, or notes that an answer
// was lost. It returns what the run's answer reports.
func (r *renewal) conclude(ctx context.Context, failed failures) error {
	lost := false
	for _, f := range failed {
		if !f.noted {
			r.note(ctx, f)
		}
		sent := f.grant.FromSession() || singleUse(f.grant) && r.session.Session().RefreshToken.IsZero()
		lost = lost || f.x.Lost && sent
	}
	if lost {
		r.session.Lose(ctx)
	} else {
		r.session.Release(ctx)
	}
	// A person must correct a refused credential, so that is reported. Otherwise the last
	// failure is.
	told := failed[len(failed)-1]
	stopped := refusal(told.x)
	if f := failed.of(refused, ofCredential); f != nil {
		stopped = refusal(f.x)
		stopped.Class = exchange.CredentialDead
	} else if failed.of(refused, ofSession) != nil && told.verdict == refused && r.onlySeeds() {
		stopped.Class = exchange.CredentialDead
	}
	if lost {
		stopped.Reason += "; its answer is lost, and " + r.afterLost()
	}
	ours := told.x.Status == 0 && !told.x.Lost && told.x.Class == exchange.Misconfigured
	if r.noCredential != nil && ours {
		return r.noCredential // the refresh needs the credential after all
	}
	r.hintNoCredential()
	stopped.Hint = r.remedy(*stopped, told.x)
	if told.grant.FromSession() && told.verdict == refused && r.onlySeeds() && !r.sessionFits() {
		r.hint("The credential has changed since the session was opened. If its client is not the " +
			"one that the refresh token was issued to, store the right one, then " + r.forceHint() + ".")
	}
	return stopped
}

// afterLost says what a later run does about an answer that this run lost
// (docs/reliability.md, "When the answer never comes").
func (r *renewal) afterLost() string {
	switch stronger := slices.ContainsFunc(r.opening(), repeatable); {
	case stronger && r.session.Doubt().MaySend(r.replay(true)):
		return "the next run sends the same once more, and after that uses the stronger grant"
	case stronger:
		return "the next run uses the stronger grant"
	}
	if r.session.Doubt().Sent > 1 {
		return "Evertoken sends the same once a day while no living token is published"
	}
	return "Evertoken sends the same once more when the published token is about to expire, " +
		"and then once a day"
}

// remedy completes the hint for a failure by the command that mends it.
func (r *renewal) remedy(s Stopped, x *exchange.Error) string {
	switch {
	case s.Class == exchange.CredentialDead:
		return Sentences(s.Hint, "Store a working credential: `evertoken credential "+r.conn.Name+"`.")
	case s.Class == exchange.Misconfigured && x.Status != 0 && r.job.Parameter != "":
		return Sentences(s.Hint, connection.Correct(r.job.Parameter))
	}
	return s.Hint
}

// succeed stores the session, makes the second request if the provider needs one, and
// publishes the token.
func (r *renewal) succeed(ctx context.Context, a attempt, issued exchange.Issued, failed failures) (
	Result, error,
) {
	for _, h := range issued.Hints {
		r.hint(h)
	}
	result := Result{Outcome: Issued, Reason: r.decision.Reason, Grant: a.grant.Type,
		CredentialEnds:    issued.CredentialExpiresAt,
		CredentialRefused: failed.of(refused, ofCredential) != nil}
	finisher, twoRequests := r.job.Provider.(exchange.Finisher)
	next, write := nextSession(r.session.Session(), r.traits.Session, r.credential, a.grant, issued)
	if write {
		r.session.Store(ctx, next)
	} else if a.grant.FromSession() || r.session.Session().RefreshToken.IsZero() {
		r.session.Unchanged(ctx)
	} else {
		r.session.Release(ctx)
	}
	r.tellFailures(a, failed)
	r.hintNoCredential()
	for _, f := range failed {
		if !f.grant.FromSession() { // the session's labels are on its earlier version
			r.note(ctx, f)
		}
	}
	if r.job.Candidate {
		if err := r.takeSeed(ctx, a.grant); err != nil {
			r.hint(asStopped(err).Reason)
		}
	}
	if twoRequests {
		var err error
		if issued, err = r.finish(ctx, finisher, a.grant, issued); err != nil {
			return Result{}, err
		}
	}
	r.accept(ctx, a.grant)
	token := newToken(r.conn, r.facts(), r.cut(issued))
	r.needsPerson(&token)
	if a.grant.Password && r.provenByToken() {
		token.CredentialVersion = r.job.Credential.Version.ID
	}
	result.NeedsPersonAt = token.NeedsPersonAt
	return r.publish(ctx, token, result)
}

// cut ends a token together with its session, if the provider showed the session's end and
// a new session can be opened before that.
func (r *renewal) cut(issued exchange.Issued) exchange.Issued {
	end := r.session.Session().EndsAt
	within := end.Before(issued.ExpiresAt) && end.After(issued.IssuedAt)
	if !end.IsZero() && within && len(r.opening()) > 0 {
		issued.ExpiresAt = end
	}
	return issued
}

// needsPerson adds to the token the end of what only a person can renew.
func (r *renewal) needsPerson(token *credential.Token) {
	if token.NeedsPersonAt.IsZero() && r.noCredential == nil && r.onlySeeds() {
		token.NeedsPersonAt = r.sessionEnd()
	}
	// What was known before still holds if the credential is the same.
	known := r.published.NeedsPersonAt
	if r.token == nil || r.job.Credential == nil {
		return
	}
	stored := r.job.Credential.Version.Created
	same := !stored.IsZero() && !r.token.IssuedAt.Before(stored)
	if token.NeedsPersonAt.IsZero() && known.After(r.now) && same {
		token.NeedsPersonAt = known
	}
}

// onlySeeds reports whether the credential holds nothing stronger than a refresh token.
func (r *renewal) onlySeeds() bool {
	return len(r.grants) > 0 &&
		!slices.ContainsFunc(r.grants, func(g exchange.Grant) bool { return !g.Seed })
}

// finish makes the second request. The session from the first request is stored by now, so
// a failure costs only this run.
func (r *renewal) finish(ctx context.Context, p exchange.Finisher, g exchange.Grant,
	user exchange.Issued,
) (exchange.Issued, error) {
	if !limits.Enough(ctx) {
		return user, &Stopped{Outcome: Deferred,
			Reason: "no time left in this run for the second request; the session is stored"}
	}
	finishing, cancel := limits.Bounded(ctx)
	defer cancel()
	issued, err := p.Finish(finishing, r.request(g), user)
	if err == nil {
		r.forgetFor(ctx, exchange.Grant{}, r.key(secondGrant))
		return issued, nil
	}
	x := asExchange(err)
	second := exchange.Grant{Type: secondGrant,
		Members: []string{credential.ClientID, credential.ClientSecret}}
	f := failure{attempt: attempt{grant: second}, x: x, verdict: judge(second, x, true)}
	r.note(ctx, f)
	stopped := refusal(x)
	if f.verdict == refused {
		stopped.Class = exchange.CredentialDead
	}
	return user, stopped
}

// day is how long versions count against a secret's limit.
const day = 24 * time.Hour
