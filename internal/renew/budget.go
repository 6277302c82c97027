package renew

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

const (
	// labelBurst is on a version that was written within the floor. While a
	// secret has it, its versions are counted before every write; without it
	// one version per floor, 96 a day, cannot reach the limit, and counting
	// would be a call for nothing.
	labelBurst = "EVERTOKEN_BURST"
	// burstBudget is how many versions younger than 24 hours a secret may have
	// for another to be written within the floor.
	burstBudget = 90
	// versionBudget is the same for a write outside it: AWS takes about 100.
	versionBudget = 97
	// calm is how few versions end a burst.
	calm = 60
)

// checkBudget refuses, before anything is spent, a write that would use up the
// secret's versions.
func (r *renewal) checkBudget(ctx context.Context, document string, d secrets.Description) *Result {
	holder := d.Holder(labelBurst)
	if !r.decision.WithinFloor && holder == "" {
		return nil
	}
	n, err := r.Secrets.VersionsSince(ctx, d.ARN, r.now.Add(-24*time.Hour))
	if err != nil {
		return r.awsFailure(document, d.Name, err)
	}
	budget := versionBudget
	if r.decision.WithinFloor {
		budget = burstBudget
		r.setBurst(document)
	}
	if n >= budget {
		return r.tooShortLived(document, n)
	}
	if n < calm && holder != "" && !r.decision.WithinFloor && !r.job.DryRun {
		if err := r.ignoreMoved(r.Secrets.MoveLabel(ctx, d.ARN, labelBurst, "", holder)); err != nil {
			r.hint("the label " + labelBurst + " could not be removed: " + err.Error())
		}
	}
	return nil
}

func (r *renewal) setBurst(document string) {
	if r.burst == nil {
		r.burst = map[string][]string{}
	}
	r.burst[document] = []string{secrets.Current, labelBurst}
}
