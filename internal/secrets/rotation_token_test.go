package secrets_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// wiretap keeps the bodies of the requests that pass.
type wiretap struct{ bodies []map[string]any }

func (x *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(b, &body); err != nil {
		return nil, err
	}
	x.bodies = append(x.bodies, body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return http.DefaultTransport.RoundTrip(r)
}

func TestPutAsSendsTheRotationToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("s", "first")
	tap := &wiretap{}
	c := w.AWSConfig()
	c.HTTPClient = &http.Client{Transport: tap}
	store := secrets.NewStore(secretsmanager.NewFromConfig(c), nil)
	token, id, other := strings.Repeat("r", 36), secrets.FreshID(), secrets.FreshID()
	if err := store.PutAs(t.Context(), "s", id, token, redact.New("second"), secrets.Pending); err != nil {
		t.Fatal(err)
	}
	if err := store.PutAs(t.Context(), "s", other, "", redact.New("third")); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"SecretId": "s", "ClientRequestToken": id, "RotationToken": token, "SecretString": "second", "VersionStages": []any{"AWSPENDING"}},
		{"SecretId": "s", "ClientRequestToken": other, "SecretString": "third"}, // none, rather than an empty one
	}
	if diff := cmp.Diff(want, tap.bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
}
