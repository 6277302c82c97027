package renew

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

const (
	// earlyBudget is how many versions younger than 24 hours a secret may have if another is
	// to be written within the floor.
	earlyBudget = 90
	// lateBudget is the same for a token that is about to die or is long overdue, and for a
	// session whose last exchange went wrong. AWS allows about 100. One version per floor
	// cannot reach this number, so something else has written versions.
	lateBudget = 97
)

// checkBudget refuses, before anything is spent, a write that would use up the secret's
// versions. It counts them only if more than one version per floor may have been written.
func (r *renewal) checkBudget(ctx context.Context, document string, d secrets.Description) error {
	budget := lateBudget
	switch {
	case r.decision.WithinFloor:
		budget = earlyBudget
	case !r.odd && !r.decision.Late && (!r.decision.Emergency || r.token == nil):
		return nil
	}
	n, err := r.Secrets.VersionsSince(ctx, d.ARN, r.now.Add(-24*time.Hour))
	if err != nil {
		return r.awsFailure(document, d.Name, err)
	}
	if n >= budget {
		return r.tooShortLived(document, n)
	}
	return nil
}
