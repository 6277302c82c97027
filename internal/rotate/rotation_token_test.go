package rotate_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/secrets"
)

// put has the tested members of a PutSecretValue on the wire.
type put struct {
	RotationToken *string
	VersionStages []string
}

// puts keeps the PutSecretValue requests that pass.
type puts struct {
	mu   sync.Mutex
	seen []put
}

func (x *puts) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutSecretValue") {
		var p put
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, err
		}
		x.mu.Lock()
		x.seen = append(x.seen, p)
		x.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return http.DefaultTransport.RoundTrip(r)
}

// TestTheRotationTokenIsPassedOn rotates each of the three documents, with an event
// that has a RotationToken and with one that has none.
func TestTheRotationTokenIsPassedOn(t *testing.T) {
	t.Parallel()
	for document, connect := range map[string]func(*world){
		"evertoken/f/credential": func(w *world) { w.flexera("f") },
		"evertoken/a/session":    func(w *world) { w.Apiax("a") },
		"evertoken/o/token":      func(w *world) { w.OAuth2("o", "client_credentials") },
	} {
		for _, token := range []string{strings.Repeat("r", 36), ""} {
			w := newWorld(t)
			connect(w)
			w.prepare(document, "one")
			wire := &puts{}
			c := w.AWS.AWSConfig()
			c.HTTPClient = &http.Client{Transport: wire}
			w.rotator.Secrets = secrets.NewStore(secretsmanager.NewFromConfig(c), nil)
			err := w.handle(events.SecretsManagerSecretRotationEvent{
				Step: "createSecret", SecretID: w.AWS.Secret(document).ARN, ClientRequestToken: id("one"), RotationToken: token,
			})
			if err != nil {
				t.Errorf("%s: %v", document, err)
			}
			put := 0
			for _, p := range wire.seen {
				if len(p.VersionStages) != 1 || p.VersionStages[0] != "EVERTOKEN_MADE" {
					continue
				}
				put++
				if got := p.RotationToken; (got == nil) != (token == "") || got != nil && *got != token {
					t.Errorf("%s: an event with the RotationToken %q: the put does not send that", document, token)
				}
			}
			if put == 0 {
				t.Errorf("%s: nothing was put: %+v", document, wire.seen)
			}
		}
	}
}
