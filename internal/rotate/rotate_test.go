package rotate_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantOK fails the test with the first error of a step.
func (w *world) wantOK() {
	w.Helper()
	for _, err := range w.errors() {
		w.Fatalf("%s: %v", errorType(err), err)
	}
}

func credentialOf(t *testing.T, value string) credential.Credential {
	t.Helper()
	c, err := credential.Parse(redact.New(value))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACredentialsClientIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	const secret = "evertoken/f/credential"
	w.own(secret, first["client_id"])
	for i, version := range []string{"one", "two", "three"} {
		before := w.Exchanges()
		if err := w.rotateSecret(secret, version); err != nil {
			t.Fatal(err)
		}
		w.wantOK()
		check(t, "exchanges", 2, w.Exchanges()-before) // to manage the clients, to prove the new one
		previous := []string{"cur", "one", "two"}[i]
		check(t, "labels", previous+":PREVIOUS "+version+":CURRENT", w.labels(secret))
		w.Clock.Advance(4 * time.Hour)
	}
	c := credentialOf(t, w.value(secret, secrets.Current))
	clients := w.IDP.Flexera().Clients(org, account)
	check(t, "clients", 2, len(clients))
	if !slices.Contains(clients, c.Get(credential.ClientID).Reveal()) ||
		slices.Contains(clients, first["client_id"]) {
		t.Error("the client of AWSCURRENT is not among the clients, or the first one still exists")
	}
	var document map[string]string
	if err := json.Unmarshal([]byte(w.value(secret, secrets.Current)), &document); err != nil {
		t.Fatal(err)
	}
	check(t, "an unknown member", "kept", document["note"])
}

// TestASharedCredentialsClientIsProvenForEachConnection proves the new client for each connection.
func TestASharedCredentialsClientIsProvenForEachConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, first := w.flexera("f")
	w.own("evertoken/f/credential", first["client_id"])
	settings := w.flexeraSettings(account)
	delete(settings, "org_id")
	delete(settings, "service_account_id")
	w.declare("a", "flexera", settings, map[string]any{"credential": "evertoken/f/credential"})
	if err := w.rotateSecret("evertoken/f/credential", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	check(t, "exchanges", 3, w.Exchanges())
	check(t, "labels", "cur:PREVIOUS one:CURRENT", w.labels("evertoken/f/credential"))

	settings["zone"], settings["login_url"] = "nam", w.IDP.Flexera().LoginURL("nam")
	w.declare("a", "flexera", settings, map[string]any{"credential": "evertoken/f/credential"})
	w.Clock.Advance(4 * time.Hour)
	if err := w.rotateSecret("evertoken/f/credential", "two"); err != nil {
		t.Fatal(err)
	}
	check(t, "one of them cannot use it", "one:CURRENT cur:PREVIOUS two:PENDING",
		strings.Join(reorder(w.labels("evertoken/f/credential")), " "))
	if errs := w.errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "for connection a") {
		t.Errorf("the connection is not named: %v", errs)
	}
}

// reorder puts AWSCURRENT first.
func reorder(labels string) []string {
	parts := strings.Fields(labels)
	slices.SortStableFunc(parts, func(a, b string) int {
		return strings.Index(b, ":CURRENT") - strings.Index(a, ":CURRENT")
	})
	return parts
}

