package fakeaws_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeaws "evertoken/internal/fake/aws"
)

const functionARN = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

type event struct{ Step, SecretId, ClientRequestToken, RotationToken string }

// rotator is a rotation function that works like AWS's template, and does what a
// test asks for before a step.
type rotator struct {
	w      *world
	before func(event) error
	mu     sync.Mutex
	events []event
}

func newRotator(t *testing.T, attempts int) *rotator {
	r := &rotator{}
	r.w = newWorld(t, fakeaws.Options{Invoke: r.invoke, RotationAttempts: attempts})
	r.w.empty("s")
	if err := r.w.put(t.Context(), "s", "v1", "one"); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rotator) invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil || function != functionARN {
		return nil, errors.New("unexpected invocation")
	}
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	if r.before != nil {
		if err := r.before(e); err != nil {
			return nil, err
		}
	}
	switch e.Step {
	case "createSecret":
		_, err := r.w.sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
			SecretString: aws.String("new"), VersionStages: []string{"AWSPENDING"},
		})
		return nil, err
	case "finishSecret":
		from, _ := r.w.Secret("s").Labelled("AWSCURRENT")
		_, err := r.w.sm.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: &from.ID,
		})
		return nil, err
	}
	return nil, nil
}

func (r *rotator) steps() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var steps []string
	for _, e := range r.events {
		steps = append(steps, e.Step)
	}
	return steps
}

func (r *rotator) rotate(ctx context.Context, token string,
	edit func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: aws.String("s"), ClientRequestToken: id(token), RotationLambdaARN: aws.String(functionARN),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
	}
	if edit != nil {
		edit(in)
	}
	_, err := r.w.sm.RotateSecret(ctx, in)
	return err
}

var fourSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func TestARotationRunsItsFourSteps(t *testing.T) {
	t.Parallel()
	r := newRotator(t, 1)
	var prepared, read string
	r.before = func(e event) error {
		if e.Step == "createSecret" {
			prepared, read = r.w.labels("s"), r.w.get(t.Context(), "s", "AWSPENDING")
		}
		return nil
	}
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	r.w.WaitRotations()
	check(t, "steps", fourSteps, r.steps())
	check(t, "the prepared version", "v1:AWSCURRENT v2:AWSPENDING", prepared)
	check(t, "has no value", "ResourceNotFoundException", read)
	check(t, "labels at the end", "v1:AWSPREVIOUS v2:AWSCURRENT", r.w.labels("s"))
	check(t, "value", "new", r.w.get(t.Context(), "s", "AWSCURRENT"))
	first, last := r.events[0], r.events[3]
	check(t, "event", event{"createSecret", r.w.Secret("s").ARN, *id("v2"), first.RotationToken}, first)
	check(t, "one rotation token", first.RotationToken, last.RotationToken)
	check(t, "its length", 36, len(first.RotationToken))

	described, err := r.w.sm.DescribeSecret(t.Context(),
		&secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "enabled", true, *described.RotationEnabled)
	check(t, "function", functionARN, *described.RotationLambdaARN)
	check(t, "rules", "rate(4 hours)", *described.RotationRules.ScheduleExpression)
	check(t, "last", r.w.clock.Now(), described.LastRotatedDate.UTC())
	check(t, "next", r.w.clock.Now().Add(4*time.Hour), described.NextRotationDate.UTC())

	check(t, "the same token again", "", code(r.rotate(t.Context(), "v2", nil)))
	check(t, "a used token", "InvalidParameterException", code(r.rotate(t.Context(), "v1", nil)))
	r.w.WaitRotations()
	check(t, "steps", fourSteps, r.steps())
	check(t, "with what is stored", "",
		code(r.rotate(t.Context(), "v3", func(in *secretsmanager.RotateSecretInput) {
			in.RotationLambdaARN, in.RotationRules = nil, nil
		})))
	r.w.WaitRotations()
	check(t, "labels", "v1: v2:AWSPREVIOUS v3:AWSCURRENT", r.w.labels("s"))
}

// TestRotateSecretAnswersAtOnce blocks the function until the answer has arrived.
func TestRotateSecretAnswersAtOnce(t *testing.T) {
	t.Parallel()
	r := newRotator(t, 1)
	answered := make(chan struct{})
	r.before = func(event) error { <-answered; return nil }
	err := r.rotate(t.Context(), "v2", nil)
	check(t, "labels meanwhile", "v1:AWSCURRENT v2:AWSPENDING", r.w.labels("s"))
	second := r.rotate(t.Context(), "v3", nil)
	close(answered)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "second rotation",
		"A previous rotation isn't complete. That rotation will be reattempted.", message(second))
	check(t, "its code", "InvalidRequestException", code(second))
	r.w.WaitRotations()
	check(t, "labels", "v1:AWSPREVIOUS v2:AWSCURRENT", r.w.labels("s"))
}

