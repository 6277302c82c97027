package fakeidp

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // x5t is SHA-1 by its definition
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const clientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertionLife is how far ahead an assertion may end. RFC 7523 section 3
// lets a server refuse one that is "unreasonably far in the future".
const maxAssertionLife = time.Hour

// clientAttempt is how a request tried to authenticate its client.
type clientAttempt struct {
	method, id, secret, assertion string
}

// authenticate finds the client of a token request. Only the method that the
// client is registered with is accepted.
func (o *OAuth2) authenticate(c *call) (*OAuth2Client, *reply) {
	if id, secret, ok := c.r.BasicAuth(); ok && o.clients[id] != nil && o.clients[id].Auth == PlainBasic {
		if secret != o.clients[id].Secret || c.form.Has("client_secret") {
			return nil, o.invalidClient(c, clientAttempt{id: id, secret: secret})
		}
		return o.clients[id], nil
	}
	attempt, problem := readAttempt(c, o.opts.WantClientID)
	if problem != "" {
		out := o.refuse("invalid_request", problem)
		return nil, &out
	}
	client := o.clients[attempt.id]
	if client != nil && client.Auth == TLSClientAuth && attempt.method == NoClientAuth {
		attempt.method = TLSClientAuth
	}
	if client == nil || client.Auth != attempt.method {
		return nil, o.invalidClient(c, attempt)
	}
	ok := true
	switch client.Auth {
	case ClientSecretPost, ClientSecretBasic:
		ok = attempt.secret == client.Secret
	case TLSClientAuth:
		ok = c.shows(client.Certificate)
	case PrivateKeyJWT:
		claims, good := o.verifyAssertion(c, client, attempt.assertion)
		ok = good && claims.Subject == client.ID
	}
	if !ok {
		return nil, o.invalidClient(c, attempt)
	}
	return client, nil
}

// readAttempt reads the client authentication of a request. RFC 6749 section
// 2.3 forbids more than one method in a request.
func readAttempt(c *call, wantID bool) (a clientAttempt, problem string) {
	methods := 0
	a = clientAttempt{method: NoClientAuth, id: c.param("client_id")}
	if c.r.Header.Get("Authorization") != "" {
		methods++
		id, secret, ok := formEncodedBasic(c.r)
		if !ok {
			return a, "malformed Authorization header"
		}
		if a.id != "" && a.id != id {
			return a, "client_id is not the client that authenticates"
		}
		a.method, a.id, a.secret = ClientSecretBasic, id, secret
	}
	if c.form.Has("client_secret") {
		methods++
		a.method, a.secret = ClientSecretPost, c.param("client_secret")
	}
	if c.form.Has("client_assertion") || c.form.Has("client_assertion_type") {
		methods++
		if c.param("client_assertion_type") != clientAssertionType || c.param("client_assertion") == "" {
			return a, "client_assertion and client_assertion_type do not fit"
		}
		a.method, a.assertion = PrivateKeyJWT, c.param("client_assertion")
		// client_id is optional here (RFC 7521 section 4.2).
		if subject := unverified(a.assertion).Subject; a.id == "" && !wantID {
			a.id = subject
		}
	}
	if issuer := unverified(c.param("assertion")).Issuer; methods == 0 && a.id == "" && issuer != "" {
		a.id = issuer // RFC 7521 section 4.1: the assertion alone may do
	}
	if methods > 1 {
		return a, "more than one client authentication method"
	}
	return a, ""
}

// formEncodedBasic reads HTTP Basic credentials, both parts of which must be form-encoded
// (RFC 6749 section 2.3.1).
func formEncodedBasic(r *http.Request) (id, secret string, ok bool) {
	rawID, rawSecret, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(rawID)
	secret, err2 := url.QueryUnescape(rawSecret)
	return id, secret, err1 == nil && err2 == nil
}

var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

func unverified(assertion string) jwt.Claims {
	var claims jwt.Claims
	token, err := jwt.ParseSigned(assertion, assertionAlgorithms)
	if err != nil || token.UnsafeClaimsWithoutVerification(&claims) != nil {
		return jwt.Claims{}
	}
	return claims
}

// verifyAssertion checks an assertion by RFC 7523 section 3: signed with the client's
// key, issued by the client, for this server, not expired, and, as OpenID Connect Core
// section 9 adds, with an id never seen before. The caller checks its subject.
func (o *OAuth2) verifyAssertion(c *call, client *OAuth2Client, assertion string) (jwt.Claims, bool) {
	algorithms := client.AssertionAlgorithms
	if algorithms == nil {
		algorithms = assertionAlgorithms
	}
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil || client.KeyID != "" && token.Headers[0].KeyID != client.KeyID ||
		!client.named(token.Headers[0]) {
		return jwt.Claims{}, false
	}
	var claims jwt.Claims
	var more struct {
		Scope string `json:"scope"`
	}
	if err := token.Claims(client.Key, &claims, &more); err != nil {
		return jwt.Claims{}, false
	}
	audience := jwt.Audience{o.TokenURL(), o.Issuer()}
	if client.AssertionAudience != "" {
		audience = jwt.Audience{client.AssertionAudience}
	}
	expected := jwt.Expected{Issuer: client.ID, Time: c.now, AnyAudience: audience}
	if claims.ValidateWithLeeway(expected, 0) != nil || claims.Expiry == nil || claims.ID == "" {
		return jwt.Claims{}, false
	}
	if !c.now.Before(claims.Expiry.Time()) || claims.Expiry.Time().After(c.now.Add(maxAssertionLife)) {
		return jwt.Claims{}, false
	}
	if client.ScopeClaim {
		if more.Scope == "" || c.param("scope") != "" {
			return jwt.Claims{}, false
		}
		c.form.Set("scope", more.Scope)
	}
	jti := client.ID + " " + claims.ID
	if o.jtis[jti] {
		return jwt.Claims{}, false
	}
	o.jtis[jti] = true
	return claims, true
}

// named reports whether an assertion's header names the client's certificate, as Entra
// demands: RFC 7515 sections 4.1.7 and 4.1.8.
func (client *OAuth2Client) named(header jose.Header) bool {
	if client.Certificate == nil {
		return true
	}
	one, two := sha1.Sum(client.Certificate.Raw), sha256.Sum256(client.Certificate.Raw) //nolint:gosec // x5t is SHA-1 by its definition
	return header.ExtraHeaders["x5t"] == base64.RawURLEncoding.EncodeToString(one[:]) &&
		header.ExtraHeaders["x5t#S256"] == base64.RawURLEncoding.EncodeToString(two[:])
}

// invalidClient is status 401, with a challenge where the client used the
// Authorization header (RFC 6749 section 5.2).
func (o *OAuth2) invalidClient(c *call, a clientAttempt) *reply {
	out := o.refuse("invalid_client", "client authentication failed", a.id, a.secret)
	out.status = cmp.Or(o.opts.UnknownClient, http.StatusUnauthorized)
	if c.r.Header.Get("Authorization") != "" {
		out.header.Set("WWW-Authenticate", `Basic realm="oauth2"`)
	}
	return &out
}
