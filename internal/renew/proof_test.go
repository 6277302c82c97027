package renew

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// The version that the token came from is read only if a password is judged by it, and if
// it is not the version in force. A version that can never be read again proves nothing; one
// that AWS does not return now stops the run.
func TestTheVersionThatGotTheTokenIsReadOnlyIfItDecides(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *stored)
		code   string // with which AWS refuses the read
		reads  int
		proof  bool
		fails  bool
	}{
		"another version":         {func(*stored) {}, "", 1, true, false},
		"the version in force":    {func(w *stored) { w.published.CredentialVersion = w.job.Credential.Version.ID }, "", 0, false, false},
		"no version":              {func(w *stored) { w.published.CredentialVersion = "" }, "", 0, false, false},
		"a version that has gone": {func(w *stored) { w.published.CredentialVersion = secrets.FreshID() }, "", 1, false, false},
		// AWS takes no id under 32 characters, and the fake records no such call.
		"not the id of a version": {func(w *stored) { w.published.CredentialVersion = "x" }, "", 0, false, false},
		"no password":             {func(w *stored) { w.grants = []exchange.Grant{client} }, "", 0, false, false},
		"a session": {func(w *stored) {
			w.traits.Session = exchange.RequiredSession
		}, "", 0, false, false},
		"denied":                {func(*stored) {}, "AccessDeniedException", 1, false, false},
		"a key that has gone":   {func(*stored) {}, "DecryptionFailure", 1, false, false},
		"throttled":             {func(*stored) {}, "ThrottlingException", 1, false, true},
		"AWS does not answer":   {func(*stored) {}, "InternalServiceError", 1, false, true},
		"a version without one": {func(w *stored) { w.published.CredentialVersion = w.unreadable() }, "", 1, false, false},
	} {
		w := newStored(t, credential.Session{})
		w.traits.Session = exchange.NoSession
		w.grants = []exchange.Grant{password}
		previous, _ := w.aws.Secret(credentialID).Labelled(secrets.Previous)
		w.published.CredentialVersion = previous.ID
		tt.change(w)
		if tt.code != "" {
			w.refuse("GetSecretValue", credentialID, tt.code)
		}
		w.aws.ResetCalls()
		err := w.readProof(t.Context())
		reads := 0
		for _, c := range w.aws.Calls() {
			if c.Operation == "GetSecretValue" && c.Resource == credentialID {
				reads++
			}
		}
		if reads != tt.reads || (w.proof.id != "") != tt.proof || (err != nil) != tt.fails {
			t.Errorf("%s: %d reads, proof %t, %v", name, reads, w.proof.id != "", err)
		}
		if stopped, ok := errors.AsType[*Stopped](err); err != nil && (!ok || stopped.Class != exchange.Transient && stopped.Class != exchange.Throttled) {
			t.Errorf("%s: %+v", name, err)
		}
		if told := len(w.hints) > 0; told != (tt.code != "" && !tt.fails || name == "not the id of a version") {
			t.Errorf("%s: %q", name, w.hints)
		}
		if tt.proof && !w.worked(password) {
			t.Errorf("%s: the password has not worked", name)
		}
	}
}

// unreadable stores a version of the credential that is no document, below the one in force,
// and returns its id.
func (w *stored) unreadable() string {
	w.t.Helper()
	id := secrets.FreshID()
	for _, put := range []struct{ id, value string }{{id, "not a document"}, {secrets.FreshID(), both}} {
		if err := w.Secrets.Put(w.t.Context(), credentialID, put.id, redact.New(put.value)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.readAgain()
	return id
}

// Notes about the same password on an earlier version count although the password has worked:
// otherwise a pipeline that stores it every hour would end every pause.
func TestNotesOnTheVersionThatGotTheTokenCount(t *testing.T) {
	t.Parallel()
	w := newStored(t, credential.Session{})
	w.traits.Session = exchange.NoSession
	w.grants = []exchange.Grant{password}
	previous, _ := w.aws.Secret(credentialID).Labelled(secrets.Previous)
	w.published.CredentialVersion = previous.ID
	w.label(credentialID, secrets.Previous, w.unsureNow(2, password))
	if err := w.readOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := w.memoryOf(password); m.unsure != 2 {
		t.Errorf("%+v", m)
	}
	// The version in force needs no other reads if it got the token itself.
	w.published.CredentialVersion = w.job.Credential.Version.ID
	w.aws.ResetCalls()
	if err := w.readOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls := w.aws.Calls(); slices.ContainsFunc(calls, func(c fakeaws.Call) bool {
		return c.Resource == credentialID
	}) {
		t.Errorf("%+v", calls)
	}
}

// What was concluded from an earlier token is forgotten when the token in force is read.
func TestAnEarlierTokenThatWasRevokedMakesNothingDue(t *testing.T) {
	t.Parallel()
	w := newStored(t, credential.Session{})
	w.traits.Session = exchange.NoSession
	inForce := credential.Token{AccessToken: redact.New("at"), Connection: "c", IssuedAt: at.Add(-time.Minute),
		ExpiresAt: at.Add(24 * time.Hour)}
	id := secrets.FreshID()
	if err := w.Secrets.Put(t.Context(), tokenID, id, inForce.Encode(false)); err != nil {
		t.Fatal(err)
	}
	w.tokenVersion.ID, w.revoked = "earlier", true
	w.decision = Decide(w.facts())
	err := w.tokenInForce(t.Context(), id)
	if s := asStopped(err); s.Outcome != Fresh || w.revoked || !w.token.ExpiresAt.Equal(inForce.ExpiresAt) {
		t.Errorf("%+v, revoked %t", s, w.revoked)
	}
}

// A run that has no time left for the first grant has none for the next, and says only that.
func TestARunWithoutTimeTriesNoFallback(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := w.spend(ctx, []attempt{{grant: password}, {grant: exchange.Refresh, fallback: true}})
	if s := asStopped(err); s.Outcome != Deferred || len(w.hints) > 0 {
		t.Errorf("%+v, hints %q", s, w.hints)
	}
}
