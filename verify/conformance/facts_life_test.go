package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// deleted makes the secret with a value and marks it for deletion.
func deleted(ctx context.Context, w *world) error {
	if err := w.with(ctx); err != nil {
		return err
	}
	_, err := w.sm.DeleteSecret(ctx,
		&secretsmanager.DeleteSecretInput{SecretId: &w.secret, RecoveryWindowInDays: aws.Int64(7)})
	return err
}

// lifeFacts are about making, deleting and rotating secrets.
var lifeFacts = []fact{
	{
		name: "a name that is taken", source: recorded + "test_secret_exists_snapshots",
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			return w.answer(w.create(ctx))
		},
		want: "ResourceExistsException: The operation failed because the secret NAME already exists.",
	},
	{
		name: "a name with characters that are not allowed", source: recorded + "test_invalid_secret_name",
		see: func(ctx context.Context, w *world) string {
			_, err := w.sm.CreateSecret(ctx,
				&secretsmanager.CreateSecretInput{Name: aws.String(w.secret + " *?"),
					SecretString: aws.String("one")})
			return w.answer(err)
		},
		want: "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
	},
	{
		name: "the name of a secret that is marked for deletion", source: recorded + "test_exp_raised_on_creation_of_secret_scheduled_for_deletion",
		see: func(ctx context.Context, w *world) string {
			if err := deleted(ctx, w); err != nil {
				return unprepared(err)
			}
			return w.answer(w.create(ctx))
		},
		want: "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion.",
	},
	{
		name: "a secret marked for deletion can't be read", source: model + "DeleteSecret",
		see: func(ctx context.Context, w *world) string {
			if err := deleted(ctx, w); err != nil {
				return unprepared(err)
			}
			_, err := w.get(ctx, "AWSCURRENT")
			return code(err)
		},
		want: "InvalidRequestException", real: true,
	},
	{
		name: "a secret marked for deletion can't be written", source: model + "DeleteSecret",
		see: func(ctx context.Context, w *world) string {
			if err := deleted(ctx, w); err != nil {
				return unprepared(err)
			}
			return fmt.Sprint("put ", code(w.put(ctx, "v2", "two")), ", move ", code(w.move(ctx, "MINE", "", "v1")))
		},
		want: "put InvalidRequestException, move InvalidRequestException",
	},
	{
		name: "a secret marked for deletion is described with its date", source: model + "DescribeSecret.DeletedDate",
		see: func(ctx context.Context, w *world) string {
			if err := deleted(ctx, w); err != nil {
				return unprepared(err)
			}
			d, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
			if err != nil {
				return w.answer(err)
			}
			return fmt.Sprint(d.DeletedDate != nil)
		},
		want: "true",
	},
	{
		name: "tags are described", source: recorded + "test_secret_tags",
		see: func(ctx context.Context, w *world) string {
			_, err := w.sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &w.secret,
				Tags: []smtypes.Tag{{Key: aws.String("evertoken:parameter"),
					Value: aws.String("/evertoken/connections/x")}}})
			if err != nil {
				return unprepared(err)
			}
			d, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
			if err != nil || len(d.Tags) != 1 {
				return fmt.Sprint(code(err), " without the tag")
			}
			return *d.Tags[0].Key + "=" + *d.Tags[0].Value
		},
		want: "evertoken:parameter=/evertoken/connections/x",
	},
	{
		name: "refusals have the status 400", source: recorded + "test_secret_not_found",
		see: func(ctx context.Context, w *world) string {
			_, err := w.get(ctx, "AWSCURRENT")
			var response *awshttp.ResponseError
			if !errors.As(err, &response) {
				return code(err)
			}
			return fmt.Sprint(response.HTTPStatusCode())
		},
		want: "400",
	},
	{
		name: "rotation without a function", source: recorded + "test_first_rotate_secret_with_missing_lambda_arn",
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			_, err := w.sm.RotateSecret(ctx,
				&secretsmanager.RotateSecretInput{SecretId: &w.secret,
					ClientRequestToken: id("v2")})
			return w.answer(err) + " " + w.labels(ctx)
		},
		want: "InvalidRequestException: No Lambda rotation function ARN is associated with this secret. v1:AWSCURRENT",
	},
}

// openFacts are the questions that no source answers. The expected answers are those that
// the fake assumes.
var openFacts = []fact{
	{
		name: "a repeated put touches the KMS key", source: "no source; the fake assumes that it does not", open: true, real: true,
		see: func(ctx context.Context, w *world) string {
			if w.keyed == nil {
				return "no keys here"
			}
			if err := w.keyed(ctx, w); err != nil {
				return unprepared(err)
			}
			return "repeated: " + code(w.put(ctx, "v1", "one")) + ", new: " + code(w.put(ctx, "v2", "two"))
		},
		want: "repeated: ok, new: EncryptionFailure",
	},
	{
		name: "attaching a label to the version that has it is refused", source: "no source; the fake assumes that it is not", open: true, real: true,
		see: after(move("MINE", "", "v1"), move("MINE", "", "v1")), want: "ok v1:AWSCURRENT+MINE",
	},
	{
		name: "moving a label changes LastChangedDate", source: "no source; the fake assumes that it does not", open: true, real: true,
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			before, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
			if err := first(err, w.move(ctx, "MINE", "", "v1")); err != nil {
				return unprepared(err)
			}
			then, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
			if err != nil {
				return w.answer(err)
			}
			return fmt.Sprint("changed: ", !then.LastChangedDate.Equal(*before.LastChangedDate))
		},
		want: "changed: false",
	},
}
