package oauth

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/redact"
)

// names is a resolver for which every name has these addresses: a DNS server on
// a loopback socket, spoken to by the standard library's own client.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		packet := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(packet[:n], addresses), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// dnsAnswer answers one question (RFC 1035 section 4) with those of the
// addresses that are of the kind asked for.
func dnsAnswer(question []byte, addresses []string) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root label, the type and the class
	kind := binary.BigEndian.Uint16(question[end-4:])
	var records []byte
	count := 0
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		if (kind == 1) != a.Is4() || kind != 1 && kind != 28 {
			continue
		}
		records = append(records, 0xc0, 12) // the name of the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0)
		records = binary.BigEndian.AppendUint16(records, uint16(a.BitLen()/8))
		records = append(records, a.AsSlice()...)
		count++
	}
	out := append([]byte{}, question[:2]...)
	out = append(out, 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0) // a response without an error
	return append(append(out, question[12:end]...), records...)
}

// The name of an allowed host may resolve to an address that is not allowed: Evertoken
// checks the address before it connects.
func TestARequestIsSentOnlyToAnAllowedAddress(t *testing.T) {
	t.Parallel()
	vendor := hosts.Policy{Vendor: hosts.Must("login.example.com"), Secret: "evertoken/x/credential"}
	operator := hosts.Policy{Allowed: hosts.Must("login.example.com")}
	for _, tt := range []struct {
		policy  hosts.Policy
		address string
		problem string
	}{
		{vendor, "10.0.0.5", "a private address"},
		{vendor, "192.168.7.7", "a private address"},
		{vendor, "fd12:3456::1", "a private address"},
		{vendor, "127.0.0.1", "a loopback address"},
		{vendor, "::1", "a loopback address"},
		{vendor, "169.254.7.7", "a link-local address"},
		{vendor, "fe80::7", "a link-local address"},
		{vendor, "100.64.0.1", "not public"},
		{vendor, "169.254.169.254", "metadata"},
		{operator, "169.254.169.254", "metadata"},
		{operator, "fd00:ec2::254", "metadata"},
		{operator, "169.254.170.2", "metadata"},
	} {
		c := newClient()
		c.resolver = names(t, tt.address)
		_, err := c.Do(t.Context(), tt.policy, post(t, "https://login.example.com/token"), "trying")
		e := failure(t, err)
		if e.Class != exchange.Misconfigured || e.Lost || !strings.Contains(e.Problem,
			tt.problem) || e.Hint == "" {
			t.Errorf("%s: %+v", tt.address, e)
		}
		leaks(t, err)
	}
}

// If an operator named the host, its private address is allowed: an on-premises server,
// or one in the VPC.
func TestAPrivateAddressOfANamedHostIsAllowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	where := "example.com:" + u.Port() // the name in httptest's certificate
	c := newClient()
	c.resolver, c.RootCAs = names(t, u.Hostname()),
		s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, policy := range []hosts.Policy{{Allowed: hosts.Must(where)}, {Bound: hosts.Must(where)}} {
		if a, err := c.Do(t.Context(), policy, post(t, "https://"+where), "x"); err != nil || !a.OK() {
			t.Errorf("%+v: %d, %v", policy, a.Status, err)
		}
	}
	if _, err := c.Do(t.Context(), hosts.Policy{Vendor: hosts.Must(where)},
		post(t, "https://"+where), "x"); err == nil {
		t.Error("a vendor's host was allowed on this machine")
	}
	if reached.Load() != 2 {
		t.Errorf("%d requests, want 2", reached.Load())
	}
}

// Behind a proxy the proxy resolves the host's name. The proxy's own address is usually
// private; the environment sets it, and no policy applies to it.
func TestAProxyResolvesTheHost(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 2)
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusBadGateway)
	})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient()
	transport, ok := c.client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	transport.Proxy = http.ProxyURL(at)
	_, err = c.Do(t.Context(), hosts.Policy{Vendor: hosts.Must("login.example.com")},
		post(t, "https://login.example.com/token"), "x")
	if e := failure(t, err); e.Class != exchange.Transient {
		t.Errorf("%+v", e)
	}
	if got := <-asked; got != "CONNECT login.example.com:443" {
		t.Errorf("the proxy got a request for %s", got)
	}
	_, err = c.Do(t.Context(), hosts.Policy{Vendor: hosts.Must("login.example.com")},
		post(t, "https://evil.example/token"), "x")
	if e := failure(t, err); e.Class != exchange.Misconfigured || len(asked) > 0 {
		t.Errorf("%+v, and the proxy got %d requests", e, len(asked))
	}
}

// Without a policy nothing is sent, with any method.
func TestNothingIsSentWithoutAPolicy(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for _, policy := range []hosts.Policy{{}, {Vendor: hosts.Must("login.example.com")},
		{Loopback: true, Bound: hosts.Must("login.example.com")}} {
		_, err := newClient().Do(t.Context(), policy, post(t, s.URL), "x")
		if e := failure(t, err); e.Class != exchange.Misconfigured || e.Lost || e.Problem == "" {
			t.Errorf("%+v", e)
		}
		leaks(t, err)
	}
	r := post(t, s.URL)
	r.Host = "login.example.com"
	if _, err := newClient().Do(t.Context(), loopback, r, "x"); err == nil {
		t.Error("a request that names two hosts was sent")
	}
	other := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https",
		Opaque: "//login.example.com"}, Header: http.Header{}}
	if _, err := newClient().Do(t.Context(), hosts.Policy{Vendor: hosts.Must("login.example.com")},
		other.WithContext(t.Context()), "x"); err == nil {
		t.Error("an opaque URL was sent")
	}
	if reached.Load() > 0 {
		t.Errorf("%d requests were sent", reached.Load())
	}
	_, err := newClient().Exchange(t.Context(), hosts.Policy{},
		Request{TokenURL: s.URL, Form: redact.ValuesOf(url.Values{"grant_type": {"password"}}),
			ClientSecret: redact.New(canary)})
	if e := failure(t, err); e.Class != exchange.Misconfigured {
		t.Errorf("%+v", e)
	}
}

// The dialer itself refuses a connection that no policy has decided about.
func TestTheDialerRefusesAConnectionThatNoPolicyAllowed(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	answer, err := newClient().client().Get(s.URL)
	if err == nil {
		_ = answer.Body.Close()
	}
	if _, ok := errors.AsType[*hosts.Refused](err); !ok {
		t.Errorf("%v", err)
	}
}
