package rotate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeidp "evertoken/internal/fake/idp"
)

func TestABadEventIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	w.OAuth2("off", "client_credentials")
	w.Apiax("replica")
	w.AWS.CreateSecret("somebody/elses", aws.String("value"), nil)
	for _, secret := range []string{"evertoken/c/token", "evertoken/replica/token", "somebody/elses"} {
		w.prepare(secret, "tok")
	}
	w.AWS.SetReplica("evertoken/replica/token", "eu-west-1")
	arn := func(secret string) string { return w.AWS.Secret(secret).ARN }
	const good = "evertoken/c/token"
	tests := map[string]struct {
		event events.SecretsManagerSecretRotationEvent
		want  string
		text  string
	}{
		"no step": {events.SecretsManagerSecretRotationEvent{SecretID: arn(good), ClientRequestToken: id("tok")},
			"InvalidEvent", "Send one of createSecret, setSecret, testSecret, finishSecret"},
		"a method's name": {events.SecretsManagerSecretRotationEvent{Step: "create_secret", SecretID: arn(good), ClientRequestToken: id("tok")},
			"InvalidEvent", `"Step" is "create_secret". Send one of`},
		"an unknown step": {events.SecretsManagerSecretRotationEvent{Step: "rm -rf /\n" + strings.Repeat("x", 99), SecretID: arn(good), ClientRequestToken: id("tok")},
			"InvalidEvent", `"rm?-rf???xxx`},
		"no secret": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", ClientRequestToken: id("tok")},
			"InvalidEvent", `no "SecretId"`},
		"no version": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn(good)},
			"InvalidEvent", "32 to 64 characters"},
		"a bad rotation token": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn(good), ClientRequestToken: id("tok"), RotationToken: "short"},
			"InvalidEvent", `"RotationToken"`},
		"a missing secret": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn(good)[:len(arn(good))-6] + "Zzzzzz", ClientRequestToken: id("tok")},
			"Refused", "the secret does not exist in this Region"},
		"an unknown version": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn(good), ClientRequestToken: id("other")},
			"Refused", "AWSPENDING, which is on version " + id("tok")},
		"rotation is off": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn("evertoken/off/token"), ClientRequestToken: id("tok")},
			"Refused", "rotation is not enabled"},
		"a replica": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn("evertoken/replica/token"), ClientRequestToken: id("tok")},
			"Refused", "primary Region, eu-west-1"},
		"a foreign secret": {events.SecretsManagerSecretRotationEvent{Step: "createSecret", SecretID: arn("somebody/elses"), ClientRequestToken: id("tok")},
			"Refused", "no connection under /evertoken/connections/ names this secret, so it is not Evertoken's to rotate"},
	}
	for name, test := range tests {
		err := w.handle(test.event)
		check(t, name, test.want, errorType(err))
		if err == nil || !strings.Contains(err.Error(), test.text) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, "exchanges", 0, w.Exchanges())
}

