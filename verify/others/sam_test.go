//go:build verify

package others

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	"evertoken/internal/issue"
)

// artefact is the folder in which `sam build` has built a function of the template.
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

// samFunction starts a function as built by `sam build`, with the environment of `sam
// local invoke --env-vars`: SAM's own code makes it from the template and from an
// env.local.json as `make run SERVE=1` writes it. It has only variables that the template
// names.
func samFunction(t *testing.T, a *account, function string) *fakelambda.Function {
	t.Helper()
	variables := map[string]string{
		"AWS_ENDPOINT_URL": a.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "1", "EVERTOKEN_NOT_IN_THE_TEMPLATE": "1",
	}
	file := filepath.Join(t.TempDir(), "env.local.json")
	text := encode(t, map[string]any{"IssueFunction": variables, "RotateFunction": variables})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	template := filepath.Join(setting(t, "EVERTOKEN_SAM_BUILD"), "template.yaml")
	c := exec.CommandContext(t.Context(), setting(t, "EVERTOKEN_SAM_PYTHON"),
		"testdata/sam_environment.py", template, function, file)
	c.Stderr = t.Output()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("asking SAM for the environment: %v", err)
	}
	resolved := map[string]string{}
	if err := json.Unmarshal(out, &resolved); err != nil {
		t.Fatal(err)
	}
	if _, there := resolved["EVERTOKEN_NOT_IN_THE_TEMPLATE"]; there {
		t.Error("SAM sets what the template does not name: the template's empty variables are needless")
	}
	seconds, err := strconv.Atoi(resolved["AWS_LAMBDA_FUNCTION_TIMEOUT"])
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for name, value := range resolved {
		env = append(env, name+"="+value)
	}
	f, err := fakelambda.Start(t.Context(), fakelambda.Options{
		Binary: artefact(t, function), Name: function, Env: env, Timeout: time.Duration(seconds) * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestSAMsBuildAnswersTheEventFiles invokes both functions as built by `sam build` with
// the event files, in the environment of `sam local invoke`. The rotation is where `make
// run SERVE=1` leaves it: createSecret is the next step.
func TestSAMsBuildAnswersTheEventFiles(t *testing.T) {
	t.Parallel()
	server, err := fakeaws.New(fakeaws.Options{
		Suffix: func(string) string { return "AbCdEf" }, // as the events name the secret
		Invoke: func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("held") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	a := newAccount(server.URL())
	a.name, a.path = "", "/evertoken/connections/" // the events name their connections
	idp := provider(t)
	_, refresh := idp.Flexera().AddRefreshToken("nam", "user@example.com", fakeidp.FlexeraTokenOptions{})
	a.declare(t, "flexera-user", "flexera",
		map[string]any{"zone": "nam", "login_url": idp.Flexera().LoginURL("nam"),
			"api_url": idp.Flexera().APIURL("nam")},
		map[string]any{"refresh_token": refresh})
	issueFunction := samFunction(t, a, "IssueFunction")
	for _, step := range []struct {
		event, outcome string
	}{{"issue-dry-run.json", "issued"}, {"issue-schedule.json", "issued"}, {"issue-dry-run.json",
		"fresh"}, {"issue-one.json", "issued"}} {
		var report issue.Report
		if err := json.Unmarshal(invoke(t, issueFunction, step.event), &report); err != nil {
			t.Fatal(err)
		}
		check(t, step.event, []string{"flexera-user " + step.outcome}, a.outcomes(report))
	}
	token := a.read(t, "flexera-user", "token", "AWSCURRENT")["access_token"]
	check(t, "the provider accepts the token", true, idp.Accepts(fakeidp.ProviderFlexera, token))

	account := a.declareService(t, idp, "flexera-service")
	before := a.read(t, "flexera-service", "credential", "AWSCURRENT")["client_id"]
	var event events.SecretsManagerSecretRotationEvent
	if err := json.Unmarshal(eventFile(t, "rotate-create.json"), &event); err != nil {
		t.Fatal(err)
	}
	rotateFunction := samFunction(t, a, "RotateFunction")
	if _, err := a.sm.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &event.SecretID, ClientRequestToken: &event.ClientRequestToken, RotationLambdaARN: aws.String(rotateFunction.ARN()),
		RotationRules: &smtypes.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	}); err != nil {
		t.Fatal(err)
	}
	server.WaitRotations()
	for _, name := range []string{"rotate-create.json", "rotate-set.json", "rotate-test.json", "rotate-finish.json"} {
		check(t, "AWSCURRENT before "+name, before,
			a.read(t, "flexera-service", "credential", "AWSCURRENT")["client_id"])
		invoke(t, rotateFunction, name)
	}
	current, found := server.Secret(event.SecretID).Labelled("AWSCURRENT")
	check(t, "AWSCURRENT is on the event's version", true, found && current.ID == event.ClientRequestToken)
	after := a.read(t, "flexera-service", "credential", "AWSCURRENT")["client_id"]
	if after == before {
		t.Error("the client was not replaced")
	}
	check(t, "the new client is the account's", true,
		slices.Contains(idp.Flexera().Clients(serviceOrg, account), after))
}

// invoke invokes a function with an event file and returns its answer.
func invoke(t *testing.T, f *fakelambda.Function, file string) []byte {
	t.Helper()
	result, err := f.Invoke(t.Context(), eventFile(t, file))
	if err != nil || result.FunctionError != "" {
		t.Fatalf("%s: %v %s\n%s", file, err, result.ErrorMessage, result.Logs)
	}
	return result.Payload
}

// TestSAMsBuildRotatesACredential lets Secrets Manager rotate a credential with the
// function as built by `sam build`, which replaces a Flexera service account's client.
func TestSAMsBuildRotatesACredential(t *testing.T) {
	t.Parallel()
	var rotate *fakelambda.Function
	server, err := fakeaws.New(fakeaws.Options{Invoke: func(ctx context.Context, _ string,
		payload []byte) ([]byte, error) {
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
	account := a.declareService(t, idp, "service")
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
	check(t, "the new client is the account's", true,
		slices.Contains(idp.Flexera().Clients(serviceOrg, account), after["client_id"]))
	check(t, "a token by the new client", []string{"service issued"}, a.outcomes(run(t, a.issue(t), nil)))
}
