package renew

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

const (
	// earlyBudget is how many versions younger than 24 hours a secret may have if another is
	// to be written within the floor. Without this limit, forced runs and tokens that are too
	// short-lived would use the versions up.
	earlyBudget = 90
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
// versions. It counts them only if more than one version per floor may have been written.
func (r *renewal) checkBudget(ctx context.Context, document string, d secrets.Description) error {
	var budget int
	switch {
	case r.decision.WithinFloor && !r.decision.Unpublished:
		budget = earlyBudget
	case r.decision.Late:
		budget = lateBudget
	case r.odd, r.decision.WithinFloor:
		budget = oddBudget
	case r.decision.Emergency && r.token != nil:
		budget = fullBudget
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
