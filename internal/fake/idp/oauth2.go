package fakeidp

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// OAuth2 is an authorization server that keeps to RFC 6749, with discovery by
// RFC 8414 and OpenID Connect Discovery and client assertions by RFC 7523. Its
// options give the answers the shapes seen in the field.
type OAuth2 struct {
	s       *Server
	opts    OAuth2Options
	clients map[string]*OAuth2Client
	users   map[string]string // :: user name → password
	tokens  refreshTokens
	issued  []OAuth2Issue
	jtis    map[string]bool // :: client id, space, jti of an accepted assertion
	// subjects are the accepted tokens and assertions of another issuer.
	subjects map[string]string // :: token → subject
}

// The client authentication methods of RFC 7591 section 2 and OpenID Connect
// Core section 9.
const (
	ClientSecretPost  = "client_secret_post"
	ClientSecretBasic = "client_secret_basic"
	PrivateKeyJWT     = "private_key_jwt"
	NoClientAuth      = "none"
	// TLSClientAuth is RFC 8705 section 2: the client presents its certificate.
	TLSClientAuth = "tls_client_auth"
	// PlainBasic is HTTP Basic without form-decoding, as in servers that implement RFC
	// 7617 alone.
	PlainBasic = "client_secret_basic_raw"
)

// ExpiryFormat is how a token answer states the access token's life.
type ExpiryFormat int

const (
	// ExpiryNumber is expires_in in seconds, as RFC 6749 section 5.1 says.
	ExpiryNumber ExpiryFormat = iota
	// ExpiryString is expires_in in seconds as a JSON string.
	ExpiryString
	// ExpiryFloat is expires_in in seconds with a fraction.
	ExpiryFloat
	// ExpiryAbsent omits the life.
	ExpiryAbsent
	// ExpiryEpochMillis is expires_in as the end in Unix milliseconds.
	ExpiryEpochMillis
	// ExpiresAtSeconds is expires_at, the end in Unix seconds.
	ExpiresAtSeconds
	// ExpiresAtMillis is expires_at, the end in Unix milliseconds.
	ExpiresAtMillis
	// ExpiresAtRFC3339 is expires_at, the end as RFC 3339 text.
	ExpiresAtRFC3339
)

// OAuth2Options are what differs between servers.
type OAuth2Options struct {
	AccessLife  time.Duration // of an access token; 1 h
	RefreshLife time.Duration // of a refresh token, from its issue; 90 days
	// KeepRefreshTokens leaves a used refresh token alive and returns none. By
	// default a used one is replaced, and its reuse ends its whole family.
	KeepRefreshTokens bool
	// ReuseGrace is how long a used refresh token is accepted again, as at Xero and
	// Atlassian; its reuse after that ends the family.
	ReuseGrace time.Duration
	// EndAccessOnRefresh ends the access tokens before a refresh, as at GitLab
	// and Airtable.
	EndAccessOnRefresh bool
	// ReuseRefusedOnly refuses a used refresh token and lets its family live, as
	// Spring Authorization Server and Authlib do; ReuseEndsAccess ends the
	// family's access tokens too, as Ory Hydra and django-oauth-toolkit do.
	ReuseRefusedOnly, ReuseEndsAccess bool
	// IgnoreUnknownScope grants what the client may have in place of a scope that it may
	// not, and does not name the scope.
	IgnoreUnknownScope bool
	// InvalidRequest answers a wrong password and an unknown grant with
	// invalid_request, as django-oauth-toolkit and Authlib do.
	InvalidRequest bool
	// UnknownClient is the status of invalid_client; 401.
	UnknownClient int
	// WantClientID demands client_id in addition to an assertion, as Spring Authorization
	// Server does.
	WantClientID bool
	// CauseAtTheEnd puts the cause after the sentence that RFC 6749 has for the code, as
	// Ory Hydra does.
	CauseAtTheEnd bool
	// RefreshOnClientCredentials adds a refresh token to the answer of a client
	// credentials grant, which RFC 6749 section 4.4.3 advises against.
	RefreshOnClientCredentials bool
	Expiry                     ExpiryFormat
	TokenType                  string // Bearer
	OmitTokenType              bool
	// OmitScope leaves the scope out of the answer even where it is not the
	// one asked for.
	OmitScope bool
	// RefreshExpiresIn states the refresh token's life as refresh_expires_in.
	RefreshExpiresIn bool
	// Extra members are added to the answer, over the others.
	Extra map[string]any
	// NoRFC8414 and NoOIDC remove a discovery document.
	NoRFC8414, NoOIDC bool
	// Throttle answers 429 with Retry-After 7, as a date if ThrottleDate.
	Throttle, ThrottleDate bool
}

