package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// A fact is behaviour of AWS on which Evertoken relies.
type fact struct {
	name string
	// source is where it is documented or recorded.
	source string
	// see makes the calls and returns what it observed.
	see func(context.Context, *world) string
	// want is what AWS answers, or for an open question what the fake assumes: the worse
	// answer for a client.
	want string
	// open marks a question that no source answers: a test with a real account reports
	// the answer.
	open bool
	// real says that the fact is checked at a real account: no recording of its answers
	// is known, and the calls cost next to nothing.
	real bool
}

// world is one fact's own corner of an account.
type world struct {
	sm  *secretsmanager.Client
	ssm *ssm.Client
	// secret and parameter are names that nothing else uses. Further ones
	// begin with them.
	secret, parameter string
	// keyed makes the secret under a KMS key that then refuses everything;
	// nil where keys are not enforced.
	keyed func(ctx context.Context, w *world) error
}

// newWorld returns a world below prefix. At the end of the test it removes all that was
// made in it.
func newWorld(t *testing.T, c aws.Config, prefix string, n int) *world {
	w := &world{secret: fmt.Sprintf("%s/%d", prefix, n), parameter: fmt.Sprintf("/%s/%d", prefix, n)}
	var made made
	c.APIOptions = append(slices.Clone(c.APIOptions), made.note)
	w.sm, w.ssm = secretsmanager.NewFromConfig(c), ssm.NewFromConfig(c)
	t.Cleanup(func() { made.remove(context.WithoutCancel(t.Context()), t, w) })
	return w
}

// made are the names of the secrets and parameters that a fact has tried to make.
type made struct{ secrets, parameters []string }

// note is a middleware that records what a call may create, whatever the answer.
func (m *made) note(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("made",
		func(ctx context.Context, in middleware.InitializeInput,
			next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			switch in := in.Parameters.(type) {
			case *secretsmanager.CreateSecretInput:
				m.secrets = append(m.secrets, *in.Name)
			case *ssm.PutParameterInput:
				m.parameters = append(m.parameters, *in.Name)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
}

func (m *made) remove(ctx context.Context, t *testing.T, w *world) {
	slices.Sort(m.secrets)
	for _, name := range slices.Compact(m.secrets) {
		_, err := w.sm.DeleteSecret(ctx,
			&secretsmanager.DeleteSecretInput{SecretId: &name,
				ForceDeleteWithoutRecovery: aws.Bool(true)})
		if err != nil && code(err) != "ResourceNotFoundException" { // it was refused
			t.Errorf("a secret of this test was not deleted: %v", err)
		}
	}
	slices.Sort(m.parameters)
	for names := range slices.Chunk(slices.Compact(m.parameters), 10) {
		if _, err := w.ssm.DeleteParameters(ctx, &ssm.DeleteParametersInput{Names: names}); err != nil {
			t.Errorf("parameters of this test were not deleted: %v", err)
		}
	}
}

// id makes a version id, at least 32 characters, out of a short name.
func id(version string) *string {
	return aws.String(version + strings.Repeat("-", 36-len(version)))
}

// code is the error code of an answer, or "ok".
func code(err error) string {
	var refusal smithy.APIError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return refusal.ErrorCode()
	}
	return "no answer"
}

// answer is the error code and the text, with the names of this world taken
// out.
func (w *world) answer(err error) string {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		return code(err)
	}
	text := strings.ReplaceAll(refusal.ErrorMessage(), w.secret, "NAME")
	for _, v := range []string{"v1", "v2", "v3", "none"} {
		text = strings.ReplaceAll(text, *id(v), v)
	}
	if before, rest, found := strings.Cut(text, "arn:aws"); found {
		_, after, _ := strings.Cut(rest, "NAME-")
		text = before + "ARN" + after[min(6, len(after)):] // six random characters end it
	}
	return refusal.ErrorCode() + ": " + text
}

// create makes the secret, without a value.
func (w *world) create(ctx context.Context) error {
	_, err := w.sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &w.secret})
	return err
}

// with makes the secret with "one" as its version v1.
func (w *world) with(ctx context.Context) error {
	_, err := w.sm.CreateSecret(ctx,
		&secretsmanager.CreateSecretInput{Name: &w.secret, ClientRequestToken: id("v1"),
			SecretString: aws.String("one")})
	return err
}

func (w *world) put(ctx context.Context, version, value string, labels ...string) error {
	_, err := w.sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &w.secret, ClientRequestToken: id(version), SecretString: &value, VersionStages: labels,
	})
	return err
}

// move calls UpdateSecretVersionStage; an empty to or from is omitted.
func (w *world) move(ctx context.Context, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &w.secret, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = id(from)
	}
	if to != "" {
		in.MoveToVersionId = id(to)
	}
	_, err := w.sm.UpdateSecretVersionStage(ctx, in)
	return err
}

// get reads a value under a label, or without any if it is empty.
func (w *world) get(ctx context.Context, label string) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &w.secret}
	if label != "" {
		in.VersionStage = &label
	}
	out, err := w.sm.GetSecretValue(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

// labels lists the versions with their labels, as "v1:AWSPREVIOUS v2:AWSCURRENT+MINE".
func (w *world) labels(ctx context.Context) string {
	d, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
	if err != nil {
		return w.answer(err)
	}
	var versions []string
	for version, labels := range d.VersionIdsToStages {
		slices.Sort(labels)
		versions = append(versions, strings.TrimRight(version, "-")+":"+strings.Join(labels, "+"))
	}
	slices.Sort(versions)
	return strings.Join(versions, " ")
}

// versions lists the versions, as "v1: v2:AWSCURRENT".
func (w *world) versions(ctx context.Context, all bool) string {
	page, err := w.sm.ListSecretVersionIds(ctx,
		&secretsmanager.ListSecretVersionIdsInput{SecretId: &w.secret, IncludeDeprecated: &all})
	if err != nil {
		return w.answer(err)
	}
	slices.SortFunc(page.Versions, func(a, b smtypes.SecretVersionsListEntry) int {
		return strings.Compare(*a.VersionId, *b.VersionId)
	})
	var out []string
	for _, v := range page.Versions {
		slices.Sort(v.VersionStages)
		out = append(out, strings.TrimRight(*v.VersionId, "-")+":"+strings.Join(v.VersionStages, "+"))
	}
	return strings.Join(out, " ")
}

// first returns the first error, for a preparation of several calls.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unprepared is the result where the preparation failed.
func unprepared(err error) string { return "preparing: " + err.Error() }
