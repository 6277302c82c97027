package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/redact"
)

const (
	canary      = "canary9f3e7a"
	canaryOther = "canaryBodyText5c1d"
)

var testNow = time.Date(2026, time.November, 21, 16, 0, 0, 0, time.UTC)

// loopback lets requests go to the servers of these tests.
var loopback = hosts.Policy{Loopback: true}

// boxed are the headers of an answer.
func boxed(h http.Header) redact.Box[http.Header] { return redact.Wrap(&h) }

func newClient() *Client { return &Client{Now: func() time.Time { return testNow }} }

// serve starts a server on a loopback socket.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// failure is err as an *exchange.Error, without its hint unless asked for.
func failure(t *testing.T, err error) exchange.Error {
	t.Helper()
	e, ok := errors.AsType[*exchange.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want an *exchange.Error", err, err)
	}
	return *e
}

// leaks fails the test if a canary is in anything that an error shows.
func leaks(t *testing.T, err error) {
	t.Helper()
	shown := fmt.Sprintf("%v %+v %#v", err, err, err)
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		shown += fmt.Sprintf("%+v", *e)
	}
	for _, c := range []string{canary, canaryOther} {
		if strings.Contains(shown, c) {
			t.Errorf("a canary is in the error: %s", shown)
		}
	}
}

func post(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader("refresh_token="+canary))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// A server that closes kept-alive connections when they are used again is what
// makes net/http send a request twice.
func TestARequestIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			onConnection := map[string]int{}
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				if onConnection[r.RemoteAddr]++; onConnection[r.RemoteAddr] > 1 {
					hangUp(w)
				}
			})
			c := newClient()
			for range 3 {
				r := post(t, s.URL)
				r.Method = method
				if _, err := c.Do(t.Context(), loopback, r, "x"); err != nil {
					t.Fatalf("a new connection each time, but: %v", err)
				}
			}
			if n := requests.Load(); n != 3 {
				t.Errorf("the server saw %d requests, want 3", n)
			}
		})
	}
}

func TestAServerThatHangsUpSeesOneRequest(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests.Add(1)
		hangUp(w)
	})
	_, err := newClient().Do(t.Context(), loopback, post(t, s.URL), "trying")
	want := exchange.Error{Class: exchange.Transient, Doing: "trying", Lost: true,
		Problem: "the connection broke before the answer", Hint: hintStatus}
	if diff := cmp.Diff(want, failure(t, err)); diff != "" {
		t.Error(diff)
	}
	if requests.Load() != 1 {
		t.Errorf("the server saw %d requests", requests.Load())
	}
	leaks(t, err)
}

func TestAMissingAnswerTellsWhetherTheRequestWasSent(t *testing.T) {
	t.Parallel()
	// At a client's own address no server listens, and no other process can take the port.
	client, err := net.Dial("tcp", serve(t, nil).Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	closedURL := "http://" + client.LocalAddr().String()

	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		url     string
		timeout time.Duration
		maxBody int64
		want    exchange.Error
	}{
		{name: "no server listens", url: closedURL,
			want: exchange.Error{Class: exchange.Transient, Problem: "no connection",
				Hint: "If this lasts, check the host and the port in the URL, and look at the " +
					"provider's status page."}},
		{name: "no answer in time", timeout: 50 * time.Millisecond,
			handler: func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not see us leave
				<-r.Context().Done()
			},
			want: exchange.Error{Class: exchange.Transient, Lost: true, Problem: "no answer in time",
				Hint: hintStatus}},
		{name: "half an answer",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, `{"access_token":"`+canaryOther)
			},
			want: exchange.Error{Class: exchange.Transient, Status: 200, Lost: true,
				Problem: "the answer broke off"}},
		{name: "half an answer, slowly", timeout: 50 * time.Millisecond,
			handler: func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, `{"access_token":"`+canaryOther)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			},
			want: exchange.Error{Class: exchange.Transient, Status: 200, Lost: true,
				Problem: "the answer broke off"}},
		{name: "too long an answer", maxBody: 10,
			handler: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, canaryOther+canaryOther)
			},
			want: exchange.Error{Class: exchange.Transient, Status: 200, Lost: true,
				Problem: "the answer is too long to be a token response"}},
		{name: "no HTTP",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, "220 mail.example.com "+canaryOther+"\r\n")
					_ = conn.Close()
				}
			},
			want: exchange.Error{Class: exchange.Transient, Lost: true,
				Problem: "the connection broke before the answer", Hint: hintStatus}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := tt.url
			if tt.handler != nil {
				url = serve(t, tt.handler).URL
			}
			c := newClient()
			c.Timeout, c.MaxBody = tt.timeout, tt.maxBody
			_, err := c.Do(t.Context(), loopback, post(t, url+"/"+canary), "trying")
			tt.want.Doing = "trying"
			if diff := cmp.Diff(tt.want, failure(t, err)); diff != "" {
				t.Error(diff)
			}
			leaks(t, err)
		})
	}
}

