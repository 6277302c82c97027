package rotate

import (
	"context"
	"errors"
	"slices"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	// tellReserve is the time reserved for reporting what could not be stored.
	tellReserve = time.Second
	// dropReserve is the time reserved for deleting a client that could not be
	// stored.
	dropReserve = 8 * time.Second
)

// labelMade is the label under which a value is stored. The version has it for a moment
// only. A put that names AWSPENDING takes that label from the version that has it
// (botocore model, secretsmanager PutSecretValue: VersionStages), and by then that version
// may belong to a newer rotation.
const labelMade = "EVERTOKEN_MADE"

// keep stores the only copy of a value in the rotation's version. It tries until only
// reserve is left of the invocation's time. The error is [Superseded], or that of package
// secrets: ErrConflict if another invocation stored a value first.
func (r *rotation) keep(ctx context.Context, value redact.Secret, reserve time.Duration) error {
	var superseded error
	err := secrets.Wait(r.Sleep).Keep(ctx, reserve, func(ctx context.Context) error {
		if superseded = r.stillOurs(ctx); superseded != nil {
			return nil // nothing is stored any more
		}
		return r.Secrets.PutAs(ctx, r.event.SecretID, r.id, r.event.RotationToken, value, labelMade)
	})
	switch {
	case superseded != nil:
		return superseded
	case err != nil:
		return err
	}
	return r.confirm(ctx)
}

// stillOurs checks, just before a put, that the rotation to the version is still in
// progress. If the secret cannot be described, the put goes ahead: it moves no label of
// the rotation.
func (r *rotation) stillOurs(ctx context.Context) error {
	var d secrets.Description
	seen, _ := r.look(ctx, func() (bool, error) {
		var err error
		d, err = r.Secrets.Describe(ctx, r.event.SecretID)
		return err != nil || rotatedTo(d, r.id), nil
	})
	if !seen {
		return r.superseded(d)
	}
	return nil
}

// confirm makes sure that the version that was just stored has AWSPENDING, which
// it had before, and takes labelMade off. Where another version has AWSPENDING by
// now, that one is left alone.
func (r *rotation) confirm(ctx context.Context) error {
	defer r.unlabel(ctx)
	var d secrets.Description
	seen, _ := r.look(ctx, func() (bool, error) {
		var err error
		d, err = r.Secrets.Describe(ctx, r.event.SecretID)
		if err != nil || rotatedTo(d, r.id) { // after an error the next step looks again
			return true, nil
		}
		// AWS refuses the move if another version has the label.
		return d.Holder(secrets.Pending) == "" &&
			r.Secrets.MoveLabel(ctx, r.event.SecretID, secrets.Pending, r.id, "") == nil, nil
	})
	if !seen {
		return r.superseded(d)
	}
	return nil
}

func (r *rotation) unlabel(ctx context.Context) {
	err := r.Secrets.MoveLabel(ctx, r.event.SecretID, labelMade, "", r.id)
	if err != nil && !errors.Is(err, secrets.ErrLabelMoved) {
		r.Log.WarnContext(ctx, "a label was left, which does no harm and moves with the next rotation",
			"secret_id", r.name, "label", labelMade, "error", err.Error())
	}
}

// rotatedTo reports whether a rotation to the version is in progress or has ended, by a
// description of the secret.
func rotatedTo(d secrets.Description, version string) bool {
	labels := d.Labels[version]
	return slices.Contains(labels, secrets.Pending) || slices.Contains(labels, secrets.Current)
}

func (r *rotation) superseded(d secrets.Description) error {
	problem := "AWSPENDING was removed from this version meanwhile"
	hint := "To begin a new rotation: " + rotateCommand(r.name) + "."
	if holder := d.Holder(secrets.Pending); holder != "" {
		problem = "another rotation began meanwhile, to version " + holder
		hint = "You need to do nothing: Secrets Manager continues the other rotation."
	}
	return Superseded{r.failure(problem+", so this rotation ends here", hint)}
}

// takeOff removes AWSPENDING from the rotation's version, because no rotation to it can
// succeed, and returns the error that says so. The version then has no label, and Secrets
// Manager begins the next rotation anew.
func (r *rotation) takeOff(ctx context.Context, because string) error {
	return RotationStuck{r.failure(because, r.takenOff(ctx))}
}

// takenOff removes the label and returns the hint.
func (r *rotation) takenOff(ctx context.Context) string {
	err := r.Secrets.MoveLabel(ctx, r.event.SecretID, secrets.Pending, "", r.id)
	switch secrets.ErrorKind(err) {
	case secrets.NoError, secrets.ErrLabelMoved, secrets.ErrNotFound: // the last two: it was off
		return "Evertoken removed AWSPENDING from that version, because no rotation could " +
			"promote it. Begin a new one: " + rotateCommand(r.name) + "."
	}
	return "Remove AWSPENDING from that version: " + takeOffCommand(r.name, r.id) +
		" (Evertoken could not do it: " + err.Error() + "). " +
		"Then begin a new rotation: " + rotateCommand(r.name) + "."
}

// exchange makes one exchange, and reserves time for storing the result.
func (r *rotation) exchange(ctx context.Context, p exchange.Provider, q exchange.Request) (
	exchange.Issued, error,
) {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	return p.Exchange(ctx, q)
}

// asExchange returns a provider's error. Any other error comes from our own code, or is
// about a document.
func asExchange(err error) *exchange.Error {
	if x, ok := errors.AsType[*exchange.Error](err); ok {
		return x
	}
	return &exchange.Error{Class: exchange.Misconfigured, Doing: "preparing the request",
		Problem: err.Error()}
}

func dead(err error) bool {
	class := asExchange(err).Class
	return class == exchange.CredentialDead || class == exchange.GrantDead
}