// OAuth2Client is a registered client.
type OAuth2Client struct {
	ID     string // made if empty
	Secret string // made if empty and the method takes one
	Auth   string // the only method accepted; client_secret_post if empty
	// Key verifies assertions; KeyID, if set, must be their kid.
	Key   crypto.PublicKey
	KeyID string
	// Grants it may use; client_credentials, refresh_token and password if nil.
	Grants []string
	// Scopes it may have; any if nil.
	Scopes []string

	// Certificate must be presented with TLSClientAuth, or named by x5t and x5t#S256 in
	// an assertion.
	Certificate *x509.Certificate
	// AssertionAudience is the only one that an assertion may have; the token
	// URL or the issuer if empty.
	AssertionAudience string
	// AssertionAlgorithms are the accepted ones; RS256, PS256, ES256 and EdDSA if nil.
	AssertionAlgorithms []jose.SignatureAlgorithm
	// ScopeClaim demands the scope as a claim of the assertion, and not as a parameter.
	ScopeClaim bool
	// Account must be sent with account_credentials.
	Account string
	// JSON demands a JSON body instead of a form.
	JSON bool
	// Headers must be sent with these values.
	Headers map[string]string
	// Nested puts the answer's members below "data", in camel case.
	Nested bool
	// Extra members are added to the answer.
	Extra map[string]any
}

// OAuth2Issue is one token answer.
type OAuth2Issue struct {
	Time                          time.Time
	ClientID, Subject, Grant      string
	Scope                         string
	Audience, Resource            []string
	AccessToken, RefreshToken     string
	AccessExpires, RefreshExpires time.Time
}

func newOAuth2(s *Server) *OAuth2 {
	return &OAuth2{
		s: s,
		opts: OAuth2Options{
			AccessLife: time.Hour, RefreshLife: 90 * 24 * time.Hour, TokenType: "Bearer",
		},
		clients: make(map[string]*OAuth2Client),
		users:   make(map[string]string),
		tokens:  make(refreshTokens),
		jtis:    make(map[string]bool),

		subjects: make(map[string]string),
	}
}

// Configure changes the options.
func (o *OAuth2) Configure(change func(*OAuth2Options)) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	change(&o.opts)
}

// Issuer is the server's issuer identifier.
func (o *OAuth2) Issuer() string { return o.s.url + "/" + ProviderOAuth2 }

// TokenURL is the token endpoint.
func (o *OAuth2) TokenURL() string { return o.Issuer() + "/token" }

// AddClient registers a client and returns its id and secret. A generated
// secret has characters that client_secret_basic must form-encode.
func (o *OAuth2) AddClient(c OAuth2Client) (clientID, secret string) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if c.ID == "" {
		c.ID = "client:" + randomHex(12)
	}
	if c.Auth == "" {
		c.Auth = ClientSecretPost
	}
	if c.Secret == "" && (c.Auth == ClientSecretPost || c.Auth == ClientSecretBasic || c.Auth == PlainBasic) {
		c.Secret = o.s.mintPassword(ProviderOAuth2, "secret")
	}
	if c.Grants == nil {
		c.Grants = []string{"client_credentials", "refresh_token", "password"}
	}
	o.s.register(c.Secret)
	o.clients[c.ID] = &c
	return c.ID, c.Secret
}

// RemoveClient deletes a client with its refresh tokens.
func (o *OAuth2) RemoveClient(clientID string) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	delete(o.clients, clientID)
	for _, t := range o.tokens {
		if t.family.client == clientID {
			t.family.dead = true
		}
	}
}

// AddUser makes a user or changes the password, and returns it. An empty
// password means a generated one.
func (o *OAuth2) AddUser(username, password string) string {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if password == "" {
		password = o.s.mintPassword(ProviderOAuth2, "password")
	}
	o.users[username] = o.s.register(password)
	return password
}

// AddRefreshToken issues a refresh token outside the token endpoint, as a
// browser login does.
func (o *OAuth2) AddRefreshToken(clientID, subject, scope string) string {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	family := &tokenFamily{client: clientID, subject: subject, scope: scope}
	return o.tokens.add(o.s.mint(ProviderOAuth2, "refresh"), family, o.s.now().Add(o.opts.RefreshLife))
}

// RevokeRefreshToken ends a refresh token and all that stem from the same
// grant.
func (o *OAuth2) RevokeRefreshToken(token string) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if t := o.tokens[token]; t != nil {
		t.family.dead = true
	}
}

