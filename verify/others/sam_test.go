//go:build verify

package others

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"evertoken/internal/fakeaws"
	"evertoken/internal/fakeidp"
	"evertoken/internal/fakelambda"
	"evertoken/internal/issue"
)

// artefact is what `sam build` made of a function of the template.
func artefact(t *testing.T, function string) string {
	t.Helper()
	return filepath.Join(setting(t, "EVERTOKEN_SAM_BUILD"), function, "bootstrap")
}

func eventFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../events", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSAMIssue invokes what `sam build` made with the event files.
func TestSAMIssue(t *testing.T) {
	t.Parallel()
	a, _ := fake(t)
	a.name = "" // the events name their connections
	idp := provider(t)
	_, refresh := idp.Flexera().AddRefreshToken("nam", "user@example.com", fakeidp.FlexeraTokenOptions{})
	a.declare(t, "flexera-user", "flexera",
		map[string]any{"zone": "nam", "login_url": idp.Flexera().LoginURL("nam"), "api_url": idp.Flexera().APIURL("nam")},
		map[string]any{"refresh_token": refresh})
	// What the template sets and leaves empty.
	f := a.function(t, artefact(t, "IssueFunction"), "EVERTOKEN_CONCURRENCY=", "EVERTOKEN_WRITES_PER_SECOND=", "EVERTOKEN_EVERY=5m")
	for _, step := range []struct {
		event, outcome string
	}{{"issue-dry-run.json", "issued"}, {"issue-schedule.json", "issued"}, {"issue-dry-run.json", "fresh"}, {"issue-one.json", "issued"}} {
		result, err := f.Invoke(t.Context(), eventFile(t, step.event))
		if err != nil || result.FunctionError != "" {
			t.Fatalf("%s: %v %s\n%s", step.event, err, result.ErrorMessage, result.Logs)
		}
		var report issue.Report
		if err := json.Unmarshal(result.Payload, &report); err != nil {
			t.Fatal(err)
		}
		check(t, step.event, []string{"flexera-user " + step.outcome}, a.outcomes(report))
	}
	token := a.read(t, "flexera-user", "token", "AWSCURRENT")["access_token"]
	check(t, "the provider accepts the token", true, idp.Accepts(fakeidp.ProviderFlexera, token))
}

// TestSAMRotate lets Secrets Manager rotate a credential by what `sam build`
// made: a Flexera service account's client is replaced.
func TestSAMRotate(t *testing.T) {
	t.Parallel()
	var rotate *fakelambda.Function
	server, err := fakeaws.New(fakeaws.Options{Invoke: func(ctx context.Context, _ string, payload []byte) ([]byte, error) {
		result, err := rotate.Invoke(ctx, payload)
		if err == nil && result.FunctionError != "" {
			err = errors.New(result.ErrorMessage)
		}
		return result.Payload, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	a := newAccount(server.URL())
	idp := provider(t)
	account := a.declareService(t, idp)
	rotate = a.function(t, artefact(t, "RotateFunction"))
	_, err = a.sm.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: aws.String(a.secret("service", "credential")), RotationLambdaARN: aws.String(rotate.ARN()),
		RotationRules: &smtypes.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.WaitRotations()
	after := a.read(t, "service", "credential", "AWSCURRENT")
	before := a.read(t, "service", "credential", "AWSPREVIOUS")
	if after["client_id"] == before["client_id"] {
		t.Fatalf("the client was not replaced:\n%s", rotate.Logs())
	}
	check(t, "the new client is the account's", true, slices.Contains(idp.Flexera().Clients(serviceOrg, account), after["client_id"]))
	check(t, "a token by the new client", []string{"service issued"}, a.outcomes(run(t, a.issue(t), nil)))
}
