//go:build verify

package keycloak

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	fakekeys "evertoken/internal/fake/keys"
	fakelambda "evertoken/internal/fake/lambda"
)

// apiax is a connection with the provider apiax to its own realm.
func apiax(t *testing.T, s *server) (*real, *account, string) {
	t.Helper()
	r := newRealm(t, s)
	password := r.addUser("user")
	a := newAccount(t)
	a.connect("apiax", map[string]any{"token_url": at(r, "token")},
		map[string]any{"username": "user", "password": password})
	return r, a, password
}

// sent counts events of the server's own log.
func (r *real) sent(event string) int {
	n := 0
	for _, e := range r.events() {
		if e == event {
			n++
		}
	}
	return n
}

// TestTheFunctionKeepsSessionsAtARealServer runs the built function against the newer
// server. Its event log shows what was sent, and its introspection which tokens live.
func TestTheFunctionKeepsSessionsAtARealServer(t *testing.T) {
	_, newest := versions(t)
	s := start(t, newest)
	for name, test := range map[string]func(*testing.T, *server){
		"login and refresh":                      loginAndRefresh,
		"a session that the server ends":         sessionEnds,
		"a session that ends by its own maximum": sessionMax,
		"copies at once, single use":             copiesAtOnce,
		"a wrong password is sent once":          wrongPasswordOnce,
		"a locked account":                       lockedAccount,
		"a disabled user":                        disabledUser,
		"a disabled client":                      disabledClient,
		"one session too many":                   tooManySessions,
		"not-before and new keys":                staleAndForged,
		"an offline token as a seed":             offlineSeed,
		"discovery and a client's own grant":     discovery,
		"private_key_jwt":                        privateKeyJWT,
		"rotation opens a session":               rotation,
		"rotation with a wrong password":         rotationRefused,
		"rotation in a locked account":           rotationLocked,
		"a slow brute force attack meanwhile":    lockedForAWhile,
		"a spent refresh token":                  spentElsewhere,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
	t.Run("a restart of the server", func(t *testing.T) { restarted(t, s) })
}

func loginAndRefresh(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	first, opened := a.token(), a.refreshToken()
	a.want("the second", a.named(), "fresh", "")
	a.want("a forced run", a.force(), "issued", "")
	if a.token() == first || a.refreshToken() == opened {
		t.Error("the refresh changed nothing")
	}
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
	if got := r.events(); !slices.Equal(got, []string{"LOGIN", "REFRESH_TOKEN"}) {
		t.Errorf("the server saw %q", got)
	}
}

func sessionEnds(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	r.endSessions("user")
	a.want("after the logout", a.force(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
	if n := r.sent("LOGIN"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// A session of a few seconds, in real time: the server shortens the lives of its tokens
// towards the end, and the password opens the next session.
func sessionMax(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.set(map[string]any{"ssoSessionMaxLifespan": 45, "ssoSessionIdleTimeout": 45})
	a.want("the first run", a.named(), "issued", "")
	first := a.token()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		if !r.alive(first) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the session did not end")
		}
	}
	a.want("after its end", a.named(), "issued", "")
	if !r.alive(a.token()) || r.sent("LOGIN") != 2 {
		t.Errorf("the published token lives: %v, logins %d, want 2", r.alive(a.token()), r.sent("LOGIN"))
	}
}

func copiesAtOnce(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.singleUse()
	functions := []*fakelambda.Function{a.f, a.start(), a.start(), a.start()}
	event := map[string]any{"connections": []string{"c"}, "force": true}
	a.want("the first run", a.named(), "issued", "")
	for range 3 {
		var done sync.WaitGroup
		for _, f := range functions {
			done.Go(func() { a.run(f, event) })
		}
		done.Wait()
		if !r.alive(a.token()) {
			t.Error("a dead token is published")
		}
	}
	for _, e := range r.events() {
		if e != "LOGIN" && e != "REFRESH_TOKEN" {
			t.Errorf("the server saw %q", e)
		}
	}
	a.want("afterwards", a.force(), "issued", "")
	if n := r.sent("LOGIN"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func wrongPasswordOnce(t *testing.T, s *server) {
	r, a, password := apiax(t, s)
	a.put(map[string]any{"username": "user", "password": "wrong"})
	a.want("the first run", a.named(), "failed", "credential_dead")
	a.want("the second", a.named(), "blocked", "credential_dead")
	a.want("the third", a.named(), "blocked", "credential_dead")
	if n := r.sent("LOGIN_ERROR invalid_user_credentials"); n != 1 {
		t.Errorf("the wrong password was sent %d times, want once", n)
	}
	a.put(map[string]any{"username": "user", "password": password})
	a.want("with the right one", a.named(), "issued", "")
}

func lockedAccount(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	r.lockAfter(1, true)
	login(t, r, "user", "wrong") // another person
	r.locked("user")
	a.want("the session of a locked user", a.force(), "failed", "credential_dead")
	a.want("the next run", a.named(), "fresh", "") // the token lives
	if n := len(r.events()); n > 5 {
		t.Errorf("the server saw %q", r.events())
	}
}

func disabledUser(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.disableUser("user")
	a.want("the first run", a.named(), "failed", "credential_dead")
	a.want("the second", a.named(), "blocked", "credential_dead")
	if got := r.events(); !slices.Equal(got, []string{"LOGIN_ERROR user_disabled"}) {
		t.Errorf("the server saw %q", got)
	}
}

// The client is disabled for one run: that says nothing about the refresh token.
func disabledClient(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	r.disableClient()
	if e := a.force(); e.Outcome != "failed" {
		t.Errorf("while it is disabled: %s %s", e.Outcome, e.Reason)
	}
	r.changeClient(map[string]any{"enabled": true})
	a.want("enabled again", a.force(), "issued", "")
	if n := r.sent("LOGIN"); n != 1 {
		t.Errorf("%d logins, want 1: the refresh token works", n)
	}
}

// A session limit does not count as a wrong password.
func tooManySessions(t *testing.T, s *server) {
	r, a, password := apiax(t, s)
	mustLogin(t, r, "user", password) // another person's
	r.limitSessions("1")
	e := a.named()
	if e.Outcome != "failed" || e.ErrorClass == "credential_dead" {
		t.Errorf("with the limit reached: %s %s (%s)", e.Outcome, e.ErrorClass, e.Reason)
	}
	r.endSessions("user")
	a.want("with room again", a.named(), "issued", "")
}

func staleAndForged(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	r.notBefore()
	time.Sleep(3 * time.Second) // what is issued before that second is stale too
	a.want("after not-before", a.force(), "issued", "")
	r.replaceKeys()
	a.want("after new keys", a.force(), "issued", "")
	if !r.alive(a.token()) || r.sent("LOGIN") != 3 {
		t.Errorf("the published token lives: %v, logins %d, want 3", r.alive(a.token()), r.sent("LOGIN"))
	}
}

// An offline token opens a session that does not end with the user's.
func offlineSeed(t *testing.T, s *server) {
	r := newRealm(t, s)
	seed := mustLogin(t, r, "user", r.addUser("user"), "scope", "offline_access").text("refresh_token")
	a := newAccount(t)
	a.connect("oauth2",
		map[string]any{"token_url": at(r, "token"), "grant": "refresh_token",
			"client_auth": "none"},
		map[string]any{"client_id": clientID, "refresh_token": seed})
	a.want("the first run", a.named(), "issued", "")
	r.admin(http.MethodPost, "/users/"+r.users["user"]+"/logout", nil, nil)
	a.want("a forced run", a.force(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
}

func discovery(t *testing.T, s *server) {
	r := newRealm(t, s)
	a := newAccount(t)
	a.connect("oauth2",
		map[string]any{"issuer": r.realmURL(), "grant": "client_credentials",
			"client_auth": "client_secret_basic"},
		map[string]any{"client_id": judge, "client_secret": judge})
	a.want("the first run", a.named(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
}

func privateKeyJWT(t *testing.T, s *server) {
	r := newRealm(t, s)
	key := fakekeys.Generate(t, "p256")
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(),
		KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	r.admin(http.MethodPost, "/clients", map[string]any{
		"clientId": "signer", "publicClient": false, "serviceAccountsEnabled": true, "standardFlowEnabled": false,
		"clientAuthenticatorType": "client-jwt", "protocolMappers": forJudge(),
		"attributes": map[string]any{"use.jwks.string": "true", "jwks.string": string(keys),
			"token.endpoint.auth.signing.alg": "ES256"},
	}, nil)
	a := newAccount(t)
	a.connect("oauth2",
		map[string]any{"issuer": r.realmURL(), "grant": "client_credentials",
			"client_auth": "private_key_jwt"},
		map[string]any{"client_id": "signer", "key_id": "k1",
			"private_key": fakekeys.PKCS8(t, key)})
	a.want("the first run", a.named(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
}

// Sessions survive a restart of the server (persistent user sessions).
func restarted(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	s.restart(t)
	a.want("after the restart", a.force(), "issued", "")
	if n := r.sent("LOGIN"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// After two fast wrong logins of another person the server refuses the right password for
// a while, with the same answer as a wrong one. Evertoken sends it once, and again when
// an operator who has unlocked the account forces a run.
func lockedForAWhile(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.lockAfter(30, false)
	login(t, r, "user", "wrong")
	r.counted("user", 1)
	login(t, r, "user", "wrong")
	r.locked("user")
	before := len(r.events())
	a.want("while it is locked", a.named(), "failed", "credential_dead")
	a.want("the next run", a.named(), "blocked", "credential_dead")
	a.want("the one after", a.named(), "blocked", "credential_dead")
	if got := r.events()[before:]; len(got) != 1 {
		t.Errorf("the server saw %q", got)
	}
	r.set(map[string]any{"bruteForceProtected": false})
	r.admin(http.MethodDelete, "/attack-detection/brute-force/users", nil, nil)
	a.want("unlocked, and told so", a.force(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
}

// In a realm with single-use refresh tokens another party spends the session's: the
// password opens a new session in the same run.
func spentElsewhere(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.singleUse()
	a.want("the first run", a.named(), "issued", "")
	if status := refresh(t, r, a.refreshToken()).status; status != http.StatusOK {
		t.Fatalf("HTTP %d", status)
	}
	a.want("a forced run", a.force(), "issued", "")
	if !r.alive(a.token()) || r.sent("LOGIN") != 2 {
		t.Errorf("the published token lives: %v, logins %d, want 2", r.alive(a.token()), r.sent("LOGIN"))
	}
}
