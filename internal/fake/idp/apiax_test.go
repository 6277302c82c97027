package fakeidp_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"

	"github.com/google/go-cmp/cmp"
)

func apiaxLogin(t *testing.T, s *fakeidp.Server, user, password string) answer {
	t.Helper()
	return post(t, s.Apiax().TokenURL(), "client_id", "integration-api", "grant_type", "password",
		"username", user, "password", password)
}

func apiaxRefresh(t *testing.T, s *fakeidp.Server, token string) answer {
	t.Helper()
	return post(t, s.Apiax().TokenURL(), "client_id", "integration-api", "grant_type",
		"refresh_token", "refresh_token", token,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

// wantGrantDead fails the test unless a refresh was refused with that text.
func wantGrantDead(t *testing.T, what string, a answer, text string) {
	t.Helper()
	wantError(t, what, a, 400, "invalid_grant")
	if got := a.get("error_description"); !strings.HasPrefix(got, text) {
		t.Errorf("%s: got %q, want %q", what, got, text)
	}
}

func TestApiaxAnswersAPasswordGrantAsDocumented(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	a := apiaxLogin(t, s, "ann", pw)
	wantStatus(t, "login", a, 200)
	got, _ := a.json.(map[string]any)
	want := map[string]any{
		"access_token": a.get("access_token"), "refresh_token": a.get("refresh_token"), "session_state": a.get("session_state"),
		"expires_in": 1800.0, "refresh_expires_in": 1209600.0, "token_type": "bearer", "not-before-policy": 0.0, "scope": "profile email",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for name, life := range map[string]time.Duration{"access_token": 1800 * time.Second, "refresh_token": 14 * day} {
		parts := strings.Split(a.get(name), ".")
		if len(parts) != 3 {
			t.Fatalf("%s is no JWT", name)
		}
		payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
		var claims struct{ Iat, Exp int64 }
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			t.Fatalf("%s: unreadable claims: %v", name, err)
		}
		if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
			t.Errorf("%s: the signature is not base64url: %v", name, err)
		}
		if claims.Iat != clk.Now().Unix() || claims.Exp != clk.Now().Add(life).Unix() {
			t.Errorf("%s: got claims %+v", name, claims)
		}
	}
	if diff := cmp.Diff([]time.Time{clk.Now()}, s.Apiax().Logins()); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

func TestApiaxRefusesAWrongPasswordGrant(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	s.Apiax().SetPassword("bob", "bobs password")
	s.Apiax().SetDisabled("bob", true)
	s.Apiax().SetPassword("cid", "cids password")
	s.Apiax().SetRequiredAction("cid", true)
	ok := []string{"client_id", "integration-api", "grant_type", "password", "username", "ann", "password", pw}
	with := func(name, value string) []string {
		out := append([]string(nil), ok...)
		for i := 0; i < len(out); i += 2 {
			if out[i] == name {
				out[i+1] = value
				return out
			}
		}
		return append(out, name, value)
	}
	for _, tt := range []struct {
		name       string
		pairs      []string
		status     int
		code, text string
	}{
		{"wrong client", with("client_id", "x"), 401, "invalid_client", "Invalid client"},
		{"no client", with("client_id", ""), 401, "invalid_client", "Invalid client"},
		{"no user", with("username", ""), 401, "invalid_request", "Missing parameter: username"},
		{"unknown user", with("username", "zoe"), 401, "invalid_grant", "Invalid user credentials"},
		{"wrong password", with("password", "x"), 401, "invalid_grant", "Invalid user credentials"},
		{"disabled", []string{"client_id", "integration-api", "grant_type", "password", "username", "bob", "password", "bobs password"}, 400, "invalid_grant", "Account disabled"},
		{"action", []string{"client_id", "integration-api", "grant_type", "password", "username", "cid", "password", "cids password"}, 400, "invalid_grant", "Account is not fully set up"},
		{"the client's own grant", with("grant_type", "client_credentials"), 401, "unauthorized_client", "Public client"},
		{"other grant", with("grant_type", "x"), 400, "unsupported_grant_type", "Unsupported"},
		{"no grant", with("grant_type", ""), 400, "invalid_request", "Missing form parameter"},
		{"unknown scope", with("scope", "email fly"), 400, "invalid_scope", "Invalid scopes"},
		{"twice", append(with("scope", "email"), "scope", "email"), 400, "invalid_request", "duplicated parameter"},
	} {
		a := post(t, s.Apiax().TokenURL(), tt.pairs...)
		wantError(t, tt.name, a, tt.status, tt.code)
		if !strings.HasPrefix(a.get("error_description"), tt.text) {
			t.Errorf("%s: got %s", tt.name, a.text)
		}
	}
	wantStatus(t, "GET", do(t, http.MethodGet, s.Apiax().TokenURL(), ""), 405)
	if n := len(s.Apiax().Logins()); n != 0 {
		t.Errorf("got %d logins", n)
	}
}

func TestApiaxSessionMaxIsNotExtended(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	a := apiaxLogin(t, s, "ann", s.Apiax().SetPassword("ann", ""))
	clk.Advance(14*day - 10*time.Minute)
	b := apiaxRefresh(t, s, a.get("refresh_token"))
	wantStatus(t, "refresh near the end", b, 200)
	if b.member("expires_in") != 600.0 || b.member("refresh_expires_in") != 600.0 {
		t.Errorf("got %s", b.text)
	}
	if b.get("refresh_token") == a.get("refresh_token") {
		t.Error("no new refresh token")
	}
	wantStatus(t, "the old one still works", apiaxRefresh(t, s, a.get("refresh_token")), 200)
	clk.Advance(10 * time.Minute)
	wantGrantDead(t, "after 14 days", apiaxRefresh(t, s, b.get("refresh_token")), "Token is not active")
	if s.Accepts("apiax", b.get("access_token")) || s.Apiax().Sessions() != 0 ||
		s.LiveRefreshTokens("apiax") != 0 {
		t.Error("something outlived the session")
	}
}

func TestAnApiaxSessionEndsWhenIdle(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	s.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.SSOIdle = time.Hour })
	token := apiaxLogin(t, s, "ann", s.Apiax().SetPassword("ann", "")).get("refresh_token")
	for range 3 {
		clk.Advance(50 * time.Minute)
		a := apiaxRefresh(t, s, token)
		wantStatus(t, "within the idle time", a, 200)
		if a.member("refresh_expires_in") != 3600.0 {
			t.Errorf("got %s", a.text)
		}
		token = a.get("refresh_token")
	}
	clk.Advance(time.Hour)
	wantGrantDead(t, "idle", apiaxRefresh(t, s, token), "Token is not active")
}

func TestAReusedApiaxRefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T, reuse int) (s *fakeidp.Server, first string) {
		s, _ = start(t, fakeidp.Options{})
		s.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken, o.RefreshMaxReuse = true, reuse })
		return s, apiaxLogin(t, s, "ann", s.Apiax().SetPassword("ann", "")).get("refresh_token")
	}
	t.Run("second use", func(t *testing.T) {
		t.Parallel()
		s, first := setUp(t, 0)
		second := apiaxRefresh(t, s, first).get("refresh_token")
		if s.RefreshTokenAlive("apiax", first) || !s.RefreshTokenAlive("apiax", second) {
			t.Error("the first use did not spend the token")
		}
		wantGrantDead(t, "reuse", apiaxRefresh(t, s, first), "Maximum allowed refresh token reuse exceeded")
		wantGrantDead(t, "its successor", apiaxRefresh(t, s, second), "Session doesn't have required client")
		if s.Apiax().Sessions() != 0 {
			t.Error("the session is still attached")
		}
	})
	t.Run("use after the successor", func(t *testing.T) {
		t.Parallel()
		s, first := setUp(t, 0)
		second := apiaxRefresh(t, s, first).get("refresh_token")
		third := apiaxRefresh(t, s, second).get("refresh_token")
		wantGrantDead(t, "stale", apiaxRefresh(t, s, first), "Stale token")
		wantGrantDead(t, "the newest", apiaxRefresh(t, s, third), "Session doesn't have required client")
	})
	t.Run("one reuse allowed", func(t *testing.T) {
		t.Parallel()
		s, first := setUp(t, 1)
		wantStatus(t, "use", apiaxRefresh(t, s, first), 200)
		wantStatus(t, "reuse", apiaxRefresh(t, s, first), 200)
		wantGrantDead(t, "one too many", apiaxRefresh(t, s, first), "Maximum allowed refresh token reuse exceeded")
	})
}

func TestApiaxLocksAnAccountAfterWrongPasswords(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	var texts []string
	for range 3 {
		texts = append(texts,
			strings.TrimSuffix(apiaxLogin(t, s, "ann", "x").get("error_description"), " [ann] [x]"))
	}
	locked := apiaxLogin(t, s, "ann", pw)
	wantError(t, "locked", locked, 401, "invalid_grant")
	texts = append(texts, strings.TrimSuffix(locked.get("error_description"), " [ann] ["+pw+"]"))
	want := []string{"Invalid user credentials", "Invalid user credentials",
		"Invalid user credentials", "Invalid user credentials"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("a lockout and a wrong password have different answers (-want +got):\n%s", diff)
	}
	clk.Advance(15 * time.Minute)
	wantStatus(t, "fourth failure", apiaxLogin(t, s, "ann", "x"), 401)
	wantStatus(t, "locked again", apiaxLogin(t, s, "ann", pw), 401)
	clk.Advance(15 * time.Minute)
	wantStatus(t, "after the wait", apiaxLogin(t, s, "ann", pw), 200)
	wantStatus(t, "one failure", apiaxLogin(t, s, "ann", "x"), 401)
	wantStatus(t, "counts anew", apiaxLogin(t, s, "ann", pw), 200)
	for range 3 {
		apiaxLogin(t, s, "ann", "x")
	}
	wantStatus(t, "a new password lifts it", apiaxLogin(t, s, "ann", s.Apiax().SetPassword("ann", "")), 200)
}

