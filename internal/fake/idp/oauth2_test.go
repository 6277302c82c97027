package fakeidp_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func oauth2Refresh(t *testing.T, s *fakeidp.Server, id, secret, token string, more ...string) answer {
	t.Helper()
	pairs := append([]string{"grant_type", "refresh_token", "client_id", id, "refresh_token", token}, more...)
	if secret != "" {
		pairs = append(pairs, "client_secret", secret)
	}
	return post(t, s.OAuth2().TokenURL(), pairs...)
}

// TestTheReferenceClientObtainsTokens lets golang.org/x/oauth2 make the requests.
func TestTheReferenceClientObtainsTokens(t *testing.T) {
	t.Parallel()
	for auth, style := range map[string]oauth2.AuthStyle{
		fakeidp.ClientSecretPost: oauth2.AuthStyleInParams, fakeidp.ClientSecretBasic: oauth2.AuthStyleInHeader,
	} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, fakeidp.Options{})
			id, secret := s.OAuth2().AddClient(fakeidp.OAuth2Client{Auth: auth})
			pw := s.OAuth2().AddUser("ann", "")
			cc := clientcredentials.Config{
				ClientID: id, ClientSecret: secret, TokenURL: s.OAuth2().TokenURL(), AuthStyle: style, Scopes: []string{"a", "b"},
			}
			token, err := cc.Token(t.Context())
			if err != nil {
				t.Fatalf("client credentials: %v", err)
			}
			if !s.Accepts("oauth2", token.AccessToken) || token.RefreshToken != "" || token.Extra("scope") != "a b" {
				t.Errorf("got %+v", token)
			}
			conf := oauth2.Config{
				ClientID: id, ClientSecret: secret, Endpoint: oauth2.Endpoint{TokenURL: s.OAuth2().TokenURL(), AuthStyle: style},
			}
			user, err := conf.PasswordCredentialsToken(t.Context(), "ann", pw)
			if err != nil {
				t.Fatalf("password: %v", err)
			}
			user.Expiry = time.Unix(1, 0)
			fresh, err := conf.TokenSource(t.Context(), user).Token()
			if err != nil {
				t.Fatalf("refresh: %v", err)
			}
			if fresh.RefreshToken == user.RefreshToken || !s.RefreshTokenAlive("oauth2", fresh.RefreshToken) {
				t.Error("the refresh token was not rotated")
			}
		})
	}
}

func TestAClientAuthenticatesOnlyAsRegistered(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	o := s.OAuth2()
	postID, postSecret := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretPost})
	basicID, basicSecret := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretBasic})
	publicID, publicSecret := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.NoClientAuth})
	if publicSecret != "" {
		t.Errorf("a public client has a secret")
	}
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	encoded := basic(url.QueryEscape(basicID), url.QueryEscape(basicSecret))
	refresh := o.AddRefreshToken(publicID, "ann", "")
	const cc = "grant_type=client_credentials"
	for _, tt := range []struct {
		name, body, authorization string
		status                    int
		code                      string
	}{
		{"post", cc + "&" + encode("client_id", postID, "client_secret", postSecret), "", 200, ""},
		{"post, wrong", cc + "&" + encode("client_id", postID, "client_secret", "x"), "", 401, "invalid_client"},
		{"post, none", cc + "&" + encode("client_id", postID), "", 401, "invalid_client"},
		{"post client by Basic", cc, basic(url.QueryEscape(postID), url.QueryEscape(postSecret)), 401, "invalid_client"},
		{"Basic", cc, encoded, 200, ""},
		{"Basic with its client_id", cc + "&" + encode("client_id", basicID), encoded, 200, ""},
		{"Basic with another client_id", cc + "&" + encode("client_id", postID), encoded, 400, "invalid_request"},
		{"Basic not form-encoded", cc, basic(basicID, basicSecret), 400, "invalid_request"},
		{"Basic client by post", cc + "&" + encode("client_id", basicID, "client_secret", basicSecret), "", 401, "invalid_client"},
		{"both", cc + "&" + encode("client_id", basicID, "client_secret", basicSecret), encoded, 400, "invalid_request"},
		{"public", encode("grant_type", "refresh_token", "client_id", publicID, "refresh_token", refresh), "", 200, ""},
		{"public with a secret", encode("grant_type", "refresh_token", "client_id", publicID, "client_secret", "x", "refresh_token", refresh), "", 401, "invalid_client"},
		{"public, client credentials", cc + "&" + encode("client_id", publicID), "", 400, "unauthorized_client"},
		{"nobody", cc, "", 401, "invalid_client"},
		{"no grant", encode("client_id", postID, "client_secret", postSecret), "", 400, "invalid_request"},
		{"other grant", encode("grant_type", "magic", "client_id", postID, "client_secret", postSecret), "", 400, "unsupported_grant_type"},
		{"twice", cc + "&" + cc + "&" + encode("client_id", postID, "client_secret", postSecret), "", 400, "invalid_request"},
	} {
		headers := []string{"Content-Type", form}
		if tt.authorization != "" {
			headers = append(headers, "Authorization", tt.authorization)
		}
		a := do(t, http.MethodPost, o.TokenURL(), tt.body, headers...)
		wantError(t, tt.name, a, tt.status, tt.code)
		if challenge := a.header.Get("WWW-Authenticate") != ""; challenge != (a.status == 401 && tt.authorization != "") {
			t.Errorf("%s: got a challenge: %t", tt.name, challenge)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be cached", tt.name)
		}
	}
	body := cc + "&" + encode("client_id", postID, "client_secret", postSecret)
	wantError(t, "JSON",
		do(t, http.MethodPost, o.TokenURL(), body, "Content-Type",
			"application/json"), 400, "invalid_request")
	wantError(t, "query", do(t, http.MethodPost, o.TokenURL()+"?"+body, body, "Content-Type", form),
		400, "invalid_request")
	wantStatus(t, "GET", do(t, http.MethodGet, o.TokenURL(), ""), 405)
	o.RemoveClient(postID)
	wantError(t, "removed", do(t, http.MethodPost, o.TokenURL(), body, "Content-Type", form), 401,
		"invalid_client")
}

