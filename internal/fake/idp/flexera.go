package fakeidp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Flexera is Flexera One: the token endpoint (a proxy in front of Okta) and the
// IAM API, once per zone. Shapes and statuses are those of the vendor's OpenAPI
// files, flexera-public/unified-openapi: generator/sources/flexera/{okta_token_service,iam/v1}/openapi.json.
type Flexera struct {
	s        *Server
	opts     FlexeraOptions
	routes   []route
	refresh  map[string]*flexeraRefresh // :: refresh token → its record
	accounts map[int]*flexeraAccount    // :: service account id → account
	clients  map[string]*flexeraClient  // :: client id → client
	users    map[string]int             // :: user name → user id
	rules    map[flexeraRule]bool
	calls    map[string]*flexeraWindow // :: principal → calls of this minute
	nextID   int
}

// flexeraLogin, flexeraAPI are the two hosts of a zone, as path segments.
const (
	flexeraLogin = "login"
	flexeraAPI   = "api"
)

var flexeraZones = []string{"nam", "eu", "apac"}

// fixedLifeFrom is the day from which a new refresh token has a fixed life of
// 365 days; an older one lives a year from its last use.
// https://techcomm-flexera-one.netlify.app/flexera-one/flexera-api/working-with-the-flexera-one-api/generating-a-refresh-token
var fixedLifeFrom = time.Date(2026, time.March, 18, 0, 0, 0, 0, time.UTC)

// FlexeraDeadGrant is how the token endpoint refuses a refresh token or client
// secret that it does not accept. The vendor does not document it.
type FlexeraDeadGrant int

const (
	// FlexeraUnauthorized is 401 with the Goa error "unauthorized".
	FlexeraUnauthorized FlexeraDeadGrant = iota
	// FlexeraBadRequest is 400 with the Goa error "bad_request".
	FlexeraBadRequest
	// FlexeraOkta is 400 with Okta's own RFC 6749 body, as it may pass through
	// the proxy (the text is that of okta/okta-react-native#109).
	FlexeraOkta
)

// FlexeraOptions are what differs between deployments or is undocumented.
type FlexeraOptions struct {
	AccessLife  time.Duration // of an access token; 3600 s
	RefreshLife time.Duration // of a refresh token; 365 days
	// RotateRefreshTokens returns a new refresh token at each use and kills the
	// old one. Flexera echoes the one it was sent.
	RotateRefreshTokens bool
	// ExpiresInString quotes expires_in, as the vendor's authentication page
	// prints it.
	ExpiresInString bool
	DeadGrant       FlexeraDeadGrant
	// RequestsPerMinute is how many requests a principal has per minute; 0
	// means no limit. The vendor documents 500 for its APIs.
	RequestsPerMinute int
	// RetryAfterDate gives Retry-After as an HTTP date, not in seconds.
	RetryAfterDate bool
	// ClientPropagation is how long a new client is refused by the token
	// endpoint.
	ClientPropagation time.Duration
}

// FlexeraTokenOptions describes a refresh token made in the web UI.
type FlexeraTokenOptions struct {
	// CreatedAt decides between a fixed and a sliding life. Zero means now.
	CreatedAt time.Time
	// Org and Roles are what the user holds; none by default.
	Org   int
	Roles []string
}

type flexeraRefresh struct {
	zone, id, user   string // user is the subject
	created, expires time.Time
	sliding          bool
}

type flexeraWindow struct {
	start time.Time
	count int
}

func newFlexera(s *Server) *Flexera {
	f := &Flexera{
		s: s,
		opts: FlexeraOptions{
			AccessLife:  time.Hour,
			RefreshLife: 365 * 24 * time.Hour,
		},
		refresh:  make(map[string]*flexeraRefresh),
		accounts: make(map[int]*flexeraAccount),
		clients:  make(map[string]*flexeraClient),
		users:    make(map[string]int),
		rules:    make(map[flexeraRule]bool),
		calls:    make(map[string]*flexeraWindow),
		nextID:   2263,
	}
	f.routes = f.iamRoutes()
	return f
}

// Configure changes the options.
func (f *Flexera) Configure(change func(*FlexeraOptions)) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	change(&f.opts)
}

// LoginURL is the base URL of a zone's token endpoint ("nam", "eu" or "apac").
func (f *Flexera) LoginURL(zone string) string { return f.base(zone, flexeraLogin) }

// TokenURL is a zone's token endpoint.
func (f *Flexera) TokenURL(zone string) string { return f.LoginURL(zone) + "/oidc/token" }

// APIURL is the base URL of a zone's APIs.
func (f *Flexera) APIURL(zone string) string { return f.base(zone, flexeraAPI) }

