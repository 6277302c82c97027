package issue

import (
	"context"

	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// readCandidate reads the candidate credential into the job, in place of the one in force.
// If there is no candidate, ok is false and the result says so.
func (r *run) readCandidate(ctx context.Context, j *renew.Job) (none renew.Result, ok bool) {
	v, err := r.engine.Secrets.Get(ctx, j.Connection.Credential, LabelCandidate)
	if secrets.ErrorKind(err) == secrets.ErrNotFound {
		name := j.Connection.Name
		return misconfigured(name, "no version of its credential has the label "+LabelCandidate,
			"Store the new credential with: evertoken credential "+name), false
	}
	j.Credential = &secrets.Read{Version: v, Err: err}
	return renew.Result{}, true
}