func TestASpentRefreshTokenEndsItsFamily(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	id, secret := s.OAuth2().AddClient(fakeidp.OAuth2Client{})
	otherID, otherSecret := s.OAuth2().AddClient(fakeidp.OAuth2Client{})
	first := s.OAuth2().AddRefreshToken(id, "ann", "read write")
	wantError(t, "foreign client", oauth2Refresh(t, s, otherID, otherSecret, first), 400, "invalid_grant")
	wantError(t, "too much scope", oauth2Refresh(t, s, id, secret, first, "scope", "read admin"),
		400, "invalid_scope")
	a := oauth2Refresh(t, s, id, secret, first, "scope", "read")
	wantStatus(t, "less scope", a, 200)
	b := oauth2Refresh(t, s, id, secret, a.get("refresh_token"))
	if a.get("scope") != "read" || b.get("scope") != "read write" {
		t.Errorf("got scopes %q, %q", a.get("scope"), b.get("scope"))
	}
	wantError(t, "foreign replay", oauth2Refresh(t, s, otherID, otherSecret, first), 400, "invalid_grant")
	if !s.RefreshTokenAlive("oauth2", b.get("refresh_token")) {
		t.Error("another client's replay killed the family")
	}
	wantError(t, "replay", oauth2Refresh(t, s, id, secret, first), 400, "invalid_grant")
	wantError(t, "its family", oauth2Refresh(t, s, id, secret, b.get("refresh_token")), 400, "invalid_grant")

	last := s.OAuth2().AddRefreshToken(id, "ann", "")
	revoked := s.OAuth2().AddRefreshToken(id, "ann", "")
	s.OAuth2().RevokeRefreshToken(revoked)
	wantError(t, "revoked", oauth2Refresh(t, s, id, secret, revoked), 400, "invalid_grant")
	wantError(t, "missing", oauth2Refresh(t, s, id, secret, ""), 400, "invalid_request")
	s.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.KeepRefreshTokens = true })
	for range 2 {
		if c := oauth2Refresh(t, s, id, secret, last); c.status != 200 || c.member("refresh_token") != nil {
			t.Errorf("kept: got %s", c.text)
		}
	}
	clk.Advance(90 * day)
	wantError(t, "expired", oauth2Refresh(t, s, id, secret, last), 400, "invalid_grant")
}

