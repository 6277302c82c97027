package serviceaccount

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func listRefreshTokens(t *testing.T, api string, access redact.Secret) []string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/iam/v1/refresh-tokens", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+access.Reveal())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []struct{ ID string }
	if err := json.Unmarshal(body, &tokens); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, token := range tokens {
		ids = append(ids, token.ID)
	}
	return ids
}

// Each of these is refused before anything is changed.
func TestEveryRefusalComesBeforeAnyChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  func(*world)
		args []string
		want string
	}{
		{"an unknown connection", nil, append(withoutFlag(standard, "-connection"), "-connection", "other"), `no connection "other"`},
		{"another provider", func(w *world) { w.Apiax("apiax") }, append(withoutFlag(standard, "-connection"), "-connection", "apiax"), "moves only connections of flexera"},
		{"a bad connection", func(w *world) { w.declare(map[string]any{"zone": "mars"}) }, standard, "must be nam, eu or apac"},
		{"a declaration that is none", func(w *world) { w.Declare("flexera-prod", "x") }, standard, "is not a JSON object"},
		{"no organization", nil, withoutFlag(standard, "-org"), "--org is missing"},
		{"two organizations", func(w *world) { w.declare(map[string]any{"org_id": 1, "service_account_id": 2}) }, standard, "one of them is wrong"},
		{"an unknown role", nil, append(standard[:len(standard):len(standard)], "-role", "sorcerer"), `no role "sorcerer"`},
		{"two accounts of the name", func(w *world) {
			w.IDP.Flexera().AddServiceAccount("eu", testOrg, testName)
			w.IDP.Flexera().AddServiceAccount("eu", testOrg, testName)
		}, standard, "has 2 service accounts named"},
		{"settings that name another account", func(w *world) {
			other := w.IDP.Flexera().AddServiceAccount("eu", testOrg, "other")
			w.declare(map[string]any{"org_id": testOrg, "service_account_id": other})
		}, standard, "is not the service account"},
		{"two clients whose secrets are lost", func(w *world) {
			account := w.IDP.Flexera().AddServiceAccount("eu", testOrg, testName)
			w.IDP.Flexera().AddClient(account)
			w.IDP.Flexera().AddClient(account)
		}, standard, "/iam/v1/orgs/1105/service-accounts/2263/clients/0oa"},
		{"a dead refresh token", func(w *world) {
			for _, id := range refreshTokenIDs(w) {
				w.IDP.Flexera().RevokeRefreshToken(id)
			}
			_, w.admin = w.IDP.Flexera().AddAdminRefreshToken("eu", testOrg, "jane")
		}, standard, "expired, revoked or already used"},
		{"a user without rights", func(w *world) {
			_, w.refreshToken = w.IDP.Flexera().AddRefreshToken("eu", "joe", fakeidp.FlexeraTokenOptions{})
			w.PutSecret(secretName, marshal(t, map[string]string{"refresh_token": w.refreshToken}))
		}, standard, "The privilege iam:service_account:index is needed"},
		{"a rotation in progress", func(w *world) {
			if err := w.Store().Put(t.Context(), secretName, secrets.FreshID(), redact.New("{}"), secrets.Pending); err != nil {
				t.Fatal(err)
			}
		}, standard, "a rotation of evertoken/flexera-prod/credential is in progress"},
		{"a replica", func(w *world) { w.AWS.SetReplica(secretName, "eu-west-1") }, standard, "its primary Region, eu-west-1"},
		{"no right to read connections", func(w *world) {
			w.AWS.Inject(&fakeaws.Fault{Operation: "GetParametersByPath", Code: "AccessDeniedException"})
		}, standard, "reading the connections below /evertoken/connections/: GetParametersByPath: AccessDeniedException"},
		{"no right to read the credential", func(w *world) {
			w.AWS.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Code: "AccessDeniedException"})
		}, standard, "reading evertoken/flexera-prod/credential: GetSecretValue: AccessDeniedException"},
		{"no right to write the credential", func(w *world) {
			w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException"})
		}, standard, "cannot be written, so nothing was changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.set != nil {
				tt.set(w)
			}
			before := len(w.AWS.Secret(secretName).Versions)
			r := w.run(tt.args...)
			w.check(r, exitFailed, "", tt.want)
			w.unmoved()
			if after := len(w.AWS.Secret(secretName).Versions); after != before {
				t.Error("a version was stored")
			}
			for _, q := range w.IDP.Requests() {
				if q.Provider == fakeidp.ProviderFlexera && q.Method != http.MethodGet && q.Grant == "" {
					t.Errorf("%s %s was sent", q.Method, q.Path)
				}
			}
		})
	}
}

func TestAnEmptyCredentialIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AWS.CreateSecret("evertoken/empty/credential", nil, nil)
	w.Declare("empty", map[string]any{"provider": "flexera", "settings": w.settings})
	args := append(withoutFlag(standard, "-connection"), "-connection", "empty")
	w.check(w.run(args...), exitFailed, "", "has no value yet")
	w.PutSecret("evertoken/empty/credential", `{"note":"x"}`)
	w.check(w.run(args...), exitFailed, "", "no refresh token of a user is stored")
	w.PutSecret("evertoken/empty/credential", `canary`)
	w.check(w.run(args...), exitFailed, "", "is not a JSON object")
}

// The credential has a client of another account: one that works stays, a dead one is
// replaced.
func TestAForeignClientIsReplacedOnlyIfDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.IDP.Flexera()
	id, secret := f.AddClient(f.AddServiceAccount("eu", testOrg, "other"))
	w.PutSecret(secretName,
		marshal(t,
			map[string]string{"refresh_token": w.refreshToken, "client_id": id, "client_secret": secret,
				"note": "kept"}))
	w.check(w.run(standard...), exitFailed, "", "already holds a client that works, "+id)
	f.RevokeClient(id)
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// If the credential has a client of the account and a refresh token, the command uses the
// client and removes the refresh token, which would have precedence.
func TestAClientStoredWithARefreshTokenIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.IDP.Flexera()
	account := f.AddServiceAccount("eu", testOrg, testName)
	id, secret := f.AddClient(account)
	f.AddClient(account) // another person's: the account has two
	w.PutSecret(secretName,
		marshal(t,
			map[string]string{"refresh_token": w.refreshToken, "client_id": id, "client_secret": secret,
				"note": "kept"}))
	r := w.run(standard...)
	w.check(r, exitDone, "use its client "+id, "")
	w.check(r, exitDone, "\nis stored nowhere in evertoken/flexera-prod/credential", "")
	w.moved()
	if w.stored(secrets.Current)["client_id"] != id {
		t.Error("another client is used")
	}
	if w.stored(secrets.Current)[credential.MadeFor] != "" {
		t.Error("another person's client is recorded as made for this secret: a rotation would delete it")
	}
}

// The command names a client whose stored secret is wrong.
func TestAClientWithAWrongSecretIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.IDP.Flexera()
	id, _ := f.AddClient(f.AddServiceAccount("eu", testOrg, testName))
	w.PutSecret(secretName,
		marshal(t,
			map[string]string{"refresh_token": w.refreshToken, "client_id": id,
				"client_secret": "wrong", "note": "kept"}))
	w.check(w.run(standard...), exitFailed, "", "clients/"+id)
	f.RevokeClient(id)
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// Each privilege that is missing is named.
func TestEveryMissingPrivilegeIsNamed(t *testing.T) {
	t.Parallel()
	for path, privilege := range map[string]string{
		"GET /service-accounts":      "iam:service_account:index",
		"GET /roles":                 "iam:role:index",
		"POST /service-accounts":     "iam:service_account:create",
		"GET /service-accounts/2263": "iam:service_account:show",
		"PUT /access-rules/grant":    "iam:access_rule:grant",
		"POST /2263/clients":         "iam:service_account_client:create",
	} {
		w := newWorld(t)
		method, end, _ := strings.Cut(path, " ")
		w.IDP.Inject(&fakeidp.Fault{Provider: fakeidp.ProviderFlexera, Path: end, Times: 1,
			Match: func(r fakeidp.Request) bool { return r.Method == method }, Kind: fakeidp.Answer, Status: http.StatusForbidden,
			Body: []byte(`{"name":"forbidden","message":"` + w.refreshToken + `"}`)})
		w.check(w.run(standard...), exitFailed, "", "The privilege "+privilege+" is needed")
		w.unmoved()
		w.check(w.run(standard...), exitDone, "", "")
		w.moved()
	}
}
