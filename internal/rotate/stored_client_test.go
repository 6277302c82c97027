package rotate_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

const flexeraCredential = "evertoken/f/credential"

// stepWithin sends one step with a deadline, and returns the error's type and the waits of
// the step. The waits take no time.
func (w *world) stepWithin(d time.Duration, step, secret, version string) (outcome string,
	waits []time.Duration) {
	r := *w.rotator
	r.Sleep = func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return w.Clock.Sleep(ctx, d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	err := r.Handle(ctx, events.SecretsManagerSecretRotationEvent{
		Step: step, SecretID: w.AWS.Secret(secret).ARN, ClientRequestToken: id(version), RotationToken: strings.Repeat("r", 36),
	})
	return errorType(err), waits
}

// TestAStoredClientIsNotDeletedThoughEveryPutFails: AWS stores the client and answers each
// put with an error.
func TestAStoredClientIsNotDeletedThoughEveryPutFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, _ := w.flexera("f")
	w.prepare(flexeraCredential, "tok")
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.FailAfter,
		Code: "InternalServiceError"})
	check(t, "outcome", "ok", w.step("createSecret", flexeraCredential, "tok"))
	check(t, "labels", "cur:CURRENT tok:PENDING", w.labels(flexeraCredential))
	check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
	check(t, "proof", "ok", w.step("testSecret", flexeraCredential, "tok"))
}

// TestAnAbandonedRotationStaysAbandoned: AWSPENDING is removed as the client is stored, and
// each put is answered with an error. The client stays, because a version holds it.
func TestAnAbandonedRotationStaysAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, _ := w.flexera("f")
	w.prepare(flexeraCredential, "tok")
	var abandoned atomic.Bool
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.FailAfter,
		Code: "InternalServiceError", Hook: func(fakeaws.Call) {
			if abandoned.CompareAndSwap(false, true) {
				w.move(flexeraCredential, secrets.Pending, "", "tok")
			}
		}})
	check(t, "outcome", "Superseded", w.step("createSecret", flexeraCredential, "tok"))
	if _, found := w.AWS.Secret(flexeraCredential).Labelled(secrets.Pending); found {
		t.Error("AWSPENDING is back")
	}
	check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
}

// TestAClientThatNoVersionHoldsIsDeleted: another invocation has stored another client, and
// the rotation was abandoned.
func TestAClientThatNoVersionHoldsIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	w.prepare(flexeraCredential, "tok")
	w.IDP.Inject(&fakeidp.Fault{Path: "/clients", Match: post, Kind: fakeidp.OnlyHook, Times: 1,
		Hook: func(fakeidp.Request) {
			w.put(flexeraCredential, "tok", `{"client_id":"another","client_secret":"another"}`, "MINE")
			w.move(flexeraCredential, secrets.Pending, "", "tok")
		}})
	check(t, "outcome", "Superseded", w.step("createSecret", flexeraCredential, "tok"))
	check(t, "clients", []string{first["client_id"]}, w.IDP.Flexera().Clients(org, account))
}

// TestStoringLeavesTimeToDeleteTheClient: AWS denies every put, and Evertoken stops early
// enough to delete the client again.
func TestStoringLeavesTimeToDeleteTheClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	w.prepare(flexeraCredential, "tok")
	var lastPut atomic.Int64
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException",
		Hook: func(fakeaws.Call) {
			lastPut.Store(w.Clock.Now().UnixNano())
		}})
	began := w.Clock.Now().UnixNano()
	const timeout, reserve = 40 * time.Second, 8 * time.Second
	outcome, _ := w.stepWithin(timeout, "createSecret", flexeraCredential, "tok")
	check(t, "outcome", "Misconfigured", outcome)
	switch took := time.Duration(lastPut.Load() - began); {
	case took > timeout-reserve:
		t.Errorf("the last put began after %s of %s", took, timeout)
	case took < 10*time.Second:
		t.Errorf("the last put began after %s of %s: it gives up too early", took, timeout)
	}
	check(t, "clients", []string{first["client_id"]}, w.IDP.Flexera().Clients(org, account))
}