func TestAClientGetsOnlyItsGrantsAndScopes(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	o := s.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{Grants: []string{"client_credentials"},
		Scopes: []string{"a", "b"}})
	ask := func(pairs ...string) answer {
		t.Helper()
		return post(t, o.TokenURL(), append([]string{"client_id", id, "client_secret", secret}, pairs...)...)
	}
	cc := []string{"grant_type", "client_credentials"}
	wantError(t, "grant", ask("grant_type", "password", "username", "u", "password", "p"), 400,
		"unauthorized_client")
	wantError(t, "scope", ask(append(cc, "scope", "a c")...), 400, "invalid_scope")
	wantError(t, "resource", ask(append(cc, "resource", "relative")...), 400, "invalid_target")
	if a := ask(cc...); a.get("scope") != "a b" {
		t.Errorf("default scope: got %s", a.text)
	}
	a := ask(append(cc, "scope", "b", "audience", "x", "audience", "y", "resource", "https://api.example")...)
	wantStatus(t, "audience", a, 200)
	issued := o.Issued()
	want := fakeidp.OAuth2Issue{
		Time: clk.Now(), ClientID: id, Subject: id, Grant: "client_credentials", Scope: "b",
		Audience: []string{"x", "y"}, Resource: []string{"https://api.example"},
		AccessToken: a.get("access_token"), AccessExpires: clk.Now().Add(time.Hour),
	}
	if diff := cmp.Diff(want, issued[len(issued)-1]); diff != "" {
		t.Errorf("issued (-want +got):\n%s", diff)
	}
	pw := o.AddUser("ann", "")
	id, secret = o.AddClient(fakeidp.OAuth2Client{})
	wantError(t, "wrong password",
		ask("grant_type", "password", "username", "ann", "password", pw+" "), 400, "invalid_grant")
	wantError(t, "no password", ask("grant_type", "password", "username", "ann"), 400, "invalid_request")
	if b := ask("grant_type", "password", "username", "ann", "password", pw); b.get("refresh_token") == "" {
		t.Errorf("password: got %s", b.text)
	}
	o.Configure(func(o *fakeidp.OAuth2Options) { o.RefreshOnClientCredentials = true })
	if b := ask(cc...); b.get("refresh_token") == "" {
		t.Errorf("client credentials: got %s", b.text)
	}
}

func TestOptionsChangeTheFormOfAnAnswer(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	o := s.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	ask := func(change func(*fakeidp.OAuth2Options)) map[string]any {
		t.Helper()
		o.Configure(change)
		a := oauth2Refresh(t, s, id, secret, o.AddRefreshToken(id, "ann", "a"))
		wantStatus(t, "refresh", a, 200)
		got, _ := a.json.(map[string]any)
		delete(got, "access_token")
		delete(got, "refresh_token")
		return got
	}
	end := clk.Now().Add(time.Hour)
	for format, want := range map[fakeidp.ExpiryFormat]map[string]any{
		fakeidp.ExpiryNumber:      {"expires_in": 3600.0},
		fakeidp.ExpiryString:      {"expires_in": "3600"},
		fakeidp.ExpiryFloat:       {"expires_in": 3600.5},
		fakeidp.ExpiryAbsent:      {},
		fakeidp.ExpiryEpochMillis: {"expires_in": float64(end.UnixMilli())},
		fakeidp.ExpiresAtSeconds:  {"expires_at": float64(end.Unix())},
		fakeidp.ExpiresAtMillis:   {"expires_at": float64(end.UnixMilli())},
		fakeidp.ExpiresAtRFC3339:  {"expires_at": end.Format(time.RFC3339)},
	} {
		want["token_type"], want["scope"] = "Bearer", "a"
		got := ask(func(o *fakeidp.OAuth2Options) { o.Expiry = format })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("format %d (-want +got):\n%s", format, diff)
		}
	}
	got := ask(func(o *fakeidp.OAuth2Options) {
		o.Expiry, o.OmitTokenType, o.OmitScope, o.RefreshExpiresIn = fakeidp.ExpiryAbsent, true, true, true
		o.Extra = map[string]any{"note": "x"}
	})
	if diff := cmp.Diff(map[string]any{"note": "x", "refresh_expires_in": 7776000.0}, got); diff != "" {
		t.Errorf("bare (-want +got):\n%s", diff)
	}
	o.Configure(func(o *fakeidp.OAuth2Options) { o.Throttle = true })
	a := oauth2Refresh(t, s, id, secret, "x")
	if a.status != 429 || a.header.Get("Retry-After") != "7" {
		t.Errorf("throttled: got %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	o.Configure(func(o *fakeidp.OAuth2Options) { o.ThrottleDate = true })
	date, err := http.ParseTime(oauth2Refresh(t, s, id, secret, "x").header.Get("Retry-After"))
	if err != nil || !date.Equal(clk.Now().Add(7*time.Second)) {
		t.Errorf("throttled: got date %v, %v", date, err)
	}
}

func TestMetadataNamesTheEndpoints(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	rfc8414 := s.URL() + "/.well-known/oauth-authorization-server/oauth2"
	oidc := s.OAuth2().Issuer() + "/.well-known/openid-configuration"
	for _, u := range []string{rfc8414, oidc} {
		a := do(t, http.MethodGet, u, "")
		if a.status != 200 || a.get("issuer") != s.OAuth2().Issuer() ||
			a.get("token_endpoint") != s.OAuth2().TokenURL() {
			t.Errorf("%s: got %d %s", u, a.status, a.text)
		}
	}
	s.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.NoRFC8414 = true })
	wantStatus(t, "RFC 8414 off", do(t, http.MethodGet, rfc8414, ""), 404)
	wantStatus(t, "OIDC still on", do(t, http.MethodGet, oidc, ""), 200)
	s.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.NoOIDC = true })
	wantStatus(t, "OIDC off", do(t, http.MethodGet, oidc, ""), 404)
}
