package providers

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/presets"
	"evertoken/internal/redact"
)

// transcript is one request and its answer as a provider's public documentation
// or a public report shows them, with invented values.
type transcript struct {
	Grant      string            `json:"grant"`
	Settings   json.RawMessage   `json:"settings"`
	Credential map[string]string `json:"credential"`
	Hosts      string            `json:"hosts"` // what the credential must allow; empty if nothing
	Refresh    bool              `json:"refresh"`

	URL           string            `json:"url"`
	Authorization string            `json:"authorization"`
	Form          map[string]string `json:"form"`
	JSON          map[string]string `json:"json"`
	Claims        map[string]any    `json:"claims"` // of the assertion, without times and id
	Algorithm     string            `json:"alg"`
	KeyID         string            `json:"kid"`
	Thumbprint    bool              `json:"thumbprint"`

	Status  int               `json:"status"`
	Body    json.RawMessage   `json:"body"`
	Life    string            `json:"life"`
	Next    string            `json:"next"` // the refresh token that is kept
	Scope   string            `json:"scope"`
	Publish map[string]string `json:"publish"`
	Class   exchange.Class    `json:"class"`
}

func transcripts(t *testing.T) map[string][]transcript {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(readFile(t, "../presets/testdata/transcripts.json")))
	d.DisallowUnknownFields()
	var out map[string][]transcript
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every preset, by every grant, makes the request that its provider documents, sends it
// to the documented endpoint, which is allowed, and understands the answer.
func TestEveryPresetSendsItsProvidersDocumentedRequest(t *testing.T) {
	t.Parallel()
	all := transcripts(t)
	if diff := cmp.Diff(presets.Names(), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("transcripts (-presets +transcripts):\n%s", diff)
	}
	key, ok := fakekeys.Generate(t, "rsa").(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	for name, list := range all {
		preset, _ := presets.Find(name)
		grants := map[string]bool{}
		for i, script := range list {
			if script.Class == "" {
				grants[script.Grant] = true
			}
			t.Run(name+"/"+script.Grant+string(rune('a'+i)), func(t *testing.T) {
				t.Parallel()
				script.play(t, name, preset, key)
			})
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(preset.Grants)),
			slices.Sorted(maps.Keys(grants))); diff != "" {
			t.Errorf("%s: grants (-preset +transcripts):\n%s", name, diff)
		}
	}
}

