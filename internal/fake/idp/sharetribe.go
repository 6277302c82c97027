package fakeidp

import (
	"net/http"
	"strings"
	"time"
)

// Sharetribe is Sharetribe's Authentication API on its two hosts. Parameters
// and grants are those that the vendor's SDKs send
// (https://github.com/sharetribe/flex-sdk-js, flex-integration-sdk-js). What
// the server checks beyond them is not documented; it is strict here.
type Sharetribe struct {
	s      *Server
	opts   SharetribeOptions
	apps   map[string]*sharetribeApp // :: client id → application
	users  map[string]string         // :: user name → password
	tokens refreshTokens
}

// The two hosts, as path segments.
const (
	sharetribeInteg  = "flex-integ-api"
	sharetribeMarket = "flex-api"
)

// The scopes that the SDKs ask for.
const (
	scopeAnonymous = "public-read"
	scopeInteg     = "integ"
	scopeUser      = "user"
	scopeTrusted   = "trusted:user"
)

// SharetribeOptions are what differs between deployments or is undocumented.
type SharetribeOptions struct {
	AccessLife  time.Duration // of an access token; 1 h
	RefreshLife time.Duration // of a refresh token, from its issue; 180 days
	// KeepRefreshTokens leaves a used refresh token alive and returns it again.
	// By default it is spent and a new one returned, as the SDKs' fakes do;
	// what the server does is not documented.
	KeepRefreshTokens bool
	// OmitRefreshToken omits the refresh token from a refresh answer (only with
	// KeepRefreshTokens: the one that was sent stays the only one).
	OmitRefreshToken bool
	// ReuseKillsFamily ends all refresh tokens of a grant when a spent one is sent again.
	ReuseKillsFamily bool
	// ScopeAfterRefresh repeats the scope in a refresh answer. The SDKs support
	// answers without it.
	ScopeAfterRefresh bool
	// IntegOnMarketHost lets the marketplace host issue tokens for the
	// Integration API, which is deprecated since 2020 and still in use.
	IntegOnMarketHost bool
}

type sharetribeApp struct {
	secret string // "" for a marketplace application without a trusted context
	integ  bool
}

func newSharetribe(s *Server) *Sharetribe {
	return &Sharetribe{
		s:      s,
		opts:   SharetribeOptions{AccessLife: time.Hour, RefreshLife: 180 * 24 * time.Hour},
		apps:   make(map[string]*sharetribeApp),
		users:  make(map[string]string),
		tokens: make(refreshTokens),
	}
}

// Configure changes the options.
func (t *Sharetribe) Configure(change func(*SharetribeOptions)) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	change(&t.opts)
}

// IntegURL is the base URL of the Integration API's host.
func (t *Sharetribe) IntegURL() string {
	return t.s.url + "/" + ProviderSharetribe + "/" + sharetribeInteg
}

// MarketURL is the base URL of the Marketplace API's host.
func (t *Sharetribe) MarketURL() string {
	return t.s.url + "/" + ProviderSharetribe + "/" + sharetribeMarket
}

// IntegAuthURL is the token endpoint of the Integration API's host.
func (t *Sharetribe) IntegAuthURL() string { return t.IntegURL() + "/v1/auth/token" }

// MarketAuthURL is the token endpoint of the Marketplace API's host.
func (t *Sharetribe) MarketAuthURL() string { return t.MarketURL() + "/v1/auth/token" }

// AddIntegrationApp makes an application of the Integration API.
func (t *Sharetribe) AddIntegrationApp() (clientID, secret string) { return t.addApp(true) }

// AddMarketplaceApp makes an application of the Marketplace API. The secret is
// for trusted tokens only.
func (t *Sharetribe) AddMarketplaceApp() (clientID, secret string) { return t.addApp(false) }

func (t *Sharetribe) addApp(integ bool) (clientID, secret string) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	h := randomHex(32)
	clientID = strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
	secret = t.s.mint(ProviderSharetribe, "secret")
	t.apps[clientID] = &sharetribeApp{secret: secret, integ: integ}
	return clientID, secret
}

// RemoveApp deletes an application with its tokens.
func (t *Sharetribe) RemoveApp(clientID string) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	delete(t.apps, clientID)
	for _, r := range t.tokens {
		if r.family.client == clientID {
			r.family.dead = true
		}
	}
}

