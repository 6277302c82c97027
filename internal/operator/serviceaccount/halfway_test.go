package serviceaccount

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// breakage makes a run fail at its nth call. fired reports whether it happened.
type breakage struct {
	name  string
	apply func(w *world, n int) (fired func() bool)
}

func idpFault(w *world, n int, first fakeidp.FaultKind, hook func()) func() bool {
	fired := false
	w.IDP.Inject(&fakeidp.Fault{Provider: fakeidp.ProviderFlexera, Skip: n, Times: 1, Kind: first,
		Hook: func(fakeidp.Request) {
			fired = true
			if hook != nil {
				hook()
			}
		}})
	return func() bool { _ = w.IDP.Requests(); return fired }
}

func idpDown(w *world) {
	w.IDP.Inject(&fakeidp.Fault{Provider: fakeidp.ProviderFlexera, Kind: fakeidp.DropBefore})
}

func awsDown(w *world) { w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore}) }

var breakages = []breakage{
	{"the provider loses one request", func(w *world, n int) func() bool { return idpFault(w, n, fakeidp.DropBefore, nil) }},
	{"the provider loses one answer", func(w *world, n int) func() bool { return idpFault(w, n, fakeidp.DropAfter, nil) }},
	{"the provider cuts one answer off", func(w *world, n int) func() bool { return idpFault(w, n, fakeidp.CutOff, nil) }},
	{"the provider is gone after one answer that is lost", func(w *world, n int) func() bool {
		return idpFault(w, n, fakeidp.DropAfter, func() { idpDown(w) })
	}},
	{"killed as the provider answers", func(w *world, n int) func() bool {
		return idpFault(w, n, fakeidp.DropAfter, func() { idpDown(w); awsDown(w) })
	}},
	{"AWS is down from then on", func(w *world, n int) func() bool {
		f := &fakeaws.Fault{Skip: n, Code: "InternalServiceError"}
		w.AWS.Inject(f)
		return func() bool { return f.Fired() > 0 }
	}},
	{"AWS applies and loses every answer from then on", func(w *world, n int) func() bool {
		f := &fakeaws.Fault{Skip: n, Kind: fakeaws.DropAfter}
		w.AWS.Inject(f)
		return func() bool { return f.Fired() > 0 }
	}},
	{"AWS refuses from then on", func(w *world, n int) func() bool {
		f := &fakeaws.Fault{Skip: n, Code: "AccessDeniedException"}
		w.AWS.Inject(f)
		return func() bool { return f.Fired() > 0 }
	}},
	{"killed before AWS is asked", func(w *world, n int) func() bool {
		f := &fakeaws.Fault{Skip: n, Kind: fakeaws.DropBefore, Hook: func(fakeaws.Call) { idpDown(w) }}
		w.AWS.Inject(f)
		return func() bool { return f.Fired() > 0 }
	}},
	{"killed as AWS answers", func(w *world, n int) func() bool {
		f := &fakeaws.Fault{Skip: n, Kind: fakeaws.DropAfter, Hook: func(fakeaws.Call) { idpDown(w) }}
		w.AWS.Inject(f)
		return func() bool { return f.Fired() > 0 }
	}},
}

// If a run breaks at any call, the function still issues tokens, and another run ends
// with one service account that has at most two clients.
func TestAMoveThatBreaksAtAnyCallCanBeRepeated(t *testing.T) {
	t.Parallel()
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for ; n < 50 && brokenAt(t, b, n); n++ {
			}
			if n < 8 || n == 50 {
				t.Errorf("%d calls were broken", n)
			}
		})
	}
}

// brokenAt reports whether a run reached its nth call.
func brokenAt(t *testing.T, b breakage, n int) (reached bool) {
	t.Run(fmt.Sprint(n), func(t *testing.T) {
		w := newWorld(t)
		fired := b.apply(w, n)
		first := w.run(standard...)
		reached = fired()
		w.IDP.ClearFaults()
		w.AWS.ClearFaults()
		if first.code != exitDone && !strings.Contains(first.stderr, "service-account: ") {
			t.Errorf("it failed without a word: %+v", first)
		}
		report := w.Run(issue.Event{Connections: []string{"flexera-prod"}, Force: true})
		if report.Issued != 1 {
			t.Errorf("the function meanwhile: %+v", report)
		}
		second := w.run(standard...)
		if second.code != exitDone {
			t.Fatalf("first: %+v\nsecond: %+v", first, second)
		}
		w.moved()
	})
	return reached
}

