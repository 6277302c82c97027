package telemetry_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/telemetry"
)

func TestCallsAreCountedByOperation(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	calls := telemetry.NewCalls(server.Client())
	for _, target := range []string{"secretsmanager.PutSecretValue", "AmazonSSM.GetParameters", "secretsmanager.PutSecretValue"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", target)
		answer, err := calls.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	want := map[string]int{"PutSecretValue": 2, "GetParameters": 1}
	if diff := cmp.Diff(want, calls.Take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if left := calls.Take(); len(left) != 0 {
		t.Errorf("counted twice: %v", left)
	}
}

func TestRequestsToProvidersAreLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.LogRequests(slog.New(slog.NewJSONHandler(&out, nil)))(t.Context(),
		"login.example.com", 503, 1500*time.Millisecond)
	if want := `"level":"INFO","msg":"provider request","host":"login.example.com","status":503,"took_ms":1500}`; !strings.Contains(out.String(), want) {
		t.Errorf("logged %s", out.String())
	}
}