// AddUser makes a user or changes the password, and returns it. An empty
// password means a generated one.
func (t *Sharetribe) AddUser(username, password string) string {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if password == "" {
		password = t.s.mintPassword(ProviderSharetribe, "password")
	}
	t.users[username] = t.s.register(password)
	return password
}

// RevokeRefreshToken ends a refresh token and all that stem from the same
// grant.
func (t *Sharetribe) RevokeRefreshToken(token string) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if r := t.tokens[token]; r != nil {
		r.family.dead = true
	}
}

func (t *Sharetribe) serve(c *call) reply {
	path := strings.Join(c.segments, "/")
	host, path, _ := strings.Cut(path, "/")
	if host != sharetribeInteg && host != sharetribeMarket {
		return textReply(http.StatusNotFound, "Not Found")
	}
	switch {
	case path == "v1/auth/token" && c.r.Method == http.MethodPost:
		return t.token(c, host)
	case path == "v1/auth/revoke" && c.r.Method == http.MethodPost:
		return t.revoke(c)
	case path == "v1/integration_api/marketplace/show" && c.r.Method == http.MethodGet:
		return t.probe(c, scopeInteg)
	case path == "v1/api/marketplace/show" && c.r.Method == http.MethodGet:
		return t.probe(c, scopeAnonymous, scopeUser, scopeTrusted)
	}
	return textReply(http.StatusNotFound, "Not Found")
}

// unauthorized is the refusal of any credential: the text that the SDKs' fakes
// answer. The server's own body is not documented.
func (t *Sharetribe) unauthorized() reply {
	return textReply(http.StatusUnauthorized, "Unauthorized")
}

func (t *Sharetribe) invalid(code, message string, sent ...string) reply {
	return oauthError(http.StatusBadRequest, code, t.s.describe(message, sent...))
}

// token is POST /v1/auth/token. Client authentication is always in the body.
func (t *Sharetribe) token(c *call, host string) reply {
	if c.form == nil {
		return textReply(http.StatusUnsupportedMediaType, "Unsupported Media Type")
	}
	if name := c.repeated(); name != "" {
		return t.invalid("invalid_request", "repeated parameter "+name)
	}
	if c.r.Header.Get("Authorization") != "" {
		return t.invalid("invalid_request", "unexpected Authorization header", c.r.Header.Get("Authorization"))
	}
	app := t.apps[c.param("client_id")]
	if app == nil {
		return t.unauthorized()
	}
	if app.integ && host == sharetribeMarket && !t.opts.IntegOnMarketHost || !app.integ &&
		host == sharetribeInteg {
		return t.unauthorized()
	}
	switch c.param("grant_type") {
	case "client_credentials":
		return t.clientCredentials(c, app)
	case "password":
		return t.password(c, app)
	case "refresh_token":
		return t.refresh(c)
	case "token_exchange":
		return t.exchange(c, app)
	}
	return t.invalid("unsupported_grant_type", "unknown grant type", c.param("grant_type"))
}

// clientCredentials serves scope integ with the secret, which returns a refresh
// token against RFC 6749 section 4.4.3, and scope public-read without.
func (t *Sharetribe) clientCredentials(c *call, app *sharetribeApp) reply {
	scope := c.param("scope")
	switch {
	case app.integ && scope == scopeInteg:
		if c.param("client_secret") != app.secret {
			return t.unauthorized()
		}
		return t.grant(&tokenFamily{client: c.param("client_id"), scope: scope}, true, true)
	case !app.integ && scope == scopeAnonymous:
		return t.grant(&tokenFamily{client: c.param("client_id"), scope: scope}, false, true)
	}
	return t.invalid("invalid_scope", "scope not allowed", scope)
}

func (t *Sharetribe) password(c *call, app *sharetribeApp) reply {
	if app.integ {
		return t.invalid("unauthorized_client", "grant type not allowed")
	}
	if c.param("scope") != scopeUser {
		return t.invalid("invalid_scope", "scope not allowed", c.param("scope"))
	}
	want, ok := t.users[c.param("username")]
	if !ok || want != c.param("password") {
		return t.unauthorized()
	}
	family := &tokenFamily{client: c.param("client_id"), subject: c.param("username"), scope: scopeUser}
	return t.grant(family, true, true)
}

