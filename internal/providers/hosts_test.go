package providers

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// full is a document with every member that a provider may need, bound to hosts where any
// are given.
func full(t *testing.T, hosts string) credential.Credential {
	t.Helper()
	document := `{"client_id":"canaryID","client_secret":"canarySecret","refresh_token":"canaryRefresh","username":"canaryUser","password":"canaryPassword"`
	if hosts != "" {
		document += `,"hosts":["` + strings.ReplaceAll(hosts, ",", `","`) + `"]`
	}
	c, err := credential.Parse(redact.New(document + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// attacker is a server that must receive nothing, not even a connection.
func attacker(t *testing.T) *url.URL {
	t.Helper()
	var reached atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			reached.Add(1)
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.Close()
		if n := reached.Load(); n > 0 {
			t.Errorf("%d connections reached the attacker", n)
		}
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ways are all requests that carry a credential, or what was obtained with it. Each is
// called with a provider whose settings have the attacker's URL.
var ways = map[string]struct {
	provider, settings string // URL is replaced with the attacker's
	send               func(context.Context, exchange.Provider, credential.Credential) error
}{
	"apiax":                 {"apiax", `{"token_url":"URL"}`, exchanged},
	"apiax, refresh":        {"apiax", `{"token_url":"URL"}`, refreshed},
	"sharetribe":            {"sharetribe", `{"auth_url":"URL"}`, exchanged},
	"sharetribe, anonymous": {"sharetribe", `{"access":"anonymous","auth_url":"URL"}`, exchanged},
	"sharetribe, user":      {"sharetribe", `{"access":"user","auth_url":"URL"}`, exchanged},
	"sharetribe, refresh":   {"sharetribe", `{"access":"user","auth_url":"URL"}`, refreshed},
	"sharetribe, trusted": {"sharetribe", `{"access":"trusted","auth_url":"URL"}`,
		func(ctx context.Context, p exchange.Provider, c credential.Credential) error {
			f, ok := p.(exchange.Finisher)
			if !ok {
				return errors.New("no second request")
			}
			_, err := f.Finish(ctx, exchange.Request{Credential: c},
				exchange.Issued{AccessToken: redact.New("canaryAccess")})
			return err
		}},
	"flexera, login_url":          {"flexera", `{"zone":"nam","login_url":"URL"}`, exchanged},
	"flexera, login_url, refresh": {"flexera", `{"zone":"nam","login_url":"URL"}`, refreshed},
	"flexera, api_url":            {"flexera", `{"zone":"nam","api_url":"URL"}`, exchanged},
	"flexera, api_url, proof":     {"flexera", `{"zone":"nam","api_url":"URL"}`, proven},
	"flexera, clients listed":     {"flexera", flexeraManaged, managed(listed)},
	"flexera, client created":     {"flexera", flexeraManaged, managed(created)},
	"flexera, client deleted":     {"flexera", flexeraManaged, managed(deleted)},
	"flexera, service accounts":   {"flexera", `{"zone":"nam","api_url":"URL"}`, organized},
	"flexnet":                     {"flexnet", `{"base_url":"URL","token_name":"lambda"}`, exchanged},
	"flexnet, proof":              {"flexnet", `{"base_url":"URL","token_name":"lambda"}`, proven},
	"oauth2, client_credentials":  {"oauth2", `{"token_url":"URL","grant":"client_credentials"}`, exchanged},
	"oauth2, client_secret_basic": {"oauth2",
		`{"token_url":"URL","grant":"client_credentials","client_auth":"client_secret_basic"}`,
		exchanged},
	"oauth2, password": {"oauth2",
		`{"token_url":"URL","grant":"password","client_auth":"none"}`, exchanged},
	"oauth2, refresh_token":        {"oauth2", `{"token_url":"URL","grant":"refresh_token"}`, exchanged},
	"oauth2, refresh of a session": {"oauth2", `{"token_url":"URL","grant":"password"}`, refreshed},
	"oauth2, issuer":               {"oauth2", `{"issuer":"URL","grant":"client_credentials"}`, exchanged},
	"oauth2, issuer, refresh":      {"oauth2", `{"issuer":"URL","grant":"password"}`, refreshed},
}

const flexeraManaged = `{"zone":"nam","api_url":"URL","org_id":1105,"service_account_id":2263}`

func exchanged(ctx context.Context, p exchange.Provider, c credential.Credential) error {
	grants, err := p.Grants(c)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if _, err = p.Exchange(ctx, exchange.Request{Grant: g, Credential: c,
			Published: redact.New("rna_canaryPublished")}); err == nil {
			return nil
		}
	}
	return err
}

func refreshed(ctx context.Context, p exchange.Provider, c credential.Credential) error {
	_, err := p.Exchange(ctx, exchange.Request{Grant: exchange.Refresh, Credential: c,
		RefreshToken: redact.New("canarySession")})
	return err
}

func proven(ctx context.Context, p exchange.Provider, c credential.Credential) error {
	prover, ok := p.(exchange.Prover)
	if !ok {
		return errors.New("no proof")
	}
	return prover.Prove(ctx, c, redact.New("canaryAccess"))
}

type call func(context.Context, ClientManager, credential.Credential) error

func managed(do call) func(context.Context, exchange.Provider, credential.Credential) error {
	return func(ctx context.Context, p exchange.Provider, c credential.Credential) error {
		m, ok := p.(ClientManager)
		if !ok {
			return errors.New("no clients")
		}
		return do(ctx, m, c)
	}
}

func listed(ctx context.Context, m ClientManager, c credential.Credential) error {
	_, err := m.ListClients(ctx, c, redact.New("canaryAccess"))
	return err
}

func created(ctx context.Context, m ClientManager, c credential.Credential) error {
	_, err := m.CreateClient(ctx, c, redact.New("canaryAccess"))
	return err
}

func deleted(ctx context.Context, m ClientManager, c credential.Credential) error {
	return m.DeleteClient(ctx, c, redact.New("canaryAccess"), "c1")
}

func organized(ctx context.Context, p exchange.Provider, c credential.Credential) error {
	o, ok := NewFlexeraOrganization(p, c, 1105)
	if !ok {
		return errors.New("no organization")
	}
	access := redact.New("canaryAccess")
	_, first := o.ServiceAccounts(ctx, access)
	_, second := o.CreateServiceAccount(ctx, access, "evertoken", "")
	_, third := o.ServiceAccount(ctx, access, 1)
	_, fourth := o.RoleNames(ctx, access)
	fifth := o.GrantRole(ctx, access, 1, "role")
	for _, err := range []error{second, third, fourth, fifth} {
		if err == nil {
			return nil
		}
	}
	return first
}

// misconfiguredUnsent fails the test unless err is a refusal before anything was
// sent that names the host.
func misconfiguredUnsent(t *testing.T, err error, host string) {
	t.Helper()
	e, ok := errors.AsType[*exchange.Error](err)
	switch {
	case !ok:
		t.Errorf("%T: %v", err, err)
	case e.Class != exchange.Misconfigured || e.Lost || e.Status != 0 || e.RetryAfter != 0 ||
		!strings.Contains(e.Problem, host):
		t.Errorf("%+v", e)
	}
	leaks(t, err, "canary")
}

// No request goes to a host that the credential does not name, though loopback is allowed
// for other credentials.
func TestEveryRequestIsBoundToTheCredentialsHosts(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			evil := attacker(t)
			p := open(t, way.provider, strings.ReplaceAll(way.settings, "URL", evil.String()), "")
			c := full(t, "login.example.com,*.flexera.com")
			err := way.send(t.Context(), p, c)
			misconfiguredUnsent(t, err, evil.Host)
			if e, ok := errors.AsType[*exchange.Error](err); ok &&
				(!strings.Contains(e.Hint, `"hosts"`) || strings.Contains(e.Hint, "AllowedHosts")) {
				t.Errorf("hint %q", e.Hint)
			}
			misconfiguredUnsent(t, p.Allowed(c), evil.Host)
		})
	}
}

