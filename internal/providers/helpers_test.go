package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

var testNow = time.Date(2026, time.November, 21, 16, 0, 0, 0, time.UTC)

func now() time.Time { return testNow }

// reply is one answer of the test's server.
type reply struct {
	status int
	body   string
	header string // Location or Retry-After, as "Name: value"
}

// wire is a server that keeps what reaches it and answers from a list.
type wire struct {
	*httptest.Server
	mu      sync.Mutex
	replies []reply
	got     []string
}

func newWire(t *testing.T, replies ...reply) *wire {
	t.Helper()
	w := &wire{replies: replies}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.Start()
	t.Cleanup(w.Close)
	return w
}

// serve records a request as its method and path, the headers that matter and the body.
// Without a further answer it closes the connection.
func (w *wire) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	lines := []string{r.Method + " " + r.RequestURI}
	for _, name := range []string{"Authorization", "Content-Type", "Cookie", "X-Recipient-Public-Key"} {
		if v := r.Header.Get(name); v != "" {
			lines = append(lines, name+": "+v)
		}
	}
	if r.Header.Get("Accept") != "application/json" || r.Header.Get("User-Agent") != "evertoken" {
		lines = append(lines, "unexpected Accept or User-Agent")
	}
	if len(body) > 0 {
		lines = append(lines, string(body))
	}
	w.got = append(w.got, strings.Join(lines, "\n"))
	if len(w.replies) == 0 {
		panic(http.ErrAbortHandler)
	}
	next := w.replies[0]
	w.replies = w.replies[1:]
	if name, value, ok := strings.Cut(next.header, ": "); ok {
		rw.Header().Set(name, value)
	}
	rw.WriteHeader(next.status)
	_, _ = io.WriteString(rw, strings.ReplaceAll(next.body, "SERVER", "http://"+r.Host))
}

// requests are those that came, one string each.
func (w *wire) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

// check fails the test unless exactly these requests came.
func (w *wire) check(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.requests(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

const formType = "Content-Type: application/x-www-form-urlencoded"

// open builds a provider. It replaces SERVER in the settings with base.
func open(t *testing.T, provider, settings, base string) exchange.Provider {
	t.Helper()
	p, err := tryOpen(provider, strings.ReplaceAll(settings, "SERVER", base))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryOpen(provider, settings string) (exchange.Provider, error) {
	return New(connectionFor(provider, settings),
		Options{Now: now, Client: &oauth.Client{Now: now, Timeout: 5 * time.Second}, AllowLoopbackHTTP: true})
}

func connectionFor(provider, settings string) connection.Connection {
	return connection.Connection{Name: "c1", Provider: provider, Settings: json.RawMessage(settings)}
}

// creds is a credential of pairs of member and value.
func creds(pairs ...string) credential.Credential {
	var c credential.Credential
	for i := 0; i < len(pairs); i += 2 {
		c = c.With(pairs[i], redact.New(pairs[i+1]))
	}
	return c
}

// only is the one grant that a credential allows.
func only(t *testing.T, p exchange.Provider, c credential.Credential) exchange.Grant {
	t.Helper()
	grants, err := p.Grants(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(grants) != 1 {
		t.Fatalf("%d grants, want 1", len(grants))
	}
	return grants[0]
}

func failure(t *testing.T, err error) *exchange.Error {
	t.Helper()
	e, ok := errors.AsType[*exchange.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want an *exchange.Error", err, err)
	}
	return e
}

// leaks fails the test if one of the values is in anything that v shows.
func leaks(t *testing.T, v any, values ...string) {
	t.Helper()
	shown := fmt.Sprintf("%v %+v %#v", v, v, v)
	if e, ok := v.(*exchange.Error); ok {
		shown += fmt.Sprintf("%+v", *e)
	}
	if i, ok := v.(exchange.Issued); ok {
		shown += strings.Join(i.Hints, " ")
	}
	for _, value := range values {
		if strings.Contains(shown, value) {
			t.Errorf("%q is shown: %s", value, shown)
		}
	}
}

var compare = []cmp.Option{
	cmp.Comparer(func(a, b redact.Secret) bool { return a.Reveal() == b.Reveal() }),
	cmpopts.EquateEmpty(),
}

func issuedFor(access string, life time.Duration) exchange.Issued {
	return exchange.Issued{AccessToken: redact.New(access), TokenType: "Bearer", IssuedAt: testNow,
		ExpiresAt: testNow.Add(life)}
}
