package renew

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

const (
	// earlyBudget is how many versions younger than 24 hours a secret may have
	// for another to be written within the floor.
	earlyBudget = 90
	// lateBudget is the same for a token that is about to die or long past its
	// time, and for a session whose last exchange went wrong: AWS takes about 100.
	// A version per floor cannot reach it; something else did.
	lateBudget = 97
)

// checkBudget refuses, before anything is spent, a write that would use up the
// secret's versions. They are counted only where a version per floor is not what
// was written, which could not use them up.
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
