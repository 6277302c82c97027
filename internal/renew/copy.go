package renew

import (
	"context"

	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// mirror writes the plain copy again if it differs from the published token: somebody
// overwrote it, or it could not be written together with the token. That costs no exchange.
// A copy that cannot be written stops nothing, because the token document is what counts.
// A copy that was written within the floor is not written yet, so that somebody who keeps
// overwriting it does not use up its versions.
func (r *renewal) mirror(ctx context.Context) {
	read := r.job.Copy
	if read == nil || r.access().IsZero() || r.job.DryRun || r.keep != nil {
		return
	}
	v, err := read.Version, read.Err
	if secrets.ErrorKind(err) != secrets.ErrNotFound && err != nil {
		r.hint(r.awsFailure("plain copy", r.conn.PlainCopy, err).Reason)
		return
	}
	if v.Value.Equal(r.access()) || !v.Created.IsZero() && r.now.Before(v.Created.Add(floor)) {
		return
	}
	r.copyToken(ctx, v, r.access())
}

// copyPublished writes the plain copy of a token that was just published.
func (r *renewal) copyPublished(ctx context.Context) {
	if r.conn.PlainCopy == "" {
		return
	}
	over := secrets.Version{ARN: r.conn.PlainCopy}
	if r.job.Copy != nil && r.job.Copy.Version.ID != "" {
		over = r.job.Copy.Version
	}
	r.copyToken(ctx, over, r.access())
}

// copyToken writes the plain copy over the version that was read. It tries a few times. If
// that fails, a later run writes the copy.
func (r *renewal) copyToken(ctx context.Context, over secrets.Version, access redact.Secret) {
	id := secrets.DeriveID(over.ARN, over.ID, "copy")
	put := func(id string) error {
		return r.Sleep.Try(ctx, func(ctx context.Context) error {
			return r.Secrets.Put(ctx, r.conn.PlainCopy, id, access)
		})
	}
	err := put(id)
	// Another run wrote from the same base, or AWSCURRENT was moved back.
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		err = put(secrets.FreshID())
	}
	if err != nil {
		failed := r.awsFailure("plain copy", r.conn.PlainCopy, err)
		r.hint("The plain copy could not be written and is older than the token: " +
			failed.Reason + ". A later run writes it.")
		r.hint(failed.Hint)
	}
}
