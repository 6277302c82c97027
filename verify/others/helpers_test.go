//go:build verify

package others

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	"evertoken/internal/issue"
)

// setting is an environment variable that verify/run.sh sets.
func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run verify/run.sh, which sets it", name)
	}
	return value
}

// account is the part of AWS that the tests need, with the built functions in it.
type account struct {
	url string
	// path is that of the connections; name ends every connection's name, so
	// that tests can share one account.
	path, name string
	sm         *secretsmanager.Client
	ssm        *ssm.Client
}

func newAccount(url string) *account {
	suffix := strings.ToLower(rand.Text()[:8])
	c := aws.Config{
		Region: "us-east-1", BaseEndpoint: &url,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
	return &account{
		url: url, path: "/evertoken-" + suffix + "/connections/", name: "-" + suffix,
		sm: secretsmanager.NewFromConfig(c), ssm: ssm.NewFromConfig(c),
	}
}

// fake is an account on the strict fake, and the fake.
func fake(t *testing.T) (*account, *fakeaws.Server) {
	t.Helper()
	server, err := fakeaws.New(fakeaws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return newAccount(server.URL()), server
}

func provider(t *testing.T) *fakeidp.Server {
	t.Helper()
	idp, err := fakeidp.New(fakeidp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	return idp
}

// secret is the name of a document of a connection.
func (a *account) secret(connection, document string) string {
	return "evertoken/" + connection + a.name + "/" + document
}

// declare makes a connection with its credential and, without a value, its
// session and token.
func (a *account) declare(t *testing.T, connection, provider string, settings, credential map[string]any) {
	t.Helper()
	declared := encode(t, map[string]any{"provider": provider, "settings": settings})
	_, err := a.ssm.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String(a.path + connection + a.name), Type: ssmtypes.ParameterTypeString, Value: &declared})
	if err != nil {
		t.Fatalf("declaring the connection: %v", err)
	}
	for _, document := range []string{"credential", "session", "token"} {
		in := &secretsmanager.CreateSecretInput{Name: aws.String(a.secret(connection, document))}
		if document == "credential" {
			in.SecretString = aws.String(encode(t, credential))
		}
		if _, err := a.sm.CreateSecret(t.Context(), in); err != nil {
			t.Fatalf("creating a secret: %v", err)
		}
	}
}

// read returns a document under a label, as members.
func (a *account) read(t *testing.T, connection, document, label string) map[string]string {
	t.Helper()
	out, err := a.sm.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(a.secret(connection, document)), VersionStage: &label})
	if err != nil {
		t.Fatalf("reading the %s of %s: %v", document, connection, err)
	}
	members := map[string]string{}
	if err := json.Unmarshal([]byte(*out.SecretString), &members); err != nil {
		t.Fatalf("decoding the %s of %s: %v", document, connection, err)
	}
	return members
}

// issue starts the built function with this account as its own.
func (a *account) issue(t *testing.T) *fakelambda.Function {
	t.Helper()
	return a.function(t, filepath.Join(setting(t, "EVERTOKEN_BOOTSTRAPS"), "issue", "bootstrap"))
}

func (a *account) function(t *testing.T, binary string, env ...string) *fakelambda.Function {
	t.Helper()
	f, err := fakelambda.Start(t.Context(), fakelambda.Options{
		Binary: binary, Timeout: time.Minute,
		Env: append([]string{
			"AWS_ENDPOINT_URL=" + a.url, "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
			"EVERTOKEN_CONNECTIONS_PATH=" + a.path, "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1",
		}, env...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// run invokes issue and returns its report.
func run(t *testing.T, f *fakelambda.Function, event map[string]any) issue.Report {
	t.Helper()
	result, err := f.Invoke(t.Context(), []byte(encode(t, event)))
	if err != nil {
		t.Fatal(err)
	}
	if result.FunctionError != "" {
		t.Fatalf("the function failed: %s\n%s", result.ErrorMessage, result.Logs)
	}
	var report issue.Report
	if err := json.Unmarshal(result.Payload, &report); err != nil {
		t.Fatal(err)
	}
	if t.Failed() || report.Failed > 0 {
		t.Logf("the function's log:\n%s", result.Logs)
	}
	return report
}

// force renews one connection although it is not due.
func (a *account) force(t *testing.T, f *fakelambda.Function, connection string) issue.Report {
	t.Helper()
	return run(t, f, map[string]any{"connections": []string{connection + a.name}, "force": true})
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// outcomes is the outcome of each connection, as "flexera issued".
func (a *account) outcomes(r issue.Report) []string {
	out := []string{}
	for _, c := range r.Connections {
		line := strings.TrimSuffix(c.Name, a.name) + " " + c.Outcome
		if c.ErrorClass != "" {
			line += " " + c.ErrorClass + ": " + c.Reason
		}
		out = append(out, line)
	}
	return out
}

// node runs a script of verify/node and returns the command, not yet started.
func node(ctx context.Context, t *testing.T, script string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(ctx, setting(t, "EVERTOKEN_NODE"), script)
	c.Dir = "../node"
	c.Env = append(os.Environ(), env...)
	c.Stderr = t.Output()
	return c
}

// startPiped starts a process, which ends with the test, and returns its input and output.
func startPiped(t *testing.T, c *exec.Cmd) (io.WriteCloser, *bufio.Reader) {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	return in, bufio.NewReader(out)
}
