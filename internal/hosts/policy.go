// Package hosts decides where a credential may be sent. Whoever may write a
// connection may name any URL; without this rule a URL of theirs would be sent
// every password, client secret and refresh token. The package is a pure rule:
// it resolves and sends nothing, and knows no provider.
package hosts

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Policy says to which hosts a credential, and whatever was obtained with it (a
// session, an assertion, a token), may be sent. The zero Policy allows none.
type Policy struct {
	// Vendor are the hosts of the provider itself, such as login.flexera.com.
	// A host under which anybody can have a tenant is none of them.
	Vendor List
	// Allowed are those of EVERTOKEN_ALLOWED_HOSTS.
	Allowed List
	// Bound are those of the credential's own member "hosts". Where there are
	// any, they alone count.
	Bound List
	// Loopback is set by EVERTOKEN_ALLOW_LOOPBACK_HTTP=1: a loopback host is
	// allowed at any port, and http to it, unless the credential is bound.
	Loopback bool
	// Secret is the name of the credential's secret, for the remedy.
	Secret string
}

// Refused says why a credential is not sent to a host, and how to allow that.
type Refused struct {
	// Host is the host that was refused, fit for a log line.
	Host string
	// Problem says why.
	Problem string
	// Remedy says what would allow it, in whole sentences; empty if nothing
	// does.
	Remedy string
}

func (r *Refused) Error() string { return r.Problem }

// grounds are why a host is allowed.
type grounds int

const (
	refused    grounds = iota
	byVendor           // it is the provider's own
	byOperator         // an operator named it
	byLoopback         // it is this very machine
)

// Check returns nil if the credential may be sent to the URL, and a [*Refused]
// otherwise.
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
		return never("the URL must be https (http is allowed to a loopback host only, with " +
			"EVERTOKEN_ALLOW_LOOPBACK_HTTP=1)")
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

// targetOf is the host and port of a URL.
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

// entry is the target as an entry of a list would have it.
func (t target) entry() string { return Entry{name: t.name, port: t.port}.String() }

// refuse names the ways in which an operator can allow the host.
func (p Policy) refuse(t target) *Refused {
	entry := t.entry()
	r := &Refused{Host: entry}
	secret := p.Secret
	if secret == "" {
		secret = "<credential>"
	}
	command := "aws secretsmanager put-secret-value " +
		"--secret-id " + secret + " --secret-string file://credential.json"
	if len(p.Bound) > 0 {
		r.Problem = `the credential may not be sent to ` + entry + `: its own member "hosts" does not name it`
		r.Remedy = "If " + entry + ` is right, add it to "hosts" in the credential's document ("hosts":"` +
			p.Bound.With(entry).String() + `") and store that: ` + command + "."
		return r
	}
	r.Problem = "the credential may not be sent to " + entry + ", which is neither the " +
		"provider's own host nor allowed"
	r.Remedy = "If " + entry + ` is right, allow it in one of two ways. For this credential alone, add "hosts":["` + entry +
		`"] to its document and store that: ` + command +
		". For every credential without \"hosts\", deploy the stack with " +
		`--parameter-overrides "AllowedHosts=` + p.Allowed.With(entry).String() + `".`
	return r
}

// metadata are the addresses at which AWS hands out a machine's credentials:
// EC2's metadata in IPv4 and IPv6, ECS's and EKS's.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::23"),
}

// notPublic are further networks that are nobody's on the Internet: RFC 6890,
// RFC 6598 for the shared address space, and RFC 3879 for site-local addresses.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("fec0::/10"),
}

// carriers are networks whose addresses carry an IPv4 address, from the byte at.
var carriers = []struct {
	netip.Prefix
	at int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of one's own, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},          // RFC 4291 section 2.5.5.1
}

// CheckAddress returns nil if a connection to the address may be made for the
// URL, and a [*Refused] otherwise. A name can be pointed anywhere by whoever
// holds its domain: a private or link-local address is connected to only where
// an operator named the host, a loopback address only where loopback is allowed
// or the host was named, and the addresses of AWS's metadata services never.
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
	case why == byLoopback: // "localhost" that is another machine
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

// plain is the address without a zone, and an IPv4 address that an IPv6 one
// carries as such.
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

// Dials reports whether an address to dial, as host:port, is the URL's own. It
// is not where the connection goes to a proxy, which the environment names.
func Dials(u *url.URL, address string) bool {
	t, problem := targetOf(u)
	if problem != "" {
		return false
	}
	return strings.EqualFold(address, net.JoinHostPort(strings.Trim(t.name, "[]"), t.port))
}

// Printable keeps a host fit for a log line: what no host name has is escaped,
// and what is too long is cut.
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
