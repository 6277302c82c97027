package fakeidp_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
)

const day = 24 * time.Hour

func flexeraRefresh(t *testing.T, s *fakeidp.Server, zone, token string) answer {
	t.Helper()
	return post(t, s.Flexera().TokenURL(zone), "grant_type", "refresh_token", "refresh_token", token)
}

func flexeraClient(t *testing.T, s *fakeidp.Server, id, secret string) answer {
	t.Helper()
	return post(t, s.Flexera().TokenURL("nam"), "grant_type", "client_credentials", "client_id", id,
		"client_secret", secret)
}

// iam calls the IAM API of zone nam.
func iam(t *testing.T, s *fakeidp.Server, method, path, body, bearer string) answer {
	t.Helper()
	return do(t, method, s.Flexera().APIURL("nam")+path, body, "Authorization", "Bearer "+bearer)
}

func TestFlexeraAnswersARefreshGrantAsDocumented(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	_, token := s.Flexera().AddRefreshToken("eu", "ann", fakeidp.FlexeraTokenOptions{})
	a := flexeraRefresh(t, s, "eu", token)
	wantStatus(t, "refresh", a, 200)
	if a.get("refresh_token") != token || a.member("expires_in") != 3600.0 || a.get("token_type") != "Bearer" {
		t.Errorf("got %s", a.text)
	}
	if strings.Count(a.get("access_token"), ".") != 2 {
		t.Errorf("the access token is no JWT")
	}
	wantError(t, "other zone", flexeraRefresh(t, s, "nam", token), 401, "unauthorized")
	clk.Advance(time.Hour - time.Second)
	if !s.Accepts("flexera", a.get("access_token")) {
		t.Error("the access token died early")
	}
	clk.Advance(time.Second)
	if s.Accepts("flexera", a.get("access_token")) {
		t.Error("the access token outlived its hour")
	}
}

func TestFlexeraRefusesAWrongTokenRequest(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	_, token := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	id, secret := s.Flexera().AddClient(s.Flexera().AddServiceAccount("nam", 1, "app"))
	refresh := encode("grant_type", "refresh_token", "refresh_token", token)
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
	}{
		{"refresh with client_id", refresh + "&client_id=" + id, nil, 400, "bad_request"},
		{"refresh with scope", refresh + "&scope=x", nil, 400, "bad_request"},
		{"refresh with Basic", refresh, []string{"Authorization", "Basic eDp5"}, 400, "bad_request"},
		{"client by Basic", "grant_type=client_credentials", []string{"Authorization", "Basic eDp5"}, 400, "bad_request"},
		{"no secret", encode("grant_type", "client_credentials", "client_id", id), nil, 400, "bad_request"},
		{"wrong secret", encode("grant_type", "client_credentials", "client_id", id, "client_secret", secret+"x"), nil, 401, "unauthorized"},
		{"no grant", "refresh_token=" + token, nil, 400, "bad_request"},
		{"password grant", "grant_type=password", nil, 400, "bad_request"},
		{"twice", refresh + "&" + refresh, nil, 400, "bad_request"},
		{"unknown token", "grant_type=refresh_token&refresh_token=x", nil, 401, "unauthorized"},
		{"text", refresh, []string{"Content-Type", "text/plain"}, 400, "bad_request"},
	} {
		a := do(t, http.MethodPost, s.Flexera().TokenURL("nam"), tt.body,
			append([]string{"Content-Type", form}, tt.headers...)...)
		wantError(t, tt.name, a, tt.status, tt.code)
		if got := a.header.Get("Content-Type"); got != "application/vnd.goa.error" {
			t.Errorf("%s: got content type %q", tt.name, got)
		}
		for _, member := range []string{"id", "message", "temporary", "timeout", "fault"} {
			if a.member(member) == nil {
				t.Errorf("%s: no member %s", tt.name, member)
			}
		}
	}
	ok := do(t, http.MethodPost, s.Flexera().TokenURL("nam"),
		`{"grant_type":"refresh_token","refresh_token":"`+token+`"}`, "Content-Type", "application/json")
	wantStatus(t, "JSON body", ok, 200)
}

func TestFlexeraAnswersADeadGrantInEveryKnownForm(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	for form, want := range map[fakeidp.FlexeraDeadGrant]struct {
		status int
		code   string
	}{
		fakeidp.FlexeraUnauthorized: {401, "unauthorized"},
		fakeidp.FlexeraBadRequest:   {400, "bad_request"},
		fakeidp.FlexeraOkta:         {400, "invalid_grant"},
	} {
		s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.DeadGrant = form })
		wantError(t, want.code, flexeraRefresh(t, s, "nam", "dead"), want.status, want.code)
	}
}