func TestAnAnswerIsReadUpToALimit(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_,
				_ = io.WriteString(w, strings.Repeat("x", size))
		})
		if _, err := newClient().Do(t.Context(), loopback, post(t, s.URL), "x"); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A refusal counts although its body cannot be read completely.
func TestARefusalCountsThoughItsBodyIsBroken(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "half")
	})
	a, err := newClient().Do(t.Context(), loopback, post(t, s.URL), "x")
	if err != nil || a.Status != 503 || a.Body.Reveal() != "half" {
		t.Errorf("Do = %d %q, %v", a.Status, a.Body.Reveal(), err)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		a, err := newClient().Do(t.Context(), loopback, post(t, s.URL), "x")
		if err != nil || a.Status != status {
			t.Errorf("%d: Do = %d, %v", status, a.Status, err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	start := func(config *tls.Config) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = config
		s.EnableHTTP2 = true
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	good := start(nil)
	old := start(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	pool := x509.NewCertPool()
	pool.AddCert(good.Certificate())
	pool.AddCert(old.Certificate())
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})

	trusting := newClient()
	trusting.RootCAs = pool
	a, err := trusting.Do(t.Context(), loopback, post(t, good.URL), "x")
	if err != nil || a.Body.Reveal() != "HTTP/1.1" {
		t.Errorf("Do = %q, %v; want HTTP/1.1 even where HTTP/2 is offered", a.Body.Reveal(), err)
	}

	_, err = newClient().Do(t.Context(), loopback, post(t, good.URL), "x")
	if e := failure(t, err); e.Class != exchange.Misconfigured || e.Lost ||
		e.Problem != "the server's certificate is not trusted" {
		t.Errorf("an untrusted certificate: %+v", e)
	}
	_, err = trusting.Do(t.Context(), loopback, post(t, old.URL), "x")
	if e := failure(t, err); e.Class != exchange.Transient || e.Lost {
		t.Errorf("TLS 1.1: %+v", e)
	}
	_, err = trusting.Do(t.Context(), loopback,
		post(t, strings.Replace(plain.URL, "http:", "https:", 1)), "x")
	if e := failure(t, err); e.Class != exchange.Misconfigured || e.Lost ||
		e.Problem != "the server does not speak TLS" {
		t.Errorf("https to a port without TLS: %+v", e)
	}
}

func TestAConnectionErrorIsClassified(t *testing.T) {
	t.Parallel()
	e := unanswered(fmt.Errorf("dialing: %w", &net.DNSError{Name: canary + ".example.com",
		IsNotFound: true}), false, "x")
	if e.Problem != "the host name was not resolved" || e.Lost || e.Class != exchange.Transient {
		t.Errorf("DNS: %+v", e)
	}
	leaks(t, e)
	e = unanswered(&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, true, "x")
	if e.Class != exchange.Misconfigured || e.Lost || e.Problem != "the server refused the TLS connection" {
		t.Errorf("a certificate is missing: %+v", e)
	}
	if e := unanswered(context.DeadlineExceeded, false, "x"); e.Problem != "no connection in time" || e.Lost {
		t.Errorf("dial timeout: %+v", e)
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient().Do(ctx, loopback, post(t, s.URL), "x")
	if e := failure(t, err); !e.Lost || e.Class != exchange.Transient {
		t.Errorf("%+v", e)
	}
}

func TestAnErrorNamesTheHostAlone(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://login.example.com/oidc/token?x=" + canary: "trying at login.example.com",
		"http://127.0.0.1:80/" + canary:                    "trying at 127.0.0.1:80",
		"::" + canary:                                      "trying",
	} {
		if got := Doing("trying", url); got != want {
			t.Errorf("Doing(%q) = %q", url, got)
		}
	}
}
