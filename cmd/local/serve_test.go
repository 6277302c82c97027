package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
)

func startTestServing(t *testing.T) (*served, string, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	s, err := startServing(t.Context(), 0, testRoot, dir, testBuilt, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, filepath.Join(dir, envFile), &out
}

// TestServedFunctionsAnswerTheEventFiles invokes the built bootstraps as SAM would: with
// the environment of env.local.json and the files of events/.
func TestServedFunctionsAnswerTheEventFiles(t *testing.T) {
	t.Parallel()
	s, file, out := startTestServing(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var variables map[string]map[string]string
	if err := json.Unmarshal(text, &variables); err != nil {
		t.Fatal(err)
	}
	invoke := func(function, binary string, events ...string) {
		t.Helper()
		var env []string
		for name, value := range variables[function] {
			env = append(env, name+"="+value)
		}
		f, err := fakelambda.Start(t.Context(),
			fakelambda.Options{Binary: binary, Env: env, Timeout: rotateTimeout})
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			payload, err := os.ReadFile(filepath.Join(testRoot, "events", event))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := f.Invoke(t.Context(), payload); err != nil || r.FunctionError != "" {
				t.Fatalf("%s: %v: %s", event, err, r.Payload)
			}
		}
	}

	const token, credential = "evertoken/flexera-user/token", "evertoken/flexera-service/credential"
	before := s.read(t, token)
	invoke(issueName, testBuilt.issue, "issue-dry-run.json", "issue-schedule.json", "issue-one.json")
	after := s.read(t, token)
	if old, now := memberOf(before.value, "access_token"), memberOf(after.value, "access_token"); old == now || !s.idp.Accepts("flexera", now) {
		t.Error("issue-one.json did not replace the token by one that works")
	}

	before = s.read(t, credential)
	invoke(rotateName, testBuilt.rotate, "rotate-create.json", "rotate-set.json",
		"rotate-test.json", "rotate-finish.json")
	after = s.read(t, credential)
	if before.version == after.version || after.version != "6f1c2f0e-5b1a-4c1e-9b4e-2d8f0c7a1e35" {
		t.Errorf("AWSCURRENT is on %s, before on %s", after.version, before.version)
	}
	if old, now := memberOf(before.value, "client_id"), memberOf(after.value, "client_id"); now == "" || old == now {
		t.Error("the rotate events did not replace the client")
	}
	if strings.Contains(out.String(), fakeidp.Canary) {
		t.Error("a secret is shown")
	}
}

type stored struct{ version, value string }

// read reads AWSCURRENT through the SDK.
func (s *served) read(t *testing.T, id string) stored {
	t.Helper()
	out, err := s.secrets.GetSecretValue(t.Context(),
		&secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String("AWSCURRENT")})
	if err != nil {
		t.Fatal(err)
	}
	return stored{aws.ToString(out.VersionId), aws.ToString(out.SecretString)}
}

// TestThePrintedCommandsNameWhatIsServed checks what the printed commands name.
func TestThePrintedCommandsNameWhatIsServed(t *testing.T) {
	t.Parallel()
	s, _, out := startTestServing(t)
	for _, want := range []string{
		" add my-second --provider apiax --set token_url=" + s.idp.Apiax().TokenURL() + " --credential -\n",
		"aws --endpoint-url " + s.aws.URL() + " --region us-east-1 secretsmanager get-secret-value --secret-id evertoken/flexera-user/token\n",
		"aws --endpoint-url " + s.lambda.URL() + " --region us-east-1 lambda invoke --function-name IssueFunction --payload fileb://events/issue-one.json /dev/stdout\n",
		"sam local invoke IssueFunction --region us-east-1 --docker-network host -n env.local.json -e events/issue-schedule.json\n",
		"sam local invoke RotateFunction --region us-east-1 --docker-network host -n env.local.json -e events/rotate-finish.json\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		s.lambda.URL()+"/2015-03-31/functions/IssueFunction/invocations",
		strings.NewReader(`{"connections":["flexera-user"],"force":true}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(body), `"issued":1`) {
		t.Errorf("issue answers %s, %v", body, err)
	}

	const session = "evertoken/apiax/session"
	before := s.read(t, session)
	if _, err := s.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String(session), RotationLambdaARN: aws.String(s.rotate.ARN())}); err != nil {
		t.Fatal(err)
	}
	s.aws.WaitRotations()
	if after := s.read(t, session); memberOf(after.value, "refresh_token") == memberOf(before.value, "refresh_token") {
		t.Errorf("the session was not rotated: %v", s.lastRotationError())
	}
}

// TestTheCommandWorksAgainstWhatIsServed runs the unchanged command evertoken against the
// served world as a person would, up to a token that the provider accepts.
func TestTheCommandWorksAgainstWhatIsServed(t *testing.T) {
	t.Parallel()
	s, _, out := startTestServing(t)
	binary := filepath.Join(t.TempDir(), "evertoken")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/evertoken")
	build.Dir = testRoot
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	// The environment is that of the printed command.
	_, line, found := strings.Cut(out.String(), "Look after connections with Evertoken's own command:\n")
	line, _, _ = strings.Cut(strings.TrimSpace(line), " go run ./cmd/evertoken")
	if !found {
		t.Fatalf("not printed: the command")
	}
	evertoken := func(want int, stdin string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), binary, args...)
		c.Dir = t.TempDir() // an empty folder
		c.Env, c.Stdin = append(strings.Fields(line), "HOME="+c.Dir), strings.NewReader(stdin)
		text, err := c.CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Fatalf("evertoken %s exits with %d, want %d:\n%s", strings.Join(args, " "), code, want, text)
		}
		return string(text)
	}
	if text := evertoken(1, "", "status"); !strings.Contains(text, "flexera-typo") ||
		!strings.Contains(text, "flexera-new") {
		t.Errorf("status: %s", text)
	}
	id, secret := s.idp.OAuth2().AddClient(fakeidp.OAuth2Client{})
	credential, err := json.Marshal(map[string]string{"client_id": id, "client_secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	text := evertoken(0, string(credential), "add", "my-first", "--provider", "oauth2", "--way",
		"client_credentials",
		"--set", "token_url="+s.idp.OAuth2().TokenURL(), "--credential", "-")
	if !strings.Contains(text, "my-first: a token is published") {
		t.Errorf("add: %s", text)
	}
	header := strings.TrimSpace(evertoken(0, "", "token", "my-first"))
	if bearer, ok := strings.CutPrefix(header, "Bearer "); !ok || !s.idp.Accepts("oauth2", bearer) {
		t.Error("the provider does not accept the printed header")
	}
	evertoken(0, "", "check", "my-first")
	evertoken(0, "", "renew", "my-first")
	evertoken(0, "", "rotate", "apiax", "session", "--every", "7d")
}

// TestServingTwiceIsRefused: the second server says that the first one is running.
func TestServingTwiceIsRefused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address, ok := taken.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no port")
	}
	s, err := startServing(t.Context(), address.Port, testRoot, t.TempDir(), testBuilt, io.Discard)
	if err == nil {
		s.close()
	}
	if err == nil || !strings.Contains(err.Error(), "`make run SERVE=1` is already running") {
		t.Errorf("the error is %v", err)
	}
}