// spellings are a host that is not the vendor's, and look-alikes of one that is the
// vendor's. Each is refused where the settings are read, or unsent.
var spellings = []string{
	"https://evil.example", "https://169.254.169.254", "https://[fd00:ec2::254]",
	"https://10.0.0.5:8443/x", "https://localhost/token",
	"https://login.flexera.\u0441\u043em", "https://login.flexera.com.evil.example",
	"https://evil.example#", "https://login.flexera.com@evil.example",
	"https://login.flexera.com%2eevil.example", "https://login.flexera.com%252eevil.example",
	"https://xn--80ak6aa92e.com", "https://0x7f.1",
	"https://2130706433", "https://0177.0.0.1", "https://127.1", "https://127.0.0.1",
	"https://[::1]", "https://[::ffff:10.0.0.5]", "https://[fe80::1%25eth0]",
	"https://secretsmanager.us-east-1.amazonaws.com", "HTTPS://EVIL.example",
	"https://evil.example:99999", "https:///x", "//evil", "https://login.flexera.com:8443",
	`https://evil.example\@login.flexera.com`, "https://login.flexera.com.", "https://flexera.com",
	"https://evil-login.flexera.com", "https://x.login.flexera.com",
	"http://login.flexera.com", "ftp://login.flexera.com", "https://apiax.io",
	"https://evilapiax.io", "https://flexnetoperations.com",
	"https://flexnetoperations.com.evil.example", "https://.apiax.io", "https://a..apiax.io",
	"https://flex-api.sharetribe.com.evil.example", "https://sharetribe.com",
}