// Issued returns what the token endpoint issued, in order.
func (o *OAuth2) Issued() []OAuth2Issue {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return slices.Clone(o.issued)
}

func (o *OAuth2) serve(c *call) reply {
	path := strings.Join(c.segments, "/")
	switch {
	case path == "token":
		return o.token(c)
	case c.r.Method != http.MethodGet:
	// RFC 8414 section 3.1: the issuer's path comes after the well-known part.
	case path == ".well-known/oauth-authorization-server/"+ProviderOAuth2 && !o.opts.NoRFC8414,
		path == ".well-known/openid-configuration" && !o.opts.NoOIDC:
		return o.metadata()
	}
	return textReply(http.StatusNotFound, "not found\n")
}

func (o *OAuth2) metadata() reply {
	return jsonReply(http.StatusOK, map[string]any{
		"issuer": o.Issuer(), "token_endpoint": o.TokenURL(),
		"response_types_supported": []string{"code"},
		"grant_types_supported":    []string{"client_credentials", "refresh_token", "password"},
		"token_endpoint_auth_methods_supported": []string{
			ClientSecretPost, ClientSecretBasic, PrivateKeyJWT, NoClientAuth,
		},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256", "PS256", "ES256", "EdDSA"},
	})
}

// standardSentences are the sentences that Fosite, the library of Ory Hydra, puts before
// the cause (errors.go).
var standardSentences = map[string]string{
	"invalid_grant": "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, " +
		"revoked, does not match the redirection URI used in the authorization request, or was issued to another client.",
	"invalid_request": "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, " +
		"or is otherwise malformed.",
	"invalid_client": "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).",
	"invalid_scope":  "The requested scope is invalid, unknown, or malformed.",
}

// refuse is an error of RFC 6749 section 5.2: status 400, except for a client that
// failed to authenticate.
func (o *OAuth2) refuse(code, description string, sent ...string) reply {
	if o.opts.CauseAtTheEnd {
		description = standardSentences[code] + " " + description
	}
	return oauthError(http.StatusBadRequest, code, o.s.describe(description, sent...))
}

func (o *OAuth2) token(c *call) reply {
	switch {
	case c.r.Method != http.MethodPost:
		return reply{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {http.MethodPost}}}
	case o.opts.Throttle:
		return o.throttled(c.now)
	case c.form == nil && !c.readJSON():
		return o.refuse("invalid_request", "the body must be a form")
	case c.repeated("resource", "audience") != "":
		// RFC 8707 section 2 and RFC 8693 section 2.1 let these two repeat.
		return o.refuse("invalid_request", "repeated parameter "+c.repeated("resource", "audience"))
	case c.r.URL.RawQuery != "":
		return o.refuse("invalid_request", "parameters must not be in the URL")
	case c.param("grant_type") == "":
		return o.refuse("invalid_request", "grant_type is missing")
	}
	client, refused := o.authenticate(c)
	if refused != nil {
		return *refused
	}
	if problem := client.unmet(c); problem != "" {
		return o.refuse("invalid_request", problem)
	}
	for _, resource := range c.form["resource"] {
		// RFC 8707 section 2: an absolute URI without a fragment.
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || u.Fragment != "" {
			return o.refuse("invalid_target", "resource must be an absolute URI", resource)
		}
	}
	grants := map[string]func(*call, *OAuth2Client) reply{
		"client_credentials": o.clientCredentials, "refresh_token": o.refreshGrant, "password": o.password,
		jwtBearerGrant: o.jwtBearer, tokenExchangeGrant: o.tokenExchange, saml2BearerGrant: o.saml2Bearer,
		"account_credentials": o.accountCredentials,
	}
	grant := grants[c.param("grant_type")]
	switch {
	case grant == nil && o.opts.InvalidRequest:
		return o.refuse("invalid_request", "unknown grant type", c.param("grant_type"))
	case grant == nil:
		return o.refuse("unsupported_grant_type", "unknown grant type", c.param("grant_type"))
	case !slices.Contains(client.Grants, c.param("grant_type")):
		return o.refuse("unauthorized_client", "the client may not use this grant type")
	}
	return grant(c, client)
}

func (o *OAuth2) throttled(now time.Time) reply {
	out := oauthError(http.StatusTooManyRequests, "slow_down", o.s.describe("too many requests"))
	const wait = 7
	out.header.Set("Retry-After", itoa(wait))
	if o.opts.ThrottleDate {
		out.header.Set("Retry-After", now.Add(wait*time.Second).Format(http.TimeFormat))
	}
	return out
}
