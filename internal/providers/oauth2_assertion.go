package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is by its definition a SHA-1 thumbprint: RFC 7515 section 4.1.7
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// assertionType marks a JWT by which a client authenticates (RFC 7523 section
// 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long an assertion may be used: it is made for one
// request.
const assertionLife = time.Minute

// minRSABits is what RFC 7518 sections 3.3 and 3.5 demand of an RSA key.
const minRSABits = 2048

// assertionSettings shape the JWT that is signed with the credential's key: the
// grant's for jwt_bearer, the client's for private_key_jwt.
type assertionSettings struct {
	subject   string
	audience  []string
	claims    map[string]any
	algorithm jose.SignatureAlgorithm
	life      time.Duration
	scope     bool // the scope is a claim, and no parameter
}

// algorithms are those of RFC 7518 section 3.1 and RFC 8037 that a private key
// signs with.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// ownClaims are set by Evertoken, or by a setting of their own.
var ownClaims = map[string]string{
	"sub": "subject", "aud": "assertion_audience", "exp": "assertion_life", "iat": "", "nbf": "", "jti": "",
}

// setAssertion takes the settings about the assertion.
func (p *oauth2) setAssertion(s oauth2Settings) (err error) {
	audience, err := p.list("assertion_audience", s.AssertionAudience)
	if err != nil {
		return err
	}
	p.assertion = assertionSettings{subject: s.Subject, audience: audience, claims: s.AssertionClaims,
		algorithm: jose.SignatureAlgorithm(s.AssertionAlg), life: time.Duration(s.AssertionLife), scope: s.AssertionScope}
	for setting, given := range map[string]bool{
		"assertion_audience": len(audience) > 0, "assertion_claims": len(s.AssertionClaims) > 0,
		"assertion_alg": s.AssertionAlg != "", "assertion_life": s.AssertionLife != 0, "assertion_scope": s.AssertionScope,
	} {
		if given && p.grant != grantJWT && p.auth != authKey {
			return p.wrong(setting, "needs the grant jwt_bearer or the client_auth private_key_jwt: no assertion is made otherwise")
		}
	}
	switch {
	case s.Subject != "" && p.grant != grantJWT:
		return p.wrong("subject", "needs the grant jwt_bearer")
	case s.AssertionAlg != "" && !slices.Contains(algorithms, s.AssertionAlg):
		return p.wrong("assertion_alg", "must be one of "+strings.Join(algorithms, ", "))
	case s.AssertionScope && s.Scope == "":
		return p.wrong("assertion_scope", "needs \"scope\"")
	case p.assertion.life > time.Hour:
		return p.wrong("assertion_life", "must be at most 1h: an assertion is made for one request")
	case p.assertion.life == 0:
		p.assertion.life = assertionLife
	}
	for _, name := range slices.Sorted(maps.Keys(s.AssertionClaims)) {
		setting, own := ownClaims[name]
		switch {
		case own && setting != "":
			return p.wrong("assertion_claims."+name, "must not be set there: use \""+setting+"\"")
		case own:
			return p.wrong("assertion_claims."+name, "must not be set: Evertoken sets it for each request")
		case secretName(name):
			return p.wrong("assertion_claims."+strictjson.Printable(name), "looks like a secret, which must not stand in a connection")
		}
	}
	return nil
}

// assertionMembers are the members of the credential that an assertion is made
// of.
func (p *oauth2) assertionMembers(c credential.Credential) []string {
	members := []string{p.named(credential.ClientID), p.named(credential.PrivateKey)}
	if _, told := p.assertion.claims["iss"]; told && p.grant == grantJWT {
		members = members[1:]
	}
	for _, optional := range []string{p.named(credential.KeyID), p.named(credential.Certificate)} {
		if c.Has(optional) {
			members = append(members, optional)
		}
	}
	return members
}

// clientClaims are those of a client that authenticates (RFC 7523 section 3).
// Their audience is the token endpoint, as that section offers, or what the
// settings say: some servers take their issuer alone.
func (p *oauth2) clientClaims(c credential.Credential, endpoint string) map[string]any {
	claims := p.claims(c, endpoint)
	if p.grant == grantJWT { // its settings are the grant's
		claims = map[string]any{"aud": claims["aud"]}
	}
	id := p.get(c, credential.ClientID).Reveal()
	claims["iss"], claims["sub"] = id, id
	return claims
}

// grantClaims are those of an assertion that is the grant itself (RFC 7523
// section 3): the client states whom the token is for.
func (p *oauth2) grantClaims(c credential.Credential, endpoint string) map[string]any {
	claims := p.claims(c, endpoint)
	if p.assertion.subject != "" {
		claims["sub"] = p.assertion.subject
	}
	if _, told := claims["iss"]; !told {
		claims["iss"] = p.get(c, credential.ClientID).Reveal()
	}
	return claims
}

// claims are the settings' claims and the audience.
func (p *oauth2) claims(c credential.Credential, endpoint string) map[string]any {
	claims := maps.Clone(p.assertion.claims)
	if claims == nil {
		claims = map[string]any{}
	}
	switch len(p.assertion.audience) {
	case 0:
		claims["aud"] = endpoint
	case 1:
		claims["aud"] = p.assertion.audience[0] // RFC 7519 section 4.1.3: a single one may be a string
	default:
		claims["aud"] = p.assertion.audience
	}
	if p.assertion.scope {
		claims["scope"] = p.scope
	}
	if c.Has(p.named(credential.Certificate)) {
		// Entra and AD FS document it beside the thumbprint:
		// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
		claims["nbf"] = p.now().Unix()
	}
	return claims
}