func TestEveryRequestRefusesAnAddressInEverySpelling(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, raw := range spellings {
				settings := strings.ReplaceAll(way.settings, "URL", strings.ReplaceAll(raw, `\`, `\\`))
				// There is no resolver here, so a host that is not rejected fails in
				// another way.
				p, err := New(connectionFor(way.provider, settings),
					Options{Now: now, Client: &oauth.Client{Now: now, Timeout: time.Second}})
				if err != nil {
					if _, ok := errors.AsType[*connection.Error](err); !ok {
						t.Errorf("%s: %v", raw, err)
					}
					continue
				}
				misconfiguredUnsent(t, way.send(t.Context(), p, full(t, "")), "")
				if p.Allowed(full(t, "")) == nil {
					t.Errorf("%s is allowed", raw)
				}
			}
		})
	}
}

// The providers' own hosts, and those that an operator named, are allowed.
func TestVendorHostsAndNamedHostsAreAllowed(t *testing.T) {
	t.Parallel()
	for settings, provider := range map[string]string{
		`{"zone":"nam"}`: "flexera", `{"zone":"eu"}`: "flexera", `{"zone":"apac"}`: "flexera", `{}`: "apiax",
		`{"access":"integration"}`: "sharetribe", `{"access":"trusted"}`: "sharetribe",
		`{"base_url":"https://acme.flexnetoperations.com/flexnet","token_name":"lambda"}`: "flexnet",
	} {
		p, err := New(connectionFor(provider, settings), Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []credential.Credential{full(t, ""), {}} {
			if err := p.Allowed(c); err != nil {
				t.Errorf("%s %s: %v", provider, settings, err)
			}
		}
		if p.Allowed(full(t, "login.example.com")) == nil {
			t.Errorf("%s %s: a credential that is bound elsewhere is allowed", provider, settings)
		}
	}
	for _, where := range []string{`"token_url":"https://login.example.com/t"`,
		`"issuer":"https://login.example.com"`} {
		p := open(t, "oauth2", `{`+where+`,"grant":"client_credentials"}`, "")
		if p.Allowed(full(t, "login.example.com")) != nil || p.Allowed(full(t, "")) == nil {
			t.Errorf("%s", where)
		}
	}
}

// The rule holds for a token endpoint that an allowed issuer names, too.
func TestADiscoveredEndpointIsBound(t *testing.T) {
	t.Parallel()
	evil := attacker(t)
	w := newWire(t, reply{status: 200, body: `{"issuer":"SERVER","token_endpoint":"` +
		evil.String() + `/token"}`})
	issuer, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, "oauth2", `{"issuer":"SERVER","grant":"client_credentials"}`, w.URL)
	c := full(t, issuer.Host)
	misconfiguredUnsent(t, exchanged(t.Context(), p, c), evil.Host)
	w.check(t, "GET /.well-known/oauth-authorization-server")
}

// No kind of request follows a redirect from an allowed host.
func TestNoRequestFollowsARedirect(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		if name == "flexera, api_url" { // published, and sent nothing by the exchange itself
			continue
		}
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				evil := attacker(t)
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					http.Redirect(w, r, evil.String(), status)
				}))
				t.Cleanup(s.Close)
				p := open(t, way.provider, strings.ReplaceAll(way.settings, "URL", s.URL), "")
				if err := way.send(t.Context(), p, full(t, "")); err == nil {
					t.Error("a redirect is a success")
				}
			})
		}
	}
}

// The tests above would not cover a provider without its own row here.
func TestEveryProvidersRequestsAreChecked(t *testing.T) {
	t.Parallel()
	var have []string
	for _, way := range ways {
		have = append(have, way.provider)
	}
	for _, name := range slices.Sorted(maps.Keys(constructors)) {
		if !slices.Contains(have, name) {
			t.Errorf("no way of %s is tested", name)
		}
	}
}