func TestAWrongRotationRequestIsRefused(t *testing.T) {
	t.Parallel()
	rules := func(r types.RotationRulesType) func(*secretsmanager.RotateSecretInput) {
		return func(in *secretsmanager.RotateSecretInput) { in.RotationRules = &r }
	}
	schedule := func(expression string) func(*secretsmanager.RotateSecretInput) {
		return rules(types.RotationRulesType{ScheduleExpression: &expression})
	}
	const bad = "InvalidParameterException"
	tests := map[string]struct {
		edit       func(*secretsmanager.RotateSecretInput)
		code, text string
	}{
		"no function": {func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil },
			"InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."},
		"no function ARN": {func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = aws.String("rotate") }, "AccessDeniedException",
			"Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."},
		"function in another Region": {func(in *secretsmanager.RotateSecretInput) {
			in.RotationLambdaARN = aws.String(strings.Replace(functionARN, "us-east-1", "eu-west-1", 1))
		}, "AccessDeniedException", ""},
		"missing secret":      {func(in *secretsmanager.RotateSecretInput) { in.SecretId = aws.String("other") }, "ResourceNotFoundException", ""},
		"days and schedule":   {rules(types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1), ScheduleExpression: aws.String("rate(1 day)")}), bad, ""},
		"neither":             {rules(types.RotationRulesType{Duration: aws.String("1h")}), bad, ""},
		"1,001 days":          {rules(types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1001)}), "ValidationException", ""},
		"every 3 hours":       {schedule("rate(3 hours)"), bad, ""},
		"no unit":             {schedule("rate(5)"), bad, ""},
		"minutes":             {schedule("rate(300 minutes)"), bad, ""},
		"at 5 past":           {schedule("cron(5 0 * * ? *)"), bad, ""},
		"in one year":         {schedule("cron(0 0 * * ? 2027)"), bad, ""},
		"both kinds of day":   {schedule("cron(0 0 1 * MON *)"), bad, ""},
		"hourly":              {schedule("cron(0 * * * ? *)"), bad, ""},
		"every 3 hours, cron": {schedule("cron(0 0/3 * * ? *)"), bad, ""},
		"over midnight":       {schedule("cron(0 1,23 * * ? *)"), bad, ""},
		"hour 24":             {schedule("cron(0 24 * * ? *)"), bad, ""},
		"window too long":     {rules(types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)"), Duration: aws.String("5h")}), bad, ""},
		"window in minutes":   {rules(types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)"), Duration: aws.String("30m")}), "ValidationException", ""},
		"empty schedule":      {schedule(""), bad, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRotator(t, 1)
			before := r.w.Secret("s")
			err := r.rotate(t.Context(), "v2", test.edit)
			check(t, "code", test.code, code(err))
			if test.text != "" {
				check(t, "message", test.text, message(err))
			}
			check(t, "secret", before, r.w.Secret("s"))
		})
	}
}

func TestEveryDocumentedScheduleIsAccepted(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{"rate(4 hours)", "rate(1 day)", "rate(10 days)", "cron(0 8/8 * * ? *)", "cron(0 0/4 * * ? *)", "cron(0 2 1 * ? *)", "cron(0 0 ? * SUN#1 *)", "cron(0 4,8 L * ? *)"} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			r := newRotator(t, 1)
			err := r.rotate(t.Context(), "v2", func(in *secretsmanager.RotateSecretInput) {
				in.RotationRules.ScheduleExpression = &expression
			})
			check(t, "code", "", code(err))
			check(t, "schedule", expression, r.w.Secret("s").RotationSchedule)
		})
	}
}

func TestAFailedRotationIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRotator(t, 2)
	broken := true
	r.before = func(e event) error {
		if broken && e.Step == "testSecret" {
			return errors.New("rejected")
		}
		return nil
	}
	if err := r.w.RetryRotation("s"); err == nil {
		t.Error("a reattempt without a rotation succeeded")
	}
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	r.w.WaitRotations()
	check(t, "tried whole, twice", slices.Concat(fourSteps[:3], fourSteps[:3]), r.steps())
	check(t, "labels", "v1:AWSCURRENT v2:AWSPENDING", r.w.labels("s"))
	check(t, "a new rotation", "InvalidRequestException", code(r.rotate(t.Context(), "v3", nil)))
	if err := r.w.RetryRotation("s"); err == nil {
		t.Error("the reattempt succeeded too early")
	}
	broken = false
	if err := r.w.RetryRotation("s"); err != nil {
		t.Fatal(err)
	}
	check(t, "version ids", []string{*id("v2")}, slices.Compact(func() (ids []string) {
		for _, e := range r.events {
			ids = append(ids, e.ClientRequestToken)
		}
		return ids
	}()))
	check(t, "labels", "v1:AWSPREVIOUS v2:AWSCURRENT", r.w.labels("s"))
	if err := r.w.RetryRotation("s"); err == nil {
		t.Error("a reattempt of a complete rotation succeeded")
	}
}

