package rotate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"evertoken/internal/lazyregexp"
	"evertoken/internal/secrets"
)

var (
	steps = []string{createStep, setStep, testStep, finishStep}
	// Lengths and letters are those of the botocore model, secretsmanager
	// PutSecretValue: ClientRequestTokenType, RotationTokenType.
	versionRE       = lazyregexp.New(`^.{32,64}$`)
	rotationTokenRE = lazyregexp.New(`^[a-zA-Z0-9-]{36,256}$`)
	unprintable     = lazyregexp.New(`[^A-Za-z0-9_.-]`)
)

// checkEvent refuses an event that Secrets Manager would not send.
func checkEvent(e events.SecretsManagerSecretRotationEvent) error {
	invalid := func(problem, hint string) error {
		return InvalidEvent{Failure{Secret: secretName(e.SecretID), Problem: problem, Hint: hint}}
	}
	switch {
	case !slices.Contains(steps, e.Step):
		got := unprintable().ReplaceAllString(e.Step, "?")
		return invalid(`the event's "Step" is "`+got[:min(len(got), 40)]+`"`,
			"Send one of "+strings.Join(steps, ", ")+".")
	case e.SecretID == "":
		return invalid(`the event has no "SecretId"`, "Send the secret's ARN.")
	case !versionRE().MatchString(e.ClientRequestToken):
		return invalid(`the event's "ClientRequestToken" must have 32 to 64 characters`,
			"Send the id of the version that has AWSPENDING.")
	case e.RotationToken != "" && !rotationTokenRE().MatchString(e.RotationToken):
		return invalid(`the event's "RotationToken" is not one of Secrets Manager's`,
			"Leave it out, or send what Secrets Manager sent.")
	}
	return nil
}

// All operations are eventually consistent (botocore model, secretsmanager
// ListSecrets). So Evertoken looks again for what is not there, for about 0.7 s in all.
const (
	reads     = 4
	firstWait = 100 * time.Millisecond
)

// look calls see until it has seen what it looks for, at most reads times. The error is
// that of see, or says that no time is left.
func (r *rotation) look(ctx context.Context, see func() (seen bool, err error)) (
	seen bool, err error,
) {
	for try, wait := 1, firstWait; ; try, wait = try+1, 2*wait {
		if seen, err := see(); seen || err != nil || try == reads {
			return seen, err
		}
		if r.Sleep(ctx, wait) != nil {
			return false, r.transient("no time left in this invocation")
		}
	}
}

// guard describes the secret and refuses one that must not be rotated, as the guard
// of AWS's template does. promoted says that the version is AWSCURRENT already.
func (r *rotation) guard(ctx context.Context) (promoted bool, err error) {
	var refusal error
	_, err = r.look(ctx, func() (bool, error) {
		if err := r.describe(ctx); err != nil {
			return false, err
		}
		promoted, refusal = r.admit()
		return refusal == nil, nil
	})
	if err != nil {
		return false, err
	}
	return promoted, refusal
}

func (r *rotation) describe(ctx context.Context) error {
	d, err := r.Secrets.Describe(ctx, r.event.SecretID)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
	case secrets.ErrNotFound:
		return r.refused("the secret does not exist in this Region",
			"Send the ARN of a secret of this Region and account as SecretId.")
	default:
		return r.aws("secret", r.name, err)
	}
	r.secret = d
	if d.Name != "" {
		r.name = d.Name
	}
	return nil
}

// admit decides by the description alone.
func (r *rotation) admit() (promoted bool, refusal error) {
	labels := r.secret.Labels[r.id]
	switch {
	case r.secret.PrimaryRegion != "":
		return false, r.refused("the secret is a replica",
			"Rotate it in its primary Region, "+r.secret.PrimaryRegion+".")
	case !r.secret.RotationEnabled:
		return false, r.refused("rotation is not enabled for the secret",
			"Enable it: "+rotateCommand(r.name)+" with --rotation-lambda-arn and --rotation-rules.")
	case slices.Contains(labels, secrets.Current):
		return true, nil
	case slices.Contains(labels, secrets.Pending):
		return false, nil
	}
	holder := r.secret.Holder(secrets.Pending)
	if holder == "" || holder == r.secret.Holder(secrets.Current) {
		return false, r.refused(
			"the version does not have AWSPENDING, so no rotation to it is in progress",
			"Begin a rotation: "+rotateCommand(r.name)+".")
	}
	return false, r.refused("the version does not have AWSPENDING, which is on version "+holder,
		"Secrets Manager tries that rotation again. To abandon it: "+takeOffCommand(r.name, holder)+".")
}

// pending reads the value of the version that is made. found is false only if
// several reads say that it has none; any other error is returned.
func (r *rotation) pending(ctx context.Context) (v secrets.Version, found bool, err error) {
	found, err = r.look(ctx, func() (bool, error) {
		var err error
		v, err = r.Secrets.GetVersion(ctx, r.event.SecretID, r.id)
		switch secrets.ErrorKind(err) {
		case secrets.NoError:
			return true, nil
		case secrets.ErrNotFound:
			return false, nil
		}
		return false, r.aws(string(r.role), r.name, err)
	})
	return v, found, err
}

// current reads AWSCURRENT. Its ID is empty if the secret has no AWSCURRENT, or if that
// version has no value.
func (r *rotation) current(ctx context.Context) (secrets.Version, error) {
	v, err := r.Secrets.Get(ctx, r.event.SecretID, secrets.Current)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		return v, nil
	case secrets.ErrNotFound:
		return secrets.Version{}, nil
	}
	return v, r.aws(string(r.role), r.name, err)
}
