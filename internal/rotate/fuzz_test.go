package rotate_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// kinds are all errors that a step may end with, except InternalFault, which
// would be a panic.
var kinds = []string{"InvalidEvent", "Refused", "Misconfigured", "CredentialDead", "Throttled",
	"Transient", "RotationStuck"}

// FuzzHandle sends one event, of any origin, to a rotation that waits for createSecret,
// or for what comes after it. Only an event that names the secret and the version of the
// rotation may do anything, and only finishSecret may move AWSCURRENT, to a version whose
// value createSecret stored.
func FuzzHandle(f *testing.F) {
	const secret = "evertoken/flexera-service/credential"
	files, err := filepath.Glob("../../events/rotate-*.json")
	if err != nil || len(files) != 4 {
		f.Fatalf("%d event files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var e events.SecretsManagerSecretRotationEvent
		if err := json.Unmarshal(text, &e); err != nil {
			f.Fatal(err)
		}
		for _, created := range []bool{false, true} {
			f.Add(e.Step, e.SecretID, e.ClientRequestToken, e.RotationToken, created)
			f.Add(e.Step, secret, id("new"), "", created)
			f.Add(e.Step, secret, id("new"), e.RotationToken, created)
			f.Add(e.Step, secret, id("cur"), "", created)
		}
	}
	f.Add("createSecret", "evertoken/flexera-service/token", id("new"), "", false)
	f.Add("createSecret", "", id("new"), "", false)
	f.Add("rotateSecret", secret, id("new"), "", true)
	f.Add("finishSecret", secret, "new", "x", true)
	f.Fuzz(func(t *testing.T, step, secretID, version, rotationToken string, created bool) {
		w := newWorld(t)
		w.flexera("flexera-service")
		w.prepare(secret, "new")
		if created {
			if got := w.step("createSecret", secret, "new"); got != "ok" {
				t.Fatalf("createSecret: %s", got)
			}
		}
		labels, value, exchanges := w.labels(secret), w.value(secret, "AWSCURRENT"), w.Exchanges()

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		err := w.rotator.Handle(ctx, events.SecretsManagerSecretRotationEvent{
			Step: step, SecretID: secretID, ClientRequestToken: version, RotationToken: rotationToken})
		if err != nil && !slices.Contains(kinds, errorType(err)) {
			t.Errorf("%s: %v", errorType(err), err)
		}
		for _, canary := range w.IDP.Canaries() {
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Error("the error contains a secret")
			}
		}
		named := (secretID == secret || secretID == w.AWS.Secret(secret).ARN) && version == id("new")
		if !named && (w.labels(secret) != labels || w.Exchanges() != exchanges) {
			t.Errorf("an event about something else did something:\n%s\n%s", labels, w.labels(secret))
		}
		switch promoted := w.value(secret, "AWSCURRENT") != value; {
		case promoted && (step != "finishSecret" || !created):
			t.Errorf("AWSCURRENT moved: %s", w.labels(secret))
		case w.value(secret, "AWSCURRENT") == "":
			t.Errorf("AWSCURRENT has no value: %s", w.labels(secret))
		}
	})
}
