package renew

import (
	"context"
	"fmt"
	"slices"

	"evertoken/internal/exchange"
)

// attempt is one exchange that may be made in a run.
type attempt struct {
	grant exchange.Grant
	// fallback is set where it is made although something better failed, for
	// as long as it works.
	fallback bool
}

// rungs are what the ladder of grants is built from.
type rungs struct {
	// refresh is set where the session has a refresh token that may be sent.
	refresh bool
	// fits is set where the session was opened by what the credential now
	// holds.
	fits bool
	// remint is set where the session is at its end.
	remint bool
	// grants are the credential's own that may be tried, weakest first.
	grants []exchange.Grant
}

// ladder orders the attempts, weakest grant first: the session's refresh token,
// then what the credential holds. Two things turn it round: a session at its
// end, which no refresh extends, and a credential that has changed. In both the
// refresh token stays in use if the new session cannot be opened. A seed that
// opened this very session is spent and is left out.
func ladder(in rungs) []attempt {
	var opening []attempt
	for _, g := range in.grants {
		if spent := g.Seed && !g.Reusable && in.fits; !spent {
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

// plan returns the attempts that the state allows, or a result if there are
// none.
func (r *renewal) plan(ctx context.Context) ([]attempt, *Result) {
	if r.job.Candidate {
		var attempts []attempt
		for _, g := range r.grants {
			attempts = append(attempts, attempt{grant: g})
		}
		return attempts, nil
	}
	rejected, err := r.rejection(ctx)
	if err != nil {
		return nil, r.awsFailure("credential", r.conn.Credential, err)
	}
	in := rungs{remint: r.facts().SessionEnding(), fits: r.sessionFits(), refresh: r.mayRefresh()}
	weakerRefused := dayOf(labelWeaker, r.job.Credential.Version.Labels) == today(r.now)
	for i, g := range r.grants {
		if weakerRefused && i < len(r.grants)-1 && !r.job.Force {
			continue
		}
		if r.job.Force || rejected.allows(g, r.now, r.workedBefore(g), r.provenHere()) {
			in.grants = append(in.grants, g)
		}
	}
	if r.spent && r.session.Opening() && !r.openingWithOther() && !r.job.Force { // an opening grant was sent twice without an answer
		in.grants = slices.DeleteFunc(in.grants, func(g exchange.Grant) bool { return g.Password || g.Seed })
	}
	attempts := ladder(in)
	if _, two := r.job.Provider.(exchange.Finisher); two && in.fits && rejected.day == today(r.now) && !r.job.Force && !r.provenHere() {
		// What opened the session is accepted, so it was the second request that
		// was refused: the first would be made for nothing.
		attempts = nil
	}
	if len(attempts) > 0 {
		return attempts, nil
	}
	if r.job.Force { // an operator may try even what looks spent
		for _, g := range r.grants {
			attempts = append(attempts, attempt{grant: g})
		}
		return attempts, nil
	}
	return nil, r.blocked(rejected)
}

// openingWithOther reports whether a session was being opened with something
// else than what the credential now holds.
func (r *renewal) openingWithOther() bool {
	return r.session.Opening() && !slices.ContainsFunc(r.grants, func(g exchange.Grant) bool {
		return r.session.OpeningWith == r.credential.Fingerprint(g.Members...)
	})
}

// sessionFits reports whether the session was opened by one of the grants that
// the credential now allows.
func (r *renewal) sessionFits() bool {
	for _, g := range r.grants {
		if r.workedBefore(g) {
			return true
		}
	}
	return false
}

// workedBefore reports whether the session in force was opened by these very
// values.
func (r *renewal) workedBefore(g exchange.Grant) bool {
	if created := r.job.Credential.Version.Created; r.traits.Session == exchange.NoSession { // no opened_by: a token since then says the same
		return g.Password && r.token != nil && !created.IsZero() && !r.token.IssuedAt.Before(created)
	}
	return r.session.OpenedBy != "" && r.session.OpenedBy == r.credential.Fingerprint(g.Members...)
}

// provenHere reports whether a credential that other connections share has
// given this one a token: then their rejection, say of a wrong setting, is not
// this one's.
func (r *renewal) provenHere() bool {
	created := r.job.Credential.Version.Created
	return r.job.SharedCredential && r.token != nil && !created.IsZero() && !r.token.IssuedAt.Before(created)
}

// mayRefresh reports whether the session's refresh token may be sent.
func (r *renewal) mayRefresh() bool {
	s := r.session
	if s.RefreshToken.IsZero() || (r.spent && !r.job.Force) {
		return false
	}
	if !s.ExpiresAt.IsZero() && !r.now.Before(s.ExpiresAt) && len(r.grants) > 0 && !r.grants[0].Seed {
		return false // it died unused, and something stronger is there
	}
	day := rejectedDay(r.sessionVersion.Labels)
	return r.job.Force || day == "" || day != today(r.now)
}

func (r *renewal) blocked(rejected rejection) *Result {
	reason := "nothing that is stored is accepted any more"
	switch {
	case r.spent:
		reason = "what was sent last was not answered, and may not be sent again by itself; nothing else is stored"
	case rejected.day != "":
		reason = fmt.Sprintf("the provider refused the credential on %s", rejected.day)
	}
	return &Result{Outcome: Blocked, Class: exchange.CredentialDead, Reason: reason,
		Hint: "store a working credential: " + putCommand(r.conn.Credential) + "; or, to try the old one again, " + r.forceHint()}
}
