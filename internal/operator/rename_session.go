package operator

import (
	"context"
	"errors"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/renew"
)

// copySession copies the current session, also one that a run has stored meanwhile which
// began before the old declaration was deleted.
func (x *renaming) copySession(ctx context.Context, ch changes) error {
	at := slices.IndexFunc(x.moved, func(m copied) bool { return m.role == "session" })
	if at < 0 {
		return nil
	}
	m := &x.moved[at]
	if !x.dryRun {
		if err := x.calm(ctx); err != nil {
			return errors.Join(err, ch.putParameter(context.WithoutCancel(ctx), x.parameter, x.text, true))
		}
		if err := x.readSource(ctx, m); err != nil {
			return err
		}
	}
	if m.source.Value.IsZero() || m.target.current() != "" && m.target.current() != copyID(m.source) {
		return nil
	}
	return ch.copyValue(ctx, m.from, m.source.ID, m.source.Value, m.to, copyID(m.source))
}

// keepSeed labels the copied credential as the old one is, for the new session: so
// Evertoken does not send a spent seed again.
func (x *renaming) keepSeed(ctx context.Context, ch changes, m *copied, version string) error {
	at := slices.IndexFunc(x.moved, func(m copied) bool { return m.role == "session" })
	spent := slices.ContainsFunc(m.source.Labels, func(l string) bool {
		return strings.HasPrefix(l,
			renew.SeedPrefix)
	})
	if at < 0 || !spent {
		return nil
	}
	if x.dryRun {
		x.printf("# Give that version the label %s<the first 16 hex digits of SHA-256 of the ARN "+
			"of %s>: its refresh token is spent.\n", renew.SeedPrefix, x.moved[at].to)
		return nil
	}
	h, err := x.look(ctx, x.moved[at].to)
	if err != nil || h.arn == "" {
		return err
	}
	return ch.moveLabel(ctx, m.to, renew.SeedLabel(h.arn), version, "")
}

// calm refuses a session with an exchange in progress: its refresh token may be on its
// way to the provider, and only the connection that sent it can complete the exchange.
func (x *renaming) calm(ctx context.Context) error {
	d, err := x.aws.store.Describe(ctx, x.from.Session)
	if missing(err) {
		return nil
	}
	if err != nil {
		return refused(err, "secretsmanager:DescribeSecret", connection.SecretName(x.from.Session))
	}
	if problem := unsettled(d, x.Now()); problem != "" {
		return person("Renew it first, then rename it: evertoken renew "+x.old+" --wait",
			"the session of %s is in use: %s", x.old, problem)
	}
	return nil
}
