package fakeidp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	fakeclock "evertoken/internal/fake/clock"
	fakeidp "evertoken/internal/fake/idp"
)

const form = "application/x-www-form-urlencoded"

// start runs a server whose clock begins at noon of a fixed day.
func start(t *testing.T, o fakeidp.Options) (*fakeidp.Server, *fakeclock.Clock) {
	t.Helper()
	c := fakeclock.New(time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC))
	o.Now = c.Now
	s, err := fakeidp.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(s.Close)
	return s, c
}

// answer is an HTTP response read whole, its body decoded where it is JSON.
type answer struct {
	status int
	header http.Header
	text   string
	json   any
}

// get is a member of a JSON object, "" if it is no string.
func (a answer) get(name string) string {
	v, _ := a.member(name).(string)
	return v
}

// member is a member of a JSON object, or of its responseObject.
func (a answer) member(name string) any {
	m, _ := a.json.(map[string]any)
	if inner, ok := m["responseObject"].(map[string]any); ok {
		m = inner
	}
	return m[name]
}

// client follows no redirect and keeps no connection.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// try sends a request and returns the error of a connection that broke.
func try(t *testing.T, method, target, body string, headers ...string) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(b)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") ||
		strings.Contains(resp.Header.Get("Content-Type"), "goa") {
		_ = json.Unmarshal(b, &a.json) // a broken body stays nil, which tests look at
	}
	return a, err
}

// do sends a request that must be answered.
func do(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	a, err := try(t, method, target, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// post sends a form made of name, value pairs.
func post(t *testing.T, target string, pairs ...string) answer {
	t.Helper()
	return do(t, http.MethodPost, target, encode(pairs...), "Content-Type", form)
}

func encode(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// wantStatus fails the test unless the answer has the status.
func wantStatus(t *testing.T, what string, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Fatalf("%s: got status %d, want %d; body %q", what, a.status, want, a.text)
	}
}

// wantError fails the test unless the answer has the status and error code,
// of RFC 6749 or Goa.
func wantError(t *testing.T, what string, a answer, status int, code string) {
	t.Helper()
	wantStatus(t, what, a, status)
	if got := a.get("error") + a.get("name"); got != code {
		t.Fatalf("%s: got error %q, want %q; body %q", what, got, code, a.text)
	}
}