func TestAFlexeraRefreshTokenLivesByItsCreationDate(t *testing.T) {
	t.Parallel()
	cut := time.Date(2026, time.March, 18, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		created time.Time
		slides  bool
	}{
		{"made before the rule", cut.Add(-time.Second), true},
		{"made under the rule", cut, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, clk := start(t, fakeidp.Options{})
			id, token := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{CreatedAt: tt.created})
			a := flexeraRefresh(t, s, "nam", token)
			shown := iam(t, s, http.MethodGet, "/iam/v1/refresh-tokens/"+id, "", a.get("access_token"))
			wantStatus(t, "show", shown, 200)
			end, err := time.Parse(time.RFC3339, shown.get("expiresAt"))
			want := tt.created.Add(365 * day)
			if tt.slides {
				want = clk.Now().Add(365 * day)
			}
			if err != nil || !end.Equal(want) {
				t.Errorf("got expiresAt %v (%v), want %v", end, err, want)
			}
			clk.Advance(want.Sub(clk.Now()) - time.Second)
			if !s.RefreshTokenAlive("flexera", token) {
				t.Error("died early")
			}
			clk.Advance(time.Second)
			if s.RefreshTokenAlive("flexera", token) {
				t.Error("outlived its end")
			}
			wantError(t, "after the end", flexeraRefresh(t, s, "nam", token), 401, "unauthorized")
		})
	}
}

func TestFlexeraCanReplaceARefreshTokenAtEachUse(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) {
		o.RotateRefreshTokens,
			o.ExpiresInString = true, true
	})
	_, first := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	a := flexeraRefresh(t, s, "nam", first)
	second := a.get("refresh_token")
	if second == first || a.member("expires_in") != "3600" {
		t.Errorf("got %s", a.text)
	}
	wantStatus(t, "old", flexeraRefresh(t, s, "nam", first), 401)
	if n := s.LiveRefreshTokens("flexera"); n != 1 || !s.RefreshTokenAlive("flexera", second) {
		t.Errorf("got %d live refresh tokens", n)
	}
}

// TestAFlexeraServiceAccountIsMadeAndItsClientReplaced walks through the vendor's service
// account page, then through a client rotation.
func TestAFlexeraServiceAccountIsMadeAndItsClientReplaced(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	_, rt := s.Flexera().AddAdminRefreshToken("nam", 1105, "ann")
	user := flexeraRefresh(t, s, "nam", rt).get("access_token")
	const accounts = "/iam/v1/orgs/1105/service-accounts"

	created := iam(t, s, http.MethodPost, accounts, `{"name":"my application"}`, user)
	wantStatus(t, "create account", created, 201)
	path := created.header.Get("Location")
	if created.text != "" || !strings.HasPrefix(path, accounts+"/") {
		t.Fatalf("got location %q, body %q", path, created.text)
	}
	id := strings.TrimPrefix(path, accounts+"/")
	shown := iam(t, s, http.MethodGet, path, "", user)
	if shown.get("ref") != "iam#service-account:"+id || shown.get("name") != "my application" {
		t.Errorf("got %s", shown.text)
	}

	first := iam(t, s, http.MethodPost, path+"/clients", "", user)
	wantStatus(t, "create client", first, 201)
	token := flexeraClient(t, s, first.get("clientId"), first.get("clientSecret"))
	wantStatus(t, "client credentials", token, 200)
	if token.member("refresh_token") != nil {
		t.Error("client credentials returned a refresh token")
	}
	own := token.get("access_token")
	wantError(t, "without a role", iam(t, s, http.MethodPost, path+"/clients", "", own), 403, "forbidden")

	grant := func(role, ref, org string) answer {
		return iam(t, s, http.MethodPut, "/iam/v1/orgs/"+org+"/access-rules/grant",
			`{"role":{"name":"`+role+`"},"subject":{"ref":"`+ref+`"}}`, user)
	}
	ref := "ref::::iam:service-account:" + id
	wantError(t, "old ref form", grant("iam_admin", "iam#service-account:"+id, "1105"), 400, "bad_request")
	wantError(t, "unknown role", grant("iam_king", ref, "1105"), 422, "unprocessable_entity")
	wantError(t, "unknown account", grant("iam_admin", "ref::::iam:service-account:9", "1105"), 422,
		"unprocessable_entity")
	wantError(t, "foreign org", grant("iam_admin", ref, "1106"), 403, "forbidden")
	wantStatus(t, "grant", grant("iam_admin", ref, "1105"), 204)

	second := iam(t, s, http.MethodPost, path+"/clients", "", own)
	wantStatus(t, "second client", second, 201)
	wantError(t, "third client", iam(t, s, http.MethodPost, path+"/clients", "", own), 400, "bad_request")
	for _, p := range []string{path + "/clients", path + "/clients/" + second.get("clientId")} {
		if a := iam(t, s, http.MethodGet, p, "", own); a.status != 200 || strings.Contains(a.text, "clientSecret") {
			t.Errorf("GET %s: got %d %s", p, a.status, a.text)
		}
	}
	wantStatus(t, "delete", iam(t, s, http.MethodDelete, path+"/clients/"+first.get("clientId"), "", own), 204)
	wantError(t, "delete again",
		iam(t, s, http.MethodDelete, path+"/clients/"+first.get("clientId"), "",
			own), 404, "not_found")
	wantStatus(t, "deleted client", flexeraClient(t, s, first.get("clientId"), first.get("clientSecret")), 401)
	wantStatus(t, "its access token lives on", iam(t, s, http.MethodGet, path, "", own), 200)
	wantStatus(t, "new client", flexeraClient(t, s, second.get("clientId"), second.get("clientSecret")), 200)
	n, _ := strconv.Atoi(id)
	if got := s.Flexera().Clients(1105, n); len(got) != 1 || got[0] != second.get("clientId") {
		t.Errorf("got clients %v", got)
	}
}

