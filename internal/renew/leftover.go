package renew

import (
	"context"
	"slices"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// leftover deals with a claim found on the current version: it was sent and no
// answer is stored. Another run may be at it; only when the claim has stood for
// longer than any run can last is the answer lost.
func (r *renewal) leftover(ctx context.Context, d secrets.Description, attempts []attempt) ([]attempt, *Result) {
	since, label := leftoverSince(d)
	young := r.now.Sub(d.LastChanged) < r.RunLasts
	if young || since.IsZero() || r.now.Sub(since) < r.RunLasts {
		if !young && since.IsZero() {
			if stop := r.noteLeftover(ctx, d); stop != nil {
				return nil, stop
			}
		}
		return r.passBy(attempts)
	}
	restored, stop := r.restore(ctx)
	if stop != nil {
		return nil, stop
	}
	if restored {
		r.clearLeftover(ctx, d, label)
		attempts, stop := r.plan(ctx)
		if stop != nil {
			return nil, stop
		}
		return r.claim(ctx, attempts)
	}
	return r.settle(ctx, d, label)
}

// leftoverSince returns when the claim was first seen left over, and the label
// that says so.
func leftoverSince(d secrets.Description) (time.Time, string) {
	current := d.Holder(secrets.Current)
	for label, holder := range d.Prefixed(labelLeftover) {
		at, err := time.Parse("20060102T150405Z", strings.TrimPrefix(label, labelLeftover))
		if err == nil && holder == current {
			return at, label
		}
	}
	return time.Time{}, ""
}

// noteLeftover labels the current version with the time at which its claim was
// first seen.
func (r *renewal) noteLeftover(ctx context.Context, d secrets.Description) *Result {
	for old, holder := range d.Prefixed(labelLeftover) { // of an earlier claim, now settled
		if err := r.ignoreMoved(r.Secrets.MoveLabel(ctx, r.conn.Session, old, "", holder)); err != nil {
			return r.awsFailure("session", r.conn.Session, err)
		}
	}
	label := labelLeftover + r.now.UTC().Format("20060102T150405Z")
	if err := r.ignoreMoved(r.setLabel(ctx, r.conn.Session, d, label, d.Holder(secrets.Current))); err != nil {
		return r.awsFailure("session", r.conn.Session, err)
	}
	return nil
}

func (r *renewal) clearLeftover(ctx context.Context, d secrets.Description, label string) {
	if holder := d.Holder(label); label != "" && holder != "" {
		if err := r.ignoreMoved(r.Secrets.MoveLabel(ctx, r.conn.Session, label, "", holder)); err != nil {
			r.hint("a label of a settled claim could not be removed: " + err.Error())
		}
	}
}

// passBy leaves the claim alone, and in an emergency goes on without it by a
// grant that does not touch the refresh token.
func (r *renewal) passBy(attempts []attempt) ([]attempt, *Result) {
	strong := slices.DeleteFunc(slices.Clone(attempts), func(a attempt) bool {
		return a.grant.FromSession() || (a.grant.Seed && !a.grant.Reusable)
	})
	dying := r.decision.Emergency && r.token != nil // where none was published yet, the other run is at the first
	if dying && len(strong) > 0 && !r.session.Opening() {
		r.hint("another run holds the claim, or left it; a new session is opened because the token is about to die")
		r.passedBy = true
		return strong, nil
	}
	return nil, &Result{Outcome: Deferred, Reason: "another run holds the claim, or left it; it settles within " + (2 * (r.RunLasts + r.Every)).String()}
}

// settle ends a claim whose answer is lost, by the provider's rule: the refresh
// token is sent once more or never again, and then comes the stronger grant.
// The label that forbids a further send is set before the claim is taken over,
// so that no run in between sends it either.
func (r *renewal) settle(ctx context.Context, d secrets.Description, label string) ([]attempt, *Result) {
	if r.openingWithOther() { // that the earlier one was not answered is nothing to this one
		attempts, stop := r.plan(ctx)
		if stop == nil {
			r.clearLeftover(ctx, d, label)
			stop = r.open(ctx, d, attempts)
		}
		return attempts, stop
	}
	current := d.Holder(secrets.Current)
	already := d.Holder(labelSpent) == current
	if err := r.setLabel(ctx, r.conn.Session, d, labelSpent, current); err != nil {
		return nil, r.awsFailure("session", r.conn.Session, err)
	}
	r.clearLeftover(ctx, d, label)
	r.spent = already || !r.traits.Replay
	r.replaying = !r.spent
	if stop := r.takeOver(ctx, current, d.Holder(secrets.Previous)); stop != nil {
		r.unspend(ctx)
		return nil, stop
	}
	attempts, stop := r.plan(ctx)
	if stop != nil {
		r.unspend(ctx)
		r.release(ctx)
		return nil, stop
	}
	r.hint("the answer to an earlier exchange was lost")
	return attempts, nil
}

// unspend takes labelSpent back where the replay that it was set for was not
// sent, or was answered and not by a refusal: it may be sent again.
func (r *renewal) unspend(ctx context.Context) {
	if !r.replaying {
		return
	}
	r.replaying = false
	if err := r.ignoreMoved(r.write(ctx, func(ctx context.Context) error {
		return r.Secrets.MoveLabel(ctx, r.conn.Session, labelSpent, "", r.sessionVersion.ID)
	})); err != nil {
		r.hint("the label " + labelSpent + " could not be removed: " + err.Error())
	}
}

// takeOver moves the left-over label away and back: of two runs that find it,
// one succeeds.
func (r *renewal) takeOver(ctx context.Context, current, prior string) *Result {
	var err error
	if prior == "" {
		prior, err = r.park(ctx, current)
	} else {
		err = r.Secrets.MoveLabel(ctx, r.conn.Session, labelExchange, prior, current)
	}
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		return r.take(ctx, current, prior)
	case secrets.ErrLabelMoved:
		return &Result{Outcome: Deferred, Reason: "another run has claimed the session"}
	}
	return r.awsFailure("session", r.conn.Session, err)
}

