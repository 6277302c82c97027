package rotate

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// check checks the value under AWSPENDING before a step trusts it: it must be a whole
// document, name what AWSCURRENT names, and be the newest. A value that fails a check can
// never be promoted, so check removes AWSPENDING.
func (r *rotation) check(ctx context.Context, pending secrets.Version) error {
	current, err := r.current(ctx)
	if err != nil {
		return err
	}
	problem := ""
	switch r.role {
	case credentialRole:
		problem = checkPendingCredential(pending, current)
	case tokenRole:
		problem = r.checkToken(pending, current)
	case sessionRole:
		var cred credential.Credential
		var grants []exchange.Grant
		if cred, grants, err = r.needCredential(ctx); err != nil {
			return err
		}
		problem = r.checkPendingSession(pending, current, cred, grants)
	}
	if problem != "" {
		return r.takeOff(ctx, problem)
	}
	return nil
}

// checkSetup says why a rotation cannot work, if it cannot. It spends nothing.
func (r *rotation) checkSetup(ctx context.Context) error {
	switch r.role {
	case credentialRole:
		return r.checkCredential(ctx)
	case sessionRole:
		return r.checkSession(ctx)
	}
	_, err := r.setupCredential(ctx)
	return err
}

// finish promotes the new value.
func (r *rotation) finish(ctx context.Context) (string, error) {
	for range reads {
		pending, found, err := r.pending(ctx)
		if err != nil {
			return "", err
		}
		if !found { // if it were promoted, nobody could read the secret
			return "", r.transient("AWSPENDING has no value, so it is not promoted")
		}
		if err := r.check(ctx, pending); err != nil {
			return "", err
		}
		from := r.secret.Holder(secrets.Current)
		err = r.Secrets.MoveLabel(ctx, r.event.SecretID, secrets.Current, r.id, from)
		switch secrets.ErrorKind(err) {
		case secrets.NoError:
			r.tidy(ctx)
			return "promoted", nil
		case secrets.ErrLabelMoved: // moved by a try of ours whose answer was lost, or by somebody else
		default:
			return "", r.aws(string(r.role), r.name, err)
		}
		if err := r.describe(ctx); err != nil {
			return "", err
		}
		promoted, refusal := r.admit()
		if promoted {
			r.tidy(ctx)
			return "already AWSCURRENT", nil
		}
		if refusal != nil {
			return "", refusal
		}
	}
	return "", r.transient("AWSCURRENT keeps moving")
}

// tidy removes AWSPENDING from the promoted version. Sources disagree on whether
// moving AWSCURRENT does that too
// (github.com/aws-samples/aws-secrets-manager-rotation-lambdas issue 168, pull
// request 145). A rotation has succeeded either way: AWSPENDING may be on
// AWSCURRENT or on no version (botocore model, secretsmanager RotateSecret).
func (r *rotation) tidy(ctx context.Context) {
	err := r.Secrets.MoveLabel(ctx, r.event.SecretID, secrets.Pending, "", r.id)
	switch secrets.ErrorKind(err) {
	case secrets.NoError, secrets.ErrLabelMoved, secrets.ErrNotFound:
	default:
		r.Log.WarnContext(ctx, "AWSPENDING was left on AWSCURRENT, which does no harm",
			"secret_id", r.name, "error", err.Error())
	}
}