func TestFlexeraClientManagerRoleIsEnough(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	account := s.Flexera().AddServiceAccount("nam", 7, "app", "service_account_client_manager")
	id, secret := s.Flexera().AddClient(account)
	bearer := flexeraClient(t, s, id, secret).get("access_token")
	path := "/iam/v1/orgs/7/service-accounts/" + strconv.Itoa(account)
	wantStatus(t, "create client", iam(t, s, http.MethodPost, path+"/clients", "", bearer), 201)
	wantError(t, "show account", iam(t, s, http.MethodGet, path, "", bearer), 403, "forbidden")
	wantError(t, "create with a body", iam(t, s, http.MethodPost, path+"/clients", "{}", bearer),
		400, "bad_request")
	wantError(t, "encrypted", do(t, http.MethodPost, s.Flexera().APIURL("nam")+path+"/clients", "",
		"Authorization", "Bearer "+bearer, "X-Recipient-Public-Key", "k"), 400, "bad_request")
}

func TestFlexeraLimitsTheServiceAccounts(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	_, rt := s.Flexera().AddAdminRefreshToken("nam", 3, "ann")
	user := flexeraRefresh(t, s, "nam", rt).get("access_token")
	for range 20 {
		s.Flexera().AddServiceAccount("nam", 3, "app")
	}
	path := "/iam/v1/orgs/3/service-accounts"
	wantError(t, "21st", iam(t, s, http.MethodPost, path, `{"name":"x"}`, user), 400, "bad_request")
	wantError(t, "bad org", iam(t, s, http.MethodGet, "/iam/v1/orgs/0/service-accounts", "", user),
		400, "bad_request")
	list := iam(t, s, http.MethodGet, path, "", user)
	if got, _ := list.json.([]any); len(got) != 20 {
		t.Errorf("got %d accounts listed", len(got))
	}
}

func TestFlexeraChecksTheBearerToken(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	id, rt := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	_, otherRT := s.Flexera().AddRefreshToken("nam", "bob", fakeidp.FlexeraTokenOptions{})
	ann := flexeraRefresh(t, s, "nam", rt).get("access_token")
	bob := flexeraRefresh(t, s, "nam", otherRT).get("access_token")
	const path = "/iam/v1/refresh-tokens"
	wantError(t, "no bearer", do(t, http.MethodGet, s.Flexera().APIURL("nam")+path, ""), 401, "unauthorized")
	wantError(t, "other zone",
		do(t, http.MethodGet, s.Flexera().APIURL("eu")+path, "", "Authorization",
			"Bearer "+ann), 401, "unauthorized")
	wantError(t, "foreign token", iam(t, s, http.MethodGet, path+"/"+id, "", bob), 404, "not_found")
	wantError(t, "foreign list", iam(t, s, http.MethodGet, path+"?userId=1", "", bob), 403, "forbidden")
	if list, _ := iam(t, s, http.MethodGet, path, "", ann).json.([]any); len(list) != 1 {
		t.Errorf("got list %v", list)
	}
	wantStatus(t, "logout",
		do(t, http.MethodPost, s.Flexera().LoginURL("nam")+"/logout", "", "Authorization",
			"Bearer "+bob), 204)
	wantError(t, "logged out", iam(t, s, http.MethodGet, path, "", bob), 401, "unauthorized")
	wantStatus(t, "revoke", iam(t, s, http.MethodDelete, path+"/"+id, "", ann), 204)
	wantStatus(t, "revoked", flexeraRefresh(t, s, "nam", rt), 401)
	s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.AccessLife = time.Minute })
	short := flexeraRefresh(t, s, "nam", otherRT).get("access_token")
	wantStatus(t, "live", iam(t, s, http.MethodGet, path, "", short), 200)
	clk.Advance(time.Minute)
	wantError(t, "expired", iam(t, s, http.MethodGet, path, "", short), 401, "unauthorized")
}

