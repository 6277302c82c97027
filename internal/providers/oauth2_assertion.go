package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/go-jose/go-jose/v4"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// assertionType marks a JWT by which a client authenticates (RFC 7523 section
// 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long an assertion may be used: it is made for one
// request.
const assertionLife = time.Minute

// minRSABits is what RFC 7518 section 3.3 demands of a key for RS256.
const minRSABits = 2048

// clientAssertion signs the JWT of RFC 7523 section 3. Its audience is the
// token endpoint, as that section offers.
func clientAssertion(c credential.Credential, endpoint string, now time.Time) (redact.Secret, error) {
	key, err := assertionKey(c)
	if err != nil {
		return redact.Secret{}, err
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return redact.Secret{}, keyError("cannot sign")
	}
	id := c.Get(credential.ClientID).Reveal()
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{id, id, endpoint, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return redact.Secret{}, keyError("cannot be used with this client_id")
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return redact.Secret{}, keyError("cannot sign")
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return redact.Secret{}, keyError("cannot sign")
	}
	return redact.New(compact), nil
}

func keyError(problem string) error {
	return &credential.Error{Document: "credential", Member: credential.PrivateKey, Problem: problem}
}

// assertionKey reads the private key, and picks the algorithm that its kind
// has in RFC 7518 section 3.1 (RFC 8037 for Ed25519).
func assertionKey(c credential.Credential) (jose.SigningKey, error) {
	block, _ := pem.Decode([]byte(c.Get(credential.PrivateKey).Reveal()))
	if block == nil {
		return jose.SigningKey{}, keyError("is not PEM: it begins with -----BEGIN PRIVATE KEY-----, and its line breaks are \\n in JSON")
	}
	key, ok := parseKey(block.Bytes)
	if !ok {
		return jose.SigningKey{}, keyError("is not an unencrypted private key (PKCS #8, PKCS #1 or SEC 1)")
	}
	var algorithm jose.SignatureAlgorithm
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSABits {
			return jose.SigningKey{}, keyError("is too short: an RSA key needs 2048 bits")
		}
		algorithm = jose.RS256
	case *ecdsa.PrivateKey:
		algorithm = map[elliptic.Curve]jose.SignatureAlgorithm{
			elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512,
		}[k.Curve]
	case ed25519.PrivateKey:
		algorithm = jose.EdDSA
	}
	if algorithm == "" {
		return jose.SigningKey{}, keyError("is of a kind that no signature is made with: use RSA, EC (P-256, P-384, P-521) or Ed25519")
	}
	return jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: c.Get(credential.KeyID).Reveal()}}, nil
}

func parseKey(der []byte) (crypto.PrivateKey, bool) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, true
	}
	return nil, false
}
