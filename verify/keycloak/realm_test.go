//go:build verify

package keycloak

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// real is one realm of a real server, with the public client of Apiax.
type real struct {
	t      *testing.T
	s      *server
	name   string
	client string            // the public client's id in the admin API
	users  map[string]string // :: user name → its id in the admin API
}

// judge is a confidential client, which may introspect tokens.
const judge = "judge"

func newRealm(t *testing.T, s *server) *real {
	t.Helper()
	r := &real{t: t, s: s, name: "r" + strings.ToLower(rand.Text()[:8]), users: map[string]string{}}
	s.admin(t, http.MethodPost, "", map[string]any{
		"realm": r.name, "enabled": true, "sslRequired": "none", "eventsEnabled": true,
		"enabledEventTypes":   []string{"LOGIN", "LOGIN_ERROR", "REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"},
		"accessTokenLifespan": 1800, "ssoSessionIdleTimeout": 14 * 24 * 3600, "ssoSessionMaxLifespan": 14 * 24 * 3600,
		"clients": []any{
			map[string]any{"clientId": clientID, "publicClient": true, "directAccessGrantsEnabled": true,
				"standardFlowEnabled": false, "fullScopeAllowed": true,
				"protocolMappers": forJudge()},
			map[string]any{"clientId": judge, "secret": judge, "publicClient": false, "serviceAccountsEnabled": true,
				"standardFlowEnabled": false, "protocolMappers": forJudge()},
		},
	}, nil)
	t.Cleanup(func() { s.admin(t, http.MethodDelete, "/"+r.name, nil, nil) })
	var clients []struct{ ID string }
	s.admin(t, http.MethodGet, "/"+r.name+"/clients?clientId="+clientID, nil, &clients)
	r.client = clients[0].ID
	return r
}

// forJudge puts the judge into a token's audience: Keycloak shows a client no token with
// another audience.
func forJudge() []any {
	return []any{map[string]any{"name": "judge", "protocol": "openid-connect",
		"protocolMapper": "oidc-audience-mapper",
		"config":         map[string]any{"included.client.audience": judge, "access.token.claim": "true"}}}
}

func (r *real) realmURL() string { return r.s.url + "/realms/" + r.name }

func (r *real) set(members map[string]any) { r.admin(http.MethodPut, "", members, nil) }

func (r *real) admin(method, path string, in, out any) string {
	r.t.Helper()
	return r.s.admin(r.t, method, "/"+r.name+path, in, out)
}

func (r *real) addUser(name string) string {
	password := "p-" + rand.Text()
	r.users[name] = r.admin(http.MethodPost, "/users", map[string]any{
		"username": name, "enabled": true, "email": name + "@example.com", "emailVerified": true,
		"firstName": "A", "lastName": "User",
		"credentials": []any{map[string]any{"type": "password", "value": password}},
	}, nil)
	return password
}

func (r *real) disableUser(name string) {
	r.admin(http.MethodPut, "/users/"+r.users[name], map[string]any{"enabled": false}, nil)
}

func (r *real) deleteUser(name string) { r.admin(http.MethodDelete, "/users/"+r.users[name], nil, nil) }

func (r *real) endSessions(name string) {
	r.admin(http.MethodPost, "/users/"+r.users[name]+"/logout", nil, nil)
}

// lockAfter counts two wrong passwords within ten minutes as fast. Keycloak's default is one
// second, and on a busy machine two logins take longer than that.
func (r *real) lockAfter(failures int, forEver bool) {
	r.set(map[string]any{"bruteForceProtected": true, "failureFactor": failures, "permanentLockout": forEver,
		"maxTemporaryLockouts": 0, "quickLoginCheckMilliSeconds": 600_000, "minimumQuickLoginWaitSeconds": 600})
}

// attack is what Keycloak has counted against a user.
type attack struct {
	NumFailures int
	Disabled    bool
}

func (r *real) counted(name string, failures int) {
	r.attacked(name, fmt.Sprintf("%d failures", failures),
		func(a attack) bool { return a.NumFailures >= failures })
}

func (r *real) locked(name string) {
	r.attacked(name, "a lock", func(a attack) bool { return a.Disabled })
}

func (r *real) attacked(name, want string, is func(attack) bool) {
	r.t.Helper()
	var seen attack
	for range 1200 {
		r.admin(http.MethodGet, "/attack-detection/brute-force/users/"+r.users[name], nil, &seen)
		if is(seen) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("%s, after two minutes: %+v, want %s", name, seen, want)
}

func (r *real) singleUse() {
	r.set(map[string]any{"revokeRefreshToken": true, "refreshTokenMaxReuse": 0})
}

func (r *real) notBefore() {
	r.set(map[string]any{"notBefore": inTwoSeconds()})
}

// replaceKeys removes the realm's keys: Keycloak makes new ones.
func (r *real) replaceKeys() {
	var components []struct{ ID, ProviderID string }
	r.admin(http.MethodGet, "/components?type=org.keycloak.keys.KeyProvider", nil, &components)
	for _, c := range components {
		r.admin(http.MethodDelete, "/components/"+c.ID, nil, nil)
	}
}

func (r *real) disableRealm() { r.set(map[string]any{"enabled": false}) }

func (r *real) changeClient(members map[string]any) {
	r.admin(http.MethodPut, "/clients/"+r.client, members, nil)
}

func (r *real) disableClient()  { r.changeClient(map[string]any{"enabled": false}) }
func (r *real) requireConsent() { r.changeClient(map[string]any{"consentRequired": true}) }

// limitSessions puts the authenticator "user session limits" into the flow of
// direct grants; the user's second session is then denied.
func (r *real) limitSessions(n string) {
	const flow = "limited"
	r.admin(http.MethodPost, "/authentication/flows/direct%20grant/copy", map[string]any{"newName": flow}, nil)
	id := r.admin(http.MethodPost, "/authentication/flows/"+flow+"/executions/execution",
		map[string]any{"provider": "user-session-limits"}, nil)
	r.admin(http.MethodPost, "/authentication/executions/"+id+"/config", map[string]any{"alias": "limit",
		"config": map[string]any{"behavior": "Deny new session", "userRealmLimit": n, "userClientLimit": n}}, nil)
	var executions []map[string]any
	r.admin(http.MethodGet, "/authentication/flows/"+flow+"/executions", nil, &executions)
	for _, e := range executions {
		if e["providerId"] == "user-session-limits" {
			e["requirement"] = "REQUIRED"
			r.admin(http.MethodPut, "/authentication/flows/"+flow+"/executions", e, nil)
		}
	}
	r.set(map[string]any{"directGrantFlow": flow})
}

// alive asks the server whether a token lives (RFC 7662).
func (r *real) alive(token string) bool {
	a := post(r.t, r.realmURL()+"/protocol/openid-connect/token/introspect",
		url.Values{"token": {token}, "client_id": {judge}, "client_secret": {judge}})
	return a.members["active"] == true
}

// events are the types in the server's event log, oldest first, with the error where
// there was one.
func (r *real) events() []string {
	var list []struct{ Type, Error string }
	r.admin(http.MethodGet, "/events?max=1000&direction=asc", nil, &list)
	out := []string{}
	for _, e := range list {
		out = append(out, strings.TrimSpace(e.Type+" "+e.Error))
	}
	return out
}

// inTwoSeconds is later than any token issued now: JWT times are whole seconds.
func inTwoSeconds() int64 { return time.Now().Add(2 * time.Second).Unix() }
