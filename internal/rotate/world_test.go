package rotate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
	"evertoken/internal/wiring"
)

const (
	functionARN = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
	org         = 1105
)

// world is the fakes, one clock, and the rotator as Secrets Manager's function.
type world struct {
	*testing.T
	clock   *fakeworld.Clock
	aws     *fakeaws.Server
	idp     *fakeidp.Server
	sm      *secretsmanager.Client
	store   *secrets.Store
	rotator *rotate.Rotator
	log     *fakeworld.Buffer

	dead atomic.Bool // the function waits for nothing any more

	mu       sync.Mutex
	hold     bool    // the function cannot be invoked
	failures []error // of invocations, in order
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := fakeworld.NewClock()
	idp, err := fakeidp.New(fakeidp.Options{Now: clock.Now, ControlCharacters: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	return newStack(t, idp, clock)
}

// newStack is a world of its own that shares the providers with others.
func newStack(t *testing.T, idp *fakeidp.Server, clock *fakeworld.Clock) *world {
	t.Helper()
	w := &world{T: t, clock: clock, idp: idp, log: &fakeworld.Buffer{}}
	var err error
	if w.aws, err = fakeaws.New(fakeaws.Options{Now: w.clock.Now, Invoke: w.invoke}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.aws.Close)
	c := w.aws.AWSConfig()
	c.Retryer = func() aws.Retryer { return retry.AddWithMaxBackoffDelay(secrets.Retryer()(), time.Nanosecond) }
	w.sm = secretsmanager.NewFromConfig(c)
	w.store = secrets.NewStore(w.sm, nil)
	cfg, err := config.Load(func(name string) string {
		return map[string]string{"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "1", "AWS_REGION": "us-east-1"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	w.rotator = wiring.Parts{
		Config: cfg, Secrets: w.store, Parameters: secrets.NewParameters(ssm.NewFromConfig(c)),
		OAuth: &oauth.Client{Now: w.clock.Now}, Now: w.clock.Now, Sleep: w.sleep,
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}.Rotator()
	t.Cleanup(w.noCanaries)
	return w
}

// sleep takes no time, and fails in a function that is dead.
func (w *world) sleep(ctx context.Context, d time.Duration) error {
	if w.dead.Load() {
		return context.Canceled
	}
	return w.clock.Sleep(ctx, d)
}

// noCanaries looks for secrets in what was logged and answered.
func (w *world) noCanaries() {
	said := w.log.String()
	for _, err := range w.errors() {
		said += err.Error()
	}
	for _, canary := range append(w.idp.Canaries(), fakeidp.Canary) {
		if strings.Contains(said, canary) {
			w.Errorf("a secret was logged or told in an error")
		}
	}
	for _, err := range w.errors() {
		if strings.Contains(err.Error(), "arn:") || strings.Contains(err.Error(), "123456789012") {
			w.Errorf("an error tells an ARN or an account: %v", err)
		}
	}
}

func (w *world) invoke(_ context.Context, _ string, payload []byte) ([]byte, error) {
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold {
		return nil, errors.New("held")
	}
	var e events.SecretsManagerSecretRotationEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	return nil, w.handle(e)
}

// handle serves an event with Lambda's deadline and remembers its error.
func (w *world) handle(e events.SecretsManagerSecretRotationEvent) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := w.rotator.Handle(ctx, e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failures = append(w.failures, err)
	}
	return err
}

func (w *world) errors() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failures)
}

func (w *world) setHold(hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = hold
}

// id is a version id that begins with a readable name.
func id(name string) string { return name + strings.Repeat("-", 36-len(name)) }

// rotateSecret begins a rotation to the version named, and waits until it has
// ended or failed.
func (w *world) rotateSecret(secret, version string, edit ...func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: &secret, ClientRequestToken: aws.String(id(version)), RotationLambdaARN: aws.String(functionARN),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(4 hours)")},
	}
	for _, f := range edit {
		f(in)
	}
	_, err := w.sm.RotateSecret(context.Background(), in)
	w.aws.WaitRotations()
	return err
}

// prepare leaves an empty version under AWSPENDING, as an abandoned rotation.
func (w *world) prepare(secret, version string) {
	w.Helper()
	w.setHold(true)
	defer w.setHold(false)
	if err := w.rotateSecret(secret, version); err != nil {
		w.Fatal(err)
	}
}