// TestWhatCannotBeRotatedIsRefused: credentials that no API can
// change, sessions without a stronger grant, and connections that are wrong.
func TestWhatCannotBeRotatedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f, o, s := w.IDP.Flexera(), w.IDP.OAuth2(), w.IDP.Sharetribe()
	w.Apiax("apiax")
	w.OAuth2("oauth2", "client_credentials")
	n := w.IDP.FlexNet()
	w.connect("flexnet", "flexnet",
		map[string]string{"username": "u",
			"password": n.AddUser("u",
				"")}, map[string]any{"base_url": n.BaseURL(), "token_name": "lambda", "username": "u"}, nil)
	clientID, secret := s.AddIntegrationApp()
	w.connect("sharetribe", "sharetribe",
		map[string]string{"client_id": clientID,
			"client_secret": secret}, map[string]any{"auth_url": s.IntegAuthURL()}, nil)
	account := f.AddServiceAccount("eu", org, "f", "iam_admin")
	_, refresh := f.AddRefreshToken("eu", "ann", fakeidp.FlexeraTokenOptions{})
	w.connect("user", "flexera", map[string]string{"refresh_token": refresh}, w.flexeraSettings(account), nil)
	settings := w.flexeraSettings(account)
	delete(settings, "org_id")
	delete(settings, "service_account_id")
	w.connect("unnamed", "flexera", map[string]string{"refresh_token": refresh}, settings, nil)
	oauthClient, oauthSecret := o.AddClient(fakeidp.OAuth2Client{})
	w.connect("seed", "oauth2",
		map[string]string{"client_id": oauthClient, "client_secret": oauthSecret,
			"refresh_token": o.AddRefreshToken(oauthClient, "s", "read")},
		map[string]any{"token_url": o.TokenURL(), "grant": "refresh_token"}, nil)
	w.connect("wrong", "flexera", map[string]string{"refresh_token": refresh}, map[string]any{"zone": "us"}, nil)
	w.connect("broken", "apiax", map[string]string{"username": "u"},
		map[string]any{"token_url": w.IDP.Apiax().TokenURL()}, nil)
	w.connect("empty", "apiax", nil, map[string]any{"token_url": w.IDP.Apiax().TokenURL()}, nil)
	tests := map[string]struct{ want, text string }{
		"apiax/credential":      {"Refused", "Change it at Apiax and store it: `aws secretsmanager put-secret-value --secret-id evertoken/apiax/credential"},
		"flexnet/credential":    {"Refused", "no API changes a user's password"},
		"sharetribe/credential": {"Refused", "Make a new application"},
		"oauth2/credential":     {"Refused", "Change it at the provider"},
		"user/credential":       {"Refused", "no client_id and client_secret"},
		"unnamed/credential":    {"Misconfigured", "Add settings.org_id and settings.service_account_id"},
		"flexnet/session":       {"Refused", "has no session that Evertoken could rotate"},
		"user/session":          {"Refused", "has no session that Evertoken could rotate"},
		"seed/session":          {"Refused", "nothing stronger than a refresh token is stored"},
		"wrong/token":           {"Misconfigured", "Correct it in the parameter /evertoken/connections/wrong: `aws ssm put-parameter --overwrite --type String --value file://connection.json --name /evertoken/connections/wrong`."},
		"broken/token":          {"Misconfigured", `"password" is missing`},
		"empty/token":           {"Misconfigured", `the credential is not a JSON object`},
	}
	for name, test := range tests {
		secret := "evertoken/" + name
		w.prepare(secret, "tok")
		for _, step := range []string{"createSecret", "testSecret"} {
			before := len(w.errors())
			check(t, name+" "+step, test.want, w.step(step, secret, "tok"))
			errs := w.errors()
			if len(errs) == before || !strings.Contains(errs[len(errs)-1].Error(), test.text) {
				t.Errorf("%s %s: %v", name, step, errs[before:])
			}
		}
	}
	check(t, "exchanges", 0, w.Exchanges())
}

// TestASessionWithoutARefreshTokenIsRefused rotates the session of a client credentials
// grant, which returns no refresh token.
func TestASessionWithoutARefreshTokenIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	w.prepare("evertoken/c/session", "tok")
	check(t, "outcome", "Refused", w.step("createSecret", "evertoken/c/session", "tok"))
	check(t, "labels", "tok?:PENDING", w.labels("evertoken/c/session"))
}

// TestAWrongPasswordIsSentOnce, however often Secrets Manager tries the rotation.
func TestAWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"session", "token"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Apiax("c")
			w.IDP.Apiax().SetPassword("c", "")
			secret := "evertoken/c/" + document
			if err := w.rotateSecret(secret, "one"); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if w.AWS.RetryRotation(secret) == nil {
					t.Error("a rotation with a wrong password succeeded")
				}
			}
			check(t, "exchanges", 1, w.Exchanges())
			for _, err := range w.errors() {
				check(t, "error", "CredentialDead", errorType(err))
			}
			// A person stores the right one: the rotation continues.
			w.put("evertoken/c/credential", "right",
				marshal(map[string]string{"username": "c",
					"password": w.IDP.Apiax().SetPassword("c", "")}))
			if err := w.AWS.RetryRotation(secret); err != nil {
				for _, err := range w.errors() {
					t.Log(err)
				}
				t.Errorf("the right password: %v", err)
			}
		})
	}
}

// TestADeletedSecretIsRefused as Secrets Manager refuses it.
func TestADeletedSecretIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	w.prepare("evertoken/c/token", "tok")
	if _, err := w.SecretsManager().DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("evertoken/c/token")}); err != nil {
		t.Fatal(err)
	}
	check(t, "outcome", "Misconfigured", w.step("createSecret", "evertoken/c/token", "tok"))
	check(t, "exchanges", 0, w.Exchanges())
}

// TestAPanicsTextIsNotRepeated, neither in the error nor in the log.
func TestAPanicsTextIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	w.prepare("evertoken/c/token", "tok")
	w.rotator.Provider = nil
	check(t, "outcome", "InternalFault", w.step("createSecret", "evertoken/c/token", "tok"))
}
