package hosts_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"evertoken/internal/hosts"
)

var vendor = hosts.Must("login.flexera.com", "*.apiax.io")

func TestACredentialGoesOnlyToAllowedHosts(t *testing.T) {
	t.Parallel()
	list := func(entries ...string) hosts.List { return hosts.Must(entries...) }
	open := hosts.Policy{Vendor: vendor}
	local := hosts.Policy{Vendor: vendor, Loopback: true}
	operator := hosts.Policy{Vendor: vendor, Allowed: list("fno.example.com",
		"fno.example.com:8443", "*.example.org")}
	bound := hosts.Policy{Vendor: vendor, Allowed: list("fno.example.com"),
		Bound: list("as.example.net", "127.0.0.1:8443", "[::1]:8443"), Loopback: true}
	for _, tt := range []struct {
		policy  hosts.Policy
		url     string
		allowed bool
	}{
		{hosts.Policy{}, "https://login.flexera.com/oidc/token", false},
		{open, "https://login.flexera.com/oidc/token", true},
		{open, "https://LOGIN.Flexera.COM/oidc/token", true},
		{open, "https://login.flexera.com:443/", true},
		{open, "https://login.flexera.com:8443/", false},
		{open, "https://login.flexera.com:0443/", false},
		{open, "https://login.flexera.com:/", false},
		{open, "http://login.flexera.com/", false},
		{open, "https://login.flexera.com./", false},
		{open, "https://login.flexera.com.evil.example/", false},
		{open, "https://evil-login.flexera.com/", false},
		{open, "https://x.login.flexera.com/", false},
		{open, "https://user@login.flexera.com/", false},
		{open, "https://login.flexera.com@evil.example/", false},
		{open, "https://evil.example#login.flexera.com", false},
		{open, "https://evil.example?login.flexera.com", false},
		{open, `https://evil.example\@login.flexera.com`, false},
		{open, "https://login.flexera.com%2eevil.example/", false},
		{open, "https://login.flexera.c\u043em/", false},
		{open, "https://login.flexera\u3002com/", false},
		{open, "https://xn--80ak6aa92e.com/", false},
		{open, "//login.flexera.com/", false},
		{open, "https:login.flexera.com", false},
		{open, "https:///login.flexera.com", false},
		{open, "file://login.flexera.com/etc", false},

		{open, "https://auth.apiax.io/", true},
		{open, "https://a.b.apiax.io/", true},
		{open, "https://apiax.io/", false},
		{open, "https://evilapiax.io/", false},
		{open, "https://.apiax.io/", false},
		{open, "https://x..apiax.io/", false},
		{open, "https://-.apiax.io/", false},
		{open, "https://auth.apiax.io.evil.example/", false},

		{operator, "https://login.flexera.com/", true},
		{operator, "https://fno.example.com/", true},
		{operator, "https://fno.example.com:8443/", true},
		{operator, "https://fno.example.com:9443/", false},
		{operator, "https://x.example.org/", true},
		{operator, "https://example.org/", false},
		{operator, "http://fno.example.com:443/", false},
		{operator, "https://localhost/", false},
		{operator, "https://127.0.0.1/", false},

		{local, "http://127.0.0.1:8080/", true},
		{local, "http://127.8.8.8/", true},
		{local, "http://[::1]:8080/", true},
		{local, "http://localhost:8080/", true},
		{local, "https://localhost/", true},
		{local, "http://localhost./", false},
		{local, "http://localhost.evil.example/", false},
		{local, "http://127.0.0.1.evil.example/", false},
		{local, "https://evil.example/", false},

		{bound, "https://as.example.net/", true},
		{bound, "https://127.0.0.1:8443/", true},
		{bound, "http://127.0.0.1:8443/", true},
		{bound, "https://[::1]:8443/", true},
		{bound, "https://login.flexera.com/", false},
		{bound, "https://fno.example.com/", false},
		{bound, "http://127.0.0.1:8080/", false},
		{bound, "http://localhost:8443/", false},
	} {
		err := tt.policy.CheckURL(tt.url)
		if (err == nil) != tt.allowed {
			t.Errorf("%s: allowed %t, want %t: %v", tt.url, err == nil, tt.allowed, err)
		}
		if err == nil {
			continue
		}
		if r, ok := errors.AsType[*hosts.Refused](err); !ok || r.Problem == "" || r.Host == "" {
			t.Errorf("%s: refused with %#v", tt.url, err)
		}
	}
}

