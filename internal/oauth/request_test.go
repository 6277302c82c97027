package oauth

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/redact"
)

func TestAnExchangeCanBeSentAsJSON(t *testing.T) {
	t.Parallel()
	where, got := raw(t)
	_, err := newClient().Exchange(t.Context(), loopback, Request{TokenURL: where, JSON: true, Auth: AuthBody,
		ClientID: redact.New("id"), ClientSecret: redact.New(`s"é`),
		Headers: map[string]redact.Secret{"x-api-key": redact.New(canary),
			"accept": redact.New("application/vnd.x+json"), "User-Agent": redact.New("acme")},
		Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}, "resource": {"a", "b"}})})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"client_id":"id","client_secret":"s\"é","grant_type":"client_credentials","resource":["a","b"]}`
	want := fmt.Sprintf("POST /token HTTP/1.1\r\nHost: HOST\r\nUser-Agent: acme\r\nContent-Length: %d\r\nAccept: application/vnd.x+json\r\n"+
		"Content-Type: application/json\r\nX-Api-Key: %s\r\nConnection: close\r\n\r\n%s", len(body),
		canary, body)
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Error(diff)
	}
}

// A header from the settings can neither split the request nor replace one that the
// request needs.
func TestAHeaderThatWouldChangeTheRequestIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string
		auth        Auth
	}{
		{"Host", "other.example.com", AuthNone}, {"content-length", "3", AuthNone},
		{"Transfer-Encoding", "chunked", AuthNone},
		{"content-type", "text/plain", AuthNone}, {"Connection", "x", AuthNone},
		{"authorization", "Basic " + canary, AuthBasic},
		{"X-A", canary + "\r\nX-B: c", AuthNone}, {"X-A", canary + "\x00", AuthNone},
		{"X A", canary, AuthNone}, {"", canary, AuthNone},
		{"X-" + canaryOther + "\n", canary, AuthNone},
	} {
		_, err := newClient().Exchange(t.Context(), loopback,
			Request{TokenURL: "http://127.0.0.1:1/t", Auth: tt.auth,
				Headers: map[string]redact.Secret{tt.name: redact.New(tt.value)},
				Form:    redact.ValuesOf(url.Values{"grant_type": {"x"}})})
		e := failure(t, err)
		if e.Class != exchange.Misconfigured || e.Lost || !strings.HasPrefix(e.Problem,
			"a header in the settings cannot be sent") {
			t.Errorf("%q: %+v", tt.name, e)
		}
		if strings.Contains(e.Error(), canary) {
			t.Errorf("%q: the error shows a header's value: %v", tt.name, err)
		}
	}
}

// An answer may repeat a header's secret: it is never shown as an error code.
func TestAHeadersValueIsNeverShownAsACode(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, r.Header.Get("X-Api-Key"))
	})
	_, err := newClient().Exchange(t.Context(), loopback, Request{TokenURL: s.URL,
		Headers: map[string]redact.Secret{"X-Api-Key": redact.New("words.of.key")},
		Form:    redact.ValuesOf(url.Values{"grant_type": {"x"}})})
	if e := failure(t, err); e.Code != "" {
		t.Errorf("the code is %q", e.Code)
	}
}

// issue makes a certificate by which a client authenticates, and the pool that
// trusts it.
func issue(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := fakekeys.Generate(t, "p256")
	leaf := fakekeys.Certificate(t, key, "client", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, pool
}

func TestAnExchangePresentsItsCertificate(t *testing.T) {
	t.Parallel()
	certificate, trusted := issue(t)
	stranger, _ := issue(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"access_token":"for-%s","expires_in":3600}`,
			r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
		// With TLS 1.3 the refusal comes after the handshake, and races with the
		// request: TestAConnectionErrorIsClassified has its error.
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	client := newClient()
	client.RootCAs = x509.NewCertPool()
	client.RootCAs.AddCert(s.Certificate())

	ask := func(c *tls.Certificate) (exchange.Issued, error) {
		return client.Exchange(t.Context(), loopback, Request{TokenURL: s.URL,
			Certificate: redact.Wrap(c),
			Form:        redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}})})
	}
	issued, err := ask(&certificate)
	if err != nil || issued.AccessToken.Reveal() != "for-client" {
		t.Fatalf("issued %q, %v", issued.AccessToken.Reveal(), err)
	}
	// One request's certificate is not used for another, and a refusal by TLS comes
	// before the server could act.
	for name, c := range map[string]*tls.Certificate{"none": nil, "another's": &stranger} {
		_, err := ask(c)
		e := failure(t, err)
		if e.Class != exchange.Misconfigured || e.Lost ||
			e.Problem != "the server refused the TLS connection" ||
			!strings.Contains(e.Hint, "certificate") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
