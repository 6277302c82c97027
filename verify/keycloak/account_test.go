//go:build verify

package keycloak

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	fakeaws "evertoken/internal/fake/aws"
	fakelambda "evertoken/internal/fake/lambda"
	"evertoken/internal/issue"
)

// account is a strict fake of AWS with one connection, c, and the built
// function issue in it.
type account struct {
	t   *testing.T
	aws *fakeaws.Server
	sm  *secretsmanager.Client
	ssm *ssm.Client
	f   *fakelambda.Function

	rotator *fakelambda.Function // the built function rotate, once it is started
}

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{t: t}
	server, err := fakeaws.New(fakeaws.Options{Invoke: a.step})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	where := server.URL()
	c := aws.Config{Region: "us-east-1", BaseEndpoint: &where,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", "")}
	a.aws, a.sm, a.ssm = server, secretsmanager.NewFromConfig(c), ssm.NewFromConfig(c)
	a.f = a.start()
	return a
}

// start starts another copy of the function.
func (a *account) start() *fakelambda.Function { return a.startFunction("issue") }

func (a *account) startFunction(name string) *fakelambda.Function {
	a.t.Helper()
	bootstraps := os.Getenv("EVERTOKEN_BOOTSTRAPS")
	if bootstraps == "" {
		a.t.Fatal("EVERTOKEN_BOOTSTRAPS is not set: run verify/run.sh, which sets it")
	}
	f, err := fakelambda.Start(a.t.Context(), fakelambda.Options{
		Binary: filepath.Join(bootstraps, name, "bootstrap"), Name: name, Timeout: 2 * time.Minute,
		Env: []string{"AWS_ENDPOINT_URL=" + a.aws.URL(), "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
			"AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1"},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = f.Close() })
	return f
}

// connect declares the connection and makes its secrets.
func (a *account) connect(provider string, settings, credential map[string]any) {
	a.t.Helper()
	declared := a.encode(map[string]any{"provider": provider, "settings": settings})
	if _, err := a.ssm.PutParameter(a.t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/evertoken/connections/c"), Type: ssmtypes.ParameterTypeString, Value: &declared}); err != nil {
		a.t.Fatal(err)
	}
	for _, document := range []string{"credential", "session", "token"} {
		in := &secretsmanager.CreateSecretInput{Name: aws.String("evertoken/c/" + document)}
		if document == "credential" {
			in.SecretString = aws.String(a.encode(credential))
		}
		if _, err := a.sm.CreateSecret(a.t.Context(), in); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *account) put(credential map[string]any) {
	a.t.Helper()
	if _, err := a.sm.PutSecretValue(a.t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("evertoken/c/credential"), SecretString: aws.String(a.encode(credential))}); err != nil {
		a.t.Fatal(err)
	}
}

func (a *account) encode(v any) string {
	a.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

// read returns a member of a document of the connection.
func (a *account) read(document, member string) string {
	a.t.Helper()
	out, err := a.sm.GetSecretValue(a.t.Context(), &secretsmanager.GetSecretValueInput{
		SecretId: aws.String("evertoken/c/" + document)})
	if err != nil {
		a.t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(*out.SecretString), &members); err != nil {
		a.t.Fatal(err)
	}
	s, _ := members[member].(string)
	return s
}

func (a *account) token() string        { return a.read("token", "access_token") }
func (a *account) refreshToken() string { return a.read("session", "refresh_token") }

// run invokes a function and returns its entry for the connection.
func (a *account) run(f *fakelambda.Function, event map[string]any) issue.Entry {
	a.t.Helper()
	result, err := f.Invoke(a.t.Context(), []byte(a.encode(event)))
	if err != nil {
		a.t.Error(err)
		return issue.Entry{}
	}
	var report issue.Report
	if err := json.Unmarshal(result.Payload, &report); err != nil || len(report.Connections) != 1 {
		a.t.Errorf("the answer is %s, %v", result.Payload, err)
		return issue.Entry{}
	}
	return report.Connections[0]
}

// named runs issue for the connection; force renews it although it is not due.
func (a *account) named() issue.Entry {
	return a.run(a.f, map[string]any{"connections": []string{"c"}})
}

func (a *account) force() issue.Entry {
	return a.run(a.f, map[string]any{"connections": []string{"c"}, "force": true})
}

// want fails the test unless the outcome is as wanted.
func (a *account) want(what string, e issue.Entry, outcome, class string) {
	a.t.Helper()
	if e.Outcome != outcome || e.ErrorClass != class {
		a.t.Errorf("%s: %s %s (%s), want %s %s", what, e.Outcome, e.ErrorClass, e.Reason, outcome, class)
	}
}

// step makes one step of a rotation, as Secrets Manager invokes it.
func (a *account) step(ctx context.Context, _ string, payload []byte) ([]byte, error) {
	result, err := a.rotator.Invoke(ctx, payload)
	if err == nil && result.FunctionError != "" {
		err = errors.New(result.ErrorType)
		a.t.Logf("the function rotate answered %s", result.Payload)
	}
	return result.Payload, err
}

// rotate rotates a document with the built function, and returns whether its new version
// is current.
func (a *account) rotate(document, version string) bool {
	a.t.Helper()
	if a.rotator == nil {
		a.rotator = a.startFunction("rotate")
	}
	name := "evertoken/c/" + document
	if _, err := a.sm.RotateSecret(a.t.Context(),
		&secretsmanager.RotateSecretInput{SecretId: &name, ClientRequestToken: &version,
			RotationLambdaARN: aws.String(a.rotator.ARN()), RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
		}); err != nil {
		a.t.Fatal(err)
	}
	a.aws.WaitRotations()
	current, _ := a.aws.Secret(name).Labelled("AWSCURRENT")
	return current.ID == version
}
