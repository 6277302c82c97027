package fakeidp

import (
	"net/http"
	"strings"
	"time"
)

// Apiax is a Keycloak realm with one public client and direct access grants, as
// https://docs.apiax.io/hc/en-gb/articles/4402382856337 describes it. Rules,
// statuses and texts are those of real servers, versions 26.5.6 and 26.7.3:
// verify/keycloak asks them and this fake the same questions. The version and
// the settings at Apiax are not known, so they are options.
type Apiax struct {
	s        *Server
	opts     ApiaxOptions
	users    map[string]*apiaxUser // :: user name in lower case → the user
	sessions []*apiaxSession
	refresh  map[string]*apiaxRefresh // :: refresh token → its record
	logins   []time.Time
	// notBefore is the earliest time of issue of a token that is not stale.
	notBefore time.Time
}

// ApiaxClientID is the realm's public client.
const ApiaxClientID = "integration-api"

const apiaxRealm = "auth/realms/apiax"

// ApiaxOptions are the realm's settings and what differs between Keycloak's
// versions.
type ApiaxOptions struct {
	AccessLife time.Duration // of an access token, at most to the session's end; 1800 s
	SSOMax     time.Duration // of a session from its password login; 14 days
	SSOIdle    time.Duration // of a session without a refresh; 0 means no limit
	// RevokeRefreshToken makes a refresh token single-use except for
	// RefreshMaxReuse further uses. A use beyond detaches the client's session,
	// and with it the token that was issued legitimately.
	RevokeRefreshToken bool
	RefreshMaxReuse    int
	// RefreshExpiresInZero answers refresh_expires_in 0, as both samples of the
	// vendor's page do. Refresh tokens end all the same.
	RefreshExpiresInZero bool
	// ExpiresAtOnRefresh answers a refresh with expires_at in milliseconds in
	// place of expires_in, as the vendor's page prints it.
	ExpiresAtOnRefresh bool
	// NoRefreshTokens switches the client's "use refresh tokens" off.
	NoRefreshTokens bool
	// BadCredentialsStatus is 401 before Keycloak 26.6 (the default) and 400 since
	// (keycloak/keycloak#45812); it selects the version.
	BadCredentialsStatus int
	// LowercaseBearer answers token_type bearer, as the vendor's page prints
	// it; on by default.
	LowercaseBearer bool
	// LockoutAfter wrong passwords a user is locked for LockoutFor, and longer
	// with each further multiple. 0 means never. 3 and 15 minutes.
	LockoutAfter int
	LockoutFor   time.Duration
	// LockoutForEver disables the user instead.
	LockoutForEver bool
	// Two wrong passwords within QuickLogin lock a user for a minute, where
	// LockoutAfter is not 0. One second; 0 means never.
	QuickLogin time.Duration
	// SessionLimit denies a user who has that many sessions another; 0 means
	// no limit.
	SessionLimit int
	// RealmDisabled, ClientDisabled and ConsentRequired are what an
	// administrator may set.
	RealmDisabled, ClientDisabled, ConsentRequired bool
}

type apiaxUser struct {
	password    string
	disabled    bool
	notSetUp    bool // a required action is pending
	failures    int
	lastFailure time.Time
	lockedUntil time.Time
	lockedOut   bool // until an administrator unlocks the user
}

type apiaxSession struct {
	id, user string
	scope    string
	offline  bool
	started  time.Time
	// refreshed is the time of the last refresh, or of the login.
	refreshed time.Time
	ended     bool // logged out
	detached  bool // the client was removed from it
	// current is the id of the refresh token used last, with its serial number
	// and how often it was used.
	current       string
	currentSerial int
	uses          int
}

type apiaxRefresh struct {
	id      string
	session *apiaxSession
	serial  int // in order of issue
	issued  time.Time
	expires time.Time // zero for an offline token
	forged  bool      // its key was replaced
}

