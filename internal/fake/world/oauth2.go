package fakeworld

import (
	"crypto"
	"crypto/x509"
	"time"

	"github.com/go-jose/go-jose/v4"

	fakeidp "evertoken/internal/fake/idp"
	fakekeys "evertoken/internal/fake/keys"
)

// OAuth2Kinds are the further ways to connect to the generic server, one for
// each kind of setting; see [World.OAuth2Kind].
var OAuth2Kinds = []string{"jwt", "key", "issuer", "certificate", "tls", "exchange", "saml",
	"account", "json", "headers",
	"answer", "raw", "members", "types", "late", "grace"}

// OAuth2Kind connects to the generic server as a client of which it demands one thing
// more than RFC 6749 does. The "tls" kind needs a server that speaks TLS.
func (w *World) OAuth2Kind(name, kind string) {
	w.tb.Helper()
	o := w.IDP.OAuth2()
	settings := map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}
	secret := map[string]string{}
	var client fakeidp.OAuth2Client
	switch kind {
	case "jwt":
		private, text := w.key(true)
		client = fakeidp.OAuth2Client{Auth: fakeidp.NoClientAuth, Key: private.Public(),
			KeyID: "kid-1", ScopeClaim: true,
			Grants:              []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			AssertionAlgorithms: []jose.SignatureAlgorithm{jose.PS256}, AssertionAudience: "https://as.example.com"}
		o.AddUser("user@example.com", "")
		secret["private_key"], secret["key_id"] = text, "kid-1"
		settings["grant"], settings["subject"], settings["assertion_alg"] = "jwt_bearer", "user@example.com", "PS256"
		settings["assertion_audience"], settings["scope"], settings["assertion_scope"] = "https://as.example.com", "read", true
	case "key", "issuer", "certificate":
		private, text := w.key(kind == "certificate")
		client = fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT, Key: private.Public()}
		secret["private_key"], settings["client_auth"] = text, "private_key_jwt"
		if kind == "issuer" {
			client.AssertionAudience, settings["assertion_audience"] = o.Issuer(), o.Issuer()
			delete(settings, "token_url")
			settings["issuer"] = o.Issuer()
		}
		if kind == "certificate" {
			client.Certificate, secret["certificate"] = w.certificate(private)
		}
	case "tls":
		private, text := w.key(false)
		client = fakeidp.OAuth2Client{Auth: fakeidp.TLSClientAuth}
		client.Certificate, secret["certificate"] = w.certificate(private)
		secret["private_key"], settings["client_auth"] = text, "tls_client_auth"
	case "exchange":
		client.Grants = []string{"urn:ietf:params:oauth:grant-type:token-exchange"}
		secret["subject_token"] = o.AddSubject("user@example.com")
		settings["grant"], settings["audience"] = "token_exchange", []string{"https://a.example.com", "https://b.example.com"}
	case "saml":
		client.Grants = []string{"urn:ietf:params:oauth:grant-type:saml2-bearer", "refresh_token"}
		secret["saml_assertion"] = o.AddSubject("user@example.com")
		settings["grant"] = "urn:ietf:params:oauth:grant-type:saml2-bearer"
		settings["extra"] = map[string]any{"assertion": map[string]string{"credential": "saml_assertion"}}
	case "account":
		client = fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretBasic, Account: "account-1",
			Grants: []string{"account_credentials"}}
		settings["grant"], settings["client_auth"] = "account_credentials", "client_secret_basic"
		settings["extra"] = map[string]string{"account_id": "account-1"}
	case "json":
		client.JSON, settings["request_format"] = true, "json"
	case "headers":
		secret["api_key"] = fakeidp.Canary + "-api-key-1"
		client.Headers = map[string]string{"X-Api-Key": secret["api_key"], "X-Tenant": "tenant-1"}
		settings["headers"] = map[string]any{"X-Api-Key": map[string]string{"credential": "api_key"}, "X-Tenant": "tenant-1"}
	case "answer":
		client.Nested, client.Extra = true, map[string]any{"shop_id": "shop-1"}
		settings["grant"], settings["publish"] = "refresh_token", []string{"data.shopId"}
		settings["answer"] = map[string]string{"access_token": "data.accessToken",
			"refresh_token": "data.refreshToken", "expires_in": "data.expiresIn"}
	case "raw":
		// RFC 7617 section 2: no colon in the user-id, which ends at the first colon.
		client.ID, client.Auth, settings["client_auth"] = name+"/client", fakeidp.PlainBasic, "client_secret_basic_raw"
	case "members":
		settings["credential_members"] = map[string]string{"client_id": "consumerKey",
			"client_secret": "consumerSecret"}
	case "types":
		client.Extra, settings["token_types"] = map[string]any{"token_type": "Unheard"}, []string{"unheard"}
	case "late", "grace":
		settings["grant"] = "refresh_token"
		if kind == "late" {
			settings["renew_late"] = true
		} else {
			settings["reuse_grace"] = "10m"
		}
		o.Configure(func(o *fakeidp.OAuth2Options) {
			o.EndAccessOnRefresh, o.ReuseGrace = kind == "late", map[bool]time.Duration{true: 10 * time.Minute}[kind == "grace"]
		})
	default:
		w.tb.Fatalf("no kind %q of connection to the generic server", kind)
	}
	id, clientSecret := o.AddClient(client)
	secret["client_id"] = id
	if clientSecret != "" {
		secret["client_secret"] = clientSecret
	}
	if settings["grant"] == "refresh_token" {
		secret["refresh_token"] = o.AddRefreshToken(id, "user@example.com", "read")
	}
	if kind == "members" {
		secret = map[string]string{"consumerKey": id, "consumerSecret": clientSecret,
			"baseUri": "https://example.my.salesforce.com"}
	}
	w.Connect(name, "oauth2", secret, settings, nil)
}

// key makes a private key, RSA or EC, and its PEM.
func (w *World) key(isRSA bool) (crypto.Signer, string) {
	w.tb.Helper()
	key := fakekeys.Generate(w.tb, map[bool]string{true: "rsa", false: "p256"}[isRSA])
	return key, fakekeys.PKCS8(w.tb, key)
}

// certificate makes a self-signed certificate of the key, and its PEM.
func (w *World) certificate(key crypto.Signer) (*x509.Certificate, string) {
	w.tb.Helper()
	made := fakekeys.Certificate(w.tb, key, "client", Start.Add(-time.Hour), Start.AddDate(10, 0, 0))
	return made, fakekeys.PEM("CERTIFICATE", made.Raw)
}
