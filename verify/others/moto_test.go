//go:build verify

package others

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
)

// TestIssueRenewsOnMoto runs the main job of the built function on moto: a first token,
// none while it is fresh, another one by a forced run.
func TestIssueRenewsOnMoto(t *testing.T) {
	t.Parallel()
	a := newAccount(setting(t, "EVERTOKEN_MOTO_URL"))
	idp := provider(t)
	_, refresh := idp.Flexera().AddRefreshToken("nam", "user@example.com", fakeidp.FlexeraTokenOptions{})
	a.declare(t, "flexera", "flexera",
		map[string]any{"zone": "nam", "login_url": idp.Flexera().LoginURL("nam"),
			"api_url": idp.Flexera().APIURL("nam")},
		map[string]any{"refresh_token": refresh})
	a.declare(t, "apiax", "apiax",
		map[string]any{"token_url": idp.Apiax().TokenURL()},
		map[string]any{"username": "robot", "password": idp.Apiax().SetPassword("robot", "")})
	f := a.issue(t)

	check(t, "the first run", []string{"apiax issued", "flexera issued"}, a.outcomes(run(t, f, nil)))
	tokens := map[string]string{}
	for connection, name := range map[string]string{"flexera": fakeidp.ProviderFlexera, "apiax": fakeidp.ProviderApiax} {
		tokens[connection] = a.read(t, connection, "token", "AWSCURRENT")["access_token"]
		check(t, "the provider accepts the token of "+connection, true, idp.Accepts(name, tokens[connection]))
	}
	session := a.read(t, "apiax", "session", "AWSCURRENT")
	check(t, "the session's refresh token lives", true,
		idp.RefreshTokenAlive(fakeidp.ProviderApiax, session["refresh_token"]))

	second := run(t, f, nil)
	check(t, "the second run", []string{}, a.outcomes(second))
	check(t, "fresh in the second run", 2, second.Fresh)

	logins := len(idp.Apiax().Logins())
	for connection := range tokens {
		check(t, "on demand", []string{connection + " issued"}, a.outcomes(a.force(t, f, connection)))
		if a.read(t, connection, "token", "AWSCURRENT")["access_token"] == tokens[connection] {
			t.Errorf("%s still has its first token", connection)
		}
		check(t, "the previous token of "+connection, tokens[connection],
			a.read(t, connection, "token", "AWSPREVIOUS")["access_token"])
	}
	check(t, "logins with the password for the second token", 0, len(idp.Apiax().Logins())-logins)
}

func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestRotateWorksOnMoto runs the four steps of the built function on moto. The test
// cannot use moto's own RotateSecret: it refuses an unknown function, but only after it
// has made what the first step finds on AWS, a version that has AWSPENDING and no value.
func TestRotateWorksOnMoto(t *testing.T) {
	t.Parallel()
	a := newAccount(setting(t, "EVERTOKEN_MOTO_URL"))
	idp := provider(t)
	account := a.declareService(t, idp, "service")
	f := a.function(t, filepath.Join(setting(t, "EVERTOKEN_BOOTSTRAPS"), "rotate", "bootstrap"))
	secret, version := a.secret("service", "credential"), "6f1c2f0e-5b1a-4c1e-9b4e-2d8f0c7a1e35"
	_, err := a.sm.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &secret, ClientRequestToken: &version, RotationLambdaARN: aws.String(f.ARN()),
		RotationRules: &smtypes.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err == nil {
		t.Fatal("moto now rotates itself: remove the replacement for it here")
	}
	made, err := a.sm.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret", "finishSecret"} {
		event := encode(t, map[string]any{"Step": step, "SecretId": *made.ARN, "ClientRequestToken": version})
		result, err := f.Invoke(t.Context(), []byte(event))
		if err != nil || result.FunctionError != "" {
			t.Fatalf("%s: %v %s\n%s", step, err, result.ErrorMessage, result.Logs)
		}
	}
	after, before := a.read(t, "service", "credential", "AWSCURRENT"), a.read(t, "service",
		"credential", "AWSPREVIOUS")
	check(t, "the client was replaced", true, after["client_id"] != before["client_id"])
	check(t, "the new client is the account's", true,
		slices.Contains(idp.Flexera().Clients(serviceOrg, account), after["client_id"]))
}
