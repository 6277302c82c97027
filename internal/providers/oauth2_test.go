package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/redact"
)

func TestOAuth2SendsTheDocumentedRequests(t *testing.T) {
	t.Parallel()
	all := creds("client_id", "i:d", "client_secret", "s/1", "refresh_token", "seed", "username",
		"u+1", "password", " p ")
	const basic = "Authorization: Basic aSUzQWQ6cyUyRjE=\n" // i%3Ad:s%2F1
	for _, tt := range []struct {
		name, settings string
		session        bool
		auth, body     string
	}{
		{"client_credentials",
			`"grant":"client_credentials","scope":"a b","audience":"https://api","resource":"https://r","extra":{"organization":"o1"}`, false,
			"", "audience=https%3A%2F%2Fapi&client_id=i%3Ad&client_secret=s%2F1&grant_type=client_credentials&organization=o1&resource=https%3A%2F%2Fr&scope=a+b"},
		{"client_credentials by Basic",
			`"grant":"client_credentials","client_auth":"client_secret_basic"`, false, basic,
			"grant_type=client_credentials"},
		{"the seed", `"grant":"refresh_token"`, false, "",
			"client_id=i%3Ad&client_secret=s%2F1&grant_type=refresh_token&refresh_token=seed"},
		{"the seed with a scope", `"grant":"refresh_token","scope":"a"`, false, "",
			"client_id=i%3Ad&client_secret=s%2F1&grant_type=refresh_token&refresh_token=seed&scope=a"},
		{"the session after a seed", `"grant":"refresh_token","scope":"a","client_auth":"client_secret_basic"`, true, basic, "grant_type=refresh_token&refresh_token=rt&scope=a"},
		{"a public client's seed", `"grant":"refresh_token","client_auth":"none"`, false, "",
			"client_id=i%3Ad&grant_type=refresh_token&refresh_token=seed"},
		{"password", `"grant":"password","scope":"a"`, false, "",
			"client_id=i%3Ad&client_secret=s%2F1&grant_type=password&password=+p+&scope=a&username=u%2B1"},
		{"the session after a password", `"grant":"password","scope":"a","resource":"r"`, true, "",
			"client_id=i%3Ad&client_secret=s%2F1&grant_type=refresh_token&refresh_token=rt&resource=r"},
		{"a public client's password", `"grant":"password","client_auth":"none"`, false, "",
			"client_id=i%3Ad&grant_type=password&password=+p+&username=u%2B1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, reply{status: 200,
				body: `{"access_token":"at","expires_in":600,"token_type":"Bearer","scope":"granted"}`})
			p := open(t, "oauth2", `{"token_url":"SERVER/t?p=policy",`+tt.settings+`}`, w.URL)
			got := mustExchange(t, p, all, tt.session)
			w.check(t, "POST /t?p=policy\n"+tt.auth+formType+"\n"+tt.body)
			want := issuedFor("at", 10*time.Minute)
			want.Scope = "granted"
			if diff := cmp.Diff(want, got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// mustExchange makes the exchange of the credential's only grant, or a refresh of a session.
func mustExchange(t *testing.T, p exchange.Provider, c credential.Credential, session bool) exchange.Issued {
	t.Helper()
	r := exchange.Request{Grant: only(t, p, c), Credential: c}
	if session {
		r.Grant, r.RefreshToken = exchange.Refresh, redact.New("rt")
	}
	got, err := p.Exchange(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOAuth2IgnoresARefreshTokenOfClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWire(t, reply{status: 200,
		body: `{"access_token":"at","expires_in":600,"refresh_token":"rt","refresh_expires_in":1800}`})
	p := open(t, "oauth2", `{"token_url":"SERVER","grant":"client_credentials"}`, w.URL)
	c := creds("client_id", "i", "client_secret", "s")
	got, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c), Credential: c})
	if err != nil {
		t.Fatal(err)
	}
	want := issuedFor("at", 10*time.Minute)
	want.Hints = []string{"The provider returned a refresh token for client_credentials: Evertoken does not use it."}
	if diff := cmp.Diff(want, got, compare...); diff != "" {
		t.Error(diff)
	}
}

