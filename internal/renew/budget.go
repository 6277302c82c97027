package renew

import (
	"context"
	"fmt"
	"time"

	"evertoken/internal/secrets"
)

const (
	// earlyBudget is how many versions younger than 24 hours a secret may have if another is
	// to be written within the floor. Without this limit, forced runs and tokens that are too
	// short-lived would use the versions up.
	earlyBudget = 90
	// halfDayBudget is how many versions younger than 12 hours a secret may have if its token is
	// renewed about once in 15 minutes, which is 48 times in 12 hours. If forced runs and lost
	// answers have written more, Evertoken waits for the emergency, which makes room again.
	halfDayBudget = 49
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
	unpublished := document == "session" && r.token == nil && !r.session.Session().RefreshedAt.IsZero()
	var budget int
	switch {
	case r.decision.WithinFloor && r.job.Candidate: // an operator waits, and it happens once
		budget = lateBudget
	case r.decision.WithinFloor && !r.decision.Unpublished:
		budget = earlyBudget
	case r.decision.Late:
		budget = lateBudget
	case r.odd, r.decision.WithinFloor, unpublished:
		budget = oddBudget
	case r.decision.Emergency && r.token != nil:
		budget = fullBudget
	case r.decision.Often && r.decision.Reason == reasonDue:
		return r.paced(ctx, document, d)
	default:
		return nil
	}
	n, err := r.Secrets.VersionsSince(ctx, d.ARN, r.now.Add(-24*time.Hour))
	if err != nil {
		return r.awsFailure(document, d.Name, err)
	}
	if n >= budget {
		return r.used(document, n)
	}
	return nil
}

// paced lets a token wait that is due and in no emergency, if its secret has been written more
// often than once per floor. It counts one of the connection's two secrets: each renewal writes
// both.
func (r *renewal) paced(ctx context.Context, document string, d secrets.Description) error {
	if (document == "session") != r.claims() {
		return nil
	}
	n, err := r.Secrets.VersionsSince(ctx, d.ARN, r.now.Add(-12*time.Hour))
	if err != nil {
		return r.awsFailure(document, d.Name, err)
	}
	if n < halfDayBudget {
		return nil
	}
	return &Stopped{Outcome: Fresh, Reason: fmt.Sprintf("due, but the %s has %d versions younger "+
		"than 12 hours, so Evertoken renews the token a few minutes later", document, n)}
}
