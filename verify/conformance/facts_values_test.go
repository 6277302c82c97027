package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return out
}

// read returns the value under a label, or the error of reading it.
func (w *world) read(ctx context.Context, label string) string {
	value, err := w.get(ctx, label)
	if err != nil {
		return w.answer(err)
	}
	return value
}

// putFacts are about PutSecretValue and the reads after it.
var putFacts = []fact{
	{
		name: "the first value is AWSCURRENT, whatever its labels", source: model + "PutSecretValue.VersionStages",
		see: func(ctx context.Context, w *world) string {
			if err := first(w.create(ctx), w.put(ctx, "v1", "one", "MINE")); err != nil {
				return unprepared(err)
			}
			return w.labels(ctx)
		},
		want: "v1:AWSCURRENT+MINE", real: true,
	},
	{
		name: "the same value under the same id is a success and changes nothing", source: model + "PutSecretValue.ClientRequestToken",
		see: after(put("v1", "one")), want: "ok v1:AWSCURRENT", real: true,
	},
	{
		name: "repeating the put of an earlier version moves no label", source: model + `PutSecretValue.ClientRequestToken: "the request is ignored"`,
		see:  after(put("v2", "two"), put("v1", "one")),
		want: "ok v1:AWSPREVIOUS v2:AWSCURRENT", real: true,
	},
	{
		name: "another value under the same id is refused", source: model + "PutSecretValue.ClientRequestToken",
		see: after(put("v1", "other")), want: "ResourceExistsException v1:AWSCURRENT", real: true,
	},
	{
		name: "another value under the id of a pending version is refused", source: model + "PutSecretValue.ClientRequestToken",
		see:  after(put("v2", "two", "AWSPENDING"), put("v2", "other", "AWSPENDING")),
		want: "ResourceExistsException v1:AWSCURRENT v2:AWSPENDING", real: true,
	},
	{
		name: "without a label the current value is read", source: recorded + "test_update_secret_version_stages_current_pending_cycle",
		see: func(ctx context.Context, w *world) string {
			if err := first(w.with(ctx), w.put(ctx, "v2", "two", "AWSPENDING"), w.move(ctx, "AWSCURRENT", "v1", "v2")); err != nil {
				return unprepared(err)
			}
			return "AWSCURRENT " + w.read(ctx, "AWSCURRENT") + ", without " + w.read(ctx, "")
		},
		want: "AWSCURRENT two, without two",
	},
	{
		name: "a value has at most 65,536 bytes", source: model + "SecretStringType",
		see: func(ctx context.Context, w *world) string {
			if err := w.create(ctx); err != nil {
				return unprepared(err)
			}
			return fmt.Sprint(w.put(ctx, "v1", strings.Repeat("x", 65536)) == nil,
				w.put(ctx, "v2", strings.Repeat("x", 65537)) == nil)
		},
		want: "true false",
	},
	{
		name: "a version's id has at least 32 characters", source: model + "ClientRequestTokenType",
		see: func(ctx context.Context, w *world) string {
			if err := w.create(ctx); err != nil {
				return unprepared(err)
			}
			_, err := w.sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
				SecretId: &w.secret, ClientRequestToken: aws.String(strings.Repeat("x",
					31)), SecretString: aws.String("one")})
			return fmt.Sprint(err == nil)
		},
		want: "false",
	},
	{
		name: "text and bytes together are refused", source: model + "PutSecretValue",
		see: func(ctx context.Context, w *world) string {
			if err := w.create(ctx); err != nil {
				return unprepared(err)
			}
			_, err := w.sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
				SecretId: &w.secret, ClientRequestToken: id("v1"), SecretString: aws.String("one"), SecretBinary: []byte("one")})
			return fmt.Sprint(err == nil)
		},
		want: "false",
	},
	{
		name: "at most 100 versions younger than 24 hours", source: model + "PutSecretValue",
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			for n := 2; n <= 110; n++ {
				if err := w.put(ctx, fmt.Sprintf("v%d", n), "value"); err != nil {
					return fmt.Sprintf("version %d: %s", n, code(err))
				}
			}
			return "no limit"
		},
		want: "version 101: LimitExceededException",
	},
}