// TestARotationThatPromotesNothingFails is a function that answers and does nothing.
func TestARotationThatPromotesNothingFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		fakeaws.Options{Invoke: func(context.Context, string, []byte) ([]byte, error) { return nil, nil }})
	r := &rotator{w: w}
	w.CreateSecret("s", aws.String("one"), nil)
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	w.WaitRotations()
	check(t, "empty version left", "ResourceNotFoundException", w.get(t.Context(), "s", "AWSPENDING"))
	check(t, "a new rotation", "InvalidRequestException", code(r.rotate(t.Context(), "v3", nil)))
}

func TestAPutOfANewCurrentVersionAbandonsTheRotation(t *testing.T) {
	t.Parallel()
	r := newRotator(t, 3)
	r.before = func(e event) error {
		if e.Step != "setSecret" {
			return nil
		}
		return r.w.put(t.Context(), "s", "mine", "by hand")
	}
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	r.w.WaitRotations()
	check(t, "no further step, no further attempt", fourSteps[:2], r.steps())
	check(t, "labels", "v1:AWSPREVIOUS v2: mine:AWSCURRENT", r.w.labels("s"))
	r.before = nil
	check(t, "a new rotation", "", code(r.rotate(t.Context(), "v3", nil)))
	r.w.WaitRotations()
	check(t, "labels", "v1: v2: mine:AWSPREVIOUS v3:AWSCURRENT", r.w.labels("s"))
}

func TestACancelledRotationLeavesAWSPENDINGBehind(t *testing.T) {
	t.Parallel()
	r := newRotator(t, 1)
	r.before = func(event) error { return errors.New("broken") }
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	r.w.WaitRotations()
	out, err := r.w.sm.CancelRotateSecret(t.Context(),
		&secretsmanager.CancelRotateSecretInput{SecretId: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "version to look at", *id("v2"), *out.VersionId)
	check(t, "enabled", false, r.w.Secret("s").RotationEnabled)
	check(t, "labels", "v1:AWSCURRENT v2:AWSPENDING", r.w.labels("s"))
	if err := r.w.RetryRotation("s"); err == nil {
		t.Error("a cancelled rotation was reattempted")
	}
	check(t, "AWSPENDING blocks a rotation", "InvalidRequestException", code(r.rotate(t.Context(), "v3", nil)))
	check(t, "remove the label", "", code(r.w.stage(t.Context(), "s", "AWSPENDING", "v2", "")))
	r.before = nil
	check(t, "a new rotation", "", code(r.rotate(t.Context(), "v3", nil)))
	r.w.WaitRotations()
	check(t, "labels", "v1:AWSPREVIOUS v2: v3:AWSCURRENT", r.w.labels("s"))
}

func TestRotateImmediatelyFalseRunsOnlyTestSecret(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"current value", "one", "one"},
		{"no value", "", "ResourceNotFoundException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &rotator{}
			r.w = newWorld(t, fakeaws.Options{Invoke: r.invoke})
			r.w.empty("s")
			if test.value != "" {
				if err := r.w.put(t.Context(), "s", "v1", test.value); err != nil {
					t.Fatal(err)
				}
			}
			before := r.w.labels("s")
			var read string
			r.before = func(event) error { read = r.w.get(t.Context(), "s", "AWSPENDING"); return nil }
			if err := r.rotate(t.Context(), "v2", func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }); err != nil {
				t.Fatal(err)
			}
			r.w.WaitRotations()
			check(t, "steps", []string{"testSecret"}, r.steps())
			check(t, "pending value", test.want, read)
			check(t, "labels", before, r.w.labels("s"))
			check(t, "enabled", true, r.w.Secret("s").RotationEnabled)
		})
	}
}

// TestCloseEndsARunningRotation closes the server under a function that waits for its context.
func TestCloseEndsARunningRotation(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan struct{})
	w := newWorld(t,
		fakeaws.Options{RotationAttempts: 5,
			Invoke: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
				close(started) // a second attempt would panic
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}})
	w.CreateSecret("s", aws.String("one"), nil)
	r := &rotator{w: w}
	if err := r.rotate(t.Context(), "v2", nil); err != nil {
		t.Fatal(err)
	}
	<-started
	w.Close()
	<-ended
}