func TestOAuth2UsesTheGrantThatIsSet(t *testing.T) {
	t.Parallel()
	key := fakekeys.PKCS8(t, fakekeys.Generate(t, "ed25519"))
	session := exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true}
	windowed := session
	windowed.SessionMax, windowed.RemintBefore = 100*time.Hour, 10*time.Hour
	secret := creds("client_id", "i", "client_secret", "s", "refresh_token", "r", "username", "u",
		"password", "p", "private_key", key)
	for _, tt := range []struct {
		settings string
		c        credential.Credential
		traits   exchange.Traits
		want     exchange.Grant
	}{
		{`"grant":"client_credentials"`, secret, exchange.Traits{},
			exchange.Grant{Type: "client_credentials", Members: []string{"client_id",
				"client_secret"}}},
		{`"grant":"client_credentials","client_auth":"private_key_jwt"`, secret, exchange.Traits{},
			exchange.Grant{Type: "client_credentials", Members: []string{"client_id",
				"private_key"}}},
		{`"grant":"client_credentials","client_auth":"private_key_jwt"`,
			secret.With("key_id", redact.New("k")), exchange.Traits{},
			exchange.Grant{Type: "client_credentials", Members: []string{"client_id", "private_key",
				"key_id"}}},
		{`"grant":"refresh_token","session_max":"100h"`, secret, windowed,
			exchange.Grant{Type: "refresh_token", Members: []string{"client_id", "client_secret",
				"refresh_token"}, Seed: true}},
		{`"grant":"refresh_token","client_auth":"none"`, secret, session,
			exchange.Grant{Type: "refresh_token", Members: []string{"client_id", "refresh_token"},
				Seed: true}},
		{`"grant":"refresh_token","client_auth":"none"`, creds("refresh_token", "r"), session,
			exchange.Grant{Type: "refresh_token", Members: []string{"refresh_token"}, Seed: true}},
		{`"grant":"password","client_auth":"client_secret_basic"`, secret, session,
			exchange.Grant{Type: "password", Members: []string{"client_id", "client_secret",
				"username", "password"}, Password: true}},
	} {
		p := open(t, "oauth2", `{"token_url":"https://as.example.com/t",`+tt.settings+`}`, "")
		if diff := cmp.Diff(tt.traits, p.Traits()); diff != "" {
			t.Errorf("%s: %s", tt.settings, diff)
		}
		if diff := cmp.Diff(tt.want, only(t, p, tt.c)); diff != "" {
			t.Errorf("%s: %s", tt.settings, diff)
		}
		for _, member := range tt.want.Members {
			if member == "key_id" || member == "client_id" && strings.Contains(tt.settings, "none") {
				continue // optional
			}
			without := tt.c.With(member, redact.Secret{})
			if _, err := p.Grants(without); err == nil || !strings.Contains(err.Error(), `"`+member+`"`) {
				t.Errorf("%s: without %s: %v", tt.settings, member, err)
			}
			// Nothing is sent either: the host does not exist.
			_, err := p.Exchange(t.Context(), exchange.Request{Grant: tt.want, Credential: without})
			if err == nil || !strings.Contains(err.Error(), `"`+member+`"`) {
				t.Errorf("%s: exchange without %s: %v", tt.settings, member, err)
			}
		}
	}
}

func TestAClientAssertionIsSignedWithEachKindOfKey(t *testing.T) {
	t.Parallel()
	for kind, algorithm := range map[string]jose.SignatureAlgorithm{"rsa": jose.RS256,
		"p256": jose.ES256, "p384": jose.ES384, "ed25519": jose.EdDSA} {
		key := fakekeys.Generate(t, kind)
		texts := []string{fakekeys.PKCS8(t, key)}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			texts = append(texts, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
				Bytes: x509.MarshalPKCS1PrivateKey(k)})))
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(k)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
		}
		for _, text := range texts {
			c := creds("client_id", "client-1", "private_key", text, "key_id", "kid-1")
			w := newWire(t, reply{status: 200, body: `{"access_token":"at","expires_in":600}`},
				reply{status: 200, body: `{"access_token":"at","expires_in":600}`})
			p := open(t, "oauth2",
				`{"token_url":"SERVER/token","grant":"client_credentials","client_auth":"private_key_jwt"}`, w.URL)
			ids := map[string]bool{}
			for range 2 {
				if _, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c),
					Credential: c}); err != nil {
					t.Fatal(err)
				}
			}
			for _, request := range w.requests() {
				_, body, _ := strings.Cut(request, formType+"\n")
				ids[checkAssertion(t, body, algorithm, key.Public(), w.URL+"/token")] = true
			}
			if len(ids) != 2 {
				t.Errorf("%s: jti is used again", kind)
			}
		}
	}
}

// checkAssertion checks a request's assertion and returns its jti.
func checkAssertion(t *testing.T, body string, algorithm jose.SignatureAlgorithm,
	key crypto.PublicKey, audience string) string {
	t.Helper()
	form, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	id, _ := got["jti"].(string)
	delete(got, "jti")
	want := map[string]any{"iss": "client-1", "sub": "client-1", "aud": audience,
		"iat": float64(testNow.Unix()), "exp": float64(testNow.Add(time.Minute).Unix())}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	header := signed.Signatures[0].Header
	if header.KeyID != "kid-1" || header.Algorithm != string(algorithm) ||
		header.ExtraHeaders["typ"] != "JWT" || len(id) < 16 {
		t.Errorf("header %+v, jti %q", header, id)
	}
	form.Del("client_assertion")
	wantForm := url.Values{"grant_type": {"client_credentials"}, "client_id": {"client-1"},
		"client_assertion_type": {assertionType}}
	if diff := cmp.Diff(wantForm, form); diff != "" {
		t.Error(diff)
	}
	return id
}

func TestAnUnusableKeyIsRefusedBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	p := open(t, "oauth2",
		`{"token_url":"https://as.example.com/t","grant":"client_credentials","client_auth":"private_key_jwt"}`, "")
	short := fakekeys.Generate(t, "short")
	for name, tt := range map[string]struct{ key, problem string }{
		"no PEM": {"canaryKey", "is neither PEM nor a JSON Web Key"},
		"no key": {"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5S2V5\n-----END PRIVATE KEY-----",
			"must be an unencrypted private key"},
		"encrypted":    {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nY2FuYXJ5S2V5\n-----END ENCRYPTED PRIVATE KEY-----", "is an encrypted private key"},
		"a short key":  {fakekeys.PKCS8(t, short), "is too short"},
		"an odd curve": {fakekeys.PKCS8(t, fakekeys.Generate(t, "p224")), "is of a kind"},
	} {
		_, err := p.Grants(creds("client_id", "i", "private_key", tt.key))
		if err == nil || !strings.Contains(err.Error(), tt.problem) ||
			!strings.Contains(err.Error(), `"private_key"`) {
			t.Errorf("%s: %v", name, err)
		}
		leaks(t, err, "canaryKey", "Y2FuYXJ5S2V5")
	}
}

