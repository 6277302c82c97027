package providers

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// pemCertificate is a self-signed certificate of the key.
func pemCertificate(t *testing.T, key crypto.Signer) (text string, der []byte) {
	t.Helper()
	made := fakekeys.Certificate(t, key, "client-1", testNow.Add(-time.Hour), testNow.Add(1000*time.Hour))
	return fakekeys.PEM("CERTIFICATE", made.Raw), made.Raw
}

// signed reads an assertion: its header and claims, verified, without jti.
func signed(t *testing.T, assertion string, algorithm jose.SignatureAlgorithm,
	key crypto.PublicKey) (jose.Header, map[string]any) {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := parsed.Verify(key)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if id, _ := claims["jti"].(string); len(id) < 16 {
		t.Errorf("jti %v", claims["jti"])
	}
	delete(claims, "jti")
	return parsed.Signatures[0].Header, claims
}

func TestAssertionSettingsChangeTheAssertion(t *testing.T) {
	t.Parallel()
	rsaKey, ecKey := fakekeys.Generate(t, "rsa"), fakekeys.Generate(t, "p256")
	iat, exp := float64(testNow.Unix()), float64(testNow.Add(time.Minute).Unix())
	for _, tt := range []struct {
		name, settings string
		key            crypto.Signer
		algorithm      jose.SignatureAlgorithm
		form, claims   map[string]any
	}{
		{"DocuSign",
			`"grant":"jwt_bearer","subject":"user-1","assertion_audience":"account.docusign.com","scope":"signature impersonation","assertion_scope":true`,
			rsaKey, jose.RS256, map[string]any{"grant_type": grantTypes[grantJWT]},
			map[string]any{"iss": "client-1", "sub": "user-1", "aud": "account.docusign.com",
				"scope": "signature impersonation", "iat": iat, "exp": exp}},
		{"Box, with a client's secret",
			`"grant":"jwt_bearer","client_auth":"client_secret_post","subject":"e1","assertion_claims":{"box_sub_type":"enterprise"}`,
			rsaKey, jose.RS256, map[string]any{"grant_type": grantTypes[grantJWT],
				"client_id": "client-1", "client_secret": "s"},
			map[string]any{"iss": "client-1", "sub": "e1", "aud": "SERVER/t",
				"box_sub_type": "enterprise", "iat": iat, "exp": exp}},
		{"an issuer of its own, no subject, five minutes",
			`"grant":"jwt_bearer","assertion_claims":{"iss":"other","roles":["a","b"]},"assertion_life":"5m"`,
			ecKey, jose.ES256, map[string]any{"grant_type": grantTypes[grantJWT]},
			map[string]any{"iss": "other", "aud": "SERVER/t", "roles": []any{"a", "b"}, "iat": iat,
				"exp": exp + 240}},
		{"both assertions",
			`"grant":"jwt_bearer","client_auth":"private_key_jwt","subject":"u","assertion_audience":["https://as","x"],"assertion_claims":{"n":1}`,
			ecKey, jose.ES256, map[string]any{"grant_type": grantTypes[grantJWT],
				"client_id": "client-1", "client_assertion_type": assertionType},
			map[string]any{"iss": "client-1", "sub": "u", "aud": []any{"https://as", "x"}, "n": 1.0,
				"iat": iat, "exp": exp}},
		{"NetSuite",
			`"grant":"client_credentials","client_auth":"private_key_jwt","assertion_alg":"PS256","scope":"rest_webservices","assertion_scope":true`,
			rsaKey, jose.PS256, map[string]any{"grant_type": "client_credentials",
				"client_id": "client-1", "client_assertion_type": assertionType},
			map[string]any{"iss": "client-1", "sub": "client-1", "aud": "SERVER/t",
				"scope": "rest_webservices", "iat": iat, "exp": exp}},
		{"a server that takes its issuer alone",
			`"grant":"client_credentials","client_auth":"private_key_jwt","assertion_audience":"https://as.example.com"`,
			ecKey, jose.ES256, map[string]any{"grant_type": "client_credentials",
				"client_id": "client-1", "client_assertion_type": assertionType},
			map[string]any{"iss": "client-1", "sub": "client-1", "aud": "https://as.example.com",
				"iat": iat, "exp": exp}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, reply{status: 200, body: `{"access_token":"at","expires_in":600}`})
			p := open(t, "oauth2", `{"token_url":"SERVER/t",`+tt.settings+`}`, w.URL)
			c := creds("client_id", "client-1", "client_secret", "s", "key_id", "kid-1",
				"private_key", fakekeys.PKCS8(t, tt.key))
			if _, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c),
				Credential: c}); err != nil {
				t.Fatal(err)
			}
			_, body, _ := strings.Cut(w.requests()[0], formType+"\n")
			form, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]any{}
			for name := range form {
				if name != "assertion" && name != "client_assertion" {
					got[name] = form.Get(name)
				}
			}
			if diff := cmp.Diff(tt.form, got); diff != "" {
				t.Error(diff)
			}
			if tt.claims["aud"] == "SERVER/t" {
				tt.claims["aud"] = w.URL + "/t"
			}
			assertion := form.Get("assertion")
			if client := form.Get("client_assertion"); assertion == "" {
				assertion = client
			} else if client != "" {
				_, claims := signed(t, client, tt.algorithm, tt.key.Public())
				want := map[string]any{"iss": "client-1", "sub": "client-1",
					"aud": tt.claims["aud"], "iat": iat, "exp": exp}
				if diff := cmp.Diff(want, claims); diff != "" {
					t.Errorf("the client's: %s", diff)
				}
			}
			header, claims := signed(t, assertion, tt.algorithm, tt.key.Public())
			if diff := cmp.Diff(tt.claims, claims); diff != "" {
				t.Error(diff)
			}
			if header.KeyID != "kid-1" || header.ExtraHeaders["typ"] != "JWT" ||
				header.ExtraHeaders["x5t"] != nil {
				t.Errorf("header %+v", header)
			}
		})
	}
}