// adoptNewer brings forward a session that was received but is not AWSCURRENT:
// the label was moved back by hand, or the document overwritten. It looks only
// where something is odd: a claim on the current version, or no refresh token
// in it and nothing else to go by.
func (r *renewal) adoptNewer(ctx context.Context, d secrets.Description, attempts []attempt) (bool, *Result) {
	current := d.Holder(secrets.Current)
	left, previous := d.Holder(labelExchange), d.Holder(secrets.Previous)
	odd := left == current || previous != "" && left != previous && !r.session.RefreshToken.IsZero() // AWSCURRENT came from elsewhere than from an exchange
	lost := r.session.RefreshToken.IsZero() && !slices.ContainsFunc(attempts, func(a attempt) bool { return !a.grant.Seed })
	if !odd && !lost {
		return false, nil
	}
	for _, label := range []string{labelKept, secrets.Previous, secrets.Pending} {
		id := d.Holder(label)
		if id == "" || id == current {
			continue
		}
		v, err := r.Secrets.GetVersion(ctx, r.conn.Session, id)
		if secrets.ErrorKind(err) == secrets.ErrNotFound {
			continue // a version that a rotation prepared and left empty
		}
		if err != nil {
			return false, r.awsFailure("session", r.conn.Session, err)
		}
		session, err := credential.ParseSession(v.Value)
		if err != nil || session.RefreshToken.IsZero() || !r.openedByUs(session) {
			continue
		}
		used := session.RefreshToken.Equal(r.session.RefreshToken) || rejectedDay(d.Labels[id]) != "" || slices.Contains(d.Labels[id], labelSpent)
		if used || !session.RefreshedAt.After(r.session.RefreshedAt) {
			continue
		}
		if err := r.Secrets.MoveLabel(ctx, r.conn.Session, secrets.Current, id, current); err != nil {
			return false, r.awsFailure("session", r.conn.Session, err)
		}
		r.hint("a newer session was found under " + label + " and brought forward")
		v.Labels = append(d.Labels[id], secrets.Current)
		r.session, r.sessionVersion, r.spent = session, v, false
		return true, nil
	}
	return false, nil
}

// revived looks, before a connection is given up as blocked, for a session that
// was received and is not AWSCURRENT, or waits in the rescue parameter.
func (r *renewal) revived(ctx context.Context) bool {
	if !r.usesSession() || !r.traits.SingleUse || r.job.DryRun {
		return false
	}
	d, err := r.Secrets.Describe(ctx, r.conn.Session)
	if err != nil || d.Holder(secrets.Current) != r.sessionVersion.ID {
		return false
	}
	adopted, stop := r.adoptNewer(ctx, d, nil)
	if adopted || stop != nil {
		return stop == nil
	}
	if d.Holder(labelExchange) != d.Holder(secrets.Current) {
		return false
	}
	restored, stop := r.restore(ctx)
	return restored && stop == nil
}

// openedByUs reports whether a session belongs to what the credential holds.
func (r *renewal) openedByUs(s credential.Session) bool {
	return slices.ContainsFunc(r.grants, func(g exchange.Grant) bool {
		return s.OpenedBy == r.credential.Fingerprint(g.Members...)
	}) || s.OpenedBy == r.session.OpenedBy
}
