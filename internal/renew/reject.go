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

// labelRejected and the UTC day of the last try, as in
// EVERTOKEN_REJECTED_20261121, stand on the version of a credential that the
// provider refused, or of a session whose refresh token it refused.
const labelRejected = "EVERTOKEN_REJECTED_"

// labelWeaker and the UTC day stand on the version of a credential of which the
// provider refused a weaker grant while a stronger one works: the weaker is left
// out until the next day.
const labelWeaker = "EVERTOKEN_WEAKER_"

// rejection is what the labels of the credential tell; the zero value is none.
type rejection struct{ day string }

// allows reports whether a run may try the grant again by itself: at most once
// a day, and a password only if it has worked before, since a lockout is
// answered like a wrong password.
func (x rejection) allows(g exchange.Grant, now time.Time, workedBefore, provenHere bool) bool {
	switch {
	case x.day == "":
		return true
	case g.Password:
		return workedBefore && x.day != today(now)
	case provenHere:
		return true
	}
	return x.day != today(now)
}

func today(now time.Time) string { return now.UTC().Format("20060102") }

func rejectedDay(labels []string) string { return dayOf(labelRejected, labels) }

// dayOf returns the latest day of the labels that begin with prefix, or "".
func dayOf(prefix string, labels []string) string {
	day := ""
	for _, label := range labels {
		if d, ok := strings.CutPrefix(label, prefix); ok {
			day = max(day, d)
		}
	}
	return day
}

// rejection reads whether the credential was refused: by its own label, or, for
// a grant that a repetition would hurt, by the label on an older version that
// holds the same members. A secret re-applied with the same value is no reason
// to send a wrong password again.
func (r *renewal) rejection(ctx context.Context) (rejection, error) {
	if day := rejectedDay(r.job.Credential.Version.Labels); day != "" {
		return rejection{day}, nil
	}
	delicate := slices.ContainsFunc(r.grants, func(g exchange.Grant) bool {
		return (g.Password || (g.Seed && !g.Reusable)) && (!r.workedBefore(g) || !r.mayRefresh())
	})
	if !delicate {
		return rejection{}, nil
	}
	d, err := r.Secrets.Describe(ctx, r.conn.Credential)
	if err != nil {
		return rejection{}, err
	}
	for label, id := range d.Prefixed(labelRejected) {
		if id == r.job.Credential.Version.ID {
			return rejection{strings.TrimPrefix(label, labelRejected)}, nil
		}
		same, err := r.sameMembers(ctx, id)
		if err != nil {
			return rejection{}, err
		}
		if same {
			return rejection{strings.TrimPrefix(label, labelRejected)}, nil
		}
	}
	return rejection{}, nil
}

// sameMembers reports whether another version of the credential holds what this
// one would send.
func (r *renewal) sameMembers(ctx context.Context, versionID string) (bool, error) {
	v, err := r.Secrets.GetVersion(ctx, r.conn.Credential, versionID)
	if secrets.ErrorKind(err) == secrets.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	other, err := credential.Parse(v.Value)
	if err != nil {
		return false, nil // never sent: it could not be read
	}
	if slices.ContainsFunc(r.grants, r.workedBefore) { // what is refused may be another member than the grant's
		return other.Encode().Equal(r.credential.Encode()), nil
	}
	for _, g := range r.grants {
		if other.Fingerprint(g.Members...) != r.credential.Fingerprint(g.Members...) {
			return false, nil
		}
	}
	return true, nil
}

// mark puts a label of today, as labelRejected, onto a version and takes away
// those of other days.
func (r *renewal) mark(ctx context.Context, prefix, id, versionID string) error {
	label := prefix + today(r.now)
	var d secrets.Description
	err := r.write(ctx, func(ctx context.Context) (err error) {
		if d, err = r.Secrets.Describe(ctx, id); err != nil {
			return err
		}
		err = r.setLabel(ctx, id, d, label, versionID)
		if secrets.ErrorKind(err) == secrets.ErrLabelMoved { // look again where it is, and try again
			err = &secrets.Error{Kind: secrets.ErrTransient, Op: "UpdateSecretVersionStage", Code: "LabelMoved"}
		}
		return err
	})
	if err != nil {
		return err
	}
	for old, holder := range d.Prefixed(prefix) {
		if old == label {
			continue
		}
		if err := r.ignoreMoved(r.Secrets.MoveLabel(ctx, id, old, "", holder)); err != nil {
			r.hint("the label of an earlier rejection could not be removed: " + err.Error())
		}
	}
	return nil
}

// accept takes the marks away from a version that works again.
func (r *renewal) accept(ctx context.Context, id string, v secrets.Version) {
	for _, label := range v.Labels {
		if strings.HasPrefix(label, labelRejected) {
			if err := r.ignoreMoved(r.Secrets.MoveLabel(ctx, id, label, "", v.ID)); err != nil {
				r.hint("the label of an earlier rejection could not be removed: " + err.Error())
			}
		}
	}
}

// setLabel puts a label onto a version, wherever it is now.
func (r *renewal) setLabel(ctx context.Context, id string, d secrets.Description, label, versionID string) error {
	holder := d.Holder(label)
	if holder == versionID {
		return nil
	}
	return r.write(ctx, func(ctx context.Context) error {
		return r.Secrets.MoveLabel(ctx, id, label, versionID, holder)
	})
}

// ignoreMoved drops the error of a label that another run has moved meanwhile.
func (r *renewal) ignoreMoved(err error) error {
	if secrets.ErrorKind(err) == secrets.ErrLabelMoved {
		return nil
	}
	return err
}