// readFacts are about reads and their errors, whose texts are recorded.
var readFacts = []fact{
	{
		name: "a secret that is not there", source: recorded + "test_secret_not_found",
		see:  func(ctx context.Context, w *world) string { return w.read(ctx, "AWSCURRENT") },
		want: "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
	},
	{
		name: "a secret without a value", source: recorded + "test_create_secret_version_from_empty_secret",
		see: func(ctx context.Context, w *world) string {
			if err := w.create(ctx); err != nil {
				return unprepared(err)
			}
			return w.read(ctx, "AWSCURRENT")
		},
		want: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
	},
	{
		name: "a label without a version", source: recorded + "test_get_secret_value_errors",
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			return w.read(ctx, "AWSPENDING")
		},
		want: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
	},
	{
		name: "a version that is not there", source: recorded + "test_secret_version_not_found",
		see: func(ctx context.Context, w *world) string {
			if err := w.with(ctx); err != nil {
				return unprepared(err)
			}
			_, err := w.sm.GetSecretValue(ctx,
				&secretsmanager.GetSecretValueInput{SecretId: &w.secret, VersionId: id("none")})
			return w.answer(err)
		},
		want: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: none",
	},
	{
		name: "a version without the label named", source: recorded + "test_get_secret_value_errors",
		see: func(ctx context.Context, w *world) string {
			if err := first(w.with(ctx), w.put(ctx, "v2", "two")); err != nil {
				return unprepared(err)
			}
			_, err := w.sm.GetSecretValue(ctx,
				&secretsmanager.GetSecretValueInput{SecretId: &w.secret, VersionId: id("v1"),
					VersionStage: aws.String("AWSCURRENT")})
			return w.answer(err)
		},
		want: "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId.",
	},
	{
		name: "an ARN without its last six characters is found", source: "docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html",
		see: func(ctx context.Context, w *world) string {
			made, err := w.sm.CreateSecret(ctx,
				&secretsmanager.CreateSecretInput{Name: &w.secret, ClientRequestToken: id("v1"),
					SecretString: aws.String("one")})
			if err != nil {
				return unprepared(err)
			}
			partial := (*made.ARN)[:len(*made.ARN)-len("-AbCdEf")]
			out, err := w.sm.GetSecretValue(ctx,
				&secretsmanager.GetSecretValueInput{SecretId: &partial,
					VersionStage: aws.String("AWSCURRENT")})
			if err != nil {
				return w.answer(err)
			}
			return fmt.Sprint(*out.SecretString, " ", *out.ARN == *made.ARN)
		},
		want: "one true",
	},
	{
		name: "a batch answers for each secret", source: model + "BatchGetSecretValue.Errors",
		see: batch, want: "errors 2:ResourceNotFoundException missing:ResourceNotFoundException, values 1", real: true,
	},
	{
		name: "a batch takes at most 20 secrets", source: model + "SecretIdListType",
		see: func(ctx context.Context, w *world) string {
			_, err := w.sm.BatchGetSecretValue(ctx,
				&secretsmanager.BatchGetSecretValueInput{SecretIdList: numbered(w.secret, 21)})
			return fmt.Sprint(err == nil)
		},
		want: "false",
	},
	{
		name: "versions without labels are listed only on demand", source: recorded + "test_deprecated_secret_version_stage",
		see: func(ctx context.Context, w *world) string {
			if err := first(w.with(ctx), w.put(ctx, "v2", "two"), w.put(ctx, "v3", "three")); err != nil {
				return unprepared(err)
			}
			return w.versions(ctx, false) + ", all " + w.versions(ctx, true)
		},
		want: "v2:AWSPREVIOUS v3:AWSCURRENT, all v1: v2:AWSPREVIOUS v3:AWSCURRENT",
	},
}

// batch reads a secret with a value, one without, and one that does not exist.
func batch(ctx context.Context, w *world) string {
	empty, missing := w.secret+"/2", w.secret+"/missing"
	_, err := w.sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &empty})
	if err := first(err, w.with(ctx)); err != nil {
		return unprepared(err)
	}
	out, err := w.sm.BatchGetSecretValue(ctx,
		&secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{w.secret, empty, missing}})
	if err != nil {
		return w.answer(err)
	}
	slices.SortFunc(out.Errors,
		func(a, b smtypes.APIErrorType) int { return cmp.Compare(*a.SecretId, *b.SecretId) })
	text := "errors"
	for _, e := range out.Errors {
		text += " " + strings.TrimPrefix(*e.SecretId, w.secret+"/") + ":" + *e.ErrorCode
	}
	return fmt.Sprint(text, ", values ", len(out.SecretValues))
}
