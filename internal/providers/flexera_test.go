package providers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

const (
	flexeraAnswer       = `{"access_token":"at-1","expires_in":"3600","refresh_token":"rt-1","token_type":"Bearer","logout_redirect_url":"x"}`
	flexeraClientAnswer = `{"access_token":"at-1","expires_in":3600,"token_type":"Bearer"}`
	flexeraSettingsText = `{"zone":"eu","login_url":"SERVER/login/","api_url":"SERVER/api"}`
)

func flexeraIssued(refresh string) exchange.Issued {
	out := issuedFor("at-1", time.Hour)
	out.RefreshToken = redact.New(refresh)
	return out
}

func TestFlexeraSendsTheDocumentedRequests(t *testing.T) {
	t.Parallel()
	seed := creds("refresh_token", "rt/1")
	client := creds("client_id", "0oa9", "client_secret", "s+1")
	for _, tt := range []struct {
		name    string
		c       credential.Credential
		session string
		answer  string
		body    string
		refresh string
	}{
		{"the operator's refresh token", seed, "", flexeraAnswer,
			"grant_type=refresh_token&refresh_token=rt%2F1", "rt-1"},
		{"the session's refresh token", seed, "rt/2", flexeraAnswer,
			"grant_type=refresh_token&refresh_token=rt%2F2", "rt-1"},
		{"a client", client, "", flexeraClientAnswer,
			"client_id=0oa9&client_secret=s%2B1&grant_type=client_credentials", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, reply{status: 200, body: tt.answer})
			p := open(t, "flexera", flexeraSettingsText, w.URL)
			r := exchange.Request{Grant: only(t, p, tt.c), Credential: tt.c}
			if tt.session != "" {
				r.Grant, r.RefreshToken = exchange.Refresh, redact.New(tt.session)
			}
			got, err := p.Exchange(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			w.check(t, "POST /login/oidc/token\n"+formType+"\n"+tt.body)
			want := flexeraIssued(tt.refresh)
			want.APIURL = w.URL + "/api"
			if diff := cmp.Diff(want, got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFlexeraZoneHasItsHosts(t *testing.T) {
	t.Parallel()
	for zone, label := range map[string]string{"nam": "com", "eu": "eu", "apac": "au"} {
		p, ok := open(t, "flexera", `{"zone":"`+zone+`"}`, "").(*flexera)
		if !ok || p.tokenURL != "https://login.flexera."+label+"/oidc/token" ||
			p.apiURL != "https://api.flexera."+label {
			t.Errorf("%s: %s, %s", zone, p.tokenURL, p.apiURL)
		}
	}
}

func TestFlexeraUsesTheGrantThatItsCredentialHas(t *testing.T) {
	t.Parallel()
	p := open(t, "flexera", `{"zone":"nam"}`, "")
	refresh := exchange.Grant{Type: "refresh_token", Members: []string{"refresh_token"}, Seed: true,
		Reusable: true}
	client := exchange.Grant{Type: "client_credentials", Members: []string{"client_id", "client_secret"}}
	for _, tt := range []struct {
		name string
		c    credential.Credential
		want []exchange.Grant
		err  string
	}{
		{"refresh token", creds("refresh_token", "r"), []exchange.Grant{refresh}, ""},
		{"client", creds("client_id", "i", "client_secret", "s"), []exchange.Grant{client}, ""},
		{"both, the weaker first", creds("refresh_token", "r", "client_id", "i", "client_secret",
			"s"), []exchange.Grant{refresh, client}, ""},
		{"none", creds("username", "u"), nil,
			`the credential's "refresh_token" is missing or empty: flexera needs it, or client_id and client_secret`},
		{"half a client", creds("client_id", "i"), nil,
			`the credential's "client_secret" is missing or empty: client_credentials needs client_id and client_secret`},
		{"half a client and a refresh token", creds("refresh_token", "r", "client_secret", "s"),
			nil, `the credential's "client_id" is missing or empty: client_credentials needs client_id and client_secret`},
	} {
		got, err := p.Grants(tt.c)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if text := errorText(err); text != tt.err {
			t.Errorf("%s: error %q", tt.name, text)
		}
	}
	if diff := cmp.Diff(exchange.Traits{Session: exchange.OptionalSession}, p.Traits()); diff != "" {
		t.Error(diff)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFlexeraReportsTheEndOfItsRefreshToken(t *testing.T) {
	t.Parallel()
	const show = "GET /api/iam/v1/refresh-tokens/q7Wn2ZtLr0c1\nAuthorization: Bearer at-1"
	seed, client := creds("refresh_token", "rt"), creds("client_id", "i", "client_secret", "s")
	for _, tt := range []struct {
		name string
		c    credential.Credential
		show reply
		ends string
		hint string
	}{
		{"read", seed, reply{status: 200,
			body: `{"id":"q7Wn2ZtLr0c1","createdAt":"2026-04-02T08:15:30.000001Z","expiresAt":"2027-04-02T08:15:30.000001Z","isDeletable":true,"kind":"iam#refresh-token"}`}, "2027-04-02T08:15:30.000001Z", ""},
		{"no stated end", seed, reply{status: 200,
			body: `{"id":"q7Wn2ZtLr0c1","kind":"iam#refresh-token"}`}, "", "does not state"},
		{"not JSON", seed, reply{status: 200, body: `<html>`}, "", "does not state"},
		{"not found", seed, reply{status: 404, body: `{"name":"not_found"}`}, "",
			"check settings.refresh_token_id"},
		{"forbidden", seed, reply{status: 403}, "", "could not read"},
		{"not asked for a client", client, reply{}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, reply{status: 200, body: flexeraClientAnswer}, tt.show)
			p := open(t, "flexera",
				`{"zone":"eu","login_url":"SERVER","api_url":"SERVER/api","refresh_token_id":"q7Wn2ZtLr0c1"}`, w.URL)
			got, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, tt.c), Credential: tt.c})
			if err != nil {
				t.Fatal(err)
			}
			if tt.show.status == 0 {
				if len(w.requests()) != 1 {
					t.Errorf("requests: %q", w.requests())
				}
				return
			}
			if seen := w.requests(); len(seen) != 2 || seen[1] != show {
				t.Errorf("requests: %q", seen)
			}
			if ends := got.CredentialExpiresAt; tt.ends == "" != ends.IsZero() ||
				!ends.IsZero() && ends.Format(time.RFC3339Nano) != tt.ends {
				t.Errorf("ends %s", ends)
			}
			if hints := strings.Join(got.Hints, " "); tt.hint == "" && hints != "" ||
				!strings.Contains(hints, tt.hint) {
				t.Errorf("hints %q", hints)
			}
		})
	}
}

func TestEveryRefusalOfFlexeraHasItsClass(t *testing.T) {
	t.Parallel()
	seed, client := creds("refresh_token", "canaryRefresh"),
		creds("client_id", "canaryID", "client_secret", "canarySecret")
	goa := func(name, flags string) string {
		return `{"name":"` + name + `","id":"Kp3x9Qa1","message":"canaryMessage","temporary":` +
			flags + `,"timeout":false,"fault":false}`
	}
	for _, tt := range []struct {
		name  string
		c     credential.Credential
		reply reply
		class exchange.Class
		hint  string
	}{
		{"401 on refresh", seed, reply{status: 401, body: goa("unauthorized", "false")},
			exchange.GrantDead, "settings.zone is eu"},
		{"400 on refresh", seed, reply{status: 400, body: goa("bad_request", "false")},
			exchange.GrantDead, "settings.zone is eu"},
		{"Okta's own on refresh", seed,
			reply{status: 400,
				body: `{"error":"invalid_grant","error_description":"The refresh token is invalid or expired."}`}, exchange.GrantDead, "settings.zone is eu"},
		{"401 on client_credentials", client, reply{status: 401,
			body: goa("unauthorized", "false")}, exchange.CredentialDead, "settings.zone is eu"},
		{"400 on client_credentials", client, reply{status: 400, body: goa("bad_request", "false")},
			exchange.CredentialDead, "settings.zone is eu"},
		{"403 on client_credentials", client, reply{status: 403, body: goa("forbidden", "false")},
			exchange.CredentialDead, "IP allow-list"},
		{"403 on refresh", seed, reply{status: 403, body: goa("forbidden", "false")},
			exchange.Misconfigured, "IP allow-list"},
		{"429", seed, reply{status: 429, body: goa("too_many_requests", "true"),
			header: "Retry-After: 7"}, exchange.Throttled, ""},
		{"500", seed, reply{status: 500, body: goa("internal_error", "true")}, exchange.Transient, ""},
		{"502", client, reply{status: 502, body: goa("bad_gateway", "true")}, exchange.Transient, ""},
		{"a page", seed, reply{status: 200, body: "<html>canaryMessage"}, exchange.Misconfigured,
			"Something other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.reply)
			p := open(t, "flexera", flexeraSettingsText, w.URL)
			_, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, tt.c), Credential: tt.c})
			e := failure(t, err)
			if e.Class != tt.class || !strings.Contains(e.Hint, tt.hint) || tt.hint == "" && e.Hint != "" {
				t.Errorf("%+v", e)
			}
			if tt.reply.header != "" && e.RetryAfter != 7*time.Second {
				t.Errorf("RetryAfter = %s", e.RetryAfter)
			}
			leaks(t, e, "canaryRefresh", "canaryID", "canarySecret", "canaryMessage")
		})
	}
}

