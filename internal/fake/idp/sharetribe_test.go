package fakeidp_test

import (
	"net/http"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
)

func integLogin(t *testing.T, s *fakeidp.Server, id, secret string) answer {
	t.Helper()
	return post(t, s.Sharetribe().IntegAuthURL(), "client_id", id, "client_secret", secret,
		"grant_type", "client_credentials", "scope", "integ")
}

func shareRefresh(t *testing.T, url, id, token string) answer {
	t.Helper()
	return post(t, url, "client_id", id, "grant_type", "refresh_token", "refresh_token", token)
}

func TestSharetribeIntegrationTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	id, secret := s.Sharetribe().AddIntegrationApp()
	url := s.Sharetribe().IntegAuthURL()
	a := integLogin(t, s, id, secret)
	wantStatus(t, "client credentials", a, 200)
	if a.get("token_type") != "bearer" || a.member("expires_in") != 3600.0 ||
		a.get("scope") != "integ" || a.get("refresh_token") == "" {
		t.Errorf("got %s", a.text)
	}
	b := shareRefresh(t, url, id, a.get("refresh_token"))
	wantStatus(t, "refresh", b, 200)
	if b.member("scope") != nil || b.get("refresh_token") == a.get("refresh_token") {
		t.Errorf("got %s", b.text)
	}
	c := shareRefresh(t, url, id, a.get("refresh_token"))
	if c.status != 401 || c.text != "Unauthorized" {
		t.Errorf("spent token: got %d %q", c.status, c.text)
	}
	if !s.RefreshTokenAlive("sharetribe", b.get("refresh_token")) || s.LiveRefreshTokens("sharetribe") != 1 {
		t.Error("the new refresh token is not the only live one")
	}
	clk.Advance(180 * day)
	wantStatus(t, "after 180 days", shareRefresh(t, url, id, b.get("refresh_token")), 401)
}

func TestSharetribeOptionsDecideOnTheReuseOfARefreshToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		opts        func(*fakeidp.SharetribeOptions)
		oldStatus   int // of a second use
		newStatus   int // of the token that replaced it, after that
		returnsSame bool
		returnsNone bool
		scope       string
	}{
		{"rotating", func(*fakeidp.SharetribeOptions) {}, 401, 200, false, false, ""},
		{"reuse detected", func(o *fakeidp.SharetribeOptions) { o.ReuseKillsFamily = true }, 401, 401, false, false, ""},
		{"kept", func(o *fakeidp.SharetribeOptions) { o.KeepRefreshTokens, o.ScopeAfterRefresh = true, true }, 200, 200, true, false, "integ"},
		{"kept and not returned", func(o *fakeidp.SharetribeOptions) { o.KeepRefreshTokens, o.OmitRefreshToken = true, true }, 200, 200, false, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, fakeidp.Options{})
			s.Sharetribe().Configure(tt.opts)
			id, secret := s.Sharetribe().AddIntegrationApp()
			url := s.Sharetribe().IntegAuthURL()
			first := integLogin(t, s, id, secret).get("refresh_token")
			a := shareRefresh(t, url, id, first)
			wantStatus(t, "refresh", a, 200)
			second := a.get("refresh_token")
			if (second == first) != tt.returnsSame || (second == "") != tt.returnsNone || a.get("scope") != tt.scope {
				t.Errorf("got %s", a.text)
			}
			if second == "" {
				second = first
			}
			wantStatus(t, "second use", shareRefresh(t, url, id, first), tt.oldStatus)
			wantStatus(t, "its successor", shareRefresh(t, url, id, second), tt.newStatus)
		})
	}
}

