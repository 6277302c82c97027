package fakeidp_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	fakeclock "evertoken/internal/fake/clock"
	fakeidp "evertoken/internal/fake/idp"

	"github.com/google/go-cmp/cmp"
)

// fno calls the access-token-controller as one user.
type fno struct {
	t              *testing.T
	base           string
	user, password string
}

func (f fno) call(method, path, body string) answer {
	f.t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(f.user + ":" + f.password))
	return do(f.t, method, f.base+path, body, "Authorization", "Basic "+basic, "Content-Type",
		"application/json")
}

func (f fno) create(name, kind, expiry, user string) answer {
	f.t.Helper()
	return f.call(http.MethodPost, "/uar/v1/token", fmt.Sprintf(
		`{"tokenName":%q,"tokenType":%q,"expiryStr":%q,"username":%q,"tokenDescription":"d"}`, name, kind, expiry, user))
}

// flexnet starts a server with the users ann (no permission), bob (none) and
// eve (who manages tokens for others).
func flexnet(t *testing.T) (s *fakeidp.Server, clk *fakeclock.Clock, ann, bob, eve fno) {
	t.Helper()
	s, clk = start(t, fakeidp.Options{})
	as := func(name string, p ...fakeidp.FlexNetPermission) fno {
		return fno{t, s.FlexNet().BaseURL(), name, s.FlexNet().AddUser(name, "", p...)}
	}
	return s, clk, as("ann"), as("bob"), as("eve", fakeidp.CreateImpersonatedToken, fakeidp.ManageUsers)
}

func TestAFlexNetTokenIsMadeUsedAndRevoked(t *testing.T) {
	t.Parallel()
	s, clk, ann, bob, _ := flexnet(t)
	a := ann.create("lambda-a", "NORMAL", "1d 2h", "ann")
	wantStatus(t, "create", a, 201)
	value, end := a.get("tokenValue"), clk.Now().Add(26*time.Hour)
	want := map[string]any{
		"expiryStr": "1d 2h", "tokenDescription": "d", "tokenName": "lambda-a", "tokenType": "NORMAL",
		"tokenCreator": "ann", "username": "ann", "tokenValue": value,
		"tokenExpiryMillis": float64(end.UnixMilli()), "tokenIssueMillis": float64(clk.Now().UnixMilli()),
	}
	if diff := cmp.Diff(map[string]any{"statusMessage": "Successful", "responseObject": want}, a.json); diff != "" {
		t.Errorf("create (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(value, "rna_") || len(value) != 48 || !s.Accepts("flexnet", value) {
		t.Errorf("got value %q", value)
	}
	details := ann.call(http.MethodGet, "/uar/v1/token/lambda-a", "")
	verified := ann.call(http.MethodPost, "/uar/v1/token/verification", `{"accessToken":"`+value+`"}`)
	for what, b := range map[string]answer{"details": details, "verification": verified} {
		if b.status != 200 || b.get("tokenName") != "lambda-a" || strings.Contains(b.text, "tokenValue") {
			t.Errorf("%s: got %d %s", what, b.status, b.text)
		}
	}

	clk.Advance(time.Hour)
	wantStatus(t, "rotation by another", bob.call(http.MethodPost, "/uar/v1/token/lambda-a/rotation", ""), 403)
	b := ann.call(http.MethodPost, "/uar/v1/token/lambda-a/rotation", "")
	wantStatus(t, "rotation", b, 200)
	if b.get("tokenValue") == value || b.member("tokenExpiryMillis") != float64(end.UnixMilli()) {
		t.Errorf("rotation: got %s", b.text)
	}
	if s.Accepts("flexnet", value) || !s.Accepts("flexnet", b.get("tokenValue")) {
		t.Error("rotation left the old value alive, or the new one dead")
	}
	wantStatus(t, "verification of the old value",
		ann.call(http.MethodPost, "/uar/v1/token/verification", `{"accessToken":"`+value+`"}`), 400)

	clk.Advance(25 * time.Hour)
	if s.Accepts("flexnet", b.get("tokenValue")) || len(s.FlexNet().Tokens()) != 0 {
		t.Error("the token outlived its expiry")
	}
	wantStatus(t, "rotation of an expired token",
		ann.call(http.MethodPost, "/uar/v1/token/lambda-a/rotation", ""), 400)
	wantStatus(t, "the name is free again", ann.create("lambda-a", "NORMAL", "30d", "ann"), 201)
	wantStatus(t, "deletion by another", bob.call(http.MethodDelete, "/uar/v1/token/lambda-a", ""), 403)
	wantStatus(t, "deletion", ann.call(http.MethodDelete, "/uar/v1/token/lambda-a", ""), 204)
	wantStatus(t, "details of a deleted token", ann.call(http.MethodGet, "/uar/v1/token/lambda-a", ""), 404)
}

func TestFlexNetRefusesAWrongTokenName(t *testing.T) {
	t.Parallel()
	s, _, ann, _, _ := flexnet(t)
	for name, want := range map[string]int{
		"demo": 400, "five5": 201, strings.Repeat("x", 25): 201, strings.Repeat("x", 26): 400,
		"lambda*": 400, "lambda<b>": 400, "lambda+": 400, "lambda$": 400, "lambda?": 400, "lambda.a": 400,
		"lambda^": 400, "lambda|": 400, "lambda%": 400, "lambda]": 400, `lam\\\\bda`: 400, "Lambda-a": 201, "lambda/a b": 201,
	} {
		if got := ann.create(name, "NORMAL", "30d", "ann"); got.status != want {
			t.Errorf("%q: got status %d, want %d", name, got.status, want)
		}
	}
	wantStatus(t, "an escaped name",
		ann.call(http.MethodGet, "/uar/v1/token/"+url.PathEscape("lambda/a b"), ""), 200)
	taken := ann.create("five5", "NORMAL", "30d", "ann")
	wantStatus(t, "taken", taken, 409)
	s.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { o.NameTakenStatus, o.CreateStatus = 400, 200 })
	wantStatus(t, "taken, by option", ann.create("five5", "NORMAL", "30d", "ann"), 400)
	wantStatus(t, "other case, status by option", ann.create("FIVE5", "NORMAL", "30d", "ann"), 200)
}

