package rotate_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/redact"
)

// TestRotationMakesRoomForOneClient begins a rotation while the service account has two clients.
func TestRotationMakesRoomForOneClient(t *testing.T) {
	t.Parallel()
	const secret = "evertoken/f/credential"
	// hand stores another client of the account as a version of the secret;
	// recorded as made for the secret with that ARN, unless it is "".
	hand := func(w *world, account int, arn, version string, labels ...string) string {
		clientID, clientSecret := w.IDP.Flexera().AddClient(account)
		doc := credentialOf(t,
			marshal(map[string]string{"client_id": clientID, "client_secret": clientSecret,
				"note": "kept"}))
		if arn != "" {
			doc = doc.WithOwnClient(arn, clientID, redact.New(clientSecret))
		}
		w.put(secret, version, doc.Encode().Reveal(), labels...)
		return clientID
	}
	ours := func(w *world) string { return w.AWS.Secret(secret).ARN }
	for name, test := range map[string]struct {
		// other makes the second client and returns its id.
		other   func(w *world, account int) string
		want    string // the error's type
		deleted bool
		text    string // in the error
	}{
		"another person's": {
			other: func(w *world, account int) string { clientID, _ := w.IDP.Flexera().AddClient(account); return clientID },
			want:  "Refused", text: "organization 1105, service account 2263",
		},
		"that an operator named": {
			other: func(w *world, account int) string {
				clientID, _ := w.IDP.Flexera().AddClient(account)
				w.own(secret, "0oaunknown", clientID)
				return clientID
			},
			want: "ok", deleted: true,
		},
		"of AWSPREVIOUS, just now": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, ours(w), "hand")
				return restore(w, clientID)
			},
			want: "Transient", text: "the client of AWSPREVIOUS, stays until 2026-11-21T17:00:00Z",
		},
		"of AWSPREVIOUS, an hour ago": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, ours(w), "hand")
				restore(w, clientID)
				w.Clock.Advance(time.Hour)
				return clientID
			},
			want: "ok", deleted: true,
		},
		"of AWSPREVIOUS, stored by a person": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, "", "hand")
				restore(w, clientID)
				w.Clock.Advance(time.Hour)
				return clientID
			},
			want: "Refused", text: "Key=evertoken:delete-client,Value=",
		},
		"of AWSPREVIOUS, stored by a person who named it": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, "", "hand")
				restore(w, clientID)
				w.own(secret, clientID)
				w.Clock.Advance(time.Hour)
				return clientID
			},
			want: "ok", deleted: true,
		},
		"of an earlier version": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, ours(w), "hand", "MINE")
				w.move(secret, "MINE", "", "hand")
				return clientID
			},
			want: "ok", deleted: true,
		},
		"of an earlier version, copied from another secret": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, strings.Replace(ours(w), "/f/", "/g/", 1), "hand", "MINE")
				w.move(secret, "MINE", "", "hand")
				return clientID
			},
			want: "Refused", text: "no rotation of this secret recorded that it made it",
		},
		"of an earlier version, copied from another Region": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, strings.Replace(ours(w), "us-east-1", "eu-west-1", 1), "hand", "MINE")
				w.move(secret, "MINE", "", "hand")
				return clientID
			},
			want: "Refused", text: "no rotation of this secret recorded that it made it",
		},
		"of a version that an operator labelled": {
			other: func(w *world, account int) string { return hand(w, account, ours(w), "hand", "MINE") },
			want:  "Refused", text: "labelled versions of this secret hold all of them",
		},
		"of a labelled version, though an operator named it": {
			other: func(w *world, account int) string {
				clientID := hand(w, account, "", "hand", "MINE")
				w.own(secret, clientID)
				return clientID
			},
			want: "Refused", text: "labelled versions of this secret hold all of them",
		},
		"of a version that the provider refused": {
			other: func(w *world, account int) string {
				return hand(w, account, ours(w), "hand", "EVERTOKEN_REJECTED_20261120")
			},
			want: "ok", deleted: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			account, first := w.flexera("f")
			other := test.other(w, account)
			w.prepare(secret, "tok")
			check(t, "outcome", test.want, w.step("createSecret", secret, "tok"))
			clients := w.IDP.Flexera().Clients(org, account)
			check(t, "clients", 2, len(clients))
			check(t, "deleted", test.deleted, !slices.Contains(clients, other))
			if !slices.Contains(clients, first["client_id"]) {
				t.Error("the client in use was deleted")
			}
			for _, err := range w.errors() {
				if !strings.Contains(err.Error(), test.text) || test.want == "Refused" &&
					test.text[:3] == "org" && !strings.Contains(err.Error(), other) {
					t.Errorf("the error does not say what blocks the rotation: %v", err)
				}
			}
		})
	}
}

// restore moves AWSCURRENT back to the first version.
func restore(w *world, clientID string) string {
	w.move("evertoken/f/credential", "AWSCURRENT", "cur", "hand")
	return clientID
}

