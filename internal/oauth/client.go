package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/redact"
)

// Defaults of a [Client].
const (
	defaultTimeout = 20 * time.Second
	defaultMaxBody = 1 << 20
)

// userAgent names the software, so that a provider's operators know whom to ask.
const userAgent = "evertoken"

// Client sends requests to token endpoints, each exactly once. The zero Client
// is ready to use. A Client is safe for concurrent use and must not be copied
// or changed after its first use.
type Client struct {
	// Timeout bounds one request from dialing to the last byte of the answer;
	// 0 means 20 seconds.
	Timeout time.Duration
	// MaxBody bounds an answer's body in bytes; 0 means 1 MiB.
	MaxBody int64
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// RootCAs are the certificate authorities to trust; nil means the
	// system's.
	RootCAs *x509.CertPool
	// Observe, unless nil, is called for each request that was sent, with the host, the
	// status of the answer (0 if none came), and the time it took.
	Observe func(ctx context.Context, host string, status int, took time.Duration)

	resolver *net.Resolver // for tests; nil means the system's

	once sync.Once
	http *http.Client
}

// Answer is a server's answer, whatever its status. Its body may contain tokens or echo
// what was sent.
type Answer struct {
	Status int
	Header redact.Box[http.Header]
	Body   redact.Secret
}

// headers returns the answer's headers, empty if there are none.
func (a Answer) headers() http.Header {
	if h := a.Header.Reveal(); h != nil {
		return *h
	}
	return nil
}

// Location returns the header Location, empty if there is none.
func (a Answer) Location() string { return a.headers().Get("Location") }

// OK reports a 2xx status.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Client) observe(ctx context.Context, r *http.Request, answer *http.Response,
	took time.Duration,
) {
	if c.Observe == nil {
		return
	}
	status := 0
	if answer != nil {
		status = answer.StatusCode
	}
	c.Observe(ctx, r.URL.Hostname(), status, took)
}