// refresh takes client_id and refresh_token alone, as the SDKs send it.
func (t *Sharetribe) refresh(c *call) reply {
	if c.form.Has("client_secret") {
		return t.invalid("invalid_request", "unexpected parameter client_secret", c.param("client_secret"))
	}
	value := c.param("refresh_token")
	r := t.tokens.usable(value, c.now)
	if r == nil {
		if t.opts.ReuseKillsFamily {
			t.tokens.replayed(value)
		}
		return t.unauthorized()
	}
	// One public script repeats the scope that the token has.
	if r.family.client != c.param("client_id") || c.form.Has("scope") && c.param("scope") != r.family.scope {
		return t.unauthorized()
	}
	if !t.opts.KeepRefreshTokens {
		r.used = true
		return t.grant(r.family, true, t.opts.ScopeAfterRefresh)
	}
	answer := t.access(r.family, t.opts.ScopeAfterRefresh)
	if !t.opts.OmitRefreshToken {
		answer["refresh_token"] = value
	}
	return tokenReply(answer)
}

// exchange makes a trusted token of a user's live access token. The SDK of one
// marketplace sends no scope here (flex-sdk-js, src/sdk.js,
// exchangeTokenInterceptors), other clients send trusted:user.
func (t *Sharetribe) exchange(c *call, app *sharetribeApp) reply {
	if app.integ {
		return t.invalid("unauthorized_client", "grant type not allowed")
	}
	if orDefault(c.param("scope"), scopeTrusted) != scopeTrusted {
		return t.invalid("invalid_scope", "scope not allowed", c.param("scope"))
	}
	subject := t.s.liveAccess(ProviderSharetribe, c.param("subject_token"))
	if c.param("client_secret") != app.secret || subject == nil || subject.scope != scopeUser ||
		subject.realm != c.param("client_id") {
		return t.unauthorized()
	}
	// The SDKs' fakes return a refresh token here, too. It is not the user's.
	family := &tokenFamily{client: c.param("client_id"), subject: subject.subject, scope: scopeTrusted}
	return t.grant(family, true, true)
}

// access issues an access token.
func (t *Sharetribe) access(f *tokenFamily, withScope bool) map[string]any {
	value := t.s.issueJWT(accessToken{
		provider: ProviderSharetribe, subject: f.subject, realm: f.client, scope: f.scope,
		expires: t.s.now().Add(t.opts.AccessLife),
	}, map[string]any{"scope": f.scope})
	answer := map[string]any{
		"access_token": value, "token_type": "bearer", "expires_in": seconds(t.opts.AccessLife),
	}
	if withScope {
		answer["scope"] = f.scope
	}
	return answer
}

// grant issues an access token and, where asked, a new refresh token. Whether
// the 180 days of a refresh token slide is not documented; here each new one
// has its own.
func (t *Sharetribe) grant(f *tokenFamily, withRefresh, withScope bool) reply {
	answer := t.access(f, withScope)
	if withRefresh {
		value := "v2-" + t.s.mint(ProviderSharetribe, "refresh")
		answer["refresh_token"] = t.tokens.add(value, f, t.s.now().Add(t.opts.RefreshLife))
		t.s.register(value)
	}
	return tokenReply(answer)
}

// revoke is POST /v1/auth/revoke: an access token in the header, a refresh
// token in the body.
func (t *Sharetribe) revoke(c *call) reply {
	if c.form == nil {
		return textReply(http.StatusUnsupportedMediaType, "Unsupported Media Type")
	}
	if t.s.liveAccess(ProviderSharetribe, c.bearer()) == nil {
		return t.unauthorized()
	}
	if r := t.tokens[c.param("token")]; r != nil {
		r.family.dead = true
	}
	return jsonReply(http.StatusOK, map[string]string{"action": "revoked"})
}

// probe is an API call that shows whether an access token is accepted. The
// answer is an empty map in the Transit format that the SDKs read.
func (t *Sharetribe) probe(c *call, scopes ...string) reply {
	token := t.s.liveAccess(ProviderSharetribe, c.bearer())
	if token == nil {
		return t.unauthorized()
	}
	for _, scope := range scopes {
		if token.scope == scope {
			out := textReply(http.StatusOK, `["^ "]`)
			out.header.Set("Content-Type", "application/transit+json;charset=UTF-8")
			return out
		}
	}
	return textReply(http.StatusForbidden, "Forbidden")
}
