//go:build verify

package others

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
)

// sdk is a process with one of Sharetribe's SDKs
// (https://github.com/sharetribe/flex-sdk-js, flex-integration-sdk-js).
type sdk struct {
	in  io.Writer
	out *bufio.Reader
}

// sdkAnswer is the status of the SDK's response and the token it then holds.
type sdkAnswer struct {
	Status int
	Token  struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Scope        string `json:"scope"`
	}
}

func startSDK(t *testing.T, env ...string) *sdk {
	t.Helper()
	c := node(t.Context(), t, "sharetribe.mjs", env...)
	in, out := startPiped(t, c)
	return &sdk{in, out}
}

func (s *sdk) do(t *testing.T, command string) sdkAnswer {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, command); err != nil {
		t.Fatal(err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the SDK's process ended at %s: %v", command, err)
	}
	var answer sdkAnswer
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatal(err)
	}
	check(t, command, http.StatusOK, answer.Status)
	return answer
}

// later is a provider whose clock the test can move forward.
func later(t *testing.T) (*fakeidp.Server, func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	idp, err := fakeidp.New(fakeidp.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	return idp, func(d time.Duration) { ahead.Add(int64(d)) }
}

// TestSharetribesIntegrationSDKAcceptsTheFake: the fake answers the Integration SDK as
// Sharetribe does, and accepts what it sends.
func TestSharetribesIntegrationSDKAcceptsTheFake(t *testing.T) {
	t.Parallel()
	idp, pass := later(t)
	id, secret := idp.Sharetribe().AddIntegrationApp()
	s := startSDK(t, "ACCESS=integration", "BASE_URL="+idp.Sharetribe().IntegURL(), "CLIENT_ID="+id,
		"CLIENT_SECRET="+secret)
	first := s.do(t, "show")
	check(t, "the scope", "integ", first.Token.Scope)
	check(t, "kept while it lives", first.Token.AccessToken, s.do(t, "show").Token.AccessToken)
	pass(2 * time.Hour)
	second := s.do(t, "show")
	check(t, "refreshed once it is dead", true, second.Token.AccessToken != first.Token.AccessToken)
	check(t, "the spent refresh token lives", false,
		idp.RefreshTokenAlive(fakeidp.ProviderSharetribe, first.Token.RefreshToken))
	check(t, "grants", []string{"client_credentials", "refresh_token"}, grants(idp))
	s.do(t, "logout")
	check(t, "the refresh token lives after logout", false,
		idp.RefreshTokenAlive(fakeidp.ProviderSharetribe, second.Token.RefreshToken))
}

// TestSharetribesMarketplaceSDKAcceptsTheFake: the same for anonymous, user and trusted access.
func TestSharetribesMarketplaceSDKAcceptsTheFake(t *testing.T) {
	t.Parallel()
	idp, pass := later(t)
	id, secret := idp.Sharetribe().AddMarketplaceApp()
	password := idp.Sharetribe().AddUser("user@example.com", "")
	env := []string{"ACCESS=marketplace", "BASE_URL=" + idp.Sharetribe().MarketURL(), "CLIENT_ID=" + id,
		"USERNAME=user@example.com", "PASSWORD=" + password}
	s := startSDK(t, append(env, "CLIENT_SECRET="+secret)...)
	check(t, "anonymous at first", "public-read", s.do(t, "show").Token.Scope)
	user := s.do(t, "login")
	check(t, "the user's scope", "user", user.Token.Scope)
	s.do(t, "show")
	s.do(t, "trusted")
	pass(2 * time.Hour)
	next := s.do(t, "show")
	check(t, "refreshed once it is dead", true, next.Token.AccessToken != user.Token.AccessToken)
	check(t, "grants",
		[]string{"client_credentials", "password", "token_exchange", "refresh_token"}, grants(idp))
	s.do(t, "logout")
	check(t, "the refresh token lives after logout", false,
		idp.RefreshTokenAlive(fakeidp.ProviderSharetribe, next.Token.RefreshToken))
}

// TestSharetribesSDKAcceptsAPublishedToken: an application with the SDK uses the token
// that issue has published.
func TestSharetribesSDKAcceptsAPublishedToken(t *testing.T) {
	t.Parallel()
	for access, market := range map[string]bool{"integration": false, "trusted": true} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			idp := provider(t)
			a, _ := fake(t)
			url, kind := idp.Sharetribe().IntegAuthURL(), "integration"
			base := idp.Sharetribe().IntegURL()
			credential := map[string]any{}
			if market {
				url, base, kind = idp.Sharetribe().MarketAuthURL(), idp.Sharetribe().MarketURL(), "marketplace"
				credential["client_id"], credential["client_secret"] = both(idp.Sharetribe().AddMarketplaceApp())
				credential["username"], credential["password"] = "user@example.com", idp.Sharetribe().AddUser("user@example.com", "")
			} else {
				credential["client_id"], credential["client_secret"] = both(idp.Sharetribe().AddIntegrationApp())
			}
			a.declare(t, "sharetribe", "sharetribe", map[string]any{"access": access, "auth_url": url}, credential)
			check(t, "the first run", []string{"sharetribe issued"}, a.outcomes(run(t, a.issue(t), nil)))
			token := a.read(t, "sharetribe", "token", "AWSCURRENT")["access_token"]
			s := startSDK(t, "ACCESS="+kind, "BASE_URL="+base,
				"CLIENT_ID="+fmt.Sprint(credential["client_id"]), "CLIENT_SECRET=wrong", "TOKEN="+token)
			check(t, "the SDK's token", token, s.do(t, "show").Token.AccessToken)
		})
	}
}

func both(id, secret string) (a, b any) { return id, secret }

// grants lists the grants of all successful token requests.
func grants(idp *fakeidp.Server) []string {
	out := []string{}
	for _, r := range idp.Requests() {
		if r.Grant != "" && r.Status == http.StatusOK {
			out = append(out, r.Grant)
		}
	}
	return out
}