func TestASharetribeUserTokenIsExchangedForATrustedOne(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	id, secret := s.Sharetribe().AddMarketplaceApp()
	otherID, otherSecret := s.Sharetribe().AddMarketplaceApp()
	pw := s.Sharetribe().AddUser("joe@example.com", "")
	url := s.Sharetribe().MarketAuthURL()
	user := post(t, url, "client_id", id, "grant_type", "password", "username", "joe@example.com",
		"password", pw, "scope", "user")
	wantStatus(t, "password", user, 200)
	exchange := func(id, secret, subject string) answer {
		return post(t, url, "client_id", id, "client_secret", secret, "grant_type", "token_exchange",
			"subject_token", subject, "scope", "trusted:user")
	}
	trusted := exchange(id, secret, user.get("access_token"))
	wantStatus(t, "exchange", trusted, 200)
	if trusted.get("scope") != "trusted:user" || trusted.get("refresh_token") == "" ||
		trusted.get("refresh_token") == user.get("refresh_token") {
		t.Errorf("got %s", trusted.text)
	}
	bare := post(t, url, "client_id", id, "client_secret", secret, "grant_type", "token_exchange",
		"subject_token", user.get("access_token"))
	if bare.status != 200 || bare.get("scope") != "trusted:user" {
		t.Errorf("exchange without scope: got %d %s", bare.status, bare.text)
	}
	wantStatus(t, "exchange for another scope", post(t, url, "client_id", id, "client_secret", secret,
		"grant_type", "token_exchange", "subject_token", user.get("access_token"), "scope", "user"), 400)
	wantStatus(t, "wrong secret", exchange(id, otherSecret, user.get("access_token")), 401)
	wantStatus(t, "other application", exchange(otherID, otherSecret, user.get("access_token")), 401)
	wantStatus(t, "trusted token as subject", exchange(id, secret, trusted.get("access_token")), 401)
	wantStatus(t, "refresh by other application", shareRefresh(t, url, otherID, user.get("refresh_token")), 401)
	clk.Advance(time.Hour)
	wantStatus(t, "expired subject", exchange(id, secret, user.get("access_token")), 401)
	again := shareRefresh(t, url, id, user.get("refresh_token"))
	wantStatus(t, "refresh", again, 200)
	wantStatus(t, "exchange after it", exchange(id, secret, again.get("access_token")), 200)
}

