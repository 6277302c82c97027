package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// The built function uses the machine's clock, so here the fakes use it too, and a test
// stores old documents with old times; see [world.age].

// world is AWS, the providers and the function on loopback sockets.
type world struct {
	*arranged
	function *fakelambda.Function
	others   *others
	tb       fakeworld.TB

	mu     sync.Mutex
	output strings.Builder // all that the function printed or answered
}

// arranged is a world whose fakes have the machine's clock. Only those of its methods
// that arrange are useful here: the others run the function's code in this process.
type arranged = fakeworld.World

// options say how a world differs from the usual one.
type options struct {
	env     []string
	timeout time.Duration // of the function; a minute by default
	idp     fakeidp.Options
}

// newWorld starts a world that ends with the test, which then looks for leaks in
// all that was printed.
func newWorld(tb fakeworld.TB, o options) *world {
	tb.Helper()
	w := &world{arranged: fakeworld.New(tb), others: newOthers(tb), tb: tb}
	var err error
	if w.AWS, err = fakeaws.New(fakeaws.Options{Invoke: w.others.invokeRotate, Other: w.others}); err != nil {
		tb.Fatalf("starting the fake of AWS: %v", err)
	}
	tb.Cleanup(w.AWS.Close)
	if w.IDP, err = fakeidp.New(o.idp); err != nil {
		tb.Fatalf("starting the fake providers: %v", err)
	}
	tb.Cleanup(w.IDP.Close)
	if authority := w.IDP.Authority(); authority != nil {
		// A private authority is configured as operators do it: docs/providers.md.
		file, err := os.CreateTemp("", "authority-*.pem")
		if err != nil {
			tb.Fatalf("making a file: %v", err)
		}
		tb.Cleanup(func() { _ = os.Remove(file.Name()) })
		if err := os.WriteFile(file.Name(), authority, 0o600); err != nil {
			tb.Fatalf("writing the authority: %v", err)
		}
		_ = file.Close()
		o.env = append(o.env, "SSL_CERT_FILE="+file.Name())
	}
	w.function = w.start(o)
	w.others.lambda.Add("issue", w.function)
	tb.Cleanup(func() {
		_ = w.function.Close()
		shown := w.others.shown.String()
		for i, canary := range w.IDP.Canaries() {
			if strings.Contains(shown, canary) {
				tb.Fatalf("the command printed secret %d", i)
			}
		}
		for _, leak := range leaks(w.printed(), w.IDP.Canaries()) {
			tb.Fatalf("leaked: %s", leak)
		}
	})
	return w
}

// start starts a function in this world.
func (w *world) start(o options) *fakelambda.Function {
	w.tb.Helper()
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	env := []string{
		"AWS_ENDPOINT_URL=" + w.AWS.URL(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_LAMBDA_LOG_LEVEL=DEBUG", "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1",
	}
	f, err := fakelambda.Start(context.Background(), fakelambda.Options{
		Binary: bootstrap, Name: "issue", Env: append(env, o.env...), Timeout: o.timeout, MemoryMB: 256,
	})
	if err != nil {
		w.tb.Fatalf("starting the function: %v", err)
	}
	return f
}

// invoke runs the function and keeps what it printed.
func (w *world) invoke(f *fakelambda.Function, event string) (fakelambda.Result, error) {
	result, err := f.Invoke(context.Background(), []byte(event))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output.Write(result.Logs)
	w.output.WriteByte('\n')
	w.output.Write(result.Payload)
	w.output.WriteByte('\n')
	return result, err
}

func (w *world) printed() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.String()
}

// report is the function's answer, as a caller reads it.
type report struct {
	Checked, Issued, Fresh, Failed, Blocked, Waiting, Deferred int
	Connections                                                []struct {
		Name, Outcome, Reason, Hint string
		ErrorClass                  string `json:"error_class"`
	}
}

// run invokes the world's function on an event that it must answer.
func (w *world) run(f *fakelambda.Function, event string) (report, error) {
	var out report
	result, err := w.invoke(f, event)
	switch {
	case err != nil:
		return out, err
	case result.FunctionError != "":
		return out, fmt.Errorf("the function failed: %s", result.Payload)
	}
	if err := json.Unmarshal(result.Payload, &out); err != nil {
		return out, fmt.Errorf("reading the answer %s: %w", result.Payload, err)
	}
	return out, nil
}

// operator is Secrets Manager as a person uses it. Its calls are marked, so that
// they are not counted as the function's.
func (w *world) operator() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(w.AWS.AWSConfig(), func(o *secretsmanager.Options) {
		o.AppID = operatorID
		o.Retryer = aws.NopRetryer{}
	})
}

// operatorID is in the User-Agent of an operator's calls.
const operatorID = "operator"

// calls are those of the function since the last run began.
func (w *world) calls() []fakeaws.Call {
	var out []fakeaws.Call
	for _, c := range w.AWS.Calls() {
		if !strings.Contains(c.Client, "app/"+operatorID) {
			out = append(out, c)
		}
	}
	return out
}

// put stores a value as AWSCURRENT.
func (w *world) put(name, value string) error {
	_, err := w.operator().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value})
	if err != nil {
		return fmt.Errorf("storing %s: %w", name, err)
	}
	return nil
}

// current is the value of a secret, "" if it has none.
func (w *world) current(name string) string {
	v, _ := w.AWS.Secret(name).Labelled(secrets.Current)
	return v.Value
}

// age makes documents of a connection older: it moves every time in them back. The
// provider does not notice, so what they hold still works.
func (w *world) age(name string, by time.Duration, documents ...string) error {
	for _, document := range documents {
		id := "evertoken/" + name + "/" + document
		value := w.current(id)
		if value == "" {
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return fmt.Errorf("reading %s: %w", id, err)
		}
		aged, err := json.Marshal(older(v, by))
		if err != nil {
			return fmt.Errorf("encoding %s: %w", id, err)
		}
		younger, _ := w.AWS.Secret(id).Labelled(secrets.Current)
		if err := w.put(id, string(aged)); err != nil {
			return err
		}
		// else it would be found, and brought forward
		if err := w.unlabel(id, secrets.Previous, younger.ID); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) unlabel(name, label, versionID string) error {
	_, err := w.operator().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &name, VersionStage: &label, RemoveFromVersionId: &versionID,
		})
	if err != nil {
		return fmt.Errorf("taking %s off %s: %w", label, name, err)
	}
	return nil
}

func older(v any, by time.Duration) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = older(member, by)
		}
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.Add(-by).UTC().Format(time.RFC3339)
		}
	}
	return v
}

// sent counts how often the providers acted on each refresh token and password.
func (w *world) sent() (refresh, passwords map[string]int) {
	refresh, passwords = map[string]int{}, map[string]int{}
	for _, r := range w.IDP.Requests() {
		if !r.Processed || r.Form == nil {
			continue
		}
		if token := r.Form.Get("refresh_token"); token != "" {
			refresh[token]++
		}
		if password := r.Form.Get("password"); password != "" {
			passwords[password]++
		}
	}
	return refresh, passwords
}