func TestANewFlexeraClientWorksAfterAWhile(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = 2 * time.Second })
	id, secret := s.Flexera().AddClient(s.Flexera().AddServiceAccount("nam", 1, "app"))
	wantStatus(t, "at once", flexeraClient(t, s, id, secret), 401)
	clk.Advance(2 * time.Second)
	wantStatus(t, "later", flexeraClient(t, s, id, secret), 200)
	s.Flexera().RevokeClient(id)
	wantStatus(t, "revoked", flexeraClient(t, s, id, secret), 401)
}

func TestFlexeraLimitsRequestsPerMinute(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.RequestsPerMinute = 2 })
	_, rt := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	bearer := flexeraRefresh(t, s, "nam", rt).get("access_token")
	if got := iam(t, s, http.MethodGet, "/iam/v1/refresh-tokens", "", bearer).header.Get("X-Ratelimit-Remaining"); got != "1" {
		t.Errorf("got x-ratelimit-remaining %q, want 1", got)
	}
	flexeraRefresh(t, s, "nam", rt)
	clk.Advance(10 * time.Second)
	a := flexeraRefresh(t, s, "nam", rt)
	wantError(t, "third", a, 429, "too_many_requests")
	if a.header.Get("Retry-After") != "50" || a.member("temporary") != true {
		t.Errorf("got Retry-After %q, %s", a.header.Get("Retry-After"), a.text)
	}
	s.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.RetryAfterDate = true })
	date, err := http.ParseTime(flexeraRefresh(t, s, "nam", rt).header.Get("Retry-After"))
	if err != nil || date.Before(clk.Now().Add(50*time.Second)) {
		t.Errorf("got date %v, %v", date, err)
	}
	clk.Advance(50 * time.Second)
	wantStatus(t, "next minute", flexeraRefresh(t, s, "nam", rt), 200)
}

func TestFlexeraRefusesAWrongAdministrationRequest(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	id, rt := s.Flexera().AddAdminRefreshToken("nam", 9, "ann")
	_, second := s.Flexera().AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	_, foreign := s.Flexera().AddRefreshToken("nam", "bob", fakeidp.FlexeraTokenOptions{})
	bearer := flexeraRefresh(t, s, "nam", rt).get("access_token")
	const org = "/iam/v1/orgs/9"
	roles, _ := iam(t, s, http.MethodGet, org+"/roles", "", bearer).json.([]any)
	if len(roles) == 0 || roles[0].(map[string]any)["name"] != "iam_admin" {
		t.Errorf("got roles %v", roles)
	}
	account := s.Flexera().AddServiceAccount("nam", 9, "app")
	client, secret := s.Flexera().AddClient(account)
	path := org + "/service-accounts/" + strconv.Itoa(account)
	wantError(t, "no name",
		iam(t, s, http.MethodPost, org+"/service-accounts", `{"name":" "}`,
			bearer), 400, "bad_request")
	wantError(t, "unknown client", iam(t, s, http.MethodGet, path+"/clients/0oa", "", bearer), 404, "not_found")
	wantError(t, "unknown account",
		iam(t, s, http.MethodGet, org+"/service-accounts/1/clients", "", bearer), 404, "not_found")
	wantStatus(t, "unknown path", iam(t, s, http.MethodGet, org+"/nothing", "", bearer), 404)
	wantStatus(t, "wrong method", iam(t, s, http.MethodPut, path, "", bearer), 405)
	wantStatus(t, "unknown zone", flexeraRefresh(t, s, "mars", rt), 404)
	wantStatus(t, "delete account", iam(t, s, http.MethodDelete, path, "", bearer), 204)
	wantStatus(t, "its client", flexeraClient(t, s, client, secret), 401)
	wantError(t, "show it", iam(t, s, http.MethodGet, path, "", bearer), 404, "not_found")

	s.Flexera().RevokeRefreshToken(id)
	if s.RefreshTokenAlive("flexera", rt) || !s.RefreshTokenAlive("flexera", second) {
		t.Error("RevokeRefreshToken ended the wrong token")
	}
	wantStatus(t, "revoke all", iam(t, s, http.MethodDelete, "/iam/v1/refresh-tokens", "", bearer), 204)
	if s.RefreshTokenAlive("flexera", second) || !s.RefreshTokenAlive("flexera", foreign) {
		t.Error("DELETE ended other than the caller's tokens")
	}
}
