// Package hosts decides where a credential may be sent. Anyone who can write a connection
// can name any URL; without this rule, Evertoken would send every password, client secret
// and refresh token there. The package only decides: it resolves and sends nothing, and
// knows no provider.
package hosts

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Policy says to which hosts a credential, and what is obtained with it (a session, an
// assertion, a token), may be sent. The zero Policy allows none.
type Policy struct {
	// Vendor are the provider's own hosts, such as login.flexera.com. It must not contain a
	// host under which anybody can have a tenant.
	Vendor List
	// Allowed are the hosts in EVERTOKEN_ALLOWED_HOSTS.
	Allowed List
	// Bound are the hosts in the credential's own member "hosts". If there are any, only
	// they are allowed.
	Bound List
	// Loopback is set by EVERTOKEN_ALLOW_LOOPBACK_HTTP=1. It allows a loopback host at any
	// port, also by http, unless the credential is bound.
	Loopback bool
	// Secret is the name of the credential's secret, for [Refused.Remedy].
	Secret string
	// Connection is the name of the connection, for [Refused.Remedy].
	Connection string
}

// Refused says why Evertoken does not send a credential to a host, and how to allow it.
type Refused struct {
	// Host is the rejected host, in a form that is safe in a log line.
	Host string
	// Problem says why the host is rejected.
	Problem string
	// Remedy says in whole sentences how to allow the host; empty if nothing can.
	Remedy string
}

func (r *Refused) Error() string { return r.Problem }

// grounds is the reason why a host is allowed.
type grounds int

const (
	refused    grounds = iota
	byVendor           // it is the provider's own
	byOperator         // an operator named it
	byLoopback         // it is this very machine
)

// Check returns nil if the credential may be sent to the URL, otherwise a [*Refused].
func (p Policy) Check(u *url.URL) error {
	_, err := p.judge(u)
	return err
}

// CheckURL is [Policy.Check] for a URL as text.
func (p Policy) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil { // err quotes the URL
		return &Refused{Host: "a URL that cannot be read", Problem: "the URL cannot be read",
			Remedy: "Write it as https://host/path."}
	}
	return p.Check(u)
}

func (p Policy) judge(u *url.URL) (grounds, error) {
	shown := Printable(u.Host)
	never := func(problem string) (grounds, error) {
		return refused, &Refused{Host: shown, Problem: "nothing is sent to " + shown + ": " + problem}
	}
	t, problem := targetOf(u)
	switch {
	case problem != "":
		return never("the host " + problem)
	case u.Scheme == "https":
	case u.Scheme == "http" && p.Loopback && t.loopback():
	default:
		return never("the URL must be https (http is allowed to a loopback host only, " +
			"with EVERTOKEN_ALLOW_LOOPBACK_HTTP=1)")
	}
	switch {
	case len(p.Bound) > 0:
		if p.Bound.allows(t) {
			return byOperator, nil
		}
	case p.Loopback && t.loopback():
		return byLoopback, nil
	case p.Allowed.allows(t):
		return byOperator, nil
	case p.Vendor.allows(t):
		return byVendor, nil
	}
	return refused, p.refuse(t)
}

func (l List) allows(t target) bool {
	for _, e := range l {
		if e.matches(t) {
			return true
		}
	}
	return false
}

// targetOf returns the host and port of a URL.
func targetOf(u *url.URL) (t target, problem string) {
	switch {
	case u.Opaque != "" || u.Host == "":
		return target{}, "is missing: write https://host/path"
	case u.User != nil:
		return target{}, "has a user name or a password before it: remove them"
	}
	host, port := u.Host, ""
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:colon], host[colon+1:]
		if !validPort(port) {
			return target{}, "has a wrong port: it must be a number from 1 to 65535"
		}
	}
	if t, problem = parseHost(host); problem != "" {
		return target{}, problem
	}
	t.port = port
	if t.port == "" && u.Scheme == "http" {
		t.port = "80"
	} else if t.port == "" {
		t.port = defaultPort
	}
	return t, ""
}

// entry returns the target in the form of a list's entry.
func (t target) entry() string { return Entry{name: t.name, port: t.port}.String() }