// TestACredentialMovedBackToADeadClientIsRotated with the client of AWSPREVIOUS.
func TestACredentialMovedBackToADeadClientIsRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	const secret = "evertoken/f/credential"
	w.own(secret, first["client_id"])
	if err := w.rotateSecret(secret, "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	w.IDP.Flexera().RevokeClient(first["client_id"])
	w.move(secret, "AWSCURRENT", "cur", "one")
	w.Clock.Advance(2 * time.Hour)
	if err := w.rotateSecret(secret, "two"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	check(t, "labels", "cur:PREVIOUS two:CURRENT", w.labels(secret))
	check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
}

func TestAFailedCreateLosesNoClient(t *testing.T) {
	t.Parallel()
	const secret = "evertoken/f/credential"
	for name, test := range map[string]struct {
		disturb func(w *world, account int, client map[string]string)
		want    string
		text    string
		again   string // the outcome once nothing disturbs
	}{
		"the client is refused": {
			func(w *world, _ int,
				client map[string]string) {
				w.IDP.Flexera().RevokeClient(client["client_id"])
			}, "CredentialDead", "HTTP 401", "CredentialDead"},
		"no answer to the creation": {
			func(w *world, _ int, _ map[string]string) {
				w.IDP.Inject(&fakeidp.Fault{Path: "/clients", Match: post, Kind: fakeidp.DropAfter, Times: 1})
			}, "Transient", "may have made a client whose secret is lost", "Refused"},
		"throttled": {
			func(w *world, _ int, _ map[string]string) {
				w.IDP.Inject(&fakeidp.Fault{Path: "/clients", Status: http.StatusTooManyRequests, Times: 1})
			}, "Throttled", "HTTP 429", "ok"},
		"no right": {
			func(w *world, _ int, _ map[string]string) {
				w.IDP.Inject(&fakeidp.Fault{Path: "/clients", Status: http.StatusForbidden, Times: 1})
			}, "Misconfigured", "iam:service_account_client:index", "ok"},
		"the secret cannot be stored": {
			func(w *world, _ int, _ map[string]string) {
				w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException"})
			}, "Misconfigured", "so Evertoken deleted it again", "ok"},
		"the secret cannot be stored, nor the client be deleted": {
			func(w *world, _ int, _ map[string]string) {
				w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException"})
				w.IDP.Inject(&fakeidp.Fault{Match: func(r fakeidp.Request) bool { return r.Method == http.MethodDelete }, Status: http.StatusForbidden, Times: 1})
			}, "Misconfigured", "Key=evertoken:delete-client,Value=", "Refused"},
		"the secret is stored late": {
			func(w *world, _ int, _ map[string]string) {
				w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "ThrottlingException", Times: 20})
			}, "ok", "", "ok"},
		"the answer to the put is lost": {
			func(w *world, _ int, _ map[string]string) {
				w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.DropAfter, Times: 4})
			}, "ok", "", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			account, client := w.flexera("f")
			w.prepare(secret, "tok")
			test.disturb(w, account, client)
			check(t, "outcome", test.want, w.step("createSecret", secret, "tok"))
			for _, err := range w.errors() {
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("the error does not tell it: %v", err)
				}
			}
			w.AWS.ClearFaults()
			w.IDP.ClearFaults()
			check(t, "again", test.again, w.step("createSecret", secret, "tok"))
			if test.again == "Refused" { // a client whose secret is lost still exists
				check(t, "the refusal names the client and a command", true, w.obey(secret))
				check(t, "after the command", "ok", w.step("createSecret", secret, "tok"))
			}
			if test.again != "CredentialDead" {
				check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
				check(t, "proof", "ok", w.step("testSecret", secret, "tok"))
			}
		})
	}
}

func post(r fakeidp.Request) bool { return r.Method == http.MethodPost }

// TestTwoSimultaneousCreatesLeaveOneClient: of two invocations of createSecret at the same
// time, one stores its client and the other deletes its own.
func TestTwoSimultaneousCreatesLeaveOneClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, client := w.flexera("f")
	const secret = "evertoken/f/credential"
	w.prepare(secret, "tok")
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.OnlyHook, Times: 1,
		Hook: func(fakeaws.Call) {
			// the other invocation is faster by this much
			w.IDP.Flexera().RevokeClient(client["client_id"])
			clientID, clientSecret := w.IDP.Flexera().AddClient(account)
			w.put(secret, "tok",
				marshal(map[string]string{"client_id": clientID, "client_secret": clientSecret,
					"note": "kept"}), "AWSPENDING")
		}})
	check(t, "outcome", "ok", w.step("createSecret", secret, "tok"))
	stored := credentialOf(t, w.value(secret, "AWSPENDING")).Get("client_id").Reveal()
	check(t, "clients", []string{stored}, w.IDP.Flexera().Clients(org, account))
}
