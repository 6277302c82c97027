package fakeidp

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The providers' names, as used in [Request.Provider], [Fault.Provider] and
// [Server.Accepts]. Each is also the first segment of its paths.
const (
	ProviderFlexera    = "flexera"
	ProviderFlexNet    = "flexnet"
	ProviderSharetribe = "sharetribe"
	ProviderApiax      = "apiax"
	ProviderOAuth2     = "oauth2"
)

// redirected is the path, and the recorded provider, where a [Redirect] fault
// points by default. A request that arrives there was made by a client that
// followed a redirect.
const redirected = "redirected"

// Options configures a [Server].
type Options struct {
	// Addr is the loopback address to listen on. Empty means a free port of
	// 127.0.0.1.
	Addr string
	// Now is the clock of every provider. Nil means time.Now.
	Now func() time.Time
	// NoEcho keeps error descriptions free of what the client sent. By default
	// they repeat it, secrets included, as real servers may.
	NoEcho bool
	// TLS serves https with a certificate of the server's own authority, and asks
	// clients for theirs; see [Server.Authority].
	TLS bool
	// ControlCharacters puts line breaks and terminal escapes into error
	// descriptions.
	ControlCharacters bool
}

// Server is all providers on one listening socket. Its methods are safe for
// concurrent use.
type Server struct {
	opts Options
	url  string

	authority []byte // the certificate to trust, in PEM; nil without TLS

	http    *http.Server
	closing chan struct{}
	close   func() error

	// mu guards everything below, the providers' state included: one request's
	// logic is one atomic step.
	mu       sync.Mutex
	requests []*Request
	faults   []*injected
	canaries []string
	access   map[string]*accessToken // :: access token → what is known of it

	flexera    *Flexera
	flexnet    *FlexNet
	sharetribe *Sharetribe
	apiax      *Apiax
	oauth2     *OAuth2
}

// Request is one HTTP request that reached the server. It holds secrets.
type Request struct {
	Time time.Time
	// Provider is one of the Provider constants, "redirected" for a client that
	// followed a [Redirect] fault, or "" for an unknown path.
	Provider string
	Method   string
	Path     string     // as sent, escaped
	Grant    string     // the grant_type parameter, if any
	Form     url.Values // the form body, nil for any other content type
	Header   http.Header
	Body     []byte
	// Status is what was answered, 0 if nothing was.
	Status int
	// Processed says that the provider's logic ran, even if the answer was
	// dropped or replaced.
	Processed  bool
	RemoteAddr string
}

// New starts a server on a loopback address. The caller must Close it.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("parsing listen address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listening on %q: not a loopback address", host)
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	scheme, authority := "http://", []byte(nil)
	if o.TLS {
		scheme = "https://"
		if ln, authority, err = overTLS(ln, host); err != nil {
			return nil, err
		}
	}
	s := &Server{
		opts: o,
		url:  scheme + ln.Addr().String(),

		authority: authority,
		closing:   make(chan struct{}),
		access:    make(map[string]*accessToken),
	}
	s.flexera = newFlexera(s)
	s.flexnet = newFlexNet(s)
	s.sharetribe = newSharetribe(s)
	s.apiax = newApiax(s)
	s.oauth2 = newOAuth2(s)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		return s.http.Close()
	})
	go func() { _ = s.http.Serve(ln) }() // returns ErrServerClosed after Close
	return s, nil
}

// Close stops the server at once and ends requests that hang. Further calls do
// nothing.
func (s *Server) Close() { _ = s.close() }

// Authority is the certificate that clients must trust, in PEM; nil without
// TLS.
func (s *Server) Authority() []byte { return s.authority }

// URL is the server's base URL, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Flexera is Flexera One.
func (s *Server) Flexera() *Flexera { return s.flexera }

// FlexNet is FlexNet Operations.
func (s *Server) FlexNet() *FlexNet { return s.flexnet }

// Sharetribe is Sharetribe's Authentication API.
func (s *Server) Sharetribe() *Sharetribe { return s.sharetribe }

// Apiax is the Keycloak realm of Apiax.
func (s *Server) Apiax() *Apiax { return s.apiax }