func TestTheTokenEndpointIsDiscovered(t *testing.T) {
	t.Parallel()
	const rfc, oidc = "GET /.well-known/oauth-authorization-server/tenant/1",
		"GET /tenant/1/.well-known/openid-configuration"
	const token = "POST /t\n" + formType + "\nclient_id=i&client_secret=s&grant_type=client_credentials"
	metadata := reply{status: 200, body: `{"issuer":"SERVER/tenant/1","token_endpoint":"SERVER/t"}`}
	good := reply{status: 200, body: `{"access_token":"at","expires_in":600}`}
	none := reply{status: 404, body: "<html>"}
	for _, tt := range []struct {
		name    string
		replies []reply
		want    []string
		class   exchange.Class
		problem string
	}{
		{"RFC 8414", []reply{metadata, good, good}, []string{rfc, token, token}, "", ""},
		{"OpenID Connect", []reply{none, metadata, good, good}, []string{rfc, oidc, token, token}, "", ""},
		{"a page in the first place", []reply{{status: 200, body: "<html>"}, metadata, good, good},
			[]string{rfc, oidc, token, token}, "", ""},
		{"neither", []reply{none, none}, []string{rfc, oidc}, exchange.Misconfigured, "HTML"},
		{"another issuer", []reply{{status: 200,
			body: `{"issuer":"SERVER/tenant/1/","token_endpoint":"SERVER/t"}`}, none},
			[]string{rfc, oidc}, exchange.Misconfigured, ": it is http://"},
		{"another issuer in both", []reply{{status: 200, body: `{"issuer":"SERVER"}`},
			{status: 200, body: `{"issuer":"canaryIssuer","token_endpoint":"SERVER/t"}`}},
			[]string{rfc, oidc}, exchange.Misconfigured, `"issuer" is not settings.issuer`},
		{"an endpoint in the clear", []reply{none, {status: 200,
			body: `{"issuer":"SERVER/tenant/1","token_endpoint":"http://as.example.com/canaryPath"}`}}, []string{rfc, oidc}, exchange.Misconfigured, `"token_endpoint" must be https`},
		{"no endpoint", []reply{none, {status: 200, body: `{"issuer":"SERVER/tenant/1"}`}},
			[]string{rfc, oidc}, exchange.Misconfigured, `"token_endpoint" must be a whole URL`},
		{"down", []reply{{status: 503}, {status: 502, body: "<html>"}}, []string{rfc, oidc},
			exchange.Transient, ""},
		{"the first place is down", []reply{{status: 502, body: "<html>"}, metadata, good, good},
			[]string{rfc, oidc, token, token}, "", ""},
		{"the first place is walled off", []reply{{status: 403, body: "<html>"}, metadata, good,
			good}, []string{rfc, oidc, token, token}, "", ""},
		{"the first place is down, the second not there", []reply{{status: 502}, none},
			[]string{rfc, oidc}, exchange.Transient, ""},
		{"the second place is down", []reply{none, {status: 503}}, []string{rfc, oidc},
			exchange.Transient, ""},
		{"a byte order mark", []reply{{status: 200, body: "\ufeff" + metadata.body}, good, good},
			[]string{rfc, token, token}, "", ""},
		{"a slash too many", []reply{none,
			{status: 200, body: `{"issuer":"SERVER/tenant/1/","token_endpoint":"SERVER/t"}`}},
			[]string{rfc, oidc}, exchange.Misconfigured, "/tenant/1/"},
		{"busy", []reply{{status: 429}}, []string{rfc}, exchange.Throttled, ""},
		{"no answer", nil, []string{rfc}, exchange.Transient, ""},
		{"a redirect", []reply{{status: 301, header: "Location: /elsewhere"},
			{status: 301, header: "Location: /elsewhere"}}, []string{rfc, oidc},
			exchange.Misconfigured, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.replies...)
			p := open(t, "oauth2", `{"issuer":"SERVER/tenant/1","grant":"client_credentials"}`, w.URL)
			c := creds("client_id", "i", "client_secret", "s")
			r := exchange.Request{Grant: only(t, p, c), Credential: c}
			_, err := p.Exchange(t.Context(), r)
			if tt.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				_, err = p.Exchange(t.Context(), r) // discovered once
				if err != nil {
					t.Fatal(err)
				}
			} else {
				e := failure(t, err)
				if e.Class != tt.class || !strings.Contains(e.Problem, tt.problem) || e.Lost {
					t.Errorf("%+v", e)
				}
				leaks(t, e, "canaryIssuer", "canaryPath")
			}
			w.check(t, tt.want...)
		})
	}
}

func TestMetadataIsLookedForAtTheWellKnownAddresses(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string][]string{
		"https://as.example.com":        {"https://as.example.com/.well-known/oauth-authorization-server", "https://as.example.com/.well-known/openid-configuration"},
		"https://as.example.com/":       {"https://as.example.com/.well-known/oauth-authorization-server", "https://as.example.com/.well-known/openid-configuration"},
		"https://as.example.com/a%2Fb/": {"https://as.example.com/.well-known/oauth-authorization-server/a%2Fb", "https://as.example.com/a%2Fb/.well-known/openid-configuration"},
	} {
		if diff := cmp.Diff(want, wellKnown(issuer)); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzDiscovery(f *testing.F) {
	f.Add(`{"issuer":"https://as.example.com","token_endpoint":"https://as.example.com/t"}`)
	f.Add(`{"issuer":"https://as.example.com","token_endpoint":"http://127.0.0.1/t"}`)
	f.Add(`{"issuer":"https://as.example.com","token_endpoint":"https://u:p@as.example.com/#x"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		p := &oauth2{discovery: discovery{issuer: "https://as.example.com"}}
		endpoint, problem := p.readMetadata(redact.New(body))
		if problem != "" {
			return
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("endpoint %q", endpoint)
		}
	})
}