func (f *Flexera) base(zone, host string) string {
	return f.s.url + "/" + ProviderFlexera + "/" + zone + "/" + host
}

// AddRefreshToken makes a refresh token as the web UI does, and returns its id
// and its value.
func (f *Flexera) AddRefreshToken(zone, user string, o FlexeraTokenOptions) (id, token string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if o.CreatedAt.IsZero() {
		o.CreatedAt = f.s.now()
	}
	if f.users[user] == 0 {
		f.users[user] = 100000 + len(f.users) + 1
	}
	subject := "user:" + itoa(f.users[user])
	for _, role := range o.Roles {
		f.rules[flexeraRule{subject, o.Org, role}] = true
	}
	id, token = randomHex(12), f.s.mint(ProviderFlexera, "refresh")
	f.refresh[token] = &flexeraRefresh{
		zone: zone, id: id, user: subject, created: o.CreatedAt,
		expires: o.CreatedAt.Add(f.opts.RefreshLife),
		sliding: o.CreatedAt.Before(fixedLifeFrom),
	}
	return id, token
}

// AddAdminRefreshToken is [Flexera.AddRefreshToken] for a user with the role
// iam_admin in an org.
func (f *Flexera) AddAdminRefreshToken(zone string, org int, user string) (id, token string) {
	return f.AddRefreshToken(zone, user, FlexeraTokenOptions{Org: org, Roles: []string{flexeraAdmin}})
}

// RevokeRefreshToken ends a refresh token, named by its id.
func (f *Flexera) RevokeRefreshToken(id string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.revokeRefresh(func(r *flexeraRefresh) bool { return r.id == id })
}

func (f *Flexera) revokeRefresh(which func(*flexeraRefresh) bool) {
	for token, r := range f.refresh {
		if which(r) {
			delete(f.refresh, token)
		}
	}
}

func (f *Flexera) liveRefreshTokens() []string {
	var live []string
	for token, r := range f.refresh {
		if f.s.now().Before(r.expires) {
			live = append(live, token)
		}
	}
	return live
}

func (f *Flexera) serve(c *call) reply {
	if len(c.segments) < 3 || !slices.Contains(flexeraZones, c.segments[0]) {
		return textReply(http.StatusNotFound, "404 page not found\n")
	}
	zone, host := c.segments[0], c.segments[1]
	c.segments = c.segments[2:]
	path := strings.Join(c.segments, "/")
	switch {
	case host == flexeraLogin && path == "oidc/token" && c.r.Method == http.MethodPost:
		return f.token(c, zone)
	case host == flexeraLogin && path == "logout" && c.r.Method == http.MethodPost:
		return f.logout(c, zone)
	case host == flexeraAPI:
		return f.serveIAM(c, zone)
	}
	return textReply(http.StatusNotFound, "404 page not found\n")
}

// goaError is an error in the envelope of the vendor's OpenAPI files; all six
// members are required there. "temporary" accompanies 429 and 5xx.
func (f *Flexera) goaError(status int, name, message string, sent ...string) reply {
	out := jsonReply(status, map[string]any{
		"name": name, "id": randomHex(8), "message": f.s.describe(message, sent...),
		"temporary": status == http.StatusTooManyRequests || status >= 500,
		"timeout":   false, "fault": status == http.StatusInternalServerError,
	})
	out.header.Set("Content-Type", "application/vnd.goa.error")
	return out
}

func (f *Flexera) badRequest(message string, sent ...string) reply {
	return f.goaError(http.StatusBadRequest, "bad_request", message, sent...)
}

func (f *Flexera) unauthorized(message string, sent ...string) reply {
	return f.goaError(http.StatusUnauthorized, "unauthorized", message, sent...)
}

// token is POST /oidc/token. The OpenAPI file declares JSON, the vendor's
// authentication page a form; public scripts use either.
func (f *Flexera) token(c *call, zone string) reply {
	params, ok := f.params(c)
	if !ok {
		return f.badRequest("invalid request body", string(c.body))
	}
	if c.r.Header.Get("Authorization") != "" {
		return f.badRequest("unexpected Authorization header", c.r.Header.Get("Authorization"))
	}
	allowed := map[string][]string{
		"refresh_token":      {"grant_type", "refresh_token"},
		"client_credentials": {"grant_type", "client_id", "client_secret"},
	}[params["grant_type"]]
	if allowed == nil {
		return f.badRequest("invalid grant_type", params["grant_type"])
	}
	for name := range params {
		// For refresh_token the OpenAPI file allows no other argument. For
		// client_credentials scope and audience are "not needed"; the fake refuses them
		// too.
		if !slices.Contains(allowed, name) {
			return f.badRequest("unexpected argument "+name, params[name])
		}
	}
	for _, name := range allowed {
		if params[name] == "" {
			return f.badRequest(name + " is required")
		}
	}
	if params["grant_type"] == "refresh_token" {
		return f.refreshGrant(zone, params["refresh_token"])
	}
	return f.clientGrant(zone, params["client_id"], params["client_secret"])
}