func TestAFlexeraTokenIsProvenByACall(t *testing.T) {
	t.Parallel()
	for status, alive := range map[int]bool{200: true, 403: true, 401: false, 500: false,
		404: false, 429: false} {
		w := newWire(t, reply{status: status, body: `[]`})
		p, ok := open(t, "flexera", flexeraSettingsText, w.URL).(exchange.Prover)
		if !ok {
			t.Fatal("flexera is no Prover")
		}
		err := p.Prove(t.Context(), credential.Credential{}, redact.New("canaryAccess"))
		if (err == nil) != alive {
			t.Errorf("%d: %v", status, err)
		}
		w.check(t, "GET /api/iam/v1/refresh-tokens\nAuthorization: Bearer canaryAccess")
		if err != nil {
			leaks(t, failure(t, err), "canaryAccess")
		}
	}
}

func manager(t *testing.T, w *wire) ClientManager {
	t.Helper()
	m, ok := open(t, "flexera",
		`{"zone":"nam","api_url":"SERVER","org_id":1105,"service_account_id":2263}`, w.URL).(ClientManager)
	if !ok {
		t.Fatal("flexera with a service account is no ClientManager")
	}
	return m
}

const clientsPath = "/iam/v1/orgs/1105/service-accounts/2263/clients"

func TestFlexeraClientsAreListedMadeAndDeleted(t *testing.T) {
	t.Parallel()
	// As in lists: the field exists, but it holds no secret.
	const one = `{"clientId":"0oa9","clientSecret":"shown","createdAt":"2026-09-14T10:00:00Z","createdBy":40321,"kind":"iam#service-account-client"}`
	listed := []Client{{ID: "0oa9", CreatedAt: time.Date(2026, 9, 14, 10, 0, 0, 0, time.UTC),
		CreatedBy: 40321}}
	for body, want := range map[string][]Client{
		`[]`: {}, `[` + one + `]`: listed, `{"values":[` + one + `]}`: listed, `{"values":[]}`: {},
	} {
		w := newWire(t, reply{status: 200, body: body})
		got, err := manager(t, w).ListClients(t.Context(), credential.Credential{}, redact.New("at"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare...); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
		w.check(t, "GET "+clientsPath+"\nAuthorization: Bearer at")
	}
	w := newWire(t, reply{status: 201, body: one}, reply{status: 204},
		reply{status: 404, body: `{"name":"not_found"}`})
	m := manager(t, w)
	got, err := m.CreateClient(t.Context(), credential.Credential{}, redact.New("at"))
	if err != nil {
		t.Fatal(err)
	}
	created := listed[0]
	created.Secret = redact.New("shown")
	if diff := cmp.Diff(created, got, compare...); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"0oa9", "a/b c"} {
		if err := m.DeleteClient(t.Context(), credential.Credential{}, redact.New("at"), id); err != nil {
			t.Error(err)
		}
	}
	w.check(t, "POST "+clientsPath+"\nAuthorization: Bearer at",
		"DELETE "+clientsPath+"/0oa9\nAuthorization: Bearer at",
		"DELETE "+clientsPath+"/a%2Fb%20c\nAuthorization: Bearer at")
}

