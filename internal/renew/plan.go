package renew

import (
	"fmt"
	"slices"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/session"
)

// attempt is one exchange that a run may make.
type attempt struct {
	grant exchange.Grant
	// fallback says that a better attempt failed before this one.
	fallback bool
}

// rungs are the facts by which [ladder] orders the grants.
type rungs struct {
	// refresh says that the session has a refresh token that may be sent.
	refresh bool
	// fits says that the credential's present values opened the session.
	fits bool
	// remint says that the session is about to end.
	remint bool
	// grants are the credential's own grants that may be tried, weakest first.
	grants []exchange.Grant
}

// ladder orders the attempts, weakest grant first: the session's refresh token, then what
// the credential holds. The order is the other way round if the session is about to end,
// because no refresh extends it, and if the credential has changed. In both cases the
// refresh token is the fallback if no new session can be opened. A seed (a stored refresh
// token that only opens the first session) that opened this session is spent and left out.
func ladder(in rungs) []attempt {
	var opening []attempt
	for _, g := range in.grants {
		if spent := singleUse(g) && in.fits; !spent {
			opening = append(opening, attempt{grant: g})
		}
	}
	if !in.refresh {
		return opening
	}
	if in.fits && !in.remint {
		return append([]attempt{{grant: exchange.Refresh}}, opening...)
	}
	return append(opening, attempt{grant: exchange.Refresh, fallback: len(opening) > 0})
}

// plan is what a run may send, in order.
type plan struct {
	attempts []attempt
	// opensWith is the fingerprint of the values that would open a session first; empty if
	// the session's refresh token is sent first.
	opensWith string
	// stronger says that a repeatable grant can open a session.
	stronger bool
	// why says why there is nothing to send.
	why error
}

// plan says what may be sent in the present state. It reads nothing from AWS.
func (r *renewal) plan() plan {
	grants := r.opening()
	p := plan{stronger: slices.ContainsFunc(grants, repeatable)}
	in := rungs{grants: grants, fits: r.sessionFits(), remint: r.facts().SessionEnding(),
		refresh: r.mayRefresh(p.stronger)}
	switch {
	case r.job.Candidate:
		in.refresh = false
	case r.session.Beside(): // the run that has the claim may send a single-use grant
		in.grants = slices.DeleteFunc(slices.Clone(grants), singleUse)
	}
	p.attempts = ladder(in)
	if r.secondRefused() {
		p.attempts = nil
	}
	// An operator may send even what seems to be spent.
	if len(p.attempts) == 0 && r.overrides() {
		for _, g := range r.grants {
			if !r.job.Candidate || !r.spentSeed(g) {
				p.attempts = append(p.attempts, attempt{grant: g})
			}
		}
	}
	if m := r.memoryOfAnswers(); !r.overrides() && !m.allows(trial{now: r.now}) {
		p.attempts, p.why = nil, r.paused("the last answer cannot be used", m)
	}
	if len(p.attempts) == 0 && p.why == nil {
		p.why = r.nothing(p.stronger)
	}
	if len(p.attempts) > 0 {
		if first := p.attempts[0].grant; !first.FromSession() {
			p.opensWith = r.credential.Fingerprint(first.Members...)
		}
	}
	return p
}

// opening are the grants of the credential that a run may use to open a session, weakest
// first.
func (r *renewal) opening() []exchange.Grant {
	var out []exchange.Grant
	for _, g := range r.grants {
		if r.job.Candidate && !r.spentSeed(g) || r.mayOpen(g) {
			out = append(out, g)
		}
	}
	return out
}

// mayOpen reports whether the grant may be sent to open a session.
func (r *renewal) mayOpen(g exchange.Grant) bool {
	if singleUse(g) && (r.worked(g) || r.spentSeed(g)) {
		return false
	}
	if r.overrides() {
		return true
	}
	if r.seedTaken(g) || !r.memoryOf(g).allows(r.trial(g)) {
		return false
	}
	if singleUse(g) && !r.seedDoubt(g).MaySend(r.replaySeed()) {
		return false
	}
	// An opening whose answer was lost may have reached the provider.
	s, doubt := r.session.Session(), r.session.Doubt()
	otherwise := s.OpeningWith != "" && s.OpeningWith != r.credential.Fingerprint(g.Members...)
	if doubt.Sent == 0 || !s.RefreshToken.IsZero() || otherwise {
		return true
	}
	switch {
	case singleUse(g):
		stronger := slices.ContainsFunc(r.grants, func(other exchange.Grant) bool {
			return repeatable(other) && r.memoryOf(other).allows(r.trial(other))
		})
		return doubt.MaySend(r.replay(stronger))
	case g.Password:
		return doubt.Sent < unproven ||
			r.worked(g) && !r.now.Before(doubt.Last.Add(pause(doubt.Sent)))
	}
	return true
}

func (r *renewal) trial(g exchange.Grant) trial {
	return trial{now: r.now, password: g.Password, worked: r.worked(g)}
}

