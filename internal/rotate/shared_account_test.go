package rotate_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

// lives reports whether the client of a secret's AWSCURRENT exists.
func (w *world) lives(secret string, account int) bool {
	w.Helper()
	id := credentialOf(w.T, w.value(secret, secrets.Current)).Get(credential.ClientID).Reveal()
	return slices.Contains(w.IDP.Flexera().Clients(org, account), id)
}

// TestTwoCredentialsOfOneAccountAreNotRotated: two connections name one account with a credential
// each. Neither is rotated, and the error names both.
func TestTwoCredentialsOfOneAccountAreNotRotated(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string]bool{"all connections are read": false, "the tag names the parameter": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			account, client := w.flexera("f")
			w.connect("g", "flexera", client, w.flexeraSettings(account), nil)
			for _, c := range []string{"f", "g"} {
				secret := "evertoken/" + c + "/credential"
				if tags {
					w.tag(secret, "evertoken:parameter", "/evertoken/connections/"+c)
				}
				if err := w.rotateSecret(secret, c+"one"); err != nil {
					t.Fatal(err)
				}
				check(t, c, "cur:CURRENT "+c+"one?:PENDING", w.labels(secret))
			}
			errs := w.errors()
			check(t, "errors", 2, len(errs))
			for _, err := range errs {
				check(t, "error", "Misconfigured", errorType(err))
				for _, text := range []string{"connections ", " f ", " g ", "service account 2263", `"credential": "evertoken/`} {
					if !strings.Contains(err.Error(), text) {
						t.Errorf("the error does not say %q: %v", text, err)
					}
				}
			}
			check(t, "exchanges", 0, w.Exchanges())
		})
	}
}

// TestTheClientOfAnotherStackLives: another stack, or another Region, uses the same
// account, and its connections are not visible here. No rotation deletes its client.
func TestTheClientOfAnotherStackLives(t *testing.T) {
	t.Parallel()
	const secret = "evertoken/f/credential"
	for name, begin := range map[string]func(w *world, account int, first string) (theirs string){
		"with the very same client": func(_ *world, _ int, first string) string { return first },
		"with a client of its own, made by a person": func(w *world, account int, _ string) string {
			id, _ := w.IDP.Flexera().AddClient(account)
			return id
		},
		"whose rotation made its client after ours began": func(w *world, account int, _ string) string {
			w.prepare(secret, "early")
			w.Clock.Advance(time.Minute)
			other := w.beside()
			var client map[string]string
			if err := json.Unmarshal([]byte(w.value(secret, secrets.Current)), &client); err != nil {
				t.Fatal(err)
			}
			other.connect("h", "flexera", client, w.flexeraSettings(account), nil)
			if err := other.rotateSecret("evertoken/h/credential", "one"); err != nil {
				t.Fatal(err)
			}
			other.wantOK()
			return credentialOf(t,
				other.value("evertoken/h/credential",
					secrets.Current)).Get(credential.ClientID).Reveal()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			account, first := w.flexera("f")
			theirs := begin(w, account, first["client_id"])
			for _, version := range []string{"one", "two", "three"} {
				_ = w.rotateSecret(secret, version) // refused while the one before is not complete
				_ = w.AWS.RetryRotation(secret)     // may have nothing to do
				w.Clock.Advance(5 * time.Hour)
				if !slices.Contains(w.IDP.Flexera().Clients(org, account), theirs) {
					t.Fatalf("the other stack's client was deleted: %s", w.labels(secret))
				}
				if !w.lives(secret, account) {
					t.Fatal("our own client was deleted")
				}
			}
			errs := w.errors()
			if len(errs) == 0 || errorType(errs[len(errs)-1]) != "Refused" ||
				!strings.Contains(errs[len(errs)-1].Error(), theirs) {
				t.Errorf("the error does not name the client that blocks the rotation: %v", errs)
			}
		})
	}
}