func TestSharetribeRefusesAWrongRequest(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	st := s.Sharetribe()
	integ, secret := st.AddIntegrationApp()
	market, _ := st.AddMarketplaceApp()
	pw := st.AddUser("joe", "")
	refresh := integLogin(t, s, integ, secret).get("refresh_token")
	cc := []string{"grant_type", "client_credentials"}
	for _, tt := range []struct {
		name, url string
		pairs     []string
		status    int
	}{
		{"wrong secret", st.IntegAuthURL(), append(cc, "client_id", integ, "client_secret", "x", "scope", "integ"), 401},
		{"no scope", st.IntegAuthURL(), append(cc, "client_id", integ, "client_secret", secret), 400},
		{"wrong scope", st.IntegAuthURL(), append(cc, "client_id", integ, "client_secret", secret, "scope", "user"), 400},
		{"unknown client", st.IntegAuthURL(), append(cc, "client_id", "x", "client_secret", secret, "scope", "integ"), 401},
		{"integ on the market host", st.MarketAuthURL(), append(cc, "client_id", integ, "client_secret", secret, "scope", "integ"), 401},
		{"market on the integ host", st.IntegAuthURL(), append(cc, "client_id", market, "scope", "public-read"), 401},
		{"anonymous", st.MarketAuthURL(), append(cc, "client_id", market, "scope", "public-read"), 200},
		{"anonymous as integ", st.MarketAuthURL(), append(cc, "client_id", market, "scope", "integ"), 400},
		{"wrong password", st.MarketAuthURL(), []string{"grant_type", "password", "client_id", market, "username", "joe", "password", pw + " ", "scope", "user"}, 401},
		{"password without scope", st.MarketAuthURL(), []string{"grant_type", "password", "client_id", market, "username", "joe", "password", pw}, 400},
		{"password on integ", st.IntegAuthURL(), []string{"grant_type", "password", "client_id", integ, "username", "joe", "password", pw, "scope", "user"}, 400},
		{"refresh with secret", st.IntegAuthURL(), []string{"grant_type", "refresh_token", "client_id", integ, "client_secret", secret, "refresh_token", refresh}, 400},
		{"refresh with other scope", st.IntegAuthURL(), []string{"grant_type", "refresh_token", "client_id", integ, "scope", "user", "refresh_token", refresh}, 401},
		{"refresh with its scope", st.IntegAuthURL(), []string{"grant_type", "refresh_token", "client_id", integ, "scope", "integ", "refresh_token", refresh}, 200},
		{"other grant", st.IntegAuthURL(), []string{"grant_type", "magic", "client_id", integ}, 400},
		{"twice", st.IntegAuthURL(), []string{"client_id", integ, "client_id", integ}, 400},
	} {
		a := post(t, tt.url, tt.pairs...)
		wantStatus(t, tt.name, a, tt.status)
		if tt.name == "anonymous" && a.member("refresh_token") != nil {
			t.Error("an anonymous token came with a refresh token")
		}
	}
	body := encode("grant_type", "client_credentials", "client_id", integ, "client_secret", secret,
		"scope", "integ")
	wantStatus(t, "JSON",
		do(t, http.MethodPost, st.IntegAuthURL(), body, "Content-Type", "application/json"), 415)
	wantStatus(t, "Basic",
		do(t, http.MethodPost, st.IntegAuthURL(), body, "Content-Type", form, "Authorization",
			"Basic eDp5"), 400)
	wantStatus(t, "GET", do(t, http.MethodGet, st.IntegAuthURL(), ""), 404)
	st.Configure(func(o *fakeidp.SharetribeOptions) { o.IntegOnMarketHost = true })
	wantStatus(t, "deprecated host", do(t, http.MethodPost, st.MarketAuthURL(), body, "Content-Type", form), 200)
}

func TestSharetribeRevokesARefreshToken(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	id, secret := s.Sharetribe().AddIntegrationApp()
	a := integLogin(t, s, id, secret)
	url := s.Sharetribe().IntegURL() + "/v1/auth/revoke"
	body := encode("token", a.get("refresh_token"))
	wantStatus(t, "no bearer", do(t, http.MethodPost, url, body, "Content-Type", form), 401)
	wantStatus(t, "revoke",
		do(t, http.MethodPost, url, body, "Content-Type", form, "Authorization",
			"Bearer "+a.get("access_token")), 200)
	if s.RefreshTokenAlive("sharetribe", a.get("refresh_token")) {
		t.Error("the revoked token is alive")
	}
	b := integLogin(t, s, id, secret)
	s.Sharetribe().RevokeRefreshToken(b.get("refresh_token"))
	wantStatus(t, "revoked", shareRefresh(t, s.Sharetribe().IntegAuthURL(), id, b.get("refresh_token")), 401)
	s.Sharetribe().RemoveApp(id)
	wantStatus(t, "removed application", integLogin(t, s, id, secret), 401)
}

func TestSharetribesAPIChecksTheToken(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	s.Sharetribe().Configure(func(o *fakeidp.SharetribeOptions) { o.AccessLife = 5 * time.Minute })
	id, secret := s.Sharetribe().AddIntegrationApp()
	bearer := "Bearer " + integLogin(t, s, id, secret).get("access_token")
	integ := s.Sharetribe().IntegURL() + "/v1/integration_api/marketplace/show"
	market := s.Sharetribe().MarketURL() + "/v1/api/marketplace/show"
	wantStatus(t, "its API", do(t, http.MethodGet, integ, "", "Authorization", bearer), 200)
	wantStatus(t, "the other API", do(t, http.MethodGet, market, "", "Authorization", bearer), 403)
	clk.Advance(5 * time.Minute)
	wantStatus(t, "expired", do(t, http.MethodGet, integ, "", "Authorization", bearer), 401)
}