// params are the arguments of a token request, from a form or from JSON.
func (f *Flexera) params(c *call) (map[string]string, bool) {
	params := make(map[string]string)
	switch {
	case c.form != nil:
		if c.repeated() != "" {
			return nil, false
		}
		for name := range c.form {
			params[name] = c.form.Get(name)
		}
		return params, true
	case mediaType(c.r.Header.Get("Content-Type")) == "application/json":
		return params, json.Unmarshal(c.body, &params) == nil
	}
	return nil, false
}

// deadGrant refuses a credential, in one of the forms it may take.
func (f *Flexera) deadGrant(oktaCode, oktaText, message string, sent ...string) reply {
	switch f.opts.DeadGrant {
	case FlexeraBadRequest:
		return f.badRequest(message, sent...)
	case FlexeraOkta:
		return oauthError(http.StatusBadRequest, oktaCode, f.s.describe(oktaText, sent...))
	}
	return f.unauthorized(message, sent...)
}

func (f *Flexera) refreshGrant(zone, token string) reply {
	now := f.s.now()
	r := f.refresh[token]
	// A token of another zone is as unknown as any.
	if r == nil || r.zone != zone || !now.Before(r.expires) {
		return f.deadGrant("invalid_grant", "The refresh token is invalid or expired.",
			"refresh token is invalid", token)
	}
	if limited := f.throttle("refresh:" + r.id); limited != nil {
		return *limited
	}
	if r.sliding {
		r.expires = now.Add(f.opts.RefreshLife)
	}
	if f.opts.RotateRefreshTokens {
		delete(f.refresh, token)
		token = f.s.mint(ProviderFlexera, "refresh")
		f.refresh[token] = r
	}
	return f.grant(zone, r.user, token)
}

func (f *Flexera) clientGrant(zone, id, secret string) reply {
	c := f.clients[id]
	if c == nil || c.secret != secret || f.accounts[c.account].zone != zone ||
		f.s.now().Before(c.created.Add(f.opts.ClientPropagation)) {
		return f.deadGrant("invalid_client", "The client secret supplied for a confidential client is invalid.",
			"client authentication is invalid", id, secret)
	}
	if limited := f.throttle("client:" + id); limited != nil {
		return *limited
	}
	return f.grant(zone, accountSubject(c.account), "")
}

// grant issues an access token. Only the refresh grant returns a refresh token.
func (f *Flexera) grant(zone, subject, refresh string) reply {
	access := f.s.issueJWT(accessToken{
		provider: ProviderFlexera, subject: subject, realm: zone, expires: f.s.now().Add(f.opts.AccessLife),
	}, nil)
	answer := map[string]any{
		"access_token": access, "expires_in": seconds(f.opts.AccessLife), "token_type": "Bearer",
	}
	if f.opts.ExpiresInString {
		answer["expires_in"] = itoa(int(seconds(f.opts.AccessLife)))
	}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	return tokenReply(answer)
}

// logout is POST /logout: it ends the access token it is called with.
func (f *Flexera) logout(c *call, zone string) reply {
	t := f.s.liveAccess(ProviderFlexera, c.bearer())
	if t == nil || t.realm != zone {
		return f.unauthorized("access token is invalid", c.bearer())
	}
	t.revoked = true
	return reply{status: http.StatusNoContent}
}

// throttle counts a request of a principal and refuses one too many.
// https://developer.flexera.com/docs/page/rate-limiting; the page does not say whether
// the token endpoint shares these limits, but that endpoint declares 429.
func (f *Flexera) throttle(principal string) *reply {
	if f.opts.RequestsPerMinute == 0 {
		return nil
	}
	now := f.s.now()
	w := f.calls[principal]
	if w == nil || !now.Before(w.start.Add(time.Minute)) {
		w = &flexeraWindow{start: now}
		f.calls[principal] = w
	}
	w.count++
	if w.count <= f.opts.RequestsPerMinute {
		return nil
	}
	end := w.start.Add(time.Minute)
	out := f.goaError(http.StatusTooManyRequests, "too_many_requests", "rate limit exceeded")
	after := itoa(int(seconds(end.Sub(now) + time.Second - 1)))
	if f.opts.RetryAfterDate {
		after = end.Add(time.Second - 1).Format(http.TimeFormat)
	}
	out.header.Set("Retry-After", after)
	return &out
}