func (s transcript) play(t *testing.T, name string, preset presets.Preset, key *rsa.PrivateKey) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		rw.WriteHeader(max(s.Status, 200*(1-min(s.Status, 1))))
		_, _ = rw.Write(s.Body)
	}))
	t.Cleanup(server.Close)

	settings := string(s.Settings)
	if s.Grant != preset.DefaultGrant {
		settings = `{"grant":"` + s.Grant + `",` + strings.TrimPrefix(settings, "{")
		settings = strings.Replace(settings, ",}", "}", 1)
	}
	p, err := tryOpen(name, settings)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := p.(*oauth2)
	if !ok {
		t.Fatalf("%T", p)
	}
	c := s.credential(t, key, "")
	s.checkPlace(t, o, key)

	o.discovery.endpoint = server.URL + "/token"
	r := exchange.Request{Grant: only(t, p, c), Credential: c}
	if s.Refresh {
		r.Grant, r.RefreshToken = exchange.Refresh, redact.New("rt1")
	}
	issued, err := p.Exchange(t.Context(), r)
	if got == nil {
		t.Fatalf("nothing was sent: %v", err)
	}
	s.checkRequest(t, got, body, key, server.URL+"/token")
	if s.Class != "" {
		if e := failure(t, err); e.Class != s.Class || e.Unsure {
			t.Errorf("%+v, want %s", e, s.Class)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	life, err := time.ParseDuration(s.Life)
	if err != nil {
		t.Fatal(err)
	}
	if d := issued.ExpiresAt.Sub(testNow); d != life || issued.RefreshToken.Reveal() != s.Next ||
		issued.Scope != s.Scope || issued.TokenType != "Bearer" {
		t.Errorf("life %s, refresh token %q, scope %q, type %q", d, issued.RefreshToken.Reveal(),
			issued.Scope, issued.TokenType)
	}
	if diff := cmp.Diff(s.Publish, issued.Publish, compare...); diff != "" {
		t.Error(diff)
	}
}

func (s transcript) credential(t *testing.T, key *rsa.PrivateKey, hosts string) credential.Credential {
	t.Helper()
	members := maps.Clone(s.Credential)
	if members["private_key"] == "rsa" {
		members["private_key"] = fakekeys.PKCS8(t, key)
	}
	if members["certificate"] == "rsa" {
		members["certificate"], _ = pemCertificate(t, key)
	}
	if hosts != "" {
		members["hosts"] = hosts
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	c, err := credential.Parse(redact.New(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkPlace compares the token endpoint with the documented one, and with the hosts to
// which the credential may go, by the preset or by its own hosts.
func (s transcript) checkPlace(t *testing.T, o *oauth2, key *rsa.PrivateKey) {
	t.Helper()
	if o.discovery.endpoint != s.URL {
		t.Errorf("token endpoint %s, want %s", o.discovery.endpoint, s.URL)
	}
	switch err := o.Allowed(s.credential(t, key, "")); {
	case s.Hosts == "" && err != nil:
		t.Errorf("the preset does not allow it: %v", err)
	case s.Hosts != "" && err == nil:
		t.Error("the preset allows it, although anybody can have a tenant there")
	}
	if err := o.Allowed(s.credential(t, key, s.Hosts)); err != nil {
		t.Errorf("not allowed by the credential's hosts: %v", err)
	}
	if err := o.Allowed(s.credential(t, key, "elsewhere.example.com")); err == nil {
		t.Error("allowed although the credential names other hosts")
	}
}

func (s transcript) checkRequest(t *testing.T, got *http.Request, body []byte, key *rsa.PrivateKey,
	endpoint string) {
	t.Helper()
	if got.Method != http.MethodPost || got.Header.Get("Authorization") != s.Authorization {
		t.Errorf("%s, Authorization %q", got.Method, got.Header.Get("Authorization"))
	}
	parameters, want, kind := map[string]string{}, s.Form, "application/x-www-form-urlencoded"
	if s.JSON != nil {
		want, kind = s.JSON, "application/json"
		if err := json.Unmarshal(body, &parameters); err != nil {
			t.Fatal(err)
		}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		for name := range form {
			parameters[name] = form.Get(name)
		}
	}
	if got.Header.Get("Content-Type") != kind {
		t.Errorf("Content-Type %q", got.Header.Get("Content-Type"))
	}
	assertion := parameters["assertion"] + parameters["client_assertion"]
	delete(parameters, "assertion")
	delete(parameters, "client_assertion")
	if diff := cmp.Diff(want, parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if (assertion != "") != (s.Claims != nil) {
		t.Fatalf("assertion %q", assertion)
	}
	if assertion == "" {
		return
	}
	if s.Algorithm == "" {
		s.Algorithm = "RS256"
	}
	header, claims := signed(t, assertion, jose.SignatureAlgorithm(s.Algorithm), key.Public())
	if claims["exp"] != float64(testNow.Add(time.Minute).Unix()) || claims["iat"] != float64(testNow.Unix()) {
		t.Errorf("times %v, %v", claims["iat"], claims["exp"])
	}
	for _, time := range []string{"exp", "iat", "nbf"} {
		delete(claims, time)
	}
	if claims["aud"] == endpoint {
		claims["aud"] = s.URL // this test's server replaces the audience
	}
	if diff := cmp.Diff(s.Claims, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if header.KeyID != s.KeyID || (header.ExtraHeaders["x5t#S256"] != nil) != s.Thumbprint {
		t.Errorf("header %+v", header)
	}
}

// A preset recognizes its own words for a refusal, with their hints.
func TestEveryPresetRecognizesItsRefusals(t *testing.T) {
	t.Parallel()
	for name, list := range transcripts(t) {
		preset, _ := presets.Find(name)
		for _, r := range preset.Refusals {
			switch exchange.Class(r.Class) {
			case exchange.Throttled, exchange.Transient, exchange.GrantDead,
				exchange.CredentialDead, exchange.Misconfigured:
			default:
				t.Errorf("%s: %s has the class %q", name, r.Code, r.Class)
			}
			if r.Refresh != (r.Class == string(exchange.GrantDead)) {
				t.Errorf("%s: %s: only a refresh token can be a dead grant", name, r.Code)
			}
			i := slices.IndexFunc(list, func(s transcript) bool {
				return s.Class == "" &&
					s.Refresh == r.Refresh
			})
			if i < 0 {
				i = 0
			}
			w := newWire(t, reply{status: 400, body: `{"error":"` + r.Code + `"}`})
			s := list[i]
			p, err := tryOpen(name,
				strings.Replace(`{"grant":"`+s.Grant+`","token_url":"`+w.URL+`",`+strings.TrimPrefix(string(s.Settings), "{"), ",}", "}", 1))
			if err != nil {
				t.Fatal(err)
			}
			key, _ := fakekeys.Generate(t, "rsa").(*rsa.PrivateKey)
			c := s.credential(t, key, "")
			request := exchange.Request{Grant: only(t, p, c), Credential: c}
			if s.Refresh {
				request.Grant, request.RefreshToken = exchange.Refresh, redact.New("rt1")
			}
			_, err = p.Exchange(t.Context(), request)
			if e := failure(t, err); string(e.Class) != r.Class || r.Hint != "" && e.Hint != r.Hint {
				t.Errorf("%s: %s: %+v", name, r.Code, e)
			}
		}
	}
}

// No preset accepts an unknown setting.
func TestEveryPresetRefusesAnUnknownSetting(t *testing.T) {
	t.Parallel()
	for name, list := range transcripts(t) {
		for _, s := range list {
			settings := strings.Replace(`{"tokn_url":"canaryValue","grant":"`+s.Grant+`",`+strings.TrimPrefix(string(s.Settings), "{"), ",}", "}", 1)
			_, err := tryOpen(name, settings)
			if e, ok := errors.AsType[*connection.Error](err); !ok ||
				e.Member != "settings.tokn_url" || !strings.Contains(e.Problem, "not known") {
				t.Errorf("%s %s: %v", name, settings, err)
			}
			leaks(t, err, "canaryValue")
		}
	}
}

func TestAWrongPresetSettingIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ preset, settings, member, problem string }{
		{"salesforce", `{}`, "settings.domain", "is missing: the My Domain name"},
		{"salesforce", `{"domain":"acme.evil.example/x"}`, "settings.domain", "letters, digits and hyphens"},
		{"salesforce", `{"domain":"evil.example#"}`, "settings.domain", "letters, digits and hyphens"},
		{"salesforce", `{"domain":"acme@evil"}`, "settings.domain", "letters, digits and hyphens"},
		{"salesforce", `{"domain":"-acme"}`, "settings.domain", "letters, digits and hyphens"},
		{"salesforce", `{"domain":1}`, "settings.domain", "must be a string"},
		{"salesforce", `{"domain":"acme","environment":"prod"}`, "settings.environment",
			"must be one of developer, production, sandbox"},
		{"salesforce", `{"domain":"acme","realm":"canaryValue"}`, "settings.realm",
			"this provider's own: domain, environment"},
		{"salesforce", `{"grant":"jwt_bearer"}`, "settings.subject", "is missing: the user name"},
		{"salesforce", `{"domain":"acme","token_life":1}`, "settings.token_life", "must be a duration"},
		{"salesforce", `{"grant":1}`, "settings.grant", "must be a string"},
		{"salesforce", `[]`, "settings", "not a JSON object"},
		{"salesforce", `{"grant":"saml","domain":"acme"}`, "settings.token_url", "is missing"},
		{"zoom", `{}`, "settings.extra.account_id", "is missing"},
		{"zoom", `{"extra":[]}`, "settings.extra", "an object"},
		{"zoho", `{"data_center":"accounts.evil.example"}`, "settings.data_center", "must be one of"},
		{"entra", `{"tenant":"a/../b","scope":"s"}`, "settings.tenant", "letters, digits and hyphens"},
		{"okta", `{"tenant":"acme","scope":"s","server":"a/b"}`, "settings.server",
			"letters, digits and hyphens"},
	} {
		_, err := tryOpen(tt.preset, tt.settings)
		e, ok := errors.AsType[*connection.Error](err)
		if !ok || e.Member != tt.member || !strings.Contains(e.Problem, tt.problem) {
			t.Errorf("%s %s: %v", tt.preset, tt.settings, err)
		}
		leaks(t, err, "canaryValue", "evil")
	}
}

// A setting replaces the preset's, and one that is an object adds to it. Another endpoint
// does not count as the vendor's, whatever its host: other parties may serve it there.
func TestASettingReplacesThePresets(t *testing.T) {
	t.Parallel()
	o, ok := open(t, "box",
		`{"token_url":"https://api.box.com/elsewhere","extra":{"box_subject_type":"user","box_subject_id":"1"},"scope":"s"}`, "").(*oauth2)
	if !ok || o.discovery.endpoint != "https://api.box.com/elsewhere" || o.scope != "s" {
		t.Fatalf("%+v", o)
	}
	want := map[string]source{"box_subject_type": {text: "user"}, "box_subject_id": {text: "1"}}
	if diff := cmp.Diff(want, o.extra, cmp.AllowUnexported(source{})); diff != "" {
		t.Error(diff)
	}
	if err := o.Allowed(creds("client_id", "i")); err == nil {
		t.Error("another endpoint is allowed because its host is the vendor's")
	}
	o, ok = open(t, "box", `{"extra":{"box_subject_id":"1"}}`, "").(*oauth2)
	if !ok || o.extra["box_subject_type"].text != "enterprise" {
		t.Errorf("%+v", o.extra)
	}
	if o, ok = open(t, "okta", `{"issuer":"https://login.acme.example","scope":"s"}`,
		"").(*oauth2); !ok || o.discovery.issuer != "https://login.acme.example" {
		t.Errorf("%+v", o)
	}
}