// A credential is never sent to an IP address in any spelling, whatever is allowed,
// except a loopback address in its usual one.
func TestAnIPAddressIsRefusedInEverySpelling(t *testing.T) {
	t.Parallel()
	policy := hosts.Policy{Vendor: hosts.Must("*.example.com"),
		Allowed: hosts.Must("login.example.com"), Loopback: true}
	for _, host := range []string{
		"169.254.169.254", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe",
		"0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376",
		"0xa9.254.0251.254", "169.254.169.254.", "[fd00:ec2::254]", "[::ffff:169.254.169.254]",
		"[::ffff:a9fe:a9fe]",
		"[fe80::1]", "[fe80::1%25eth0]", "[64:ff9b::a9fe:a9fe]", "10.0.0.5", "192.168.1.1",
		"8.8.8.8", "[2001:db8::1]",
		"0", "0.0.0.0", "[::]", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001",
		"0177.0.0.1", "127.0.0.01", "0x",
		"[::ffff:127.0.0.1]", "[::1%25lo]", "[0:0:0:0:0:0:0:1]", "[::1", "::1", "[127.0.0.1]", "[]",
		"1.1.1.256", "a.b.c.1", "x.0x1f",
	} {
		for _, scheme := range []string{"https", "http"} {
			if err := policy.CheckURL(scheme + "://" + host + "/latest"); err == nil {
				t.Errorf("%s://%s is allowed", scheme, host)
			}
		}
		if l, err := hosts.Parse(host); err == nil {
			t.Errorf("the entry %s is accepted: %s", host, l)
		}
	}
}

func TestARefusedHostIsReportedWithBothRemedies(t *testing.T) {
	t.Parallel()
	p := hosts.Policy{Vendor: vendor, Allowed: hosts.Must("a.example.com"),
		Secret: "evertoken/crm/credential"}
	r, ok := errors.AsType[*hosts.Refused](p.CheckURL("https://Evil.example:8443/token?x=y"))
	if !ok {
		t.Fatal("not refused")
	}
	for _, want := range []string{
		"the credential may not be sent to evil.example:8443",
		`"hosts":["evil.example:8443"]`,
		"aws secretsmanager put-secret-value --secret-id evertoken/crm/credential --secret-string file://credential.json",
		`--parameter-overrides "AllowedHosts=a.example.com,evil.example:8443"`,
	} {
		if !strings.Contains(r.Problem+" "+r.Remedy, want) {
			t.Errorf("%q is not in: %s %s", want, r.Problem, r.Remedy)
		}
	}
	p.Bound = hosts.Must("b.example.com")
	r, ok = errors.AsType[*hosts.Refused](p.CheckURL("https://evil.example/"))
	if !ok || !strings.Contains(r.Remedy, `"hosts":"b.example.com,evil.example"`) ||
		strings.Contains(r.Remedy, "AllowedHosts") {
		t.Errorf("bound: %+v", r)
	}
	for _, odd := range []string{"https://login.flexera.c\u043em/", "https://x\x1b[2J/",
		"https://" + strings.Repeat("a", 500) + ".example/"} {
		err := p.CheckURL(odd)
		if err == nil || strings.ContainsFunc(err.Error(), func(r rune) bool {
			return r < ' ' ||
				r > '~'
		}) || len(err.Error()) > 400 {
			t.Errorf("%q: %v", odd, err)
		}
	}
}

func TestAListOfHostsIsNormalized(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "",
		" ":             "",
		"a.example.com": "a.example.com",
		" A.Example.com , b.example.com:8443,a.example.com:443": "a.example.com,b.example.com:8443",
		"*.example.com":      "*.example.com",
		"*.example.com:8443": "*.example.com:8443",
		"localhost:8080":     "localhost:8080",
		"127.0.0.1":          "127.0.0.1",
		"[::1]:8443":         "[::1]:8443",
		"xn--80ak6aa92e.com": "xn--80ak6aa92e.com",
	} {
		l, err := hosts.Parse(text)
		if err != nil || l.String() != want {
			t.Errorf("%q: %q, %v", text, l, err)
		}
	}
	for text, position := range map[string]int{
		"a.example.com,": 2, ",": 1, "https://a.example.com": 1, "a.example.com/x": 1,
		"u@a.example.com": 1, "a.example.com:0": 1,
		"a.example.com:65536": 1, "a.example.com:x": 1, "a.example.com:": 1, "*": 1, "*.com": 1,
		"*.com.": 1, "*com.example": 1, "a.*.example.com": 1,
		"*.*.example.com": 1, "*.127.0.0.1": 1, "a.example.com.": 1, "a b.example.com": 1,
		"b.example.com,sécret.example.com": 2,
		"intranet":                         1, "::1": 1, "b.example.com,c.example.com,canary secret": 3,
	} {
		l, err := hosts.Parse(text)
		e, ok := errors.AsType[*hosts.EntryError](err)
		if !ok || e.Position != position {
			t.Errorf("%q: %q, %v", text, l, err)
		} else if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "cret.example") {
			t.Errorf("%q: the error repeats the entry: %v", text, err)
		}
	}
}