// replay are the conditions for sending a refresh token again after a lost answer.
func (r *renewal) replay(stronger bool) session.Replay {
	return session.Replay{
		Now: r.now, Provider: r.traits.Replay, Stronger: stronger, Force: r.overrides(),
		NeedsToken: r.needsToken(),
	}
}

// needsToken reports whether there is no published token, or only one that has expired or
// is about to.
func (r *renewal) needsToken() bool {
	if r.token == nil {
		return true
	}
	f := tokenFacts(r.conn, r.traits, r.Every, r.published)
	return r.token.ExpiresAt.Sub(r.now) < f.emergencyLead()
}

// worked reports whether a grant has worked with the credential's present values: it opened
// the current session, or, if there is none, it got the published token. For a password the
// token names the version that it came from. Otherwise it is enough that the token was issued
// after the credential was stored: an operator who moves AWSCURRENT back to an earlier
// password knows that it works, unless a label says that it was refused.
func (r *renewal) worked(g exchange.Grant) bool {
	version := r.job.Credential.Version
	switch named := r.published.CredentialVersion; {
	case !r.provenByToken():
		by := r.session.Session().OpenedBy
		return by != "" && by == r.credential.Fingerprint(g.Members...)
	case r.token == nil:
		return false
	case g.Password && named != "":
		return named == version.ID || named == r.proof.id && r.sameFor(r.proof.doc, g) ||
			!version.Created.IsZero() && r.token.IssuedAt.After(version.Created) &&
				r.memoryOf(g).rejected == ""
	}
	return !version.Created.IsZero() && !r.token.IssuedAt.Before(version.Created)
}

// provenByToken reports whether the published token shows what has worked, because no
// session does.
func (r *renewal) provenByToken() bool {
	return !r.keepsSession() ||
		r.traits.Session == exchange.OptionalSession && r.session.Session().OpenedBy == ""
}

// fits reports whether one of the grants that the credential now allows opened the session.
// It is true if the credential cannot be read, which says nothing against the session.
func (r *renewal) fits(s credential.Session) bool {
	if r.noCredential != nil {
		return true
	}
	return slices.ContainsFunc(r.grants, func(g exchange.Grant) bool {
		return s.OpenedBy != "" && s.OpenedBy == r.credential.Fingerprint(g.Members...)
	})
}

func (r *renewal) sessionFits() bool { return r.fits(r.session.Session()) }

// mayRefresh reports whether the session's refresh token may be sent. stronger says that a
// repeatable grant can open a session.
func (r *renewal) mayRefresh(stronger bool) bool {
	s := r.session.Session()
	switch {
	case s.RefreshToken.IsZero() || r.session.Beside() || r.forbidden:
		return false
	case r.overrides():
		return true
	case !s.ExpiresAt.IsZero() && !r.now.Before(s.ExpiresAt) && stronger:
		return false // it has expired unused
	case !r.session.Doubt().MaySend(r.replay(stronger)):
		return false
	}
	return r.memoryOfRefresh().allows(trial{now: r.now}) || r.clientCorrected()
}

// secondRefused reports whether the provider refused the second of two requests for what the
// credential now holds. The first request would then be useless, and change the session each
// time, whatever opened that session.
func (r *renewal) secondRefused() bool {
	_, two := r.job.Provider.(exchange.Finisher)
	if !two || r.overrides() {
		return false
	}
	return !recall(r.labelsFor(exchange.Grant{}), r.key(secondGrant)).allows(trial{now: r.now})
}

// secondGrant is the grant in labels about the second request of an [exchange.Finisher].
const secondGrant = "token_exchange"

// nothing returns the reason why nothing that is stored may be sent.
func (r *renewal) nothing(stronger bool) error {
	if r.noCredential != nil && len(r.grants) == 0 && r.session.Session().RefreshToken.IsZero() {
		return r.noCredential
	}
	for _, g := range r.grants {
		if r.job.Candidate && r.spentSeed(g) {
			return &Stopped{Failed, exchange.Misconfigured,
				"the refresh token belongs to the session in force, and sending it as a new one " +
					"would end that session",
				"If only the client has changed, store the credential without a trial, and the " +
					"session in force goes on with it: `aws secretsmanager put-secret-value " +
					"--secret-id " + r.conn.SecretName(r.conn.Credential) +
					" --secret-string file://credential.json`. For a new session, log in again at " +
					"the provider and store the new refresh token."}
		}
		if r.seedTaken(g) {
			return &Stopped{Failed, exchange.Misconfigured,
				"the stored refresh token has opened the session of another connection, " +
					"and sending it again would end that session",
				"To rename a connection, copy its session secret: `evertoken rename` does that. " +
					"For a separate connection, store a new refresh token: " + putCommand(r.conn) +
					". To send this one anyway, " + r.forceHint() + "."}
		}
	}
	// What Evertoken tries again is reported first, because it needs no person.
	var waiting, dead memory
	var waits, died string
	take := func(word string, m memory, t trial) {
		switch {
		case m.over(t) || m.rejected != "" && m.unsure == 0:
			if died == "" || m.answer != nil && dead.answer == nil {
				died, dead = word, m
			}
		case m.unsure > 0 && t.now.Before(m.next()):
			waits, waiting = word, m
		}
	}
	for _, g := range r.grants {
		if d := r.seedDoubt(g); singleUse(g) && !r.worked(g) && d.Sent > 1 {
			return r.inDoubt(d, true)
		}
		take("the "+g.Type+" grant", r.memoryOf(g), r.trial(g))
	}
	if _, two := r.job.Provider.(exchange.Finisher); two {
		second := recall(r.labelsFor(exchange.Grant{}), r.key(secondGrant))
		take("the second request", second, trial{now: r.now})
	}
	if !r.session.Session().RefreshToken.IsZero() {
		take("the refresh token of the session", r.memoryOfRefresh(), trial{now: r.now})
	}
	doubt, rejected := r.session.Doubt(), dead.rejected
	if !r.session.Session().RefreshToken.IsZero() {
		rejected = r.memoryOfRefresh().rejected
	}
	switch {
	case waits != "":
		return r.paused("the last answer to "+waits+" is not clear", waiting)
	case doubt.Sent > 0 && !stronger && rejected == "":
		return r.inDoubt(doubt, r.replay(false).NeedsToken)
	case r.noCredential != nil && died == "":
		return r.noCredential
	}
	return r.blocked(died, dead)
}

