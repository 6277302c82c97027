package fakeworld

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
)

// stepTimeout is the deadline of one step of a rotation, in real time.
const stepTimeout = 2 * time.Minute

// Rotator is the product's rotator over the fakes.
func (w *World) Rotator() *rotate.Rotator { return w.Parts().Rotator() }

// Handle serves one step of a rotation with a deadline, as Lambda would.
func Handle(r *rotate.Rotator, e events.SecretsManagerSecretRotationEvent) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	return r.Handle(ctx, e)
}

// Steps serves rotations by the product's rotator; see [World.OnRotation].
func Steps(handle func(events.SecretsManagerSecretRotationEvent) error) func(context.Context,
	string, []byte) ([]byte, error) {
	return func(_ context.Context, _ string, payload []byte) ([]byte, error) {
		var e events.SecretsManagerSecretRotationEvent
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, fmt.Errorf("reading the event: %w", err)
		}
		return nil, handle(e)
	}
}

// Stuck is a rotation function that fails in its first step.
func Stuck(context.Context, string, []byte) ([]byte, error) {
	return nil, errors.New("the step failed")
}

// Rotate begins a rotation to the version named, and waits until it has ended or failed.
// Its error is that of RotateSecret: the secret shows how the steps ended.
func (w *World) Rotate(secret, versionID string, edit ...func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: &secret, ClientRequestToken: &versionID,
		RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:123456789012:function:rotate"),
		RotationRules:     &types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
	}
	for _, f := range edit {
		f(in)
	}
	_, err := w.SecretsManager().RotateSecret(context.Background(), in)
	w.AWS.WaitRotations()
	return err
}

// BeginRotation begins a rotation that stays incomplete: no function serves its steps,
// and AWSPENDING stays on a version without a value.
func (w *World) BeginRotation(name string) {
	w.tb.Helper()
	w.Prepare(name, secrets.FreshID())
}

// Prepare is BeginRotation to the version named.
func (w *World) Prepare(secret, versionID string) {
	w.tb.Helper()
	serve := w.OnRotation
	w.OnRotation = Stuck
	defer func() { w.OnRotation = serve }()
	if err := w.Rotate(secret, versionID); err != nil {
		w.tb.Fatalf("rotating %s: %v", secret, err)
	}
}