func (w *world) put(secret, version, value string, labels ...string) {
	w.Helper()
	if err := w.store.Put(context.Background(), secret, id(version), redact.New(value), labels...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) move(secret, label, to, from string) {
	w.Helper()
	if to != "" {
		to = id(to)
	}
	if from != "" {
		from = id(from)
	}
	if err := w.store.MoveLabel(context.Background(), secret, label, to, from); err != nil {
		w.Fatal(err)
	}
}

// step sends one step for a version and returns the error's type.
func (w *world) step(step, secret, version string) string {
	return errorType(w.handle(events.SecretsManagerSecretRotationEvent{
		Step: step, SecretID: w.aws.Secret(secret).ARN, ClientRequestToken: id(version), RotationToken: strings.Repeat("r", 36),
	}))
}

// errorType is the name under which Lambda reports an error (aws-lambda-go,
// lambda/errors.go: the type's name).
func errorType(err error) string {
	if err == nil {
		return "ok"
	}
	return reflect.TypeOf(err).Name()
}

// labels tells the labelled versions by the names of their ids; a version without
// a value has a "?".
func (w *world) labels(secret string) string {
	var out []string
	for _, v := range w.aws.Secret(secret).Versions {
		if len(v.Labels) == 0 {
			continue
		}
		mark := ""
		if !v.HasValue {
			mark = "?"
		}
		name := strings.TrimRight(v.ID, "-")
		if len(v.ID) == 36 && strings.Count(v.ID, "-") == 4 {
			name = "own" // of a version that Evertoken named
		}
		out = append(out, name+mark+":"+strings.ReplaceAll(strings.Join(v.Labels, "+"), "AWS", ""))
	}
	return strings.Join(out, " ")
}

func (w *world) value(secret, label string) string {
	v, _ := w.aws.Secret(secret).Labelled(label)
	return v.Value
}

// exchanges counts the grants that reached a provider.
func (w *world) exchanges() int {
	n := 0
	for _, r := range w.idp.Requests() {
		if !r.Processed {
			continue
		}
		if r.Grant != "" || r.Provider == fakeidp.ProviderFlexNet && r.Method == "POST" && (strings.HasSuffix(r.Path, "/token") || strings.HasSuffix(r.Path, "/rotation")) {
			n++
		}
	}
	return n
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marshaling a %T: %v", v, err))
	}
	return string(b)
}

// connect declares a connection and creates its secrets; session and token are
// empty.
func (w *world) connect(name, provider string, credential map[string]string, settings map[string]any, more map[string]any) {
	w.declare(name, provider, settings, more)
	w.aws.CreateSecret("evertoken/"+name+"/credential", nil, nil)
	w.put("evertoken/"+name+"/credential", "cur", marshal(credential))
	w.aws.CreateSecret("evertoken/"+name+"/session", nil, nil)
	w.aws.CreateSecret("evertoken/"+name+"/token", nil, nil)
}

func (w *world) declare(name, provider string, settings map[string]any, more map[string]any) {
	declared := map[string]any{"provider": provider, "settings": settings}
	for k, v := range more {
		declared[k] = v
	}
	w.aws.PutParameter("/evertoken/connections/"+name, "String", marshal(declared))
}

// flexera connects a service account whose client an operator made.
func (w *world) flexera(name string) (account int, client map[string]string) {
	f := w.idp.Flexera()
	account = f.AddServiceAccount("eu", org, name, "iam_admin")
	clientID, secret := f.AddClient(account)
	client = map[string]string{"client_id": clientID, "client_secret": secret, "note": "kept"}
	w.connect(name, "flexera", client, w.flexeraSettings(account), nil)
	return account, client
}

func (w *world) flexeraSettings(account int) map[string]any {
	f := w.idp.Flexera()
	return map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu"), "org_id": org, "service_account_id": account}
}

func (w *world) apiax(name string) {
	a := w.idp.Apiax()
	password := a.SetPassword(name, "")
	w.connect(name, "apiax", map[string]string{"username": name, "password": password}, map[string]any{"token_url": a.TokenURL()}, nil)
}

func (w *world) oauth2(name string) {
	o := w.idp.OAuth2()
	clientID, secret := o.AddClient(fakeidp.OAuth2Client{})
	w.connect(name, "oauth2", map[string]string{"client_id": clientID, "client_secret": secret}, map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}, nil)
}

// own says that the secret's clients of now are that secret's alone, as an
// operator does.
func (w *world) own(secret string, clients ...string) {
	w.Helper()
	w.tag(secret, "evertoken:delete-client", strings.Join(clients, " "))
}

func (w *world) tag(secret, key, value string) {
	w.Helper()
	_, err := w.sm.TagResource(context.Background(), &secretsmanager.TagResourceInput{SecretId: &secret, Tags: tagOf(key, value)})
	if err != nil {
		w.Fatal(err)
	}
}

// obey runs the command by which an error lets Evertoken delete a client, and
// reports whether the last error names one.
func (w *world) obey(secret string) bool {
	w.Helper()
	errs := w.errors()
	if len(errs) == 0 {
		return false
	}
	m := regexp.MustCompile(`aws secretsmanager tag-resource --secret-id (\S+) --tags 'Key=evertoken:delete-client,Value=([\w ]+)'`).FindStringSubmatch(errs[len(errs)-1].Error())
	if m == nil {
		return false
	}
	check(w.T, "the secret of the command", secret, m[1])
	w.own(secret, strings.Fields(m[2])...)
	return true
}

func tagOf(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }
