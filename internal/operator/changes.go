package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"evertoken/internal/issue"
	"evertoken/internal/redact"
)

// changes is every write that the command makes in AWS. doer makes the writes;
// teller prints the AWS CLI's command for each. Every write can be repeated.
type changes interface {
	// createSecret creates a secret, without a value where that is empty.
	createSecret(ctx context.Context, s newSecret) error
	// putValue stores a version under the labels given; without one AWSCURRENT
	// moves to it. versionID makes a repetition harmless.
	putValue(ctx context.Context, secret, versionID string, value content, labels ...string) error
	// copyValue stores the value of a version of one secret in another, as its
	// AWSCURRENT.
	copyValue(ctx context.Context, from, fromVersion string, value redact.Secret,
		to, toVersion string) error
	// moveLabel moves a label from one version to another; either may be "".
	moveLabel(ctx context.Context, secret, label, to, from string) error
	tagSecret(ctx context.Context, secret string, tags map[string]string) error
	// deleteSecret marks a secret for deletion; for 30 days it can be restored.
	deleteSecret(ctx context.Context, secret string) error
	restoreSecret(ctx context.Context, secret string) error
	// rotateSecret begins a rotation; schedule is a rate() or cron() and may be
	// empty, which keeps that of the secret.
	rotateSecret(ctx context.Context, secret, functionARN, schedule string) error
	// putParameter writes a String parameter; overwrite says that it exists.
	putParameter(ctx context.Context, name, value string, overwrite bool) error
	deleteParameter(ctx context.Context, name string) error
	// run invokes the function issue.
	run(ctx context.Context, s stack, e event) (issue.Report, error)
}

// content is the value of a secret.
type content struct {
	secret redact.Secret
	// form is the document with … for each value, as a dry run shows it.
	form string
}

// newSecret is a secret to create.
type newSecret struct {
	name   string
	value  content // may be empty
	keyARN string  // "" for AWS's own key
	tags   map[string]string
}

// errInterrupted is Ctrl-C between two changes.
var errInterrupted = errors.New("interrupted")

// doer makes the changes. An interrupt ends the command between two changes, never
// within one.
type doer struct {
	*app
	// done lists the changes made so far.
	done []string
}

// do makes one change and notes it.
func (d *doer) do(ctx context.Context, action, resource, done string,
	call func(context.Context) error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err := call(context.WithoutCancel(ctx)); err != nil {
		return refused(err, action, resource)
	}
	d.done = append(d.done, done)
	d.say("%s\n", done)
	return nil
}

func (d *doer) createSecret(ctx context.Context, s newSecret) error {
	in := &secretsmanager.CreateSecretInput{Name: &s.name}
	if !s.value.secret.IsZero() {
		in.SecretString = aws.String(s.value.secret.Reveal())
	}
	if s.keyARN != "" {
		in.KmsKeyId = &s.keyARN
	}
	for _, t := range sortedTags(s.tags) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(t[0]), Value: aws.String(t[1])})
	}
	return d.do(ctx, "secretsmanager:CreateSecret", s.name, "created the secret "+s.name,
		func(ctx context.Context) error {
			_, err := d.aws.secrets.CreateSecret(ctx, in)
			return err
		})
}

func (d *doer) putValue(ctx context.Context, secret, versionID string, value content,
	labels ...string) error {
	as := "as AWSCURRENT"
	if len(labels) > 0 {
		as = "as " + strings.Join(labels, ", ")
	}
	return d.do(ctx, "secretsmanager:PutSecretValue", secret, "stored a new version of "+secret+" "+as,
		func(ctx context.Context) error {
			return d.aws.store.Put(ctx, secret, versionID, value.secret, labels...)
		})
}

func (d *doer) copyValue(ctx context.Context, from, _ string, value redact.Secret, to,
	toVersion string) error {
	return d.do(ctx, "secretsmanager:PutSecretValue", to, "copied the value of "+from+" to "+to,
		func(ctx context.Context) error {
			return d.aws.store.Put(ctx, to, toVersion, value)
		})
}

func (d *doer) moveLabel(ctx context.Context, secret, label, to, from string) error {
	done := fmt.Sprintf("moved the label %s of %s", label, secret)
	if to == "" {
		done = fmt.Sprintf("removed the label %s from %s", label, secret)
	}
	return d.do(ctx, "secretsmanager:UpdateSecretVersionStage", secret, done, func(ctx context.Context) error {
		return d.aws.store.MoveLabel(ctx, secret, label, to, from)
	})
}

func (d *doer) tagSecret(ctx context.Context, secret string, tags map[string]string) error {
	in := &secretsmanager.TagResourceInput{SecretId: &secret}
	for _, t := range sortedTags(tags) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(t[0]), Value: aws.String(t[1])})
	}
	return d.do(ctx, "secretsmanager:TagResource", secret, "tagged the secret "+secret,
		func(ctx context.Context) error {
			_, err := d.aws.secrets.TagResource(ctx, in)
			return err
		})
}

// recoveryDays is how long a deleted secret can be restored: the most that AWS
// offers.
const recoveryDays = 30

func (d *doer) deleteSecret(ctx context.Context, secret string) error {
	done := fmt.Sprintf("marked the secret %s for deletion in %d days", secret, recoveryDays)
	return d.do(ctx, "secretsmanager:DeleteSecret", secret, done, func(ctx context.Context) error {
		_, err := d.aws.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &secret,
			RecoveryWindowInDays: aws.Int64(recoveryDays)})
		return err
	})
}

func (d *doer) restoreSecret(ctx context.Context, secret string) error {
	return d.do(ctx, "secretsmanager:RestoreSecret", secret, "restored the secret "+secret,
		func(ctx context.Context) error {
			_, err := d.aws.secrets.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &secret})
			return err
		})
}

func (d *doer) rotateSecret(ctx context.Context, secret, functionARN, schedule string) error {
	in := &secretsmanager.RotateSecretInput{SecretId: &secret, RotationLambdaARN: &functionARN}
	if schedule != "" {
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: &schedule}
	}
	return d.do(ctx, "secretsmanager:RotateSecret", secret, "asked Secrets Manager to rotate "+secret,
		func(ctx context.Context) error {
			_, err := d.aws.secrets.RotateSecret(ctx, in)
			return err
		})
}

func (d *doer) putParameter(ctx context.Context, name, value string, overwrite bool) error {
	return d.do(ctx, "ssm:PutParameter", name, "wrote the parameter "+name, func(ctx context.Context) error {
		_, err := d.aws.parameters.PutParameter(ctx, &ssm.PutParameterInput{
			Name: &name, Value: &value, Type: ssmtypes.ParameterTypeString, Overwrite: &overwrite,
		})
		return err
	})
}

func (d *doer) deleteParameter(ctx context.Context, name string) error {
	return d.do(ctx, "ssm:DeleteParameter", name, "deleted the parameter "+name,
		func(ctx context.Context) error {
			return d.aws.values.Delete(ctx, name)
		})
}

func (d *doer) run(ctx context.Context, s stack, e event) (issue.Report, error) {
	if ctx.Err() != nil {
		return issue.Report{}, errInterrupted
	}
	return d.invoke(ctx, s, e)
}