// TestALateCreateSecretDisturbsNoLaterRotation: at each call of a createSecret its
// rotation is abandoned and another begins. The later rotation keeps AWSPENDING and
// succeeds.
func TestALateCreateSecretDisturbsNoLaterRotation(t *testing.T) {
	t.Parallel()
	for role, begin := range map[string]func(w *world) (secret string){
		"credential": func(w *world) string { w.flexera("f"); return "evertoken/f/credential" },
		"session": func(w *world) string {
			w.Apiax("a")
			w.put("evertoken/a/session", "cur", "{}")
			return "evertoken/a/session"
		},
		"token": func(w *world) string {
			w.OAuth2("o", "client_credentials")
			w.put("evertoken/o/token", "cur", "{}")
			return "evertoken/o/token"
		},
	} {
		for point, fault := range map[string]*fakeaws.Fault{
			"as the value is put":     {Kind: fakeaws.OnlyHook},
			"after a put that failed": {Kind: fakeaws.FailAfter, Code: "InternalServiceError"},
			"before a put that fails": {Code: "InternalServiceError"},
		} {
			t.Run(role+"/"+point, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				secret := begin(w)
				w.prepare(secret, "aaa")
				f := &fakeaws.Fault{Operation: "PutSecretValue", Resource: secret, Times: 1,
					Kind: fault.Kind, Code: fault.Code}
				f.Hook = func(fakeaws.Call) {
					w.move(secret, secrets.Pending, "", "aaa") // docs/rotation.md: to give a rotation up by hand
					w.prepare(secret, "bbb")
				}
				w.AWS.Inject(f)
				check(t, "the late createSecret", "Superseded", w.step("createSecret", secret, "aaa"))
				v, _ := w.AWS.Secret(secret).Labelled(secrets.Pending)
				check(t, "AWSPENDING is on", id("bbb"), v.ID)
				for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
					check(t, step+" of the later rotation", "ok", w.step(step, secret, "bbb"))
				}
				v, _ = w.AWS.Secret(secret).Labelled(secrets.Current)
				check(t, "promoted", id("bbb"), v.ID)
				if _, left := w.AWS.Secret(secret).Labelled("EVERTOKEN_MADE"); left {
					t.Error("the label of the put is still there")
				}
			})
		}
	}
}

// TestALostAWSPENDINGIsPutBack: AWS does not say whether AWSPENDING stays on a version
// after a put that does not name it. If it is gone, Evertoken puts it back.
func TestALostAWSPENDINGIsPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.flexera("f")
	const secret = "evertoken/f/credential"
	w.prepare(secret, "tok")
	w.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Resource: secret,
		Kind: fakeaws.OnlyHook, Skip: 2, Times: 1, Hook: func(fakeaws.Call) {
			if v, _ := w.AWS.Secret(secret).Labelled("EVERTOKEN_MADE"); v.ID != id("tok") {
				t.Error("this is not the look after the put")
			}
			w.move(secret, secrets.Pending, "", "tok")
		}})
	check(t, "outcome", "ok", w.step("createSecret", secret, "tok"))
	check(t, "labels", "cur:CURRENT tok:PENDING", w.labels(secret))
	check(t, "proof", "ok", w.step("testSecret", secret, "tok"))
}

// TestAnAbandonedRotationLeavesNoClient: the rotation is abandoned while createSecret
// makes a client. Nothing is stored, and Evertoken deletes the client.
func TestAnAbandonedRotationLeavesNoClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	const secret = "evertoken/f/credential"
	w.prepare(secret, "aaa")
	w.IDP.Inject(&fakeidp.Fault{Path: "/clients", Match: post, Kind: fakeidp.OnlyHook, Times: 1,
		Hook: func(fakeidp.Request) {
			w.move(secret, secrets.Pending, "", "aaa")
		}})
	check(t, "outcome", "Superseded", w.step("createSecret", secret, "aaa"))
	check(t, "clients", []string{first["client_id"]}, w.IDP.Flexera().Clients(org, account))
	check(t, "labels", "cur:CURRENT", w.labels(secret))
}