// The assertion's header names the credential's certificate, by which Entra and AD FS
// find the key.
func TestAnAssertionNamesItsCertificate(t *testing.T) {
	t.Parallel()
	key := fakekeys.Generate(t, "rsa")
	text, der := pemCertificate(t, key)
	w := newWire(t, reply{status: 200, body: `{"access_token":"at","expires_in":600}`})
	p := open(t, "oauth2",
		`{"token_url":"SERVER/t","grant":"client_credentials","client_auth":"private_key_jwt","assertion_alg":"PS256"}`, w.URL)
	c := creds("client_id", "client-1", "private_key", fakekeys.PKCS8(t, key), "certificate", text)
	if _, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c), Credential: c}); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(w.requests()[0], formType+"\n")
	form, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := signed(t, form.Get("client_assertion"), jose.PS256, key.Public())
	one, two := sha1.Sum(der), sha256.Sum256(der)
	want := map[jose.HeaderKey]any{"typ": "JWT",
		"x5t":      base64.RawURLEncoding.EncodeToString(one[:]),
		"x5t#S256": base64.RawURLEncoding.EncodeToString(two[:])}
	if diff := cmp.Diff(want, header.ExtraHeaders); diff != "" {
		t.Error(diff)
	}
	if claims["nbf"] != float64(testNow.Unix()) {
		t.Errorf("nbf %v", claims["nbf"])
	}
}