func TestTheMemberHostsIsAListOrOneString(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`["a.example.com","*.example.org:8443"]`: "a.example.com,*.example.org:8443",
		`"a.example.com, b.example.com"`:         "a.example.com,b.example.com",
	} {
		if l, err := hosts.ParseMember([]byte(value)); err != nil || l.String() != want {
			t.Errorf("%s: %q, %v", value, l, err)
		}
	}
	for value, want := range map[string]string{
		`null`: "null", `[]`: "empty", `""`: "empty", `" "`: "empty", `7`: "list",
		`{"a":1}`: "list", `["a.example.com",7]`: "list",
		`["a.example.com",""]`: "entry 2", `"a.example.com,https://b.example.com"`: "entry 2",
	} {
		if l, err := hosts.ParseMember([]byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", value, l, err)
		}
	}
}

func TestAPrivateAddressIsRefusedUnlessItsHostIsNamed(t *testing.T) {
	t.Parallel()
	p := hosts.Policy{Vendor: vendor, Allowed: hosts.Must("fno.example.com", "localhost:8443"),
		Loopback: true}
	for _, tt := range []struct {
		url, address string
		allowed      bool
	}{
		{"https://login.flexera.com/", "52.1.2.3", true},
		{"https://login.flexera.com/", "2600:1f18::1", true},
		{"https://login.flexera.com/", "64:ff9b::3401:203", true},
		{"https://login.flexera.com/", "10.0.0.5", false},
		{"https://login.flexera.com/", "64:ff9b::a00:5", false},
		{"https://login.flexera.com/", "::ffff:10.0.0.5", false},
		{"https://login.flexera.com/", "64:ff9b:1::a00:5", false},
		{"https://login.flexera.com/", "2002:a00:5::1", false},
		{"https://login.flexera.com/", "2002:3401:203::1", true},
		{"https://login.flexera.com/", "::a00:5", false},
		{"https://login.flexera.com/", "2001:0:a00:5::1", false},
		{"https://login.flexera.com/", "fec0::1", false},
		{"https://login.flexera.com/", "2001:db8::1", false},
		{"https://login.flexera.com/", "172.16.0.1", false},
		{"https://login.flexera.com/", "192.168.0.1", false},
		{"https://login.flexera.com/", "100.64.0.1", false},
		{"https://login.flexera.com/", "fd12::1", false},
		{"https://login.flexera.com/", "fe80::1%eth0", false},
		{"https://login.flexera.com/", "127.0.0.1", false},
		{"https://login.flexera.com/", "::1", false},
		{"https://login.flexera.com/", "0.0.0.0", false},
		{"https://login.flexera.com/", "224.0.0.1", false},
		{"https://login.flexera.com/", "169.254.169.254", false},
		{"https://fno.example.com/", "10.0.0.5", true},
		{"https://fno.example.com/", "169.254.171.1", true}, // VPC Lattice
		{"https://fno.example.com/", "127.0.0.1", true},
		{"https://fno.example.com/", "169.254.169.254", false},
		{"https://fno.example.com/", "64:ff9b::a9fe:a9fe", false},
		{"https://fno.example.com/", "64:ff9b:1::a9fe:a9fe", false},
		{"https://fno.example.com/", "2002:a9fe:a9fe::1", false},
		{"https://fno.example.com/", "::a9fe:a9fe", false},
		{"https://fno.example.com/", "fd00:ec2::254", false},
		{"https://fno.example.com/", "fd00:ec2::254%eth0", false},
		{"https://fno.example.com/", "169.254.170.2", false},
		{"https://fno.example.com/", "::", false},
		{"http://localhost:9000/", "127.0.0.1", true},
		{"http://localhost:9000/", "::1", true},
		{"http://localhost:9000/", "52.1.2.3", false},
		{"http://localhost:9000/", "10.0.0.5", false},
		{"https://evil.example/", "52.1.2.3", false},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.CheckAddress(u, netip.MustParseAddr(tt.address)); (err == nil) != tt.allowed {
			t.Errorf("%s at %s: %v", tt.url, tt.address, err)
		}
	}
}

// Only an entry allows a host, and another spelling of the host changes nothing.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"https://login.flexera.com/", "https://a.apiax.io:443",
		"http://[::1]:80", "https://0x7f.1", "https://x@y", `https://a\b`} {
		f.Add(seed, "*.example.com")
	}
	f.Fuzz(func(t *testing.T, raw, entry string) {
		own, err := hosts.Parse(entry)
		if err != nil {
			own = nil
		} else if again, err := hosts.Parse(own.String()); err != nil || again.String() != own.String() {
			t.Fatalf("%q is written as %q, which is read as %q, %v", entry, own, again, err)
		}
		p := hosts.Policy{Vendor: vendor, Allowed: own}
		if p.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil {
			t.Fatalf("%q is allowed", raw)
		}
		host := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(host); err == nil && len(own) == 0 {
			t.Fatalf("the address %q is allowed", raw)
		}
		if len(own) == 0 && host != "login.flexera.com" && !strings.HasSuffix(host, ".apiax.io") {
			t.Fatalf("%q is allowed", raw)
		}
	})
}