func newApiax(s *Server) *Apiax {
	return &Apiax{
		s: s,
		opts: ApiaxOptions{
			AccessLife:           1800 * time.Second,
			SSOMax:               14 * 24 * time.Hour,
			BadCredentialsStatus: http.StatusUnauthorized,
			LowercaseBearer:      true,
			LockoutAfter:         3,
			LockoutFor:           15 * time.Minute,
			QuickLogin:           time.Second,
		},
		users:   make(map[string]*apiaxUser),
		refresh: make(map[string]*apiaxRefresh),
	}
}

// Configure changes the options.
func (a *Apiax) Configure(change func(*ApiaxOptions)) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	change(&a.opts)
}

// RealmURL is the realm's base URL.
func (a *Apiax) RealmURL() string { return a.s.url + "/" + ProviderApiax + "/" + apiaxRealm }

// TokenURL is the realm's token endpoint.
func (a *Apiax) TokenURL() string { return a.RealmURL() + "/protocol/openid-connect/token" }

// SetPassword makes a user or changes the password, and returns it. An empty password
// means a generated one. A change ends a lockout, and sessions continue.
func (a *Apiax) SetPassword(username, password string) string {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if password == "" {
		password = a.s.mintPassword(ProviderApiax, "password")
	}
	u := a.user(username)
	if u == nil {
		u = &apiaxUser{}
		a.users[strings.ToLower(username)] = u
	}
	u.password, u.failures, u.lockedUntil = a.s.register(password), 0, time.Time{}
	return password
}

// user is the user of a name; Keycloak ignores case.
func (a *Apiax) user(name string) *apiaxUser { return a.users[strings.ToLower(name)] }

// DeleteUser deletes a user and the user's sessions.
func (a *Apiax) DeleteUser(username string) {
	a.EndSessions(username)
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	delete(a.users, strings.ToLower(username))
}

// PushNotBefore makes all tokens stale that were issued so far.
func (a *Apiax) PushNotBefore() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.notBefore = a.s.now().Add(time.Second) // JWT times are whole seconds
}

// ReplaceKeys gives the realm new keys: it no longer knows any token issued so far.
func (a *Apiax) ReplaceKeys() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, r := range a.refresh {
		r.forged = true
	}
	for _, t := range a.s.access {
		t.revoked = t.revoked || t.provider == ProviderApiax
	}
}

// SetDisabled disables or enables a user.
func (a *Apiax) SetDisabled(username string, disabled bool) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if u := a.user(username); u != nil {
		u.disabled = disabled
	}
}

// SetRequiredAction sets or clears an action that the user must take in a
// browser before a password grant works again.
func (a *Apiax) SetRequiredAction(username string, pending bool) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if u := a.user(username); u != nil {
		u.notSetUp = pending
	}
}

// Logins returns the times of all successful password grants, in order.
func (a *Apiax) Logins() []time.Time {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return append([]time.Time(nil), a.logins...)
}

// Sessions is how many sessions are live and have the client attached.
func (a *Apiax) Sessions() int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	n := 0
	for _, ses := range a.sessions {
		if !ses.ended && !ses.detached && a.s.now().Before(a.sessionEnd(ses)) {
			n++
		}
	}
	return n
}

// EndSessions logs a user out everywhere, as an administrator does.
func (a *Apiax) EndSessions(username string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, ses := range a.sessions {
		if strings.EqualFold(ses.user, username) {
			ses.ended = true
		}
	}
}

// offlineIdle ends an offline session without a refresh (the realm's Offline Session
// Idle, 30 days unless changed); it has no other end.
const offlineIdle = 30 * 24 * time.Hour

// sessionEnd is when a session ends: by its maximum, which refreshing does not
// move, or by idling (TokenManager.getExpiration).
func (a *Apiax) sessionEnd(ses *apiaxSession) time.Time {
	if ses.offline {
		return ses.refreshed.Add(offlineIdle)
	}
	end := ses.started.Add(a.opts.SSOMax)
	if idle := ses.refreshed.Add(a.opts.SSOIdle); a.opts.SSOIdle > 0 && idle.Before(end) {
		end = idle
	}
	return end
}

