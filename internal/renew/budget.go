package renew

import (
	"context"
	"fmt"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// halfDay is a time over which versions are counted, to notice early that there are too many.
const halfDay = 12 * time.Hour

const (
	// earlyBudget is how many versions younger than 24 hours a secret may have if another is
	// to be written within the floor. Without this limit, forced runs and tokens that are too
	// short-lived would use the versions up.
	earlyBudget = 90
	// halfDayBudget is how many versions younger than 12 hours a secret may have if its token is
	// renewed about once in 15 minutes, which is 48 times in 12 hours. If forced runs and lost
	// answers have written more, Evertoken renews a little later, which makes room again.
	halfDayBudget = 49
	// stuckBudget is how many versions younger than 12 hours a session may have if another is to
	// be written within the floor because runs stored sessions and could not publish a token.
	stuckBudget = 52
	// lateBudget is the same for a token that is so long overdue that renewals must have
	// failed. They may have written versions.
	lateBudget = 97
	// fullBudget is the same for a token that is about to die. AWS allows about 100 versions.
	// One version per floor is 96 a day, and each lost answer adds one. So this is more than
	// lateBudget: otherwise a token could die because of one missed heartbeat.
	fullBudget = 99
	// oddBudget is the same for a session whose last exchange went wrong, and if an earlier run
	// stored a session and published no token. Such a renewal may need another version, which
	// holds the label EVERTOKEN_EXCHANGE.
	oddBudget = 98
)

// checkBudget refuses, before anything is spent, a write that would use up the secret's
// versions. It counts them only if more than one version per floor may have been written, or if
// one per floor is written.
func (r *renewal) checkBudget(ctx context.Context, document string, d secrets.Description) error {
	since := func(age time.Duration) (int, error) {
		n, err := r.Secrets.VersionsSince(ctx, d.ARN, r.now.Add(-age))
		if err != nil {
			return 0, r.awsFailure(document, d.Name, err)
		}
		return n, nil
	}
	// An earlier run stored a session, and there is no token of it.
	stored := !r.session.Session().RefreshedAt.IsZero()
	unpublished := r.decision.Unpublished || r.token == nil && stored
	var budget int
	switch within := r.decision.WithinFloor; {
	case within && r.job.Candidate: // an operator waits, and it happens once
		budget = lateBudget
	case within && unpublished && document == "session" && !r.overrides():
		n, err := since(halfDay)
		if err != nil {
			return err
		}
		if n >= stuckBudget {
			return r.stuck(n)
		}
		budget = oddBudget
	case within && !r.decision.Unpublished:
		budget = earlyBudget
	case r.decision.Late:
		budget = lateBudget
	case r.odd, within, unpublished && document == "session":
		budget = oddBudget
	case r.decision.Emergency && r.token != nil:
		budget = fullBudget
	case r.decision.Often && r.decision.Reason == reasonDue && (document == "session") == r.claims():
		n, err := since(halfDay)
		if err != nil {
			return err
		}
		return r.paced(document, n)
	default:
		return nil
	}
	n, err := since(day)
	if err != nil {
		return err
	}
	if n >= budget {
		return r.used(document, n)
	}
	return nil
}

// stuck returns the error that says that runs have stored many sessions and could publish no
// token, so that this run waits for the floor.
func (r *renewal) stuck(versions int) error {
	return &Stopped{Failed, exchange.Transient,
		fmt.Sprintf("the session has %d versions younger than 12 hours, because runs renewed it and "+
			"could not publish its token; Evertoken tries again every 15 minutes", versions),
		"The answers of those tries say why: see the function's log. Once the cause is mended, " +
			r.forceHint() + "."}
}

// paced lets a token wait that is due, if its secret has been written more often than once per
// floor, as long as the next run is in time for the promise. Of the connection's two secrets
// only one is counted, because each renewal writes both.
func (r *renewal) paced(document string, versions int) error {
	near := r.token.ExpiresAt.Sub(r.now) < r.facts().minRemaining()+r.Every
	if versions < halfDayBudget || near {
		return nil
	}
	return &Stopped{Outcome: Fresh, Reason: fmt.Sprintf("due, but the %s has %d versions younger "+
		"than 12 hours, so Evertoken renews the token a few minutes later", document, versions)}
}
