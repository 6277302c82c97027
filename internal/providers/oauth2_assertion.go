package providers

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is by its definition a SHA-1 thumbprint: RFC 7515 section 4.1.7
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"evertoken/internal/credential"
	"evertoken/internal/keys"
	"evertoken/internal/redact"
)

// assertionType marks a JWT with which a client authenticates (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long an assertion is valid. Evertoken makes each for one request.
const assertionLife = time.Minute

// assertionSettings describe the JWT that is signed with the credential's key: the grant's
// for jwt_bearer, the client's for private_key_jwt.
type assertionSettings struct {
	subject   string
	audience  []string
	claims    map[string]any
	algorithm jose.SignatureAlgorithm
	life      time.Duration
	scope     bool // the scope is a claim, not a parameter
}

// algorithms are the algorithms of RFC 7518 section 3.1 and RFC 8037 with which a private
// key signs.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
	"ES512", "EdDSA"}

// ownClaims are claims that Evertoken sets, or that have a setting of their own.
var ownClaims = map[string]string{
	"sub": "subject", "aud": "assertion_audience", "exp": "assertion_life", "iat": "", "nbf": "", "jti": "",
}

// setAssertion reads the settings about the assertion.
func (p *oauth2) setAssertion(s oauth2Settings) (err error) {
	audience, err := p.list("assertion_audience", s.AssertionAudience)
	if err != nil {
		return err
	}
	p.assertion = assertionSettings{subject: s.Subject, audience: audience, claims: s.AssertionClaims,
		algorithm: jose.SignatureAlgorithm(s.AssertionAlg), life: time.Duration(s.AssertionLife),
		scope: s.AssertionScope}
	given := map[string]bool{
		"assertion_audience": len(audience) > 0, "assertion_claims": len(s.AssertionClaims) > 0,
		"assertion_alg": s.AssertionAlg != "", "assertion_life": s.AssertionLife != 0,
		"assertion_scope": s.AssertionScope,
	}
	for _, setting := range slices.Sorted(maps.Keys(given)) {
		if given[setting] && p.grant != grantJWT && p.auth != authKey {
			return p.wrong(setting,
				"needs the grant jwt_bearer or the client_auth private_key_jwt: "+
					"no assertion is made otherwise")
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
			return p.wrong("assertion_claims."+name, "must not be set: Evertoken sets it for "+
				"each request")
		}
	}
	return nil
}

// assertionMembers returns the members of the credential that go into an assertion.
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

// clientClaims returns the claims of a client that authenticates (RFC 7523 section 3).
// Their audience is the token endpoint, as that section allows, or what the settings say:
// some servers accept only their issuer.
func (p *oauth2) clientClaims(c credential.Credential, endpoint string) map[string]any {
	claims := p.claims(c, endpoint)
	if p.grant == grantJWT { // the settings then describe the grant's assertion
		claims = map[string]any{"aud": claims["aud"]}
	}
	id := p.get(c, credential.ClientID).Reveal()
	claims["iss"], claims["sub"] = id, id
	return claims
}

// grantClaims returns the claims of an assertion that is the grant itself (RFC 7523 section
// 3): the client names the subject of the token.
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

// claims returns the claims from the settings and the audience.
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

// sign signs the claims as a JWT for one use and a short time.
func (p *oauth2) sign(c credential.Credential, claims map[string]any) (redact.Secret, error) {
	key, err := p.key(c)
	if err != nil {
		return redact.Secret{}, err
	}
	algorithm, err := p.algorithm(key)
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
	addThumbprints(options, key)
	private := jose.JSONWebKey{Key: key.Signer(), KeyID: key.ID}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, options)
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

// addThumbprints adds the certificate's thumbprints (RFC 7515 sections 4.1.7 and 4.1.8),
// which Entra and AD FS require.
func addThumbprints(options *jose.SignerOptions, key keys.Key) {
	if len(key.Certificates) == 0 {
		return
	}
	raw := key.Certificates[0].Raw
	one, two := sha1.Sum(raw), sha256.Sum256(raw) //nolint:gosec // see the import
	options.WithHeader("x5t", base64.RawURLEncoding.EncodeToString(one[:]))
	options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(two[:]))
}

// key returns the credential's private key and its certificate.
func (p *oauth2) key(c credential.Credential) (keys.Key, error) {
	member := func(standard string) keys.Member {
		return keys.Member{Name: p.named(standard), Value: p.get(c, standard)}
	}
	return keys.Read(member(credential.PrivateKey), p.get(c, credential.KeyID),
		member(credential.Certificate))
}

// checkKey returns an error if the key or its certificate is unusable.
func (p *oauth2) checkKey(c credential.Credential) error {
	key, err := p.key(c)
	if err != nil {
		return err
	}
	_, err = p.algorithm(key)
	return err
}

func (p *oauth2) keyError(problem string) error {
	return &credential.Error{Document: "credential", Member: p.named(credential.PrivateKey), Problem: problem}
}

// algorithm returns the algorithm in the settings, or the default for the kind of key from
// RFC 7518 section 3.1 (RFC 8037 for Ed25519).
func (p *oauth2) algorithm(key keys.Key) (jose.SignatureAlgorithm, error) {
	var fits []jose.SignatureAlgorithm // the first is the default
	switch k := key.Signer().(type) {
	case *rsa.PrivateKey:
		fits = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384,
			jose.PS512}
	case *ecdsa.PrivateKey:
		fits = map[elliptic.Curve][]jose.SignatureAlgorithm{
			elliptic.P256(): {jose.ES256}, elliptic.P384(): {jose.ES384}, elliptic.P521(): {jose.ES512},
		}[k.Curve]
	case ed25519.PrivateKey:
		fits = []jose.SignatureAlgorithm{jose.EdDSA}
	}
	wanted := p.assertion.algorithm
	switch {
	case len(fits) == 0:
		return "", p.keyError("is of a kind that Evertoken cannot sign with")
	case wanted == "":
		return fits[0], nil
	case !slices.Contains(fits, wanted):
		return "", p.keyError("does not fit settings.assertion_alg: RS and PS need an RSA key, " +
			"ES256 an EC key of curve P-256, ES384 P-384, ES512 P-521, EdDSA an Ed25519 key")
	}
	return wanted, nil
}