func TestFlexNetReadsAnExpiryText(t *testing.T) {
	t.Parallel()
	s, clk, ann, _, _ := flexnet(t)
	s.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { o.MaxLife = 800 * day })
	now := clk.Now()
	for str, want := range map[string]time.Time{
		"1m": now.Add(time.Minute), "90m": now.Add(90 * time.Minute), "1M": now.AddDate(0, 1, 0), "2Y": now.AddDate(2, 0, 0),
		"4M 3d 9h 6m": now.AddDate(0, 4, 3).Add(9*time.Hour + 6*time.Minute),
		"":            {}, "0m": {}, "1y": {}, "30D": {}, "30": {}, "d": {}, "1d2h": {}, "1d  2h": {}, "1d 1d": {}, "-1d": {},
		"1.5h": {}, "60s": {}, "3Y": {},
	} {
		a := ann.create("n-"+strings.ReplaceAll(str, ".", "_")+"-----", "NORMAL", str, "ann")
		if want.IsZero() {
			if a.status != 400 {
				t.Errorf("%q: got status %d, want 400", str, a.status)
			}
		} else if a.member("tokenExpiryMillis") != float64(want.UnixMilli()) {
			t.Errorf("%q: got %s, want %v", str, a.text, want)
		}
	}
}

func TestAFlexNetTokenForAnotherUserNeedsPermission(t *testing.T) {
	t.Parallel()
	_, _, ann, _, eve := flexnet(t)
	wantStatus(t, "without permission", ann.create("token-1", "IMPERSONATED", "30d", "bob"), 403)
	wantStatus(t, "with permission", eve.create("token-1", "IMPERSONATED", "30d", "bob"), 201)
	wantStatus(t, "unknown user", eve.create("token-2", "IMPERSONATED", "30d", "zoe"), 400)
	wantStatus(t, "no user", eve.create("token-2", "NORMAL", "30d", ""), 400)
	wantStatus(t, "other type", eve.create("token-2", "Normal", "30d", "eve"), 400)
	wantStatus(t, "no description", eve.call(http.MethodPost, "/uar/v1/token",
		`{"tokenName":"token-2","tokenType":"IMPERSONATED","expiryStr":"1d","username":"bob"}`), 400)
	wantStatus(t, "no JSON", do(t, http.MethodPost, eve.base+"/uar/v1/token", "{}", "Content-Type", form,
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(eve.user+":"+eve.password))), 415)
	wantStatus(t, "malformed", eve.call(http.MethodPost, "/uar/v1/token", "{"), 400)
}

