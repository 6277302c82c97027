// Package rotate serves Secrets Manager's rotation: the guard, then one of four
// steps. Each step may come any number of times and in any order. Evertoken uses what is
// stored under the rotation's version and never replaces it, so a rotation stores one
// exchange, however often Secrets Manager tries it. docs/rotation.md lists every layout
// of labels and what Evertoken does with it.
//
// Protocol: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
// and SecretsManagerRotationTemplate of aws-samples/aws-secrets-manager-rotation-lambdas.
package rotate

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// Store is Secrets Manager; see [secrets.Store], whose errors it returns.
type Store interface {
	Get(ctx context.Context, id, label string) (secrets.Version, error)
	GetVersion(ctx context.Context, id, versionID string) (secrets.Version, error)
	Describe(ctx context.Context, id string) (secrets.Description, error)
	PutAs(ctx context.Context, id, versionID, rotationToken string, value redact.Secret,
		labels ...string) error
	MoveLabel(ctx context.Context, id, label, to, from string) error
	Versions(ctx context.Context, id string) ([]secrets.VersionInfo, error)
	LastRotated(ctx context.Context, id string) (time.Time, error)
}

// Parameters is SSM; see [secrets.Parameters].
type Parameters interface {
	Get(ctx context.Context, name string) (redact.Secret, error)
	ByPath(ctx context.Context, path string) (map[string]secrets.Listed, error)
}

// Rotator serves rotations. It may serve several at the same time.
type Rotator struct {
	Config     config.Config
	Secrets    Store
	Parameters Parameters
	// Engine mints tokens and opens sessions. Its RunLasts is set here.
	Engine renew.Engine
	// Provider makes a connection's provider. Its error names the setting.
	Provider func(connection.Connection) (exchange.Provider, error)
	Log      *slog.Logger
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error
}

// The steps, in the order in which Secrets Manager sends them.
const (
	createStep = "createSecret"
	setStep    = "setSecret"
	testStep   = "testSecret"
	finishStep = "finishSecret"
)

// rotation is the state of one step.
type rotation struct {
	*Rotator
	event events.SecretsManagerSecretRotationEvent
	id    string // the version that the rotation makes: the event's ClientRequestToken
	name  string // the secret's name, for errors and logs

	secret secrets.Description
	role   role
	users  []user // the connections that name the secret in that role, in name order; at least one
}

// Handle serves one step. Its error is one of this package's types.
func (r *Rotator) Handle(ctx context.Context, event events.SecretsManagerSecretRotationEvent) (
	err error,
) {
	step := &rotation{Rotator: r, event: event, id: event.ClientRequestToken,
		name: secretName(event.SecretID)}
	defer func() {
		if recover() != nil { // the panic's text is not logged, since it may hold a value
			r.Log.ErrorContext(ctx, "internal fault", "secret_id", step.name,
				"stack", string(debug.Stack()))
			err = InternalFault{step.failure("an internal fault",
				"Report it as an issue of Evertoken, with the log line \"internal fault\".")}
		}
	}()
	if err := checkEvent(event); err != nil {
		return err
	}
	outcome, err := step.run(ctx)
	if err != nil {
		return err // Lambda's own library logs it
	}
	attrs := []any{"secret_id", step.name, "version_id", step.id, "step", event.Step,
		"outcome", outcome}
	if len(step.users) > 0 {
		c := step.users[0].conn
		attrs = append(attrs, "role", string(step.role), "connection", c.Name, "provider", c.Provider)
	}
	r.Log.InfoContext(ctx, "rotation step", attrs...)
	return nil
}

// run returns in a few words what it did.
func (r *rotation) run(ctx context.Context) (outcome string, err error) {
	promoted, err := r.guard(ctx)
	if err != nil {
		return "", err
	}
	if promoted && r.event.Step != testStep {
		if r.event.Step == finishStep {
			r.tidy(ctx)
		}
		return "already AWSCURRENT", nil
	}
	if err := r.find(ctx); err != nil {
		return "", err
	}
	switch r.event.Step {
	case createStep:
		return r.create(ctx)
	case setStep:
		return r.set(ctx)
	case testStep:
		return r.test(ctx, promoted)
	}
	return r.finish(ctx)
}

// create makes the new value, unless there is one.
func (r *rotation) create(ctx context.Context) (string, error) {
	_, found, err := r.pending(ctx)
	if err != nil {
		return "", err
	}
	if found {
		return "the value was there", nil
	}
	if !limits.Enough(ctx) {
		return "", r.transient("no time left in this invocation, so nothing was sent")
	}
	switch r.role {
	case credentialRole:
		err = r.createCredential(ctx)
	case sessionRole:
		err = r.createSession(ctx)
	default:
		err = r.createToken(ctx)
	}
	return "stored under AWSPENDING", err
}

// set changes nothing at the provider, which already has what create stored. It checks
// the value, because every later step trusts it.
func (r *rotation) set(ctx context.Context) (string, error) {
	pending, found, err := r.pending(ctx)
	if err != nil {
		return "", err
	}
	if !found {
		return "", r.transient("AWSPENDING has no value yet")
	}
	return "nothing to set", r.check(ctx, pending)
}

// test proves the new value. If there is none, or it is the current one, Secrets Manager
// only tests the set-up (RotateImmediately=false): then test checks that and spends
// nothing.
func (r *rotation) test(ctx context.Context, promoted bool) (string, error) {
	pending, found, err := r.pending(ctx)
	if err != nil {
		return "", err
	}
	if found && !promoted {
		current, err := r.current(ctx)
		if err != nil {
			return "", err
		}
		promoted = current.ID != "" && current.Value.Equal(pending.Value)
	}
	if !found || promoted {
		return "the set-up is sound", r.checkSetup(ctx)
	}
	if err := r.check(ctx, pending); err != nil {
		return "", err
	}
	switch r.role {
	case credentialRole:
		err = r.testCredential(ctx, pending)
	case tokenRole:
		err = r.testToken(ctx, pending)
	}
	return "proven", err
}