// sign makes a JWT of the claims, good for one use and a short time.
func (p *oauth2) sign(c credential.Credential, claims map[string]any) (redact.Secret, error) {
	key, err := p.signingKey(c)
	if err != nil {
		return redact.Secret{}, err
	}
	now := p.now()
	claims["jti"], claims["iat"], claims["exp"] = rand.Text(), now.Unix(), now.Add(p.assertion.life).Unix()
	payload, err := json.Marshal(claims)
	if err != nil {
		return redact.Secret{}, p.keyError("cannot be used with this client_id")
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if err := p.addThumbprints(options, c); err != nil {
		return redact.Secret{}, err
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		return redact.Secret{}, p.keyError("cannot sign")
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return redact.Secret{}, p.keyError("cannot sign")
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return redact.Secret{}, p.keyError("cannot sign")
	}
	return redact.New(compact), nil
}

// addThumbprints names the certificate by RFC 7515 sections 4.1.7 and 4.1.8, as
// Entra and AD FS want it.
func (p *oauth2) addThumbprints(options *jose.SignerOptions, c credential.Credential) error {
	member := p.named(credential.Certificate)
	if !c.Has(member) {
		return nil
	}
	certificate, err := p.certificate(c)
	if err != nil {
		return err
	}
	one, two := sha1.Sum(certificate.Raw), sha256.Sum256(certificate.Raw) //nolint:gosec // see the import
	options.WithHeader("x5t", base64.RawURLEncoding.EncodeToString(one[:]))
	options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(two[:]))
	return nil
}

// certificate reads the first certificate of the credential and holds it
// against the private key.
func (p *oauth2) certificate(c credential.Credential) (*x509.Certificate, error) {
	wrong := func(problem string) (*x509.Certificate, error) {
		return nil, &credential.Error{Document: "credential", Member: p.named(credential.Certificate), Problem: problem}
	}
	block, _ := pem.Decode([]byte(p.get(c, credential.Certificate).Reveal()))
	if block == nil || block.Type != "CERTIFICATE" {
		return wrong("is not a PEM certificate: it begins with -----BEGIN CERTIFICATE-----")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return wrong("is not a certificate that can be read")
	}
	key, err := p.privateKey(c)
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return wrong("is not that of the private key: store the two that belong together")
	}
	return certificate, nil
}

// checkKey says what is wrong with the key, or the certificate beside it.
func (p *oauth2) checkKey(c credential.Credential) error {
	if _, err := p.signingKey(c); err != nil {
		return err
	}
	if c.Has(p.named(credential.Certificate)) {
		_, err := p.certificate(c)
		return err
	}
	return nil
}

// clientCertificate is what the client shows for mutual TLS (RFC 8705 section
// 2): the certificates of the credential, the client's own first, and its key.
func (p *oauth2) clientCertificate(c credential.Credential) (*tls.Certificate, error) {
	if _, err := p.certificate(c); err != nil {
		return nil, err
	}
	key, err := p.privateKey(c)
	if err != nil {
		return nil, err
	}
	out := &tls.Certificate{PrivateKey: key}
	rest := []byte(p.get(c, credential.Certificate).Reveal())
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out, nil
		}
		if block.Type == "CERTIFICATE" {
			out.Certificate = append(out.Certificate, block.Bytes)
		}
	}
}

func (p *oauth2) keyError(problem string) error {
	return &credential.Error{Document: "credential", Member: p.named(credential.PrivateKey), Problem: problem}
}

// signingKey reads the private key and picks the algorithm: the settings' or
// the one that its kind has in RFC 7518 section 3.1 (RFC 8037 for Ed25519).
func (p *oauth2) signingKey(c credential.Credential) (jose.SigningKey, error) {
	key, err := p.privateKey(c)
	if err != nil {
		return jose.SigningKey{}, err
	}
	var fits []jose.SignatureAlgorithm // the first is the default
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSABits {
			return jose.SigningKey{}, p.keyError("is too short: an RSA key needs 2048 bits")
		}
		fits = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case *ecdsa.PrivateKey:
		if algorithm, ok := map[elliptic.Curve]jose.SignatureAlgorithm{
			elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512,
		}[k.Curve]; ok {
			fits = []jose.SignatureAlgorithm{algorithm}
		}
	case ed25519.PrivateKey:
		fits = []jose.SignatureAlgorithm{jose.EdDSA}
	}
	algorithm := p.assertion.algorithm
	switch {
	case len(fits) == 0:
		return jose.SigningKey{}, p.keyError("is of a kind that no signature is made with: use RSA, EC (P-256, P-384, P-521) or Ed25519")
	case algorithm == "":
		algorithm = fits[0]
	case !slices.Contains(fits, algorithm):
		return jose.SigningKey{}, p.keyError("does not fit settings.assertion_alg: RS and PS need an RSA key, " +
			"ES256 an EC key of curve P-256, ES384 P-384, ES512 P-521, EdDSA an Ed25519 key")
	}
	id := p.get(c, credential.KeyID).Reveal()
	return jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil
}

// privateKey reads the credential's private key.
func (p *oauth2) privateKey(c credential.Credential) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(p.get(c, credential.PrivateKey).Reveal()))
	if block == nil {
		return nil, p.keyError("is not PEM: it begins with -----BEGIN PRIVATE KEY-----, and its line breaks are \\n in JSON")
	}
	key, ok := parseKey(block.Bytes)
	if !ok {
		return nil, p.keyError("is not an unencrypted private key (PKCS #8, PKCS #1 or SEC 1)")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, p.keyError("is of a kind that no signature is made with: use RSA, EC (P-256, P-384, P-521) or Ed25519")
	}
	return signer, nil
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