func TestAFlexNetTokensExpiryCanBeUpdated(t *testing.T) {
	t.Parallel()
	s, clk, ann, bob, eve := flexnet(t)
	value := ann.create("token-1", "NORMAL", "1h", "ann").get("tokenValue")
	wantStatus(t, "second", ann.create("token-2", "NORMAL", "1h", "ann"), 201)
	const path = "/uar/v1/token/token-1"
	wantStatus(t, "by another", bob.call(http.MethodPut, path, `{"expiryStr":"2h"}`), 403)
	wantStatus(t, "by a privileged user", eve.call(http.MethodPut, path, `{"tokenDescription":"e"}`), 204)
	wantStatus(t, "bad expiry", ann.call(http.MethodPut, path, `{"expiryStr":"0m"}`), 400)
	wantStatus(t, "taken name", ann.call(http.MethodPut, path, `{"tokenName":"token-2"}`), 409)
	wantStatus(t, "expiry and name",
		ann.call(http.MethodPut, path, `{"expiryStr":"2h","tokenName":"token-3"}`), 204)
	a := ann.call(http.MethodGet, "/uar/v1/token/token-3", "")
	if a.get("tokenDescription") != "e" ||
		a.member("tokenExpiryMillis") != float64(clk.Now().Add(2*time.Hour).UnixMilli()) {
		t.Errorf("got %s", a.text)
	}
	clk.Advance(2*time.Hour - time.Second)
	if !s.Accepts("flexnet", value) {
		t.Error("the update did not move the expiry of the value")
	}
	clk.Advance(time.Second)
	wantStatus(t, "expired", ann.call(http.MethodPut, "/uar/v1/token/token-3", `{"expiryStr":"2h"}`), 400)
	if got := s.FlexNet().Tokens(); len(got) != 0 {
		t.Errorf("got live tokens %v", got)
	}
}

