package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// rotateBootstrap is the built function rotate, in the folder of the function issue.
var rotateBootstrap = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(filepath.Dir(bootstrap)), "rotate", "bootstrap")
	return path, build(path, "evertoken/functions/rotate")
})

// eventVersion is the version in events/rotate-*.json.
const eventVersion = "6f1c2f0e-5b1a-4c1e-9b4e-2d8f0c7a1e35"

// rotating is a world in which Secrets Manager invokes the built function.
type rotating struct {
	*fakeworld.World
	t        *testing.T
	function *fakelambda.Function
	hold     atomic.Bool // the function cannot be invoked

	mu     sync.Mutex
	failed []string // what the function answered to steps that failed
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	path, err := rotateBootstrap()
	if err != nil {
		t.Fatal(err)
	}
	r := &rotating{World: fakeworld.New(t), t: t}
	r.AWS, err = fakeaws.New(fakeaws.Options{Invoke: r.invoke, Suffix: func(string) string { return "AbCdEf" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.AWS.Close)
	if r.IDP, err = fakeidp.New(fakeidp.Options{ControlCharacters: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.IDP.Close)
	r.function, err = fakelambda.Start(context.Background(), fakelambda.Options{
		Binary: path, Name: "rotate", Timeout: 2 * time.Minute, MemoryMB: 256,
		Env: []string{
			"AWS_ENDPOINT_URL=" + r.AWS.URL(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
			"AWS_LAMBDA_LOG_LEVEL=DEBUG", "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.function.Close()
		for _, leak := range leaks(string(r.function.Logs())+strings.Join(r.failures(), "\n"), r.IDP.Canaries()) {
			t.Errorf("leaked: %s", leak)
		}
	})
	return r
}

func (r *rotating) invoke(ctx context.Context, _ string, payload []byte) ([]byte, error) {
	if r.hold.Load() {
		return nil, errors.New("held")
	}
	result, err := r.function.Invoke(ctx, payload)
	if err == nil && result.FunctionError != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed = append(r.failed, string(result.Payload))
		err = errors.New(result.ErrorType)
	}
	return result.Payload, err
}

func (r *rotating) failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.failed...)
}

// rotate begins a rotation and waits until it has ended or failed.
func (r *rotating) rotate(secret, version string) {
	r.t.Helper()
	_, err := secretsmanager.NewFromConfig(r.AWS.AWSConfig()).RotateSecret(context.Background(),
		&secretsmanager.RotateSecretInput{
			SecretId: &secret, ClientRequestToken: &version, RotationLambdaARN: aws.String(r.function.ARN()),
			RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
		})
	if err != nil {
		r.t.Fatal(err)
	}
	r.AWS.WaitRotations()
}

// promoted fails the test unless the version is current and works.
func (r *rotating) promoted(provider, secret, version string) {
	r.t.Helper()
	s := r.AWS.Secret(secret)
	current, _ := s.Labelled(secrets.Current)
	if current.ID != version {
		r.t.Fatalf("AWSCURRENT is on %s; the function answered %v", current.ID, r.failures())
	}
	if pending, found := s.Labelled(secrets.Pending); found {
		r.t.Errorf("AWSPENDING is still on %s", pending.ID)
	}
	value := redact.New(current.Value)
	switch {
	case strings.HasSuffix(secret, "/token"):
		token, err := credential.ParseToken(value)
		if err != nil || !r.IDP.Accepts(provider, token.AccessToken.Reveal()) {
			r.t.Errorf("the provider does not accept the current token: %v", err)
		}
	case strings.HasSuffix(secret, "/session"):
		session, err := credential.ParseSession(value)
		if err != nil || !r.IDP.RefreshTokenAlive(provider, session.RefreshToken.Reveal()) {
			r.t.Errorf("the current refresh token is not alive: %v", err)
		}
	default:
		if n := len(r.IDP.Flexera().Clients(1105, 2263)); n > 2 {
			r.t.Errorf("the service account has %d clients", n)
		}
	}
}

// TestEveryDocumentIsRotated rotates every document that each provider allows to rotate.
func TestEveryDocumentIsRotated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		connection, document, provider string
		connect                        func(w *fakeworld.World)
		exchanges                      int // of one rotation
	}{
		{"c", "credential", "flexera", func(w *fakeworld.World) { w.Flexera("c", true) }, 2},
		{"c", "token", "flexera", func(w *fakeworld.World) { w.Flexera("c", false) }, 1},
		{"c", "token", "flexnet", func(w *fakeworld.World) { w.FlexNet("c") }, 1},
		{"c", "session", "apiax", func(w *fakeworld.World) { w.Apiax("c") }, 1},
		{"c", "token", "apiax", func(w *fakeworld.World) { w.Apiax("c") }, 1},
		{"c", "session", "sharetribe", func(w *fakeworld.World) { w.Sharetribe("c", "integration") }, 1},
		{"c", "token", "sharetribe", func(w *fakeworld.World) { w.Sharetribe("c", "anonymous") }, 1},
		{"c", "token", "sharetribe", func(w *fakeworld.World) { w.Sharetribe("c", "trusted") }, 2},
		{"c", "session", "oauth2", func(w *fakeworld.World) { w.OAuth2("c", "password") }, 1},
		{"c", "token", "oauth2", func(w *fakeworld.World) { w.OAuth2("c", "client_credentials") }, 1},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %s of %s", i, test.document, test.provider), func(t *testing.T) {
			t.Parallel()
			r := newRotating(t)
			test.connect(r.World)
			secret := "evertoken/" + test.connection + "/" + test.document
			version := secrets.FreshID()
			r.rotate(secret, version)
			r.promoted(test.provider, secret, version)
			if got := r.Exchanges(); got != test.exchanges {
				t.Errorf("the rotation made %d exchanges, want %d", got, test.exchanges)
			}
		})
	}
}