// A client whose secret cannot be stored is useless: the command deletes it again, or
// names it if that fails too.
func TestAClientWhoseSecretCannotBeStoredIsDeleted(t *testing.T) {
	t.Parallel()
	down := func(w *world) {
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Skip: 1, Code: "InternalServiceError"})
	}
	w := newWorld(t)
	down(w)
	start := w.Clock.Now()
	w.check(w.run(standard...), exitFailed, "",
		"its secret could not be stored, and it was deleted again: PutSecretValue: InternalServiceError")
	w.unmoved()
	if waited := w.Clock.Now().Sub(start); waited < keepFor-maxWait || waited > keepFor+maxWait {
		t.Errorf("it tried for %v", waited)
	}
	if clients := w.IDP.Flexera().Clients(testOrg, int(w.accounts()[0])); len(clients) != 0 {
		t.Errorf("clients: %q", clients)
	}
	w.AWS.ClearFaults()
	w.check(w.run(standard...), exitDone, "exists", "")
	if clients := w.moved(); len(clients) != 1 {
		t.Errorf("clients: %q", clients)
	}

	w = newWorld(t)
	down(w)
	w.IDP.Inject(&fakeidp.Fault{Match: func(r fakeidp.Request) bool { return r.Method == http.MethodDelete }, Kind: fakeidp.DropBefore})
	r := w.run(standard...)
	left := w.IDP.Flexera().Clients(testOrg, int(w.accounts()[0]))
	if len(left) != 1 {
		t.Fatalf("clients: %q", left)
	}
	w.check(r, exitFailed, "",
		"Delete it, since nobody has its secret: DELETE "+w.IDP.Flexera().APIURL("eu")+"/iam/v1/orgs/1105/service-accounts/2263/clients/"+left[0])
	w.AWS.ClearFaults()
	w.check(w.run(standard...), exitDone, "Warning: the secret of the client "+left[0], "")
	w.moved()

	// AWS answers again in time.
	w = newWorld(t)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Skip: 1, Times: 20, Code: "InternalServiceError"})
	w.check(w.run(standard...), exitDone, "stored its secret", "")
	if clients := w.moved(); len(clients) != 1 {
		t.Errorf("clients: %q", clients)
	}
}

// A credential that another person stores meanwhile is not overwritten.
func TestACredentialStoredMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Times: 1,
		Kind: fakeaws.OnlyHook, Hook: func(fakeaws.Call) {
			w.PutSecret(secretName,
				marshal(t,
					map[string]string{"refresh_token": w.refreshToken, "note": "kept", "more": "by hand"}))
		}})
	w.check(w.run(standard...), exitFailed, "", "somebody stored another credential")
	if w.stored(secrets.Current)["more"] != "by hand" {
		t.Error("it was overwritten")
	}
	w.check(w.run(standard...), exitDone, "", "")
	if clients := w.moved(); len(clients) != 1 || w.stored(secrets.Current)["more"] != "by hand" {
		t.Errorf("clients: %q", clients)
	}
}

// The command reports a label that it cannot remove, and the next run removes it.
func TestALabelThatCannotBeRemovedIsRemovedByTheNextRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &fakeaws.Fault{Operation: "UpdateSecretVersionStage", Skip: 1, Code: "AccessDeniedException"}
	w.AWS.Inject(f)
	w.check(w.run(standard...), exitDone,
		"--version-stage EVERTOKEN_SERVICE_ACCOUNT --remove-from-version-id", "")
	if w.stored(labelProving) == nil || f.Fired() == 0 {
		t.Error("the label was removed")
	}
	w.AWS.ClearFaults()
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// AWSCURRENT that was moved back can be moved again.
func TestACredentialThatWasMovedBackCanBeMovedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check(w.run(standard...), exitDone, "", "")
	secret := w.AWS.Secret(secretName)
	now, _ := secret.Labelled(secrets.Current)
	before, _ := secret.Labelled(secrets.Previous)
	if err := w.Store().MoveLabel(t.Context(), secretName, secrets.Current, before.ID, now.ID); err != nil {
		t.Fatal(err)
	}
	w.unmoved()
	w.check(w.run(standard...), exitDone, "", "")
	if clients := w.moved(); len(clients) != 1 {
		t.Errorf("clients: %q", clients)
	}
}

// An interrupt while the client is being made ends the run after its secret is
// stored.
func TestAnInterruptedMoveEndsAfterItsSecretIsStored(t *testing.T) {
	t.Parallel()
	for path, wantClients := range map[string]int{"/clients": 1, "/access-rules/grant": 0} {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.IDP.Inject(&fakeidp.Fault{Path: path, Times: 1, Kind: fakeidp.OnlyHook,
			Hook: func(fakeidp.Request) { cancel() }})
		w.check(w.runWith(ctx, "y", standard...), exitFailed, "", "Run this again")
		w.unmoved()
		account := w.accounts()[0]
		if clients := w.IDP.Flexera().Clients(testOrg, int(account)); len(clients) != wantClients {
			t.Errorf("%s: clients %q", path, clients)
		}
		w.check(w.run(standard...), exitDone, "", "")
		if clients := w.moved(); len(clients) != 1 {
			t.Errorf("%s: clients %q", path, clients)
		}
	}
}