func TestAWrongCertificateIsRefused(t *testing.T) {
	t.Parallel()
	key := fakekeys.Generate(t, "rsa")
	other, _ := pemCertificate(t, fakekeys.Generate(t, "p256"))
	for name, tt := range map[string]struct{ certificate, problem string }{
		"no PEM": {"canaryCertificate", "is not a certificate in PEM"},
		"no certificate": {"-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----",
			"cannot be read"},
		"of another key": {other, "belongs to a different key"},
		"a key":          {fakekeys.PKCS8(t, key), "is not a certificate in PEM"},
	} {
		for _, auth := range []string{"private_key_jwt", "tls_client_auth"} {
			p := open(t, "oauth2",
				`{"token_url":"https://as.example.com/t","grant":"client_credentials","client_auth":"`+auth+`"}`, "")
			_, err := p.Grants(creds("client_id", "i", "private_key", fakekeys.PKCS8(t, key), "certificate",
				tt.certificate))
			if err == nil || !strings.Contains(err.Error(), tt.problem) ||
				!strings.Contains(err.Error(), `"certificate"`) {
				t.Errorf("%s, %s: %v", name, auth, err)
			}
			leaks(t, err, "canaryCertificate", "Y2FuYXJ5")
		}
	}
	p := open(t, "oauth2",
		`{"token_url":"https://as.example.com/t","grant":"client_credentials","client_auth":"private_key_jwt","assertion_alg":"ES256"}`, "")
	if _, err := p.Grants(creds("client_id", "i", "private_key", fakekeys.PKCS8(t, key))); err == nil ||
		!strings.Contains(err.Error(), "does not fit settings.assertion_alg") {
		t.Errorf("an algorithm of another kind of key: %v", err)
	}
}

// Evertoken presents the credential's certificate to a server that demands mutual TLS,
// which answers no request without it.
func TestMutualTLSPresentsTheCredentialsCertificate(t *testing.T) {
	t.Parallel()
	key := fakekeys.Generate(t, "p256")
	text, der := pemCertificate(t, key)
	var got string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(r.TLS.PeerCertificates) != 1 || string(r.TLS.PeerCertificates[0].Raw) != string(der) {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		got = string(body)
		_, _ = io.WriteString(rw, `{"access_token":"at","expires_in":600}`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	try := func(settings string, c credential.Credential) (exchange.Issued, error) {
		p, err := New(connectionFor("oauth2",
			`{"token_url":"`+s.URL+`/t","grant":"client_credentials",`+settings+`}`),
			Options{Now: now, Client: &oauth.Client{Now: now, RootCAs: roots}, AllowLoopbackHTTP: true})
		if err != nil {
			t.Fatal(err)
		}
		return p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c), Credential: c})
	}
	c := creds("client_id", "i", "client_secret", "s", "private_key", fakekeys.PKCS8(t, key), "certificate", text)
	for settings, want := range map[string]string{
		`"client_auth":"tls_client_auth"`:             "client_id=i&grant_type=client_credentials",
		`"client_auth":"self_signed_tls_client_auth"`: "client_id=i&grant_type=client_credentials",
		`"mutual_tls":true`:                           "client_id=i&client_secret=s&grant_type=client_credentials",
	} {
		if _, err := try(settings, c); err != nil || got != want {
			t.Errorf("%s: %q, %v", settings, got, err)
		}
	}
	_, err := try(`"client_auth":"client_secret_post"`, c)
	if e := failure(t, err); e.Class != exchange.Misconfigured || e.Lost ||
		!strings.Contains(e.Hint, "mutual TLS") {
		t.Errorf("without the certificate: %+v", e)
	}
}

// An issuer may have a separate token endpoint for clients that present a certificate.
func TestMutualTLSUsesTheIssuersOwnEndpointForIt(t *testing.T) {
	t.Parallel()
	const issuer = "https://as.example.com"
	const whole = `{"issuer":"https://as.example.com","token_endpoint":"https://as.example.com/t","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/t"}}`
	for _, tt := range []struct {
		mutualTLS               bool
		body, endpoint, problem string
	}{
		{true, whole, "https://mtls.example.com/t", ""},
		{false, whole, "https://as.example.com/t", ""},
		{true, `{"issuer":"https://as.example.com","token_endpoint":"https://as.example.com/t"}`,
			"https://as.example.com/t", ""},
		{true, strings.Replace(whole, "https://mtls", "http://mtls", 1), "",
			`"mtls_endpoint_aliases" must be https`},
	} {
		p := &oauth2{mutualTLS: tt.mutualTLS, discovery: discovery{issuer: issuer}}
		endpoint, problem := p.readMetadata(redact.New(tt.body))
		if endpoint != tt.endpoint || !strings.Contains(problem, tt.problem) {
			t.Errorf("%s: %q, %q", tt.body, endpoint, problem)
		}
	}
}