// TestAProofLeavesTimeForAnotherExchange: every wait between two tries leaves time for an
// exchange and for storing its answer.
func TestAProofLeavesTimeForAnotherExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.flexera("f")
	w.Clock.Advance(time.Hour) // the first client is known everywhere
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = 5 * time.Minute })
	w.prepare(flexeraCredential, "tok")
	check(t, "createSecret", "ok", w.step("createSecret", flexeraCredential, "tok"))
	outcome, waits := w.stepWithin(29*time.Second, "testSecret", flexeraCredential, "tok")
	check(t, "testSecret", "Transient", outcome)
	if len(waits) == 0 || slices.Max(waits) > 14*time.Second {
		t.Errorf("waited %v of 29 s, of which an exchange and a put need 15 s", waits)
	}
}

// TestADeadClientIsSentOnce: the client of AWSCURRENT is refused, and AWSPREVIOUS has no
// other client.
func TestADeadClientIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, previous := range map[string]func(client map[string]string) string{
		"the same client": func(client map[string]string) string {
			return marshal(map[string]string{"client_id": client["client_id"],
				"client_secret": client["client_secret"], "note": "another"})
		},
		"no client_secret": func(map[string]string) string { return `{"client_id":"another"}` },
		"no document":      func(map[string]string) string { return "junk" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, client := w.flexera("f")
			w.put(flexeraCredential, "hand", previous(client))
			w.move(flexeraCredential, secrets.Current, "cur", "hand")
			w.prepare(flexeraCredential, "tok")
			w.IDP.Flexera().RevokeClient(client["client_id"])
			check(t, "outcome", "CredentialDead", w.step("createSecret", flexeraCredential, "tok"))
			check(t, "exchanges", 1, w.Exchanges())
		})
	}
}

// TestOneCredentialOfTwoAccountsIsNotRotated, because a client belongs to one account.
func TestOneCredentialOfTwoAccountsIsNotRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.flexera("f")
	other := w.IDP.Flexera().AddServiceAccount("eu", org, "g", "iam_admin")
	w.declare("g", "flexera", w.flexeraSettings(other), map[string]any{"credential": flexeraCredential})
	w.prepare(flexeraCredential, "tok")
	check(t, "outcome", "Misconfigured", w.step("createSecret", flexeraCredential, "tok"))
	if errs := w.errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "connection g") {
		t.Errorf("the error does not name the connections: %v", errs)
	}
	check(t, "exchanges", 0, w.Exchanges())
}

// TestAForeignClientIsReportedEarly: only of a client that a person stored and did not name.
func TestAForeignClientIsReportedEarly(t *testing.T) {
	t.Parallel()
	later := func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }
	for name, test := range map[string]struct {
		begin func(w *world, clientID string)
		told  bool
	}{
		"a person stored it":           {func(*world, string) {}, true},
		"a person stored and named it": {func(w *world, clientID string) { w.own(flexeraCredential, clientID) }, false},
		"a rotation made it": {func(w *world, _ string) {
			w.rotated(flexeraCredential)
			w.Log.Reset()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, first := w.flexera("f")
			test.begin(w, first["client_id"])
			if err := w.rotateSecret(flexeraCredential, "tok", later); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "told", test.told, strings.Contains(w.Log.String(), "A person stored this client"))
		})
	}
}

// TestAReplacedClientStaysWhileItsLastTokenLives: the last token may be as young as the
// promotion, which came long after the new client was stored.
func TestAReplacedClientStaysWhileItsLastTokenLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	w.own(flexeraCredential, first["client_id"])
	w.Clock.Advance(time.Hour) // the first client is known everywhere
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = 5 * time.Minute })
	if err := w.rotateSecret(flexeraCredential, "one"); err != nil {
		t.Fatal(err)
	}
	check(t, "labels", "cur:CURRENT one:PENDING", w.labels(flexeraCredential))
	w.Clock.Advance(50 * time.Minute)
	if err := w.AWS.RetryRotation(flexeraCredential); err != nil {
		t.Fatal(err)
	}
	check(t, "labels", "cur:PREVIOUS one:CURRENT", w.labels(flexeraCredential))
	w.Clock.Advance(20 * time.Minute)
	w.prepare(flexeraCredential, "two")
	check(t, "outcome", "Transient", w.step("createSecret", flexeraCredential, "two"))
	if !slices.Contains(w.IDP.Flexera().Clients(org, account), first["client_id"]) {
		t.Error("the replaced client was deleted too early")
	}
}
