package oauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
)

// Allowed returns nil if the policy allows sending a credential to the URL. It sends
// nothing. Its error is the [*exchange.Error] that [Client.Do] would return.
func Allowed(policy hosts.Policy, rawURL, doing string) error {
	if err := policy.CheckURL(rawURL); err != nil {
		return refusal(err, doing)
	}
	return nil
}

// allowed checks a request's URL against the policy.
func allowed(policy hosts.Policy, r *http.Request, doing string) error {
	if r.Host != "" && r.Host != r.URL.Host { // the Host header names another server than the URL
		return &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the request names two hosts"}
	}
	if err := policy.Check(r.URL); err != nil {
		return refusal(err, doing)
	}
	return nil
}

func refusal(err error, doing string) *exchange.Error {
	if refused, ok := errors.AsType[*hosts.Refused](err); ok {
		return refusedHost(refused, doing)
	}
	return &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
		Problem: "the host is not allowed"}
}

func refusedHost(r *hosts.Refused, doing string) *exchange.Error {
	return &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
		Problem: r.Problem, Hint: r.Remedy}
}

// destination is where a request goes. The request's context carries it to the dialer.
type destination struct {
	policy hosts.Policy
	url    *url.URL
}

type destinationKey struct{}

// dial checks each address that a name resolved to immediately before it connects: the
// address is not known earlier. If the environment names a proxy, the proxy resolves the
// name, and its own address is not checked.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Resolver: c.resolver}
	to, ok := ctx.Value(destinationKey{}).(destination)
	if !ok {
		return nil, &hosts.Refused{Problem: "nothing tells where this connection may go"}
	}
	if hosts.Dials(to.url, address) {
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return &hosts.Refused{Problem: "the host's name resolves to nothing that is " +
					"an address"}
			}
			return to.policy.CheckAddress(to.url, a.Addr())
		}
	}
	return d.DialContext(ctx, network, address)
}