// inDoubt returns the error that says that the provider did not answer the last request,
// and when Evertoken sends the next one. now says that it does not wait for the published
// token to expire.
func (r *renewal) inDoubt(doubt session.Doubt, now bool) error {
	s := &Stopped{Deferred, "", fmt.Sprintf("the provider did not answer what was sent at %s, "+
		"and nothing stronger is stored; Evertoken sends it again when the published token is "+
		"about to expire", stamp(doubt.Last)), ""}
	if now {
		s.Outcome, s.Class = Failed, exchange.Transient
		s.Reason = fmt.Sprintf("the provider did not answer what was sent %d times, last at %s, "+
			"and nothing stronger is stored; Evertoken sends it again once a day, next at %s",
			doubt.Sent, stamp(doubt.Last), stamp(doubt.Last.Add(session.Daily)))
		s.Hint = "To try at once, " + r.forceHint() + ". " +
			"If the provider then refuses it, store a new credential: " + putCommand(r.conn) + "."
	}
	return s
}

// paused returns the error that says when Evertoken tries again.
func (r *renewal) paused(what string, m memory) error {
	s := &Stopped{Failed, exchange.Transient, what, ""}
	if m.answer != nil {
		s.Class, s.Reason = m.answer.class, what+": "+m.answer.String()
		s.Hint = m.answer.advice("")
	}
	s.Reason += fmt.Sprintf("; Evertoken tries again with growing pauses, at most six times a day, "+
		"next at %s", stamp(m.next()))
	s.Hint = Sentences(s.Hint, "To try at once, "+r.forceHint()+".")
	return s
}

// blocked returns the error that says that the connection needs a person.
func (r *renewal) blocked(what string, m memory) error {
	s := &Stopped{Blocked, exchange.CredentialDead,
		"the provider accepts nothing that is stored any more", ""}
	var hint string
	switch {
	case m.rejected != "":
		s.Reason = "the provider refused " + what + " on " + dated(m.rejected)
	case m.unsure > 0:
		s.Reason = fmt.Sprintf("%s was sent %d times without a clear answer, last at %s, "+
			"and has never worked", what, m.unsure, stamp(m.last))
	}
	if m.answer != nil {
		s.Reason += ": " + m.answer.String()
		hint = m.answer.advice(what)
	}
	s.Hint = Sentences(hint, "Store a working credential: "+putCommand(r.conn)+".",
		"If what is stored works now (an account was unlocked), "+r.forceHint()+
			". Storing the same members again does not make Evertoken try them sooner.")
	return s
}

func (a answer) String() string {
	text := fmt.Sprintf("HTTP %d", a.status)
	if a.status == 0 {
		text = "no answer"
	}
	if a.code != "" {
		text += ": " + a.code
	}
	return text
}

// advice is what the operator can do about the answer that an earlier run got.
func (a answer) advice(what string) string {
	switch {
	case a.hint != "":
		return a.hint
	case a.code == "invalid_client" || a.code == "unauthorized_client":
		return "The provider refuses the client: check the client id, its secret or key, " +
			"settings.client_auth, and that this grant is allowed for it."
	case a.class == exchange.CredentialDead &&
		(what == "the password grant" || what == "the token grant"):
		return "The user name or the password is wrong, or the user is locked: " +
			"a locked user gets the same answer."
	case a.class == exchange.CredentialDead:
		return "The provider refuses the credential: check that it is whole, " +
			"has not been revoked, and is allowed this grant."
	case a.class == exchange.GrantDead:
		return "The refresh token is expired, revoked or already used: " +
			"log in again at the provider and store the new refresh token."
	}
	return ""
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }
