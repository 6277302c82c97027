package fakeaws_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeaws "evertoken/internal/fake/aws"
)

// TestEveryWriteIsAnsweredAsByAWS has one fact per line: a write to a secret "s" whose
// version v1 holds "one", and the answer.
func TestEveryWriteIsAnsweredAsByAWS(t *testing.T) {
	t.Parallel()
	put := func(in secretsmanager.PutSecretValueInput) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			if in.SecretId == nil {
				in.SecretId = aws.String("s")
			}
			_, err := w.sm.PutSecretValue(ctx, &in)
			return err
		}
	}
	create := func(in secretsmanager.CreateSecretInput) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			_, err := w.sm.CreateSecret(ctx, &in)
			return err
		}
	}
	update := func(in secretsmanager.UpdateSecretInput) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			in.SecretId = aws.String("s")
			_, err := w.sm.UpdateSecret(ctx, &in)
			return err
		}
	}
	text, long := aws.String("one"), strings.Repeat("x", 65536)
	const invalidName = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	tests := map[string]struct {
		call       func(context.Context, *world) error
		code, text string
		changed    bool
	}{
		"put same token same content":    {call: put(secretsmanager.PutSecretValueInput{ClientRequestToken: id("v1"), SecretString: text})},
		"put same token, other labels":   {call: put(secretsmanager.PutSecretValueInput{ClientRequestToken: id("v1"), SecretString: text, VersionStages: []string{"X"}})},
		"put same token other content":   {call: put(secretsmanager.PutSecretValueInput{ClientRequestToken: id("v1"), SecretString: aws.String("two")}), code: "ResourceExistsException"},
		"put same token, binary for str": {call: put(secretsmanager.PutSecretValueInput{ClientRequestToken: id("v1"), SecretBinary: []byte("one")}), code: "ResourceExistsException"},
		"put without value":              {call: put(secretsmanager.PutSecretValueInput{ClientRequestToken: id("v2")}), code: "InvalidRequestException"},
		"put both values":                {call: put(secretsmanager.PutSecretValueInput{SecretString: text, SecretBinary: []byte("one")}), code: "InvalidParameterException"},
		"put empty value":                {call: put(secretsmanager.PutSecretValueInput{SecretString: aws.String("")}), code: "ValidationException"},
		"put 65,536 bytes":               {call: put(secretsmanager.PutSecretValueInput{SecretString: &long}), changed: true},
		"put 65,537 bytes":               {call: put(secretsmanager.PutSecretValueInput{SecretString: aws.String(long + "x")}), code: "ValidationException"},
		"put 65,537 bytes in 2-byte characters": {
			call: put(secretsmanager.PutSecretValueInput{SecretString: aws.String(strings.Repeat("é", 32768) + "x")}), code: "ValidationException"},
		"put 65,537 binary bytes": {call: put(secretsmanager.PutSecretValueInput{SecretBinary: []byte(long + "x")}), code: "ValidationException"},
		"token of 31 characters":  {call: put(secretsmanager.PutSecretValueInput{SecretString: text, ClientRequestToken: aws.String(strings.Repeat("t", 31))}), code: "ValidationException"},
		"token of 64 characters":  {call: put(secretsmanager.PutSecretValueInput{SecretString: text, ClientRequestToken: aws.String(strings.Repeat("t", 64))}), changed: true},
		"token of 65 characters":  {call: put(secretsmanager.PutSecretValueInput{SecretString: text, ClientRequestToken: aws.String(strings.Repeat("t", 65))}), code: "ValidationException"},
		"no stage at all":         {call: put(secretsmanager.PutSecretValueInput{SecretString: text, VersionStages: []string{}}), code: "ValidationException"},
		"21 stages":               {call: put(secretsmanager.PutSecretValueInput{SecretString: text, VersionStages: strings.Split(strings.Repeat("a,", 20)+"a", ",")}), code: "ValidationException"},
		"rotation token":          {call: put(secretsmanager.PutSecretValueInput{SecretString: text, RotationToken: aws.String(strings.Repeat("r", 36))}), changed: true},
		"rotation token too short": {call: put(secretsmanager.PutSecretValueInput{SecretString: text, RotationToken: aws.String(strings.Repeat("r", 35))}),
			code: "ValidationException"},
		"rotation token with a dot": {call: put(secretsmanager.PutSecretValueInput{SecretString: text, RotationToken: aws.String(strings.Repeat("r.", 20))}), code: "ValidationException"},
		"put to a missing secret": {call: put(secretsmanager.PutSecretValueInput{SecretId: aws.String("other"), SecretString: text}),
			code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret."},
		"create over it": {call: create(secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: text}),
			code: "ResourceExistsException", text: "The operation failed because the secret s already exists."},
		"create with both values":     {call: create(secretsmanager.CreateSecretInput{Name: aws.String("n"), SecretString: text, SecretBinary: []byte("x")}), code: "InvalidParameterException"},
		"create with a space":         {call: create(secretsmanager.CreateSecretInput{Name: aws.String("Inv Name")}), code: "ValidationException", text: invalidName},
		"create with a star":          {call: create(secretsmanager.CreateSecretInput{Name: aws.String(" Inv *?!]Name\\-")}), code: "ValidationException", text: invalidName},
		"create with a name too long": {call: create(secretsmanager.CreateSecretInput{Name: aws.String(strings.Repeat("n", 513))}), code: "ValidationException"},
		"create with every character": {call: create(secretsmanager.CreateSecretInput{Name: aws.String("aZ09/_+=.@!-")})},
		"update of the description":   {call: update(secretsmanager.UpdateSecretInput{Description: aws.String("d")}), changed: true},
		"update of the value":         {call: update(secretsmanager.UpdateSecretInput{SecretString: aws.String("two")}), changed: true},
		"update with a used token, same content": {
			call: update(secretsmanager.UpdateSecretInput{SecretString: text, ClientRequestToken: id("v1")}), code: "ResourceExistsException"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fakeaws.Options{})
			w.empty("s")
			if err := w.put(t.Context(), "s", "v1", "one"); err != nil {
				t.Fatal(err)
			}
			before := w.Secret("s")
			w.clock.Advance(time.Minute)
			err := test.call(t.Context(), w)
			check(t, "code", test.code, code(err))
			if test.text != "" {
				check(t, "message", test.text, message(err))
			}
			check(t, "changed", test.changed, w.Secret("s").LastChangedDate.After(before.LastChangedDate))
			if !test.changed {
				check(t, "secret", before, w.Secret("s"))
			}
		})
	}
}

func TestAUsedTokenIsRefusedWithAWSsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	arn := w.CreateSecret("s", nil, nil)
	if err := w.put(t.Context(), "s", "v1", "one"); err != nil {
		t.Fatal(err)
	}
	err := w.put(t.Context(), "s", "v1", "two")
	check(t, "used token",
		"You can't use ClientRequestToken "+*id("v1")+" because that value is already in use for a version of secret "+arn+".", message(err))
	const missing = `{"Message":"You must provide a ClientRequestToken value. We recommend a UUID-type value.","__type":"%s"}`
	for operation, want := range map[string]struct{ body, code string }{
		"CreateSecret":   {`{"Name":"n","SecretString":"x"}`, "InvalidRequestException"},
		"PutSecretValue": {`{"SecretId":"s","SecretString":"x"}`, "InvalidRequestException"},
		"UpdateSecret":   {`{"SecretId":"s","SecretString":"x"}`, "InvalidRequestException"},
		"RotateSecret":   {`{"SecretId":"s"}`, "InvalidParameterException"},
	} {
		status, got := w.raw(t, "secretsmanager."+operation, want.body, nil)
		check(t, operation+" status", 400, status)
		check(t, operation, fmt.Sprintf(missing, want.code), got)
	}
}

func TestCreatingASecretTwiceWithOneTokenIsOneSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	in := &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("x"),
		ClientRequestToken: id("v1")}
	first, err := w.sm.CreateSecret(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.sm.CreateSecret(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "the same call again", *first.ARN+*first.VersionId, *again.ARN+*again.VersionId)
	check(t, "labels", "v1:AWSCURRENT", w.labels("s"))
}

// TestAHundredVersionsOfOneDayAreTheQuota keeps AWS's rule: the 100 newest versions and
// every one of the last 24 hours [botocore secretsmanager PutSecretValue].
func TestAHundredVersionsOfOneDayAreTheQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	for i := range 100 {
		if err := w.put(t.Context(), "s", fmt.Sprint("v", i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
	}
	before := w.labels("s")
	check(t, "young versions", 100, w.VersionsYoungerThan("s", 24*time.Hour))
	check(t, "101st within a day", "LimitExceededException", code(w.put(t.Context(), "s", "v100", "100")))
	check(t, "no-op at the quota", "", code(w.put(t.Context(), "s", "v99", "99")))
	check(t, "labels", before, w.labels("s"))

	w.clock.Advance(24*time.Hour - 100*time.Minute) // v0 is now exactly a day old
	check(t, "young versions", 99, w.VersionsYoungerThan("s", 24*time.Hour))
	check(t, "after a day", "", code(w.put(t.Context(), "s", "v100", "100")))
	check(t, "oldest version left", *id("v1"), w.Secret("s").Versions[0].ID)
	check(t, "again", "LimitExceededException", code(w.put(t.Context(), "s", "v101", "101")))

	if err := w.stage(t.Context(), "s", "KEEP", "", "v1"); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	w.clock.Advance(time.Minute)
	check(t, "two minutes later", "", code(w.put(t.Context(), "s", "v101", "101")))
	check(t, "a labelled version stays", *id("v1"), w.Secret("s").Versions[0].ID)
	check(t, "the next one went", *id("v3"), w.Secret("s").Versions[1].ID)
}

func TestADeniedKeyStopsReadsAndWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	w.CreateSecret("other", aws.String("open"), nil)
	if err := w.put(t.Context(), "s", "v1", "one"); err != nil {
		t.Fatal(err)
	}
	w.SetKMS("s", true, true)
	check(t, "read", "DecryptionFailure", w.get(t.Context(), "s", "AWSCURRENT"))
	check(t, "write", "EncryptionFailure", code(w.put(t.Context(), "s", "v2", "two")))
	check(t, "no-op write", "", code(w.put(t.Context(), "s", "v1", "one")))
	check(t, "label move", "", code(w.stage(t.Context(), "s", "X", "", "v1")))
	check(t, "other secret", "open", w.get(t.Context(), "other", "AWSCURRENT"))
	batch, err := w.sm.BatchGetSecretValue(t.Context(),
		&secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"s", "other"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "values of the batch", 1, len(batch.SecretValues))
	check(t, "error of the batch", "s DecryptionFailure",
		*batch.Errors[0].SecretId+" "+*batch.Errors[0].ErrorCode)
	w.SetKMS("s", false, false)
	check(t, "lifted", "one", w.get(t.Context(), "s", "AWSCURRENT"))
	w.SetKMS("", true, false)
	check(t, "whole server", "DecryptionFailure", w.get(t.Context(), "other", "AWSCURRENT"))
}

func TestAReplicaCanBeReadAndNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", aws.String("x"), nil)
	w.SetReplica("s", "eu-west-1")
	check(t, "read", "x", w.get(t.Context(), "s", "AWSCURRENT"))
	out, err := w.sm.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "primary", "eu-west-1", *out.PrimaryRegion)
	check(t, "status", types.StatusTypeInSync, out.ReplicationStatus[0].Status)
	err = w.put(t.Context(), "s", "v2", "y")
	check(t, "write", "InvalidParameterException", code(err))
	check(t, "text",
		"Operation not permitted on a replica secret. Call must be made in primary secret's region.", message(err))
	check(t, "label", "InvalidParameterException", code(w.stage(t.Context(), "s", "X", "", "v2")))
}

func TestASecretMarkedForDeletionCannotBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	ctx, name := t.Context(), aws.String("s")
	if err := w.put(ctx, "s", "v1", "one"); err != nil {
		t.Fatal(err)
	}
	remove := func(in secretsmanager.DeleteSecretInput) string {
		in.SecretId = name
		_, err := w.sm.DeleteSecret(ctx, &in)
		return code(err)
	}
	check(t, "6 days", "InvalidParameterException",
		remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(6)}))
	check(t, "31 days", "InvalidParameterException",
		remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(31)}))
	check(t, "window and force", "InvalidParameterException",
		remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7),
			ForceDeleteWithoutRecovery: aws.Bool(true)}))
	check(t, "7 days", "", remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)}))
	check(t, "twice", "InvalidRequestException", remove(secretsmanager.DeleteSecretInput{}))

	check(t, "read", "InvalidRequestException", w.get(ctx, "s", "AWSCURRENT"))
	err := w.put(ctx, "s", "v2", "two")
	check(t, "write",
		"You can't perform this operation on the secret because it was marked for deletion.", message(err))
	_, err = w.sm.TagResource(ctx,
		&secretsmanager.TagResourceInput{SecretId: name,
			Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	check(t, "tag", "InvalidRequestException", code(err))
	_, err = w.sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name})
	check(t, "create",
		"You can't create this secret because a secret with this name is already scheduled for deletion.", message(err))
	described, err := w.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "DeletedDate", w.clock.Now().Add(7*24*time.Hour), described.DeletedDate.UTC())

	if _, err := w.sm.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: name}); err != nil {
		t.Fatal(err)
	}
	check(t, "restored", "one", w.get(ctx, "s", "AWSCURRENT"))
	check(t, "30 days", "", remove(secretsmanager.DeleteSecretInput{}))
	w.clock.Advance(30 * 24 * time.Hour)
	check(t, "after the window", "ResourceNotFoundException", w.get(ctx, "s", "AWSCURRENT"))
	_, err = w.sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name})
	check(t, "created again", "", code(err))
	check(t, "by force", "",
		remove(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)}))
	check(t, "by force, missing", "",
		remove(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)}))
	check(t, "missing", "ResourceNotFoundException", remove(secretsmanager.DeleteSecretInput{}))
}