// client builds the HTTP client once.
//
// A request must reach the server at most once, since sending a single-use
// refresh token twice ends its session. net/http sends a request again when a
// kept-alive connection turns out to be broken (net/http.Transport, "network
// errors"), and its HTTP/2 does so after GOAWAY and REFUSED_STREAM. So each
// request has its own connection, and HTTP/1.1 only.
func (c *Client) client() *http.Client {
	c.once.Do(func() {
		transport := &http.Transport{
			Proxy:              http.ProxyFromEnvironment,
			DialContext:        c.dial,
			DisableKeepAlives:  true,
			DisableCompression: true,
			// A non-nil, empty map turns HTTP/2 off.
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
		c.http = &http.Client{
			Transport: transport,
			// A redirect would carry the credential elsewhere. Evertoken treats it as an
			// answer.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return c.http
}

// presenting returns the HTTP client that presents a certificate if a server asks for one
// (RFC 8705 section 2). It keeps no connections alive, so that no other request can use one
// that a certificate has opened.
func (c *Client) presenting(certificate *tls.Certificate) *http.Client {
	plain := c.client()
	transport, ok := plain.Transport.(*http.Transport)
	if certificate == nil || !ok {
		return plain
	}
	transport = transport.Clone()
	// Present the certificate whatever authorities the server names: a self-signed
	// certificate (RFC 8705 section 2.2) has none of them.
	transport.TLSClientConfig.GetClientCertificate =
		func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	client := *plain
	client.Transport = transport
	return &client
}

// Do sends a request once and returns the answer, whatever its status. doing names the
// request, as "refresh_token grant at login.flexera.com".
//
// Every request with a credential, a session, an assertion or a token passes through Do. Do
// sends nothing to a host that policy does not allow, nor to an address that the host's
// name must not resolve to. The zero policy allows no host.
//
// Its error is an [*exchange.Error]: misconfigured if the host is not allowed or its
// certificate is not trusted, otherwise transient, and Lost if the request may have
// arrived. A redirect is an answer. An answer other than 2xx counts even if its body cannot
// be read whole.
func (c *Client) Do(ctx context.Context, policy hosts.Policy, r *http.Request,
	doing string,
) (Answer, error) {
	return c.send(ctx, policy, r, doing, redact.Box[tls.Certificate]{})
}

// send is Do with the client's certificate, if there is one.
func (c *Client) send(ctx context.Context, policy hosts.Policy, r *http.Request, doing string,
	certificate redact.Box[tls.Certificate]) (Answer, error) {
	if err := allowed(policy, r, doing); err != nil {
		return Answer{}, err
	}
	timeout, limit := c.Timeout, c.MaxBody
	if timeout == 0 {
		timeout = defaultTimeout
	}
	if limit == 0 {
		limit = defaultMaxBody
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// net/http calls GotConn once TLS is established, before the first byte of the
		// request.
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	ctx = context.WithValue(ctx, destinationKey{}, destination{policy, r.URL})
	r = r.Clone(ctx)
	r.GetBody = nil // net/http cannot send again what it cannot read again
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", userAgent)
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json")
	}

	began := time.Now()
	response, err := c.presenting(certificate.Reveal()).Do(r)
	c.observe(ctx, r, response, time.Since(began))
	if err != nil {
		return Answer{}, unanswered(err, connected.Load(), doing)
	}
	defer func() { _ = response.Body.Close() }() // read as far as it is wanted
	return readAnswer(response, limit, doing)
}

// unanswered converts a failure without an answer to an [exchange.Error]. The original
// error quotes the URL, so it is not passed on.
func unanswered(err error, connected bool, doing string) *exchange.Error {
	e := &exchange.Error{Class: exchange.Transient, Doing: doing, Lost: connected}
	var dns *net.DNSError
	if refused, ok := errors.AsType[*hosts.Refused](err); ok {
		return refusedHost(refused, doing)
	}
	switch {
	case refusedByTLS(err):
		e.Class = exchange.Misconfigured
		e.Lost = false // TLS comes before the first byte of HTTP
		e.Problem = "the server refused the TLS connection"
		e.Hint = "If the provider wants mutual TLS, check the credential's certificate and " +
			"private_key, and that the provider knows the certificate."
	case untrusted(err):
		e.Class = exchange.Misconfigured
		e.Lost = false
		e.Problem = "the server's certificate is not trusted"
		e.Hint = "The host in the URL is wrong, a proxy on the way intercepts TLS, " +
			"or the certificate has expired: check the URL first, then look at the certificate."
	case notTLS(err):
		e.Class = exchange.Misconfigured
		e.Lost = false
		e.Problem = "the server does not speak TLS"
		e.Hint = "Check the host and the port in the URL."
	case connected && timedOut(err):
		e.Problem = "no answer in time"
		e.Hint = hintStatus
	case connected:
		e.Problem = "the connection broke before the answer"
		e.Hint = hintStatus
	case errors.As(err, &dns):
		e.Problem = "the host name was not resolved"
		e.Hint = "If this lasts, check the host in the URL and the function's way to the network."
	case timedOut(err):
		e.Problem = "no connection in time"
		e.Hint = "If this lasts, check that the function has a way to the network (a VPC needs a " +
			"NAT gateway)."
	default:
		e.Problem = "no connection"
		e.Hint = "If this lasts, check the host and the port in the URL, " +
			"and look at the provider's status page."
	}
	return e
}

const hintStatus = "If this lasts, look at the provider's status page."

func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// refusedByTLS reports whether the error is the alert of a server that refuses a client's
// certificate or misses one (RFC 8446 section 6.2). crypto/tls does not export the alert's
// type.
func refusedByTLS(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || remote.Err == nil {
		return false
	}
	text := remote.Err.Error()
	return strings.HasPrefix(text, "tls: ") && (strings.Contains(text, "certificate") ||
		strings.Contains(text, "access denied") || strings.Contains(text, "handshake failure"))
}

func notTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// Doing names a request for an [exchange.Error]: what it is for, and the host of the URL.
// It reveals nothing else of the URL.
func Doing(what, rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return what
	}
	return what + " at " + hosts.Printable(u.Host)
}
