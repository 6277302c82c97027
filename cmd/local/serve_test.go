package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
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

// TestServe invokes the built bootstraps as SAM would: with the environment of
// env.local.json and the files of events/.
func TestServe(t *testing.T) {
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
		f, err := fakelambda.Start(t.Context(), fakelambda.Options{Binary: binary, Env: env, Timeout: rotateTimeout})
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
	invoke(rotateName, testBuilt.rotate, "rotate-create.json", "rotate-set.json", "rotate-test.json", "rotate-finish.json")
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
	out, err := s.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String("AWSCURRENT")})
	if err != nil {
		t.Fatal(err)
	}
	return stored{aws.ToString(out.VersionId), aws.ToString(out.SecretString)}
}

// TestServeCommands tries what the printed commands name.
func TestServeCommands(t *testing.T) {
	t.Parallel()
	s, _, out := startTestServing(t)
	for _, want := range []string{
		"aws --endpoint-url " + s.aws.URL() + " --region us-east-1 secretsmanager get-secret-value --secret-id evertoken/flexera-user/token\n",
		"aws --endpoint-url " + s.lambda.URL() + " --region us-east-1 lambda invoke --function-name IssueFunction --payload fileb://events/issue-one.json /dev/stdout\n",
		"sam local invoke IssueFunction --region us-east-1 --docker-network host -n env.local.json -e events/issue-schedule.json\n",
		"sam local invoke RotateFunction --region us-east-1 --docker-network host -n env.local.json -e events/rotate-finish.json\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.lambda.URL()+"/2015-03-31/functions/IssueFunction/invocations",
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