// TestASecretIsRotatedWithAndWithoutAValue rotates a session and a token that have no value yet,
// and then again.
func TestASecretIsRotatedWithAndWithoutAValue(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{
		"apiax": "session", "apiax token": "token", "oauth2": "token", "flexera": "token", "flexnet": "token", "sharetribe": "session", "sharetribe token": "token",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			provider, _, _ := strings.Cut(name, " ")
			switch provider {
			case "apiax":
				w.Apiax("c")
			case "oauth2":
				w.OAuth2("c", "client_credentials")
			case "flexera":
				w.flexera("c")
			case "flexnet":
				n := w.IDP.FlexNet()
				w.connect("c", "flexnet",
					map[string]string{"username": "u",
						"password": n.AddUser("u",
							"")}, map[string]any{"base_url": n.BaseURL(), "token_name": "lambda-c", "username": "u"}, nil)
			case "sharetribe":
				s := w.IDP.Sharetribe()
				clientID, clientSecret := s.AddIntegrationApp()
				w.connect("c", "sharetribe",
					map[string]string{"client_id": clientID,
						"client_secret": clientSecret}, map[string]any{"auth_url": s.IntegAuthURL()}, nil)
			}
			secret := "evertoken/c/" + secret
			if err := w.rotateSecret(secret, "one"); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "exchanges", 1, w.Exchanges())
			check(t, "labels", "one:CURRENT", w.labels(secret))
			first := w.value(secret, secrets.Current)
			w.Clock.Advance(20 * time.Minute)
			if err := w.rotateSecret(secret, "two"); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "exchanges", 2, w.Exchanges())
			check(t, "labels", "one:PREVIOUS two:CURRENT", w.labels(secret))
			if w.value(secret, secrets.Current) == first {
				t.Error("the value did not change")
			}
			if strings.HasSuffix(secret, "/token") {
				token, err := credential.ParseToken(redact.New(w.value(secret, secrets.Current)))
				if err != nil || !w.IDP.Accepts(provider, token.AccessToken.Reveal()) {
					t.Errorf("the provider does not accept the current token: %v", err)
				}
				return
			}
			session, err := credential.ParseSession(redact.New(w.value(secret, secrets.Current)))
			if err != nil || !w.IDP.RefreshTokenAlive(provider, session.RefreshToken.Reveal()) {
				t.Errorf("the current refresh token is not alive: %v", err)
			}
			old, err := credential.ParseSession(redact.New(first))
			if err != nil || !w.IDP.RefreshTokenAlive(provider, old.RefreshToken.Reveal()) {
				t.Errorf("the earlier refresh token was spent: %v", err)
			}
		})
	}
}

// TestSettingARotationScheduleSpendsNothing: with RotateImmediately=false Secrets Manager sends
// testSecret alone.
func TestSettingARotationScheduleSpendsNothing(t *testing.T) {
	t.Parallel()
	later := func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }
	for _, document := range []string{"credential", "session", "token"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			name := "f"
			if document == "session" {
				name = "a"
				w.Apiax(name)
			} else {
				w.flexera(name)
			}
			secret := "evertoken/" + name + "/" + document
			if err := w.rotateSecret(secret, "one", later); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "exchanges", 0, w.Exchanges())
			if document == "credential" {
				check(t, "labels", "cur:CURRENT", w.labels(secret))
				return
			}
			check(t, "labels", "", w.labels(secret))
			w.put(secret, "old", "{}")
			if err := w.rotateSecret(secret, "two", later); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "exchanges", 0, w.Exchanges())
			check(t, "labels", "old:CURRENT", w.labels(secret))
		})
	}
	t.Run("credential without a value", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		account := w.IDP.Flexera().AddServiceAccount("eu", org, "f", "iam_admin")
		w.declare("f", "flexera", w.flexeraSettings(account), nil)
		w.AWS.CreateSecret("evertoken/f/credential", nil, nil)
		if err := w.rotateSecret("evertoken/f/credential", "one", later); err != nil {
			t.Fatal(err)
		}
		w.wantOK()
		if err := w.rotateSecret("evertoken/f/credential", "two"); err != nil {
			t.Fatal(err)
		}
		errs := w.errors()
		if len(errs) != 1 || errorType(errs[0]) != "Refused" ||
			!strings.Contains(errs[0].Error(),
				"put-secret-value --secret-id evertoken/f/credential") {
			t.Errorf("a rotation of nothing: %v", errs)
		}
	})
}

// TestATagLeadsToTheConnection with one GetParameter.
func TestATagLeadsToTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	tag := func(secret, parameter string) {
		t.Helper()
		_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
			SecretId: &secret, Tags: tagOf("evertoken:parameter", parameter)})
		if err != nil {
			t.Fatal(err)
		}
	}
	tag("evertoken/c/token", "/evertoken/connections/c")
	if err := w.rotateSecret("evertoken/c/token", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	for _, call := range w.AWS.Calls() {
		if call.Operation == "GetParametersByPath" {
			t.Error("all connections were read although the tag names one")
		}
	}
	w.prepare("evertoken/c/token", "two")
	for parameter, want := range map[string]string{
		"/evertoken/connections/other": "Misconfigured", "/somewhere/else": "Misconfigured", "/evertoken/connections/d": "Refused",
	} {
		w.oauth2ifMissing("d")
		tag("evertoken/c/token", parameter)
		check(t, parameter, want, w.step("createSecret", "evertoken/c/token", "two"))
	}
	for _, call := range w.AWS.Calls() {
		if call.Resource == "/somewhere/else" {
			t.Errorf("%s read a parameter that is no connection, because a tag names it", call.Operation)
		}
	}
}

func (w *world) oauth2ifMissing(name string) {
	if _, found := w.AWS.Parameter("/evertoken/connections/" + name); !found {
		w.OAuth2(name, "client_credentials")
	}
}
