package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fakeidp "evertoken/internal/fake/idp"

	"github.com/google/go-cmp/cmp"
)

// provider is an authorization server with TLS, like a real one, and the certificate that
// clients must trust.
func provider(t *testing.T) (idp *fakeidp.Server, endpoint, certificate string) {
	t.Helper()
	idp, err := fakeidp.New(fakeidp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	target, err := url.Parse(idp.URL())
	if err != nil {
		t.Fatal(err)
	}
	tls := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(tls.Close)
	certificate = filepath.Join(t.TempDir(), "ca.pem")
	write(t, certificate,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})))
	return idp, tls.URL + "/oauth2/token", certificate
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestASecondRunSendsTheRefreshTokenOfTheFirst runs twice: the refresh token that the
// first run gets is what the second one sends.
func TestASecondRunSendsTheRefreshTokenOfTheFirst(t *testing.T) {
	t.Parallel()
	idp, endpoint, certificate := provider(t)
	id, secret := idp.OAuth2().AddClient(fakeidp.OAuth2Client{})
	seed := idp.OAuth2().AddRefreshToken(id, "ann", "read")
	dir := t.TempDir()
	o := options{
		connections: filepath.Join(dir, "connections.json"), credentials: filepath.Join(dir, "credentials.json"),
		sessions: filepath.Join(dir, "sessions.json"),
	}
	write(t, o.connections, `{"connections":{
		"shop-eu":{"provider":"oauth2","session":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/session-a1b2c3","settings":{"grant":"refresh_token","token_url":"`+endpoint+`"}},
		"shop-bot":{"provider":"oauth2","settings":{"grant":"client_credentials","token_url":"`+endpoint+`"}}}}`)
	write(t, o.credentials,
		`{"shop-bot":{"client_id":"`+id+`","client_secret":`+quote(secret)+`},"shop-eu":{"refresh_token":"the variable goes before it"}}`)
	lookup := variables(map[string]string{
		"SSL_CERT_FILE":                certificate,
		"EVERTOKEN_ALLOWED_HOSTS":      strings.TrimPrefix(strings.TrimSuffix(endpoint, "/oauth2/token"), "https://"),
		"EVERTOKEN_CREDENTIAL_SHOP_EU": `{"client_id":"` + id + `","client_secret":` + quote(secret) + `,"refresh_token":"` + seed + `"}`,
	})

	sent := seed
	for run := range 2 {
		var out bytes.Buffer
		if err := runReal(t.Context(), o, lookup, testBuilt, &out); err != nil {
			t.Fatalf("run %d: %v\n%s", run, err, out.String())
		}
		if strings.Contains(out.String(), fakeidp.Canary) || !strings.Contains(out.String(), o.sessions) {
			t.Errorf("run %d: a secret is shown, or the file of sessions is not named:\n%s", run, out.String())
		}
		documents, err := readDocuments(o.sessions)
		if err != nil {
			t.Fatal(err)
		}
		next := memberOf(string(documents["shop-eu"]), "refresh_token")
		if next == sent || !idp.RefreshTokenAlive("oauth2", next) || idp.RefreshTokenAlive("oauth2", sent) {
			t.Errorf("run %d: the stored refresh token is not the current one", run)
		}
		sent = next
	}
	info, err := os.Stat(o.sessions)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the sessions have mode %o", info.Mode().Perm())
	}
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(text)
}

func variables(all map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := all[name]; return value, ok }
}

// TestARunFromFilesReportsFaultsAndKeepsOtherSessions: a run reports wrong declarations,
// and keeps the sessions of earlier runs.
func TestARunFromFilesReportsFaultsAndKeepsOtherSessions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options{connections: filepath.Join(dir, "connections.json"),
		sessions: filepath.Join(dir, "sessions.json")}
	write(t, o.connections, `{"connections":{
		"loopback":{"provider":"oauth2","settings":{"grant":"client_credentials","token_url":"http://127.0.0.1:1/token"}},
		"new":{"provider":"apiax"},
		"odd":{"provider":"apiax","colour":"red"}}}`)
	const sessions = `{"elsewhere":{"refresh_token":"r"}}`
	write(t, o.sessions, sessions)
	var out bytes.Buffer
	if err := runReal(t.Context(), o, variables(nil), testBuilt, &out); !errors.Is(err, errNotWhole) {
		t.Errorf("got %v, want %v", err, errNotWhole)
	}
	if want := "EVERTOKEN_CREDENTIAL_LOOPBACK, EVERTOKEN_CREDENTIAL_NEW"; !strings.Contains(out.String(), want) {
		t.Errorf("the output does not name %s", want)
	}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(line, "  "+f[0]) {
			got[f[0]] = f[3]
		}
	}
	for name, want := range map[string]string{"loopback": "failed", "new": "waiting", "odd": "failed"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q:\n%s", name, got[name], want, out.String())
		}
	}
	text, err := os.ReadFile(o.sessions)
	if err != nil {
		t.Fatal(err)
	}
	var kept, wanted any
	if errors.Join(json.Unmarshal(text, &kept), json.Unmarshal([]byte(sessions), &wanted)) != nil ||
		!cmp.Equal(wanted, kept) {
		t.Errorf("the sessions are now %s", text)
	}
}

func TestAWrongFileIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ connections, credentials, sessions, err string }{
		"no connections":     {connections: `{"connections":{}}`, err: `"connections" is empty`},
		"another member":     {connections: `{"connection":{}}`, err: `"connection" is not known here`},
		"not JSON":           {connections: `x`, err: "is not a JSON object"},
		"a name":             {connections: `{"connections":{"A":{}}}`, err: "a name is not"},
		"credentials":        {connections: `{"connections":{"a":{}}}`, credentials: `[]`, err: "reading the credentials"},
		"sessions not JSON":  {connections: `{"connections":{"a":{}}}`, sessions: `{`, err: "reading the sessions"},
		"nothing but a name": {connections: `{"connections":{"a":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := options{connections: filepath.Join(dir, "connections.json"),
				sessions: filepath.Join(dir, "sessions.json")}
			write(t, o.connections, test.connections)
			if test.credentials != "" {
				o.credentials = filepath.Join(dir, "credentials.json")
				write(t, o.credentials, test.credentials)
			}
			if test.sessions != "" {
				write(t, o.sessions, test.sessions)
			}
			_, err := loadReal(o, variables(nil))
			if test.err == "" && err != nil || test.err != "" &&
				(err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}