func (a *Apiax) liveRefreshTokens() []string {
	var live []string
	for v, r := range a.refresh {
		if a.refreshProblem(r, ApiaxClientID) == "" && a.reuseProblem(r) == "" {
			live = append(live, v)
		}
	}
	return live
}

func (a *Apiax) serve(c *call) reply {
	path := strings.Join(c.segments, "/")
	path, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), apiaxRealm+"/")
	switch {
	case !ok && strings.HasPrefix(strings.Join(c.segments, "/"), "auth/realms/"):
		return jsonReply(http.StatusNotFound, map[string]string{"error": "Realm does not exist"})
	case !ok:
		return htmlReply(http.StatusNotFound, "Page not found")
	}
	const oidc = "protocol/openid-connect/"
	if path == ".well-known/openid-configuration" && c.r.Method == http.MethodGet {
		return a.discovery()
	}
	handle := map[string]func(*call) reply{
		oidc + "token": a.token, oidc + "revoke": a.revoke, oidc + "logout": a.logout,
	}[path]
	switch {
	case handle == nil && c.r.Method == http.MethodGet:
		return jsonReply(http.StatusNotFound, map[string]string{"error": "HTTP 404 Not Found"})
	case handle == nil, c.r.Method != http.MethodPost:
		return jsonReply(http.StatusMethodNotAllowed, map[string]string{"error": "HTTP 405 Method Not Allowed"})
	case a.opts.RealmDisabled:
		return a.refuse(http.StatusForbidden, "access_denied", "Realm not enabled")
	case path == oidc+"token":
		if refused := a.grantType(c); refused != nil {
			return *refused
		}
	}
	if c.repeated() != "" {
		return a.refuse(http.StatusBadRequest, "invalid_request", "duplicated parameter")
	}
	if refused := a.client(c); refused != nil {
		return *refused
	}
	return handle(c)
}

// grantType refuses an unknown grant before the client is checked. A body that is not a
// form has no parameters.
func (a *Apiax) grantType(c *call) *reply {
	var out reply
	switch grant := c.param("grant_type"); grant {
	case "password", "refresh_token", "client_credentials":
		return nil
	case "":
		out = a.refuse(http.StatusBadRequest, "invalid_request", "Missing form parameter: grant_type")
	default:
		out = a.refuse(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type", grant)
	}
	return &out
}

func (a *Apiax) discovery() reply {
	base := a.RealmURL()
	oidc := base + "/protocol/openid-connect/"
	return jsonReply(http.StatusOK, map[string]any{
		"issuer":                                base,
		"authorization_endpoint":                oidc + "auth",
		"token_endpoint":                        oidc + "token",
		"revocation_endpoint":                   oidc + "revoke",
		"end_session_endpoint":                  oidc + "logout",
		"grant_types_supported":                 []string{"password", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt", "client_secret_basic", "client_secret_post"},
	})
}

func (a *Apiax) refuse(status int, code, description string, sent ...string) reply {
	return oauthError(status, code, a.s.describe(description, sent...))
}

// client finds the public client by client_id, in the form or by HTTP Basic.
// A client_assertion has no effect, whatever it holds (ClientAuthenticationFlow
// falls back to the id).
func (a *Apiax) client(c *call) *reply {
	id := c.param("client_id")
	if basic, _, ok := c.r.BasicAuth(); ok && id == "" {
		id = basic
	}
	if id == ApiaxClientID && !a.opts.ClientDisabled {
		return nil
	}
	out := a.refuse(http.StatusUnauthorized, "invalid_client",
		"Invalid client or Invalid client credentials", id)
	return &out
}

func (a *Apiax) token(c *call) reply {
	switch c.param("grant_type") {
	case "password":
		return a.password(c)
	case "refresh_token":
		return a.refreshGrant(c)
	}
	return a.refuse(http.StatusUnauthorized, "unauthorized_client",
		"Public client not allowed to retrieve service account")
}