// refuse returns the error that names the ways in which an operator can allow the host.
func (p Policy) refuse(t target) *Refused {
	entry := t.entry()
	r := &Refused{Host: entry}
	secret := p.Secret
	if secret == "" {
		secret = "<credential>"
	}
	store := "`aws secretsmanager put-secret-value --secret-id " + secret +
		" --secret-string file://credential.json`"
	if p.Connection != "" {
		store = "`evertoken credential " + p.Connection + " --credential credential.json`, or " + store
	}
	if len(p.Bound) > 0 {
		r.Problem = `the credential may not be sent to ` + entry +
			`: its own member "hosts" does not name it`
		r.Remedy = "If " + entry + ` is right, add it to "hosts" in the credential's document (` +
			`"hosts":"` + p.Bound.With(entry).String() + `") and store that: ` + store + "."
		return r
	}
	r.Problem = "the credential may not be sent to " + entry + ", which is neither the " +
		"provider's own host nor allowed"
	r.Remedy = "If " + entry + ` is right, allow it in one of two ways. ` +
		`For this credential alone, add "hosts":["` + entry + `"] to its document and store that: ` +
		store + `. For every credential without "hosts", deploy the stack with ` +
		`--parameter-overrides "AllowedHosts=` + p.Allowed.With(entry).String() + `".`
	return r
}

// metadata are the addresses at which AWS provides a machine's credentials: EC2's metadata
// service in IPv4 and IPv6, ECS's and EKS's.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::23"),
}

// notPublic are further networks that are not on the public Internet: RFC 6890, RFC 6598
// for the shared address space, and RFC 3879 for site-local addresses.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("fec0::/10"),
}

// carriers are networks whose IPv6 addresses contain an IPv4 address, starting at byte at.
var carriers = []struct {
	netip.Prefix
	at int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // a local NAT64 prefix
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},          // RFC 4291 section 2.5.5.1
}

// CheckAddress returns nil if Evertoken may connect to the address for the URL, otherwise a
// [*Refused]. Whoever owns a domain can point its names anywhere. Evertoken therefore
// connects to a private or link-local address only if an operator named the host, to a
// loopback address only if loopback is allowed or an operator named the host, and never to
// the addresses of AWS's metadata services.
func (p Policy) CheckAddress(u *url.URL, address netip.Addr) error {
	why, err := p.judge(u)
	if err != nil {
		return err
	}
	a := plain(address)
	kind := ""
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return refuseAddress(u, "an address that no server has", "")
	case isMetadata(a):
		return refuseAddress(u, "an address of AWS's metadata services", "")
	case a.IsLoopback():
		if why == byOperator || why == byLoopback {
			return nil
		}
		kind = "a loopback address"
	case a.IsPrivate():
		kind = "a private address"
	case a.IsLinkLocalUnicast():
		kind = "a link-local address"
	case within(notPublic, a):
		kind = "an address that is not public"
	case why == byLoopback: // "localhost" resolves to another machine
		return refuseAddress(u, "an address of another machine", "")
	default:
		return nil
	}
	if why == byOperator {
		return nil
	}
	t, _ := targetOf(u)
	return refuseAddress(u, kind, p.refuse(t).Remedy)
}

// plain returns the address without a zone. For an IPv6 address that contains an IPv4
// address, it returns the IPv4 address.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() {
		return a
	}
	for _, c := range carriers {
		if c.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[c.at:]))
		}
	}
	return a
}

func isMetadata(a netip.Addr) bool {
	for _, m := range metadata {
		if a == m {
			return true
		}
	}
	return false
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func refuseAddress(u *url.URL, kind, remedy string) *Refused {
	shown := Printable(u.Host)
	if remedy == "" {
		remedy = "Check the host's DNS record."
	}
	return &Refused{Host: shown, Problem: "nothing is sent to " + shown +
		": its name resolves to " + kind, Remedy: remedy}
}

// Dials reports whether an address to dial, as host:port, is the URL's own. It is not if
// the connection goes to a proxy that the environment names.
func Dials(u *url.URL, address string) bool {
	t, problem := targetOf(u)
	if problem != "" {
		return false
	}
	return strings.EqualFold(address, net.JoinHostPort(strings.Trim(t.name, "[]"), t.port))
}

// Printable makes a host safe for a log line: it escapes characters that no host name has,
// and cuts a long one.
func Printable(host string) string {
	if host == "" {
		return "no host"
	}
	quoted := strconv.QuoteToASCII(host)
	if quoted == `"`+host+`"` {
		quoted = host
	}
	return quoted[:min(len(quoted), 120)]
}
