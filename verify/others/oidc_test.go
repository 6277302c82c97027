//go:build verify

package others

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	fakekeys "evertoken/internal/fake/keys"
)

// oidc is a running oidc-provider (https://github.com/panva/node-oidc-provider).
type oidc struct{ issuer string }

const (
	clientID     = "evertoken"
	clientSecret = "a secret with + / % : = &"
)

func startOIDC(t *testing.T, clients ...map[string]any) *oidc {
	t.Helper()
	// Another client, which may introspect tokens.
	clients = append(clients,
		map[string]any{"client_id": "judge", "client_secret": "judge",
			"token_endpoint_auth_method": "client_secret_post",
			"grant_types":                []string{"client_credentials"}, "response_types": []string{}, "redirect_uris": []string{}})
	c := node(t.Context(), t, "oidc.mjs", "CLIENTS="+encode(t, clients))
	_, out := startPiped(t, c)
	var ready struct{ Issuer string }
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Issuer != "" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &oidc{ready.Issuer}
		}
	}
	t.Fatal("oidc.mjs ended before it listened")
	return nil
}

// post sends a form and returns the status and the body.
func (o *oidc) post(t *testing.T, path string, form url.Values) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.issuer+path,
		strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// seed is a refresh token as from a browser login.
func (o *oidc) seed(t *testing.T) string {
	t.Helper()
	status, token := o.post(t, "/seed?client_id="+clientID, nil)
	check(t, "the seed's status", http.StatusOK, status)
	return token
}

// alive asks the server whether it would accept a token (RFC 7662).
func (o *oidc) alive(t *testing.T, token string) bool {
	t.Helper()
	_, body := o.post(t, "/token/introspection",
		url.Values{"token": {token}, "client_id": {"judge"}, "client_secret": {"judge"}})
	var answer struct{ Active bool }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("asking about a token: %v", err)
	}
	return answer.Active
}

func client(auth string, grants []string, more map[string]any) map[string]any {
	c := map[string]any{"client_id": clientID, "token_endpoint_auth_method": auth, "grant_types": grants,
		"response_types": []string{}, "redirect_uris": []string{}, "scope": "openid offline_access api"}
	for name, value := range more {
		c[name] = value
	}
	return c
}

// TestAClientOfAnOIDCServerGetsATokenByEachAuthentication renews by the client's secret
// or key, found through the issuer's metadata.
func TestAClientOfAnOIDCServerGetsATokenByEachAuthentication(t *testing.T) {
	t.Parallel()
	key := fakekeys.Generate(t, "p256")
	jwks := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1",
		Algorithm: "ES256", Use: "sig"}}}
	secret := map[string]any{"client_secret": clientSecret}
	for auth, test := range map[string]struct{ client, credential map[string]any }{
		"client_secret_post":  {secret, map[string]any{"client_id": clientID, "client_secret": clientSecret}},
		"client_secret_basic": {secret, map[string]any{"client_id": clientID, "client_secret": clientSecret}},
		"private_key_jwt": {
			map[string]any{"jwks": jwks, "token_endpoint_auth_signing_alg": "ES256"},
			map[string]any{"client_id": clientID, "key_id": "k1",
				"private_key": fakekeys.PKCS8(t, key)},
		},
	} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			o := startOIDC(t, client(auth, []string{"client_credentials"}, test.client))
			a, _ := fake(t)
			a.declare(t, "oidc", "oauth2",
				map[string]any{"issuer": o.issuer, "grant": "client_credentials",
					"client_auth": auth, "scope": "api"}, test.credential)
			f := a.issue(t)
			check(t, "the first run", []string{"oidc issued"}, a.outcomes(run(t, f, nil)))
			first := a.read(t, "oidc", "token", "AWSCURRENT")
			check(t, "the token lives", true, o.alive(t, first["access_token"]))
			check(t, "the scope", "api", first["scope"])
			check(t, "on demand", []string{"oidc issued"}, a.outcomes(a.force(t, f, "oidc")))
		})
	}
}

// TestARefreshTokenOfAnOIDCServerIsRenewed renews by a refresh token that is replaced
// with every use, until another party uses a spent one: the server then ends the whole
// grant (RFC 9700 section 4.14.2).
func TestARefreshTokenOfAnOIDCServerIsRenewed(t *testing.T) {
	t.Parallel()
	for auth, secret := range map[string]map[string]any{
		"client_secret_basic": {"client_secret": clientSecret},
		"none":                {},
	} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			refresh(t, auth, secret)
		})
	}
}

func refresh(t *testing.T, auth string, secret map[string]any) {
	o := startOIDC(t, client(auth, []string{"refresh_token", "authorization_code"},
		merged(secret,
			map[string]any{"redirect_uris": []string{"https://client.example.com/cb"},
				"response_types": []string{"code"}})))
	a, _ := fake(t)
	seed := o.seed(t)
	credential := merged(secret, map[string]any{"client_id": clientID, "refresh_token": seed})
	a.declare(t, "oidc", "oauth2",
		map[string]any{"issuer": o.issuer, "grant": "refresh_token",
			"client_auth": auth}, credential)
	f := a.issue(t)

	check(t, "the first run", []string{"oidc issued"}, a.outcomes(run(t, f, nil)))
	session := a.read(t, "oidc", "session", "AWSCURRENT")["refresh_token"]
	check(t, "the seed lives", false, o.alive(t, seed))
	check(t, "the session lives", true, o.alive(t, session))
	check(t, "the token lives", true, o.alive(t, a.read(t, "oidc", "token", "AWSCURRENT")["access_token"]))

	check(t, "on demand", []string{"oidc issued"}, a.outcomes(a.force(t, f, "oidc")))
	next := a.read(t, "oidc", "session", "AWSCURRENT")["refresh_token"]
	check(t, "the session's old refresh token lives", false, o.alive(t, session))
	check(t, "the session's new one lives", true, o.alive(t, next))

	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {seed}, "client_id": {clientID}}
	if auth == "client_secret_basic" {
		o.reuseBasic(t, form)
	} else {
		o.post(t, "/token", form)
	}
	check(t, "the session lives after the seed was reused", false, o.alive(t, next))
	report := a.force(t, f, "oidc")
	check(t, "after that", "credential_dead", report.Connections[0].ErrorClass)

	credential["refresh_token"] = o.seed(t)
	a.put(t, a.secret("oidc", "credential"), encode(t, credential))
	check(t, "with a new seed", []string{"oidc issued"}, a.outcomes(a.force(t, f, "oidc")))
	check(t, "the new token lives", true, o.alive(t, a.read(t, "oidc", "token", "AWSCURRENT")["access_token"]))
}

// reuseBasic sends a form as the client with its secret (RFC 6749 section
// 2.3.1: both are form-encoded before they are joined).
func (o *oidc) reuseBasic(t *testing.T, form url.Values) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.issuer+"/token",
		strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	check(t, "the reuse is refused", http.StatusBadRequest, response.StatusCode)
}

func merged(maps ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range maps {
		for name, value := range m {
			out[name] = value
		}
	}
	return out
}
