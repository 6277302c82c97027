package providers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// The answer of Keycloak, with the members that Apiax's page prints.
const apiaxAnswer = `{"access_token":"at-2","expires_in":1800,"refresh_expires_in":0,"refresh_token":"rt-2","token_type":"bearer",
"not-before-policy":0,"session_state":"5f0b8c1e-7d0a-4e7b-9a51-2f6f2e0c1d11","scope":"profile email"}`

func TestApiaxSendsTheDocumentedRequests(t *testing.T) {
	t.Parallel()
	c := creds("username", " us er+1@example.com", "password", " p&ss=wörd% ")
	want := issuedFor("at-2", 30*time.Minute)
	want.RefreshToken, want.Scope = redact.New("rt-2"), "profile email"
	for _, tt := range []struct {
		name, settings string
		grant          exchange.Grant
		body           string
	}{
		{"password", `{"token_url":"SERVER/auth/realms/apiax/protocol/openid-connect/token"}`,
			exchange.Grant{},
			"client_id=integration-api&grant_type=password&password=+p%26ss%3Dw%C3%B6rd%25+&username=+us+er%2B1%40example.com"},
		{"refresh", `{"token_url":"SERVER/auth/realms/apiax/protocol/openid-connect/token"}`,
			exchange.Refresh,
			"client_id=integration-api&grant_type=refresh_token&refresh_token=rt%2F1"},
		{"refresh as the page prints it", `{"token_url":"SERVER/auth/realms/apiax/protocol/openid-connect/token","client_id":"other",
			"extra":{"client_assertion_type":"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}`, exchange.Refresh,
			"client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=other&grant_type=refresh_token&refresh_token=rt%2F1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, reply{status: 200, body: apiaxAnswer})
			p := open(t, "apiax", tt.settings, w.URL)
			if tt.grant.Type == "" {
				tt.grant = only(t, p, c)
			}
			got, err := p.Exchange(t.Context(), exchange.Request{Grant: tt.grant, Credential: c,
				RefreshToken: redact.New("rt/1")})
			if err != nil {
				t.Fatal(err)
			}
			w.check(t, "POST /auth/realms/apiax/protocol/openid-connect/token\n"+formType+"\n"+tt.body)
			if diff := cmp.Diff(want, got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The page's refresh answer: expires_at in place of expires_in.
func TestApiaxReadsExpiresAt(t *testing.T) {
	t.Parallel()
	w := newWire(t,
		reply{status: 200,
			body: `{"access_token":"at","expires_at":1795280400000,"refresh_expires_in":0,"refresh_token":"rt","token_type":"bearer","not-before-policy":1795278600000}`},
		reply{status: 200, body: `{"access_token":"at","refresh_token":"rt"}`})
	p := open(t, "apiax", `{"token_url":"SERVER/token"}`, w.URL)
	for _, want := range []time.Duration{time.Hour, 30 * time.Minute} {
		got, err := p.Exchange(t.Context(), exchange.Request{Grant: exchange.Refresh,
			RefreshToken: redact.New("rt")})
		if err != nil {
			t.Fatal(err)
		}
		if life := got.ExpiresAt.Sub(testNow); life != want || !got.RefreshExpiresAt.IsZero() {
			t.Errorf("life = %s, refresh end %s", life, got.RefreshExpiresAt)
		}
	}
}

func TestEveryRefusalOfApiaxHasItsClass(t *testing.T) {
	t.Parallel()
	const secret = "canaryPassword1"
	c := creds("username", "canaryUser", "password", secret)
	refused := func(code, description string) string {
		return `{"error":"` + code + `","error_description":"` + description + `"}`
	}
	for _, tt := range []struct {
		name     string
		password bool
		reply    reply
		class    exchange.Class
	}{
		{"locked or wrong, before 26.6", true, reply{status: 401,
			body: refused("invalid_grant", "Invalid user credentials")}, exchange.CredentialDead},
		{"locked or wrong, since", true,
			reply{status: 400, body: refused("invalid_grant", "Invalid user credentials")},
			exchange.CredentialDead},
		{"not set up", true, reply{status: 400, body: refused("invalid_grant",
			"Account is not fully set up")}, exchange.CredentialDead},
		{"no direct access grants", true, reply{status: 400,
			body: refused("unauthorized_client", "Client not allowed for direct access grants")},
			exchange.CredentialDead},
		{"missing parameter", true, reply{status: 401, body: refused("invalid_request",
			"Missing parameter: username")}, exchange.Misconfigured},
		{"expired", false, reply{status: 400, body: refused("invalid_grant",
			"Token is not active")}, exchange.GrantDead},
		{"used twice", false, reply{status: 400, body: refused("invalid_grant",
			"Maximum allowed refresh token reuse exceeded")}, exchange.GrantDead},
		{"wrong client", false, reply{status: 401, body: refused("invalid_client",
			"Invalid client credentials")}, exchange.CredentialDead},
		{"consent", false, reply{status: 400, body: refused("invalid_scope",
			"Client no longer has requested consent from user")}, exchange.Misconfigured},
		{"realm disabled", false, reply{status: 403, body: refused("access_denied",
			"Realm not enabled")}, exchange.Misconfigured},
		{"busy", false, reply{status: 429, header: "Retry-After: 60"}, exchange.Throttled},
		{"down", false, reply{status: 503, body: "<html>"}, exchange.Transient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.reply)
			p := open(t, "apiax", `{"token_url":"SERVER/token"}`, w.URL)
			r := exchange.Request{Grant: exchange.Refresh, Credential: c,
				RefreshToken: redact.New("canaryRefresh1")}
			if tt.password {
				r.Grant = only(t, p, c)
			}
			_, err := p.Exchange(t.Context(), r)
			e := failure(t, err)
			if e.Class != tt.class || e.Lost {
				t.Errorf("%+v", e)
			}
			leaks(t, e, secret, "canaryUser", "canaryRefresh1")
			if len(w.requests()) != 1 {
				t.Errorf("%d requests", len(w.requests()))
			}
		})
	}
}

func TestApiaxKeepsASingleUseSession(t *testing.T) {
	t.Parallel()
	traits := func(limit, before time.Duration) exchange.Traits {
		return exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true,
			SessionMax: limit, RemintBefore: before}
	}
	for settings, want := range map[string]exchange.Traits{
		`{}`:                     traits(336*time.Hour, 24*time.Hour),
		`{"session_max":"10h"}`:  traits(10*time.Hour, time.Hour),
		`{"session_max":"30d"}`:  traits(720*time.Hour, 24*time.Hour),
		`{"remint_before":"2d"}`: traits(336*time.Hour, 48*time.Hour),
		`{"session_max":"8h","remint_before":"30m"}`: traits(8*time.Hour, 30*time.Minute),
	} {
		if diff := cmp.Diff(want, open(t, "apiax", settings, "").Traits()); diff != "" {
			t.Errorf("%s: %s", settings, diff)
		}
	}
	wantGrant := exchange.Grant{Type: "password", Members: []string{"username", "password"}, Password: true}
	if diff := cmp.Diff(wantGrant, only(t, open(t, "apiax", `{}`, ""),
		creds("username", "u", "password", "p"))); diff != "" {
		t.Error(diff)
	}
}