func TestApiaxOptionsChangeTheAnswer(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	s.Apiax().Configure(func(o *fakeidp.ApiaxOptions) {
		o.RefreshExpiresInZero, o.ExpiresAtOnRefresh, o.LowercaseBearer, o.BadCredentialsStatus = true, true, false, 400
	})
	wantError(t, "newer status", apiaxLogin(t, s, "ann", "x"), 400, "invalid_grant")
	a := apiaxLogin(t, s, "ann", pw)
	if a.member("refresh_expires_in") != 0.0 || a.get("token_type") != "Bearer" ||
		a.member("expires_at") != nil {
		t.Errorf("login: got %s", a.text)
	}
	b := apiaxRefresh(t, s, a.get("refresh_token"))
	if b.member("expires_in") != nil ||
		b.member("expires_at") != float64(clk.Now().Add(1800*time.Second).UnixMilli()) {
		t.Errorf("refresh: got %s", b.text)
	}
	clk.Advance(14 * day)
	wantStatus(t, "0 is not for ever", apiaxRefresh(t, s, b.get("refresh_token")), 400)
	s.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.NoRefreshTokens = true })
	c := post(t, s.Apiax().TokenURL(), "client_id", "integration-api", "grant_type", "password",
		"username", "ann", "password", pw, "scope", "openid")
	if c.member("refresh_token") != nil || c.get("id_token") == "" || c.get("scope") != "openid profile email" {
		t.Errorf("openid: got %s", c.text)
	}
}

func TestApiaxSessionsEndByLogoutAndByRevocation(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	base := s.Apiax().RealmURL() + "/protocol/openid-connect/"
	login := func() string { return apiaxLogin(t, s, "ann", pw).get("refresh_token") }
	one, two := login(), login()
	if n := s.Apiax().Sessions(); n != 2 {
		t.Fatalf("got %d sessions, want 2", n)
	}
	wantStatus(t, "logout", post(t, base+"logout", "client_id", "integration-api", "refresh_token", one), 204)
	wantGrantDead(t, "logged out", apiaxRefresh(t, s, one), "Session not active")
	three := login() // a session of its own
	wantStatus(t, "revoke", post(t, base+"revoke", "client_id", "integration-api", "token", two), 200)
	wantGrantDead(t, "revoked", apiaxRefresh(t, s, two), "Session not active")
	wantStatus(t, "another session", apiaxRefresh(t, s, three), 200)
	wantError(t, "revoke nonsense",
		post(t, base+"revoke", "client_id", "integration-api", "token", "x"), 200, "invalid_token")
	wantGrantDead(t, "nonsense", apiaxRefresh(t, s, "x"), "Invalid refresh token")
	wantError(t, "no token", apiaxRefresh(t, s, ""), 400, "invalid_request")
	four := login()
	s.Apiax().SetDisabled("ann", true)
	wantGrantDead(t, "disabled", apiaxRefresh(t, s, four), "User disabled")
	s.Apiax().SetDisabled("ann", false)
	s.Apiax().EndSessions("ann")
	wantGrantDead(t, "ended", apiaxRefresh(t, s, four), "Session not active")
}

func TestApiaxMetadataNamesItsEndpoints(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	a := do(t, http.MethodGet, s.Apiax().RealmURL()+"/.well-known/openid-configuration", "")
	wantStatus(t, "discovery", a, 200)
	if a.get("token_endpoint") != s.Apiax().TokenURL() || a.get("issuer") != s.Apiax().RealmURL() {
		t.Errorf("got %s", a.text)
	}
	wantStatus(t, "no /auth",
		do(t, http.MethodGet, s.URL()+"/apiax/realms/apiax/.well-known/openid-configuration", ""), 404)
}

// An offline session ends only by idling, and its refresh token names no end.
func TestAnApiaxOfflineSessionEndsOnlyWhenIdle(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	a := post(t, s.Apiax().TokenURL(), "client_id", "integration-api", "grant_type", "password",
		"username", "ann", "password", pw, "scope", "offline_access")
	if a.member("refresh_expires_in") != 0.0 {
		t.Errorf("got %s", a.text)
	}
	clk.Advance(29 * day)
	b := apiaxRefresh(t, s, a.get("refresh_token"))
	wantStatus(t, "after 29 days", b, 200)
	clk.Advance(30 * day)
	wantGrantDead(t, "idle for 30 days", apiaxRefresh(t, s, b.get("refresh_token")), "Session not active")
}
