package corpus

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// answer is the answer of a server.
type answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  []byte            `json:"base64"`
	Gzip    bool              `json:"gzip"`
	Cut     bool              `json:"cut"` // the length is too large, and the connection is closed
}

// server answers as an entry says.
type server struct {
	url   string
	now   func() time.Time
	entry entry

	mu    sync.Mutex
	count int
	since time.Time // when the current token was made, for servers that keep one
}

func newServer(t *testing.T, now func() time.Time, e entry) *server {
	t.Helper()
	s := &server{now: now, entry: e}
	if e.Server != "" && rules[e.Server] == nil {
		t.Fatalf("there is no server %q", e.Server)
	}
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Start()
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

// posts is how many requests reached the token endpoint.
func (s *server) posts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path != "/token" {
		if a, ok := s.entry.Paths[r.URL.Path]; ok {
			s.write(w, a)
			return
		}
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.count++
	n := s.count
	s.mu.Unlock()
	if rule := rules[s.entry.Server]; rule != nil {
		form, _ := url.ParseQuery(string(body))
		s.write(w, rule(s, r, form))
		return
	}
	if len(s.entry.Answers) == 0 {
		s.write(w, answer{Status: 200, Body: good})
		return
	}
	s.write(w, s.entry.Answers[min(n, len(s.entry.Answers))-1])
}

var inTime = regexp.MustCompile(`<in ([0-9hms]+)>`)

func (s *server) write(w http.ResponseWriter, a answer) {
	body := a.Base64
	if body == nil {
		text := strings.ReplaceAll(a.Body, "<server>", s.url)
		body = []byte(inTime.ReplaceAllStringFunc(text, func(m string) string {
			d, err := time.ParseDuration(inTime.FindStringSubmatch(m)[1])
			if err != nil {
				return m
			}
			return s.now().Add(d).UTC().Format("2006-01-02T15:04:05")
		}))
	}
	if a.Gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		body = b.Bytes()
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	if a.Cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+100))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(body)
	if a.Cut {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

const (
	good     = `{"access_token":"at-example","token_type":"Bearer","expires_in":3600}`
	badLogin = `{"error":"invalid_client"}`
)

func refused(body string) answer { return answer{Status: 401, Body: body} }

// rules are strict servers, each with one habit that was reported.
var rules = map[string]func(*server, *http.Request, url.Values) answer{
	// Does not decode the two halves of HTTP Basic.
	"basic as it is": func(_ *server, r *http.Request, _ url.Values) answer {
		if id, secret, _ := r.BasicAuth(); id != "example/client" || secret != "z/tZ+A=Q:1~%2B" {
			return refused(badLogin)
		}
		return answer{Status: 200, Body: good}
	},
	// Decodes percent signs in HTTP Basic, and no plus.
	"basic by percent": func(_ *server, r *http.Request, _ url.Values) answer {
		id, secret, _ := r.BasicAuth()
		id, err := url.PathUnescape(id)
		secret, err2 := url.PathUnescape(secret)
		if err != nil || err2 != nil || id != "example client" || secret != "a b+c" {
			return refused(badLogin)
		}
		return answer{Status: 200, Body: good}
	},
	"audience is the issuer": func(s *server, _ *http.Request, form url.Values) answer {
		if _, claims, err := assertion(form); err != nil || claims["aud"] != s.url {
			return refused(badLogin)
		}
		return answer{Status: 200, Body: good}
	},
	"audience is the token endpoint": func(s *server, _ *http.Request, form url.Values) answer {
		if _, claims, err := assertion(form); err != nil || claims["aud"] != s.url+"/token" {
			return refused(badLogin)
		}
		return answer{Status: 200, Body: good}
	},
	// Knows a certificate by its thumbprint (Entra's AADSTS700027).
	"thumbprint": func(_ *server, _ *http.Request, form url.Values) answer {
		header, _, err := assertion(form)
		block, _ := pem.Decode([]byte(made["rsa"]().cert))
		if err != nil || block == nil {
			return refused(badLogin)
		}
		sum := sha256.Sum256(block.Bytes)
		if header.ExtraHeaders["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return refused(`{"error":"invalid_client","error_description":"AADSTS700027: The certificate with identifier used to sign the client assertion is not registered."}`)
		}
		return answer{Status: 200, Body: good}
	},
	// PS256 or ES256, with the scope as a claim (NetSuite).
	"netsuite": func(_ *server, _ *http.Request, form url.Values) answer {
		header, claims, err := assertion(form)
		if err != nil || header.Algorithm != "PS256" && header.Algorithm != "ES256" ||
			claims["scope"] != "rest_webservices" {
			return answer{Status: 400, Body: `{"error":"invalid_request"}`}
		}
		return answer{Status: 200, Body: good}
	},
	// Answers with one token for an hour, and with the time that it still lives.
	"cached for an hour": func(s *server, _ *http.Request, _ url.Values) answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.now().Sub(s.since) >= time.Hour {
			s.since = s.now()
		}
		left := time.Hour - s.now().Sub(s.since)
		return answer{Status: 200,
			Body: fmt.Sprintf(`{"access_token":"at-example-%d","token_type":"bearer","expires_in":%d}`, s.since.Unix(), int(left.Seconds()))}
	},
	"any assertion": func(_ *server, _ *http.Request, form url.Values) answer {
		if _, _, err := assertion(form); err != nil {
			return refused(badLogin)
		}
		return answer{Status: 200, Body: good}
	},
}

// assertion checks the client's assertion against the one key that an entry has.
func assertion(form url.Values) (jose.Header, map[string]any, error) {
	signed, err := jose.ParseSignedCompact(form.Get("client_assertion"),
		[]jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return jose.Header{}, nil, err
	}
	header := signed.Signatures[0].Header
	kind := "rsa"
	if header.Algorithm == string(jose.ES256) {
		kind = "p256"
	}
	payload, err := signed.Verify(made[kind]().key.Public())
	if err != nil {
		return header, nil, err
	}
	claims := map[string]any{}
	return header, claims, json.Unmarshal(payload, &claims)
}