func TestFlexNetListsTheTokensThatAUserMaySee(t *testing.T) {
	t.Parallel()
	_, _, ann, _, eve := flexnet(t)
	ann.create("ann-1", "NORMAL", "30d", "ann")
	ann.create("ann-2", "NORMAL", "2d", "ann")
	eve.create("eve-1", "IMPERSONATED", "30d", "ann")
	eve.create("eve-2", "NORMAL", "30d", "eve")
	names := func(a answer) (out []string) {
		t.Helper()
		wantStatus(t, "list", a, 200)
		m, _ := a.json.(map[string]any)
		list, _ := m["responseObject"].([]any)
		for _, o := range list {
			out = append(out, o.(map[string]any)["tokenName"].(string))
		}
		return out
	}
	search := func(u fno, filter string) answer {
		return u.call(http.MethodPost, "/uar/v1/tokens/search", `{"page":0,"pageSize":10`+filter+`}`)
	}
	for what, tt := range map[string]struct {
		a    answer
		want []string
	}{
		"own, by user":    {ann.call(http.MethodGet, "/uar/v1/tokens?username=ann", ""), []string{"ann-1", "ann-2", "eve-1"}},
		"own, by creator": {ann.call(http.MethodGet, "/uar/v1/tokens?tokenCreator=ann", ""), []string{"ann-1", "ann-2"}},
		"page":            {ann.call(http.MethodGet, "/uar/v1/tokens?username=ann&page=1&pageSize=2", ""), []string{"eve-1"}},
		"guide's page":    {ann.call(http.MethodGet, "/uar/v1/tokens?username=ann&page=0&pagesize=1", ""), []string{"ann-1"}},
		"of another":      {eve.call(http.MethodGet, "/uar/v1/tokens?tokenCreator=ann", ""), []string{"ann-1", "ann-2"}},
		"search by type":  {search(eve, `,"tokenType":"IMPERSONATED"`), []string{"eve-1"}},
		"search by name":  {search(eve, `,"tokenName":"ann-2"`), []string{"ann-2"}},
		"search none":     {search(ann, `,"username":"ann","expiresBefore":1`), nil},
	} {
		if diff := cmp.Diff(tt.want, names(tt.a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	for what, a := range map[string]answer{
		"list of another":     ann.call(http.MethodGet, "/uar/v1/tokens?username=eve", ""),
		"count of another":    ann.call(http.MethodGet, "/uar/v1/tokens/count?tokenCreator=eve", ""),
		"search of another":   search(ann, `,"username":"eve"`),
		"no filter":           eve.call(http.MethodGet, "/uar/v1/tokens", ""),
		"search, no filter":   search(eve, ""),
		"search, no page":     eve.call(http.MethodPost, "/uar/v1/tokens/search", `{"username":"ann"}`),
		"page is no number":   ann.call(http.MethodGet, "/uar/v1/tokens?username=ann&page=x", ""),
		"page size too small": ann.call(http.MethodGet, "/uar/v1/tokens?username=ann&pageSize=0", ""),
	} {
		wantStatus(t, what, a, 400)
	}
	count := ann.call(http.MethodGet, "/uar/v1/tokens/count?username=ann", "")
	if m, _ := count.json.(map[string]any); m["responseObject"] != 3.0 {
		t.Errorf("count: got %s", count.text)
	}
}

func TestFlexNetMasksTheNamesOfForeignTokens(t *testing.T) {
	t.Parallel()
	_, _, ann, bob, eve := flexnet(t)
	body := `{"accessToken":"` + ann.create("ann-1", "NORMAL", "30d", "ann").get("tokenValue") + `"}`
	for user, want := range map[fno]string{ann: "ann-1", bob: "********", eve: "ann-1"} {
		if got := user.call(http.MethodPost, "/uar/v1/token/verification", body).get("tokenName"); got != want {
			t.Errorf("%s: got name %q, want %q", user.user, got, want)
		}
	}
}

func TestFlexNetChecksUserNameAndPassword(t *testing.T) {
	t.Parallel()
	s, _, ann, bob, _ := flexnet(t)
	value := ann.create("ann-1", "NORMAL", "30d", "ann").get("tokenValue")
	const path = "/uar/v1/tokens?username=ann"
	for what, headers := range map[string][]string{
		"none":           nil,
		"wrong password": {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+bob.password))},
		"bearer":         {"Authorization", "Bearer " + value},
	} {
		a := do(t, http.MethodGet, ann.base+path, "", headers...)
		wantStatus(t, what, a, 401)
		if !strings.Contains(a.text, "<html>") {
			t.Errorf("%s: got no HTML: %s", what, a.text)
		}
	}
	s.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { o.UnauthorizedJSON = true })
	if a := do(t, http.MethodGet, ann.base+path, ""); a.status != 401 || a.json == nil {
		t.Errorf("got %d %s, want JSON", a.status, a.text)
	}
	s.FlexNet().Revoke("ann-1")
	if s.Accepts("flexnet", value) {
		t.Error("a revoked token is accepted")
	}
}

func TestFlexNetServesTheConfiguredBasePaths(t *testing.T) {
	t.Parallel()
	s, _, ann, _, _ := flexnet(t)
	prefixed := fno{t, s.FlexNet().PrefixedBaseURL(), ann.user, ann.password}
	for _, tt := range []struct {
		paths          fakeidp.FlexNetPaths
		root, prefixed int
	}{
		{fakeidp.FlexNetBothPaths, 200, 200}, {fakeidp.FlexNetRootPath, 200, 404}, {fakeidp.FlexNetPrefixedPath, 404, 200},
	} {
		s.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { o.Paths = tt.paths })
		for u, want := range map[fno]int{ann: tt.root, prefixed: tt.prefixed} {
			a := u.call(http.MethodGet, "/uar/v1/tokens?username=ann", "")
			if a.status != want || (want == 404) != strings.Contains(a.text, "<html>") {
				t.Errorf("paths %d, %s: got %d %s", tt.paths, u.base, a.status, a.text)
			}
		}
	}
	wantStatus(t, "wrong method", ann.call(http.MethodPatch, "/uar/v1/tokens", ""), 404)
}
