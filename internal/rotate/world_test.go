package rotate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/redact"
	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
)

// org is the organization of the Flexera service accounts.
const org = 1105

// world is the world of all tests, with the rotator as Secrets Manager's function and
// version ids that can be read.
type world struct {
	*testing.T
	*fakeworld.World
	store   *secrets.Store
	rotator *rotate.Rotator

	dead atomic.Bool // the function waits for nothing any more

	mu       sync.Mutex
	failures []error // of invocations, in order
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return rotating(t, fakeworld.New(t))
}

// beside is another world that shares the providers with w.
func (w *world) beside() *world {
	w.Helper()
	return rotating(w.T, w.Beside(w.T))
}

func rotating(t *testing.T, around *fakeworld.World) *world {
	w := &world{T: t, World: around, store: around.Store()}
	w.Sleep = w.sleep
	w.rotator = w.Rotator()
	w.OnRotation = fakeworld.Steps(w.handle)
	t.Cleanup(w.noCanaries)
	return w
}

// sleep takes no time, and fails in a function that has died.
func (w *world) sleep(ctx context.Context, d time.Duration) error {
	if w.dead.Load() {
		return context.Canceled
	}
	return w.Clock.Sleep(ctx, d)
}

// noCanaries searches logs and answers for secrets.
func (w *world) noCanaries() {
	said := w.Log.String()
	for _, err := range w.errors() {
		said += err.Error()
	}
	for _, canary := range append(w.IDP.Canaries(), fakeidp.Canary) {
		if strings.Contains(said, canary) {
			w.Errorf("a log or an error contains a secret")
		}
	}
	for _, err := range w.errors() {
		if strings.Contains(err.Error(), "arn:") || strings.Contains(err.Error(), "123456789012") {
			w.Errorf("an error tells an ARN or an account: %v", err)
		}
	}
}

// handle serves an event and remembers its error.
func (w *world) handle(e events.SecretsManagerSecretRotationEvent) error {
	err := fakeworld.Handle(w.rotator, e)
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

// id is a version id that begins with a readable name.
func id(name string) string { return name + strings.Repeat("-", 36-len(name)) }

// rotateSecret begins a rotation to the version named, and waits until it has
// ended or failed.
func (w *world) rotateSecret(secret, version string, edit ...func(*secretsmanager.RotateSecretInput)) error {
	return w.Rotate(secret, id(version), edit...)
}

// prepare leaves an empty version under AWSPENDING, as an abandoned rotation.
func (w *world) prepare(secret, version string) {
	w.Helper()
	w.Prepare(secret, id(version))
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
		Step: step, SecretID: w.AWS.Secret(secret).ARN, ClientRequestToken: id(version), RotationToken: strings.Repeat("r", 36),
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

// labels lists the labelled versions by the names of their ids; a version without a value
// has a "?".
func (w *world) labels(secret string) string {
	var out []string
	for _, v := range w.AWS.Secret(secret).Versions {
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
	v, _ := w.AWS.Secret(secret).Labelled(label)
	return v.Value
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
func (w *world) connect(name, provider string, credential map[string]string,
	settings map[string]any, more map[string]any) {
	w.declare(name, provider, settings, more)
	w.AWS.CreateSecret("evertoken/"+name+"/credential", nil, nil)
	w.put("evertoken/"+name+"/credential", "cur", marshal(credential))
	w.AWS.CreateSecret("evertoken/"+name+"/session", nil, nil)
	w.AWS.CreateSecret("evertoken/"+name+"/token", nil, nil)
}

func (w *world) declare(name, provider string, settings map[string]any, more map[string]any) {
	declared := map[string]any{"provider": provider, "settings": settings}
	for k, v := range more {
		declared[k] = v
	}
	w.AWS.PutParameter("/evertoken/connections/"+name, "String", marshal(declared))
}

// flexera connects a service account whose client an operator made.
func (w *world) flexera(name string) (account int, client map[string]string) {
	f := w.IDP.Flexera()
	account = f.AddServiceAccount("eu", org, name, "iam_admin")
	clientID, secret := f.AddClient(account)
	client = map[string]string{"client_id": clientID, "client_secret": secret, "note": "kept"}
	w.connect(name, "flexera", client, w.flexeraSettings(account), nil)
	return account, client
}

func (w *world) flexeraSettings(account int) map[string]any {
	f := w.IDP.Flexera()
	return map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu"),
		"org_id": org, "service_account_id": account}
}

// own records that the secret's current clients belong to that secret alone, as an
// operator does.
func (w *world) own(secret string, clients ...string) {
	w.Helper()
	w.tag(secret, "evertoken:delete-client", strings.Join(clients, " "))
}

func (w *world) tag(secret, key, value string) {
	w.Helper()
	_, err := w.SecretsManager().TagResource(context.Background(),
		&secretsmanager.TagResourceInput{SecretId: &secret, Tags: tagOf(key, value)})
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