// TestAKilledRotationIsCompletedByARetry kills the function at each of its calls, applied
// and not yet answered, and has Secrets Manager try the rotation again. Waits for the end
// of a claim or a pause are tested in package rotate, with an injected clock.
func TestAKilledRotationIsCompletedByARetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		document, provider string
		connect            func(w *fakeworld.World)
	}{
		{"credential", "flexera", func(w *fakeworld.World) { w.Flexera("c", true) }},
		{"session", "apiax", func(w *fakeworld.World) { w.Apiax("c") }},
		{"token", "oauth2", func(w *fakeworld.World) { w.OAuth2("c", "client_credentials") }},
	} {
		t.Run(test.document+" of "+test.provider, func(t *testing.T) {
			t.Parallel()
			secret := "evertoken/c/" + test.document
			clean := newRotating(t)
			test.connect(clean.World)
			calls := clean.killAt(0)
			version := secrets.FreshID()
			clean.rotate(secret, version)
			clean.promoted(test.provider, secret, version)
			for n := int64(1); n <= calls.Load(); n++ {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					t.Parallel()
					r := newRotating(t)
					test.connect(r.World)
					r.killAt(n)
					version := secrets.FreshID()
					r.rotate(secret, version)
					if n := len(r.failures()); n != 1 {
						t.Fatalf("%d steps failed, want the one that was killed: %v", n, r.failures())
					}
					tries := 1
					if err := r.AWS.RetryRotation(secret); err != nil {
						tries = 2
						if r.forced() {
							current, _ := r.AWS.Secret(secret).Labelled(secrets.Current)
							r.promoted(test.provider, secret, current.ID)
							return
						}
						r.nameClient(secret) // one that was made, and whose id is not recorded
						if err := r.AWS.RetryRotation(secret); err != nil {
							t.Errorf("the last try: %v: %v", err, r.failures())
						}
					}
					r.promoted(test.provider, secret, version)
					if extra := r.Exchanges() - clean.Exchanges(); extra > tries {
						t.Errorf("the crash cost %d more exchanges, want at most one a try", extra)
					}
				})
			}
		})
	}
}

// forced does what the last failure asks of an operator where Evertoken cannot know
// whether a password was accepted: it makes a forced run of issue. That run opens a new
// session, which ends the rotation. It reports whether the failure asks for that.
func (r *rotating) forced() bool {
	r.t.Helper()
	failures := r.failures()
	if !strings.Contains(failures[len(failures)-1], "To try at once, run `evertoken renew c`") {
		return false
	}
	if report := r.Run(issue.Event{Connections: []string{"c"}, Force: true}); report.Issued != 1 {
		r.t.Errorf("the forced run: %+v", report)
	}
	return true
}

// nameClient does what the last failure asks of an operator: it names the client that the
// rotation may delete.
func (r *rotating) nameClient(secret string) {
	r.t.Helper()
	failures := r.failures()
	m := regexp.MustCompile(`Key=evertoken:delete-client,Value=(\w+)`).FindStringSubmatch(failures[len(failures)-1])
	if m == nil {
		r.t.Fatalf("the failure names no client: %v", failures)
	}
	_, err := secretsmanager.NewFromConfig(r.AWSConfig()).TagResource(r.t.Context(),
		&secretsmanager.TagResourceInput{
			SecretId: &secret, Tags: []types.Tag{{Key: aws.String("evertoken:delete-client"), Value: &m[1]}}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// killAt kills the function at its n-th call to AWS or a provider; 0 never. It
// returns the number of its calls.
func (r *rotating) killAt(n int64) *atomic.Int64 {
	calls := &atomic.Int64{}
	at := func() {
		if calls.Add(1) == n {
			r.function.Kill()
		}
	}
	r.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Hook: func(fakeaws.Call) { at() },
		Match: func(c fakeaws.Call) bool { return c.Operation != "RotateSecret" }})
	r.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Hook: func(fakeidp.Request) { at() }})
	return calls
}

// TestRotateAnswersTheEventFiles invokes the function with the files of events/.
func TestRotateAnswersTheEventFiles(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	r.Flexera("flexera-service", true)
	const secret = "evertoken/flexera-service/credential"
	r.hold.Store(true)
	r.rotate(secret, eventVersion)
	for _, step := range []string{"create", "set", "test", "finish"} {
		event, err := os.ReadFile(filepath.Join("..", "events", "rotate-"+step+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // each step may come again
			result, err := r.function.Invoke(t.Context(), event)
			if err != nil || result.FunctionError != "" {
				t.Fatalf("rotate-%s.json: %v: %s", step, err, result.Payload)
			}
		}
	}
	r.promoted("flexera", secret, eventVersion)
	if got := r.Exchanges(); got != 3 { // the test step came twice
		t.Errorf("%d exchanges, want 3", got)
	}
}

// TestLambdaReportsARotationErrorUnderItsType: Lambda reports an error under its type.
func TestLambdaReportsARotationErrorUnderItsType(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	r.AWS.CreateSecret("somebody/elses", aws.String("value"), nil)
	r.hold.Store(true)
	version := secrets.FreshID()
	r.rotate("somebody/elses", version)
	arn := r.AWS.Secret("somebody/elses").ARN
	for want, event := range map[string]map[string]string{
		"InvalidEvent": {"Step": "create_secret", "SecretId": arn, "ClientRequestToken": version},
		"Refused":      {"Step": "createSecret", "SecretId": arn, "ClientRequestToken": version},
	} {
		payload, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		result, err := r.function.Invoke(t.Context(), payload)
		if err != nil || result.ErrorType != want || strings.Contains(result.ErrorMessage, "arn:") {
			t.Errorf("%v: %s: %s, want %s", err, result.ErrorType, result.ErrorMessage, want)
		}
	}
}