// OAuth2 is the plain RFC 6749 authorization server.
func (s *Server) OAuth2() *OAuth2 { return s.oauth2 }

// Requests returns every request so far in order of arrival, those still being
// answered included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.requests))
	for i, r := range s.requests {
		out[i] = r.clone()
	}
	return out
}

// ResetRequests forgets the requests recorded so far.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (r *Request) clone() Request {
	c := *r
	c.Header = r.Header.Clone()
	c.Body = slices.Clone(r.Body)
	if r.Form != nil {
		c.Form = url.Values(http.Header(r.Form).Clone())
	}
	return c
}

// Accepts reports whether the provider's own APIs would accept the access token
// at this moment of the clock.
func (s *Server) Accepts(provider, accessToken string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if provider == ProviderFlexNet {
		return s.flexnet.byValue(accessToken) != nil
	}
	return s.liveAccess(provider, accessToken) != nil
}

// RefreshTokenAlive reports whether the provider would accept the refresh token
// at this moment of the clock. Asking does not spend it.
func (s *Server) RefreshTokenAlive(provider, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.liveRefreshTokens(provider), token)
}

// LiveRefreshTokens is how many refresh tokens the provider would accept at
// this moment of the clock.
func (s *Server) LiveRefreshTokens(provider string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.liveRefreshTokens(provider))
}

func (s *Server) liveRefreshTokens(provider string) []string {
	switch provider {
	case ProviderFlexera:
		return s.flexera.liveRefreshTokens()
	case ProviderSharetribe:
		return s.sharetribe.tokens.live(s.now())
	case ProviderApiax:
		return s.apiax.liveRefreshTokens()
	case ProviderOAuth2:
		return s.oauth2.tokens.live(s.now())
	}
	return nil
}

func (s *Server) now() time.Time { return s.opts.Now().UTC() }

// process runs the provider's logic for one request.
func (s *Server) process(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.provider {
	case ProviderFlexera:
		return s.flexera.serve(c)
	case ProviderFlexNet:
		return s.flexnet.serve(c)
	case ProviderSharetribe:
		return s.sharetribe.serve(c)
	case ProviderApiax:
		return s.apiax.serve(c)
	case ProviderOAuth2:
		return s.oauth2.serve(c)
	case redirected:
		return jsonReply(http.StatusOK, map[string]any{
			"access_token": s.mint(redirected, "access"), "token_type": "Bearer", "expires_in": 3600,
		})
	}
	return textReply(http.StatusNotFound, "404 page not found\n")
}

// handle receives, disturbs, processes, records and answers one request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	c, err := newCall(r, s.now())
	if err != nil {
		http.Error(w, "unreadable request", http.StatusBadRequest)
		return
	}
	rec := &Request{
		Time: c.now, Provider: c.provider, Method: r.Method, Path: r.URL.EscapedPath(),
		Grant: c.param("grant_type"), Form: c.form, Header: r.Header.Clone(), Body: c.body,
		RemoteAddr: r.RemoteAddr,
	}
	s.mu.Lock()
	s.requests = append(s.requests, rec)
	seen := rec.clone()
	s.mu.Unlock()

	fault := s.pick(seen)
	var out reply
	processed := fault == nil || fault.Kind.processes()
	if processed {
		out = s.process(c)
	}
	if fault != nil {
		out = fault.shape(out, s.url+"/"+redirected+"/"+c.provider)
	}
	if fault != nil && fault.Hook != nil {
		seen.Processed, seen.Status = processed, out.status
		fault.Hook(seen)
	}
	s.mu.Lock()
	rec.Processed, rec.Status = processed, out.status
	s.mu.Unlock()
	if fault != nil && fault.Kind == Hang {
		s.hang(r)
	}
	send(w, out)
}

// hang waits until the client disconnects or the server closes.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closing:
	}
}

// isForm reports whether a Content-Type header names a form body.
func isForm(contentType string) bool {
	return mediaType(contentType) == "application/x-www-form-urlencoded"
}

// mediaType is a Content-Type without its parameters, in lower case.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