func TestEveryRefusalOfFlexerasClientsHasItsClass(t *testing.T) {
	t.Parallel()
	list := func(m ClientManager) error {
		_, err := m.ListClients(t.Context(), credential.Credential{}, redact.New("canaryAccess"))
		return err
	}
	create := func(m ClientManager) error {
		_, err := m.CreateClient(t.Context(), credential.Credential{}, redact.New("canaryAccess"))
		return err
	}
	remove := func(m ClientManager) error {
		return m.DeleteClient(t.Context(), credential.Credential{}, redact.New("canaryAccess"), "canaryID")
	}
	for _, tt := range []struct {
		name  string
		call  func(ClientManager) error
		reply reply
		class exchange.Class
		hint  string
		lost  bool
	}{
		{"no right to list", list, reply{status: 403, body: `{"name":"forbidden"}`},
			exchange.Misconfigured, "iam:service_account_client:index", false},
		{"no right to create", create, reply{status: 403}, exchange.Misconfigured,
			"iam:service_account_client:create", false},
		{"no right to delete", remove, reply{status: 403}, exchange.Misconfigured,
			"iam:service_account_client:delete", false},
		{"no such account", list, reply{status: 404, body: `{"name":"not_found"}`},
			exchange.Misconfigured, "service_account_id", false},
		{"no such API", remove, reply{status: 404, body: "404 page not found"},
			exchange.Misconfigured, "settings.api_url", false},
		{"a third client", create, reply{status: 400, body: `{"name":"bad_request"}`},
			exchange.Misconfigured, "at most two clients", false},
		{"dead token", list, reply{status: 401, body: `{"name":"unauthorized"}`},
			exchange.Misconfigured, "zone", false},
		{"busy", create, reply{status: 429}, exchange.Throttled, "", false},
		{"a list of nothing known", list, reply{status: 200, body: `[{"id":"canaryID"}]`},
			exchange.Misconfigured, "settings.api_url", false},
		{"no list", list, reply{status: 200, body: `{"x":1}`}, exchange.Misconfigured,
			"settings.api_url", false},
		{"a client without a secret", create, reply{status: 201, body: `{"clientId":"canaryID"}`},
			exchange.Misconfigured, "whose secret nobody has", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := failure(t, tt.call(manager(t, newWire(t, tt.reply))))
			if e.Class != tt.class || !strings.Contains(e.Hint, tt.hint) || e.Lost != tt.lost {
				t.Errorf("%+v", e)
			}
			leaks(t, e, "canaryAccess", "canaryID")
		})
	}
	if e := failure(t, create(manager(t, newWire(t)))); !e.Lost || e.Class != exchange.Transient {
		t.Errorf("a create without an answer: %+v", e)
	}
	if _, ok := open(t, "flexera", `{"zone":"nam"}`, "").(ClientManager); ok {
		t.Error("flexera without a service account is a ClientManager")
	}
}
