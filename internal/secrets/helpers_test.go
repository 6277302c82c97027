package secrets_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakeaws "evertoken/internal/fake/aws"
	fakeclock "evertoken/internal/fake/clock"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// world is the fake of AWS with the product's stores over the real SDK.
type world struct {
	*fakeaws.Server
	store      *secrets.Store
	parameters *secrets.Parameters
	sm         *secretsmanager.Client
	clock      *fakeclock.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: fakeclock.New(time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC))}
	var err error
	if w.Server, err = fakeaws.New(fakeaws.Options{Now: w.clock.Now}); err != nil {
		t.Fatalf("starting the fake: %v", err)
	}
	t.Cleanup(w.Close)
	c := w.AWSConfig()
	c.Retryer = retryWithoutWaiting
	w.sm = secretsmanager.NewFromConfig(c)
	w.store = secrets.NewStore(w.sm, nil)
	w.parameters = secrets.NewParameters(ssm.NewFromConfig(c))
	return w
}

// retryWithoutWaiting is the product's retryer without its waits.
func retryWithoutWaiting() aws.Retryer {
	return retry.AddWithMaxBackoffDelay(secrets.Retryer()(), time.Nanosecond)
}

// secret creates a secret with a value and returns its ARN.
func (w *world) secret(name, value string) string { return w.CreateSecret(name, &value, nil) }

// counted is how often an operation was called.
func (w *world) counted(operation string) int {
	n := 0
	for _, c := range w.Calls() {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

// put stores a value under a fresh id and returns that.
func (w *world) put(t *testing.T, name, value string, labels ...string) string {
	t.Helper()
	id := secrets.FreshID()
	if err := w.store.Put(t.Context(), name, id, redact.New(value), labels...); err != nil {
		t.Fatalf("Put %s: %v", name, err)
	}
	return id
}

// wantKind checks an error's sentinel, and that its text has nothing of AWS's own
// messages.
func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if kind == nil {
		if err != nil {
			t.Errorf("error %v, want none", err)
		}
		return
	}
	var e *secrets.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || secrets.ErrorKind(err) != kind {
		t.Errorf("error %v (%T), want %v", err, err, kind)
		return
	}
	for _, leak := range []string{"arn:", "123456789012", "assumed-role", "http", "127.0.0.1", "RequestID"} {
		if strings.Contains(err.Error(), leak) {
			t.Errorf("the error's text holds %q: %v", leak, err)
		}
	}
}
