package hosts

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// defaultPort applies if an entry or a URL names no port: every provider's URL is https.
const defaultPort = "443"

// Entry is one allowed host: a name, every name below a domain, or a loopback address, each
// at one port.
type Entry struct {
	name string // in lower case; for below, the domain without "*."
	port string
	// below is set for *.domain: every name with one label or more in front of
	// the domain, and not the domain itself.
	below bool
}

// String returns the entry in the form that a list uses.
func (e Entry) String() string {
	name := e.name
	if e.below {
		name = "*." + name
	}
	if e.port == defaultPort {
		return name
	}
	return name + ":" + e.port
}

// matches reports whether the entry allows the target.
func (e Entry) matches(t target) bool {
	if e.port != t.port {
		return false
	}
	if e.below {
		return !t.literal && strings.HasSuffix(t.name, "."+e.name)
	}
	return t.name == e.name
}

// List is a list of allowed hosts. The zero List allows none.
type List []Entry

// String joins the entries with commas, the form of EVERTOKEN_ALLOWED_HOSTS.
func (l List) String() string {
	texts := make([]string, len(l))
	for i, e := range l {
		texts[i] = e.String()
	}
	return strings.Join(texts, ",")
}

// With returns the list with one more entry, given as text. It returns the list unchanged
// if the entry is invalid or already in it.
func (l List) With(entry string) List {
	e, problem := parseEntry(entry)
	if problem != "" || slices.Contains(l, e) {
		return l
	}
	return append(slices.Clone(l), e)
}

// EntryError says what is wrong with one entry of a list. It names the entry by its
// position and never repeats it: a value in the wrong place may be a secret.
type EntryError struct {
	Position int // from 1
	Problem  string
}

func (e *EntryError) Error() string { return fmt.Sprintf("entry %d %s", e.Position, e.Problem) }

// Must is [Parse] for lists in source code. It panics if an entry is invalid.
func Must(entries ...string) List {
	l, err := parseAll(entries)
	if err != nil {
		panic(err)
	}
	return l
}

// Parse reads a list in the form of EVERTOKEN_ALLOWED_HOSTS: entries separated by commas,
// with white space around them ignored. An entry is host, host:port or *.domain. An empty
// text is an empty list. Its error is an [*EntryError].
func Parse(text string) (List, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return parseAll(strings.Split(text, ","))
}

// ParseMember reads the member "hosts" of a credential: a JSON list of entries, or one
// string with commas. It rejects an empty list, which would allow nothing. Its error says
// what is wrong and never contains the value.
func ParseMember(value []byte) (List, error) {
	const form = `must be a list of hosts, such as ["login.example.com"], or one comma-separated string`
	var list []string
	var text string
	switch {
	case string(value) == "null":
		return nil, fmt.Errorf("is null: it %s", form)
	case json.Unmarshal(value, &list) == nil:
	case json.Unmarshal(value, &text) == nil:
		if strings.TrimSpace(text) != "" {
			list = strings.Split(text, ",")
		}
	default:
		return nil, fmt.Errorf("%s", form)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("is empty, which would allow no host at all: " +
			"name a host, or leave the member out")
	}
	return parseAll(list)
}

func parseAll(texts []string) (List, error) {
	out := make(List, 0, len(texts))
	for i, text := range texts {
		e, problem := parseEntry(strings.TrimSpace(text))
		if problem != "" {
			return nil, &EntryError{Position: i + 1, Problem: problem}
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// parseEntry reads one entry.
func parseEntry(text string) (e Entry, problem string) {
	switch {
	case text == "":
		return Entry{}, "is empty: remove it, or the extra comma"
	case strings.ContainsAny(text, "/?#@\\"):
		return Entry{}, "must be a host alone: write login.example.com, without https://, " +
			"user name or path"
	}
	name, port, problem := splitPort(text)
	if problem != "" {
		return Entry{}, problem
	}
	below := false
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name, below = rest, true
	}
	t, problem := parseHost(name)
	switch {
	case problem != "":
		return Entry{}, problem
	case below && t.literal:
		return Entry{}, "has a star before an address: a star matches names below a domain, " +
			"such as *.example.com"
	case below && !strings.Contains(t.name, "."):
		return Entry{}, "allows a whole top-level domain: name at least two labels after the " +
			"star, such as *.example.com"
	}
	if !below && !t.loopback() && !strings.Contains(t.name, ".") {
		return Entry{}, "has one label only: write the whole name, such as login.example.com"
	}
	return Entry{name: t.name, port: port, below: below}, ""
}

// splitPort separates the port from an entry.
func splitPort(text string) (host, port, problem string) {
	host, port = text, defaultPort
	colon := strings.LastIndexByte(text, ':')
	if colon >= 0 && !strings.HasSuffix(text, "]") { // [::1] has colons and no port
		host, port = text[:colon], text[colon+1:]
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "", "", "has more than one colon: write host:port, or for an IPv6 loopback " +
			"address [::1]:8443"
	}
	if !validPort(port) {
		return "", "", "has a wrong port: it must be a number from 1 to 65535, " +
			"without leading zeros"
	}
	return host, port, ""
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == port
}

// target is the host and port that a request goes to.
type target struct {
	name    string // in lower case; an IPv6 address in brackets
	port    string
	literal bool // a loopback address; no other address can be a target
}

// loopback reports whether the target names this machine.
func (t target) loopback() bool { return t.literal || t.name == "localhost" }

// parseHost reads a host name or a loopback address, without a port.
//
// It rejects everything that a resolver might take for an address, except a loopback
// address in its usual spelling. An address has no name that a certificate authority or an
// operator could have checked, and 169.254.169.254 in one of its many spellings is the most
// common target of server-side request forgery. As in the URL standard
// (https://url.spec.whatwg.org/#ends-in-a-number-checker), a name whose last label is a
// number is an address.
func parseHost(host string) (t target, problem string) {
	const address = "is an IP address: write the host's name instead, the one in its certificate"
	if host == "" {
		return target{}, "has no host"
	}
	for i := range len(host) {
		if host[i] >= 0x80 {
			return target{}, "must be ASCII: with look-alike letters, one host can look like " +
				"another. If the host is right, write its xn-- form"
		}
	}
	name := strings.ToLower(host)
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if !closed || err != nil || !a.Is6() || a.Zone() != "" || a.Is4In6() || !a.IsLoopback() ||
			a.String() != inner {
			return target{}, address
		}
		return target{name: name, literal: true}, ""
	}
	if strings.HasSuffix(name, ".") {
		return target{}, "ends in a dot: write it without"
	}
	labels := strings.Split(name, ".")
	if number(labels[len(labels)-1]) {
		a, err := netip.ParseAddr(name)
		if err != nil || !a.IsLoopback() {
			return target{}, address
		}
		return target{name: name, literal: true}, ""
	}
	if len(name) > 253 || slices.ContainsFunc(labels, func(l string) bool { return !validLabel(l) }) {
		return target{}, "must be a host name: labels of letters, digits and hyphens, " +
			"separated by dots"
	}
	return target{name: name}, ""
}

// number reports whether a resolver may read a label as a decimal, octal or hexadecimal
// number.
func number(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = "0"+hex, "0123456789abcdef"
	}
	return label != "" && strings.Trim(label, digits) == ""
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
