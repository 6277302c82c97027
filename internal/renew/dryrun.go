package renew

import (
	"context"
	"maps"
	"slices"
)

// dryRun says what a run would do.
func (r *renewal) dryRun(ctx context.Context, p plan) (Result, error) {
	unproven := "token"
	if r.claims() {
		unproven = "session and token"
		d, err := r.session.Describe(ctx)
		if err != nil {
			return Result{}, r.awsFailure("session", r.conn.Session, err)
		}
		if err := r.check(ctx, "session", d); err != nil {
			return Result{}, err
		}
	}
	grant := p.attempts[0].grant.Type
	return Result{
		Outcome: Issued, Reason: r.decision.Reason, Grant: grant,
		Hint: "A run would use the " + grant + " grant. A dry run does not prove that it can write: " +
			unproven + ".",
	}, nil
}

// tellReplicas adds hints about the replicas of the secrets that Evertoken writes. A run
// never waits for replicas.
func (r *renewal) tellReplicas(ctx context.Context) {
	ids := map[string]string{"token": r.conn.Token}
	if r.session.Exists {
		ids["session"] = r.conn.Session
	}
	for _, document := range slices.Sorted(maps.Keys(ids)) {
		if ids[document] == "" {
			continue
		}
		d, err := r.Secrets.Describe(ctx, ids[document])
		if err != nil {
			continue // a run that needs the document reports the error
		}
		if d.PrimaryRegion != "" {
			r.hint("The " + document + " is a replica of the secret in " + d.PrimaryRegion + ".")
			continue
		}
		for _, region := range slices.Sorted(maps.Keys(d.Replicas)) {
			r.hint("The replica of the " + document + " in " + region + " is " + d.Replicas[region] + ".")
		}
	}
}
