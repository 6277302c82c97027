package fakeidp_test

import (
	"crypto"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakekeys "evertoken/internal/fake/keys"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertion signs claims as a client does.
func assertion(t *testing.T, alg jose.SignatureAlgorithm, key crypto.PrivateKey, kid string,
	claims jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg,
		Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatalf("making a signer: %v", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatalf("signing: %v", err)
	}
	return token
}

func assert(t *testing.T, s *fakeidp.Server, token string, more ...string) answer {
	t.Helper()
	return post(t, s.OAuth2().TokenURL(), append([]string{
		"grant_type", "client_credentials", "client_assertion", token,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	}, more...)...)
}

func TestAClientAssertionIsChecked(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	key := fakekeys.Generate(t, "p256")
	stranger := fakekeys.Generate(t, "p256")
	id, _ := s.OAuth2().AddClient(fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT,
		Key: key.Public(), KeyID: "k1"})
	good := func(jti string) jwt.Claims {
		return jwt.Claims{
			Issuer: id, Subject: id, Audience: jwt.Audience{s.OAuth2().TokenURL()}, ID: jti,
			IssuedAt: jwt.NewNumericDate(clk.Now()), Expiry: jwt.NewNumericDate(clk.Now().Add(time.Minute)),
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*jwt.Claims)
		kid    string
		key    crypto.Signer
		status int
	}{
		{"good", func(*jwt.Claims) {}, "k1", key, 200},
		{"audience is the issuer", func(c *jwt.Claims) { c.Audience = jwt.Audience{s.OAuth2().Issuer()} }, "k1", key, 200},
		{"other audience", func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://other.example"} }, "k1", key, 401},
		{"no audience", func(c *jwt.Claims) { c.Audience = nil }, "k1", key, 401},
		{"other issuer", func(c *jwt.Claims) { c.Issuer = "x" }, "k1", key, 401},
		{"other subject", func(c *jwt.Claims) { c.Subject = "x" }, "k1", key, 401},
		{"no expiry", func(c *jwt.Claims) { c.Expiry = nil }, "k1", key, 401},
		{"expired", func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(clk.Now()) }, "k1", key, 401},
		{"far in the future", func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(clk.Now().Add(2 * time.Hour)) }, "k1", key, 401},
		{"issued in the future", func(c *jwt.Claims) { c.IssuedAt = jwt.NewNumericDate(clk.Now().Add(time.Minute)) }, "k1", key, 401},
		{"not yet valid", func(c *jwt.Claims) { c.NotBefore = jwt.NewNumericDate(clk.Now().Add(time.Second)) }, "k1", key, 401},
		{"no id", func(c *jwt.Claims) { c.ID = "" }, "k1", key, 401},
		{"other key", func(*jwt.Claims) {}, "k1", stranger, 401},
		{"other key id", func(*jwt.Claims) {}, "k2", key, 401},
	} {
		claims := good(tt.name)
		tt.change(&claims)
		a := assert(t, s, assertion(t, jose.ES256, tt.key, tt.kid, claims))
		wantStatus(t, tt.name, a, tt.status)
	}
	once := assertion(t, jose.ES256, key, "k1", good("once"))
	wantStatus(t, "with client_id", assert(t, s, once, "client_id", id), 200)
	wantError(t, "a second time", assert(t, s, once), 401, "invalid_client")
	wantError(t, "other client_id",
		assert(t, s, assertion(t, jose.ES256, key, "k1", good("c")), "client_id",
			"x"), 401, "invalid_client")
	wantError(t, "no JWT", assert(t, s, "x"), 401, "invalid_client")
	wantError(t, "with a secret", assert(t, s, once, "client_secret", "x"), 400, "invalid_request")
	wantError(t, "wrong type",
		post(t, s.OAuth2().TokenURL(), "grant_type", "client_credentials", "client_assertion", once,
			"client_assertion_type", "x"), 400, "invalid_request")
}

func TestOnlyTheAllowedAssertionAlgorithmsAreAccepted(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	rsaKey, edKey := fakekeys.Generate(t, "rsa"), fakekeys.Generate(t, "ed25519")
	for _, tt := range []struct {
		alg     jose.SignatureAlgorithm
		private crypto.PrivateKey
		public  crypto.PublicKey
		status  int
	}{
		{jose.RS256, rsaKey, rsaKey.Public(), 200},
		{jose.PS256, rsaKey, rsaKey.Public(), 200},
		{jose.EdDSA, edKey, edKey.Public(), 200},
		{jose.RS512, rsaKey, rsaKey.Public(), 401}, // not among those the metadata lists
	} {
		id, _ := s.OAuth2().AddClient(fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT, Key: tt.public})
		token := assertion(t, tt.alg, tt.private, "", jwt.Claims{
			Issuer: id, Subject: id, Audience: jwt.Audience{s.OAuth2().TokenURL()}, ID: "1",
			Expiry: jwt.NewNumericDate(clk.Now().Add(time.Minute)),
		})
		wantStatus(t, string(tt.alg), assert(t, s, token), tt.status)
	}
}
