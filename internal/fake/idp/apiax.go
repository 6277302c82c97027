package fakeidp

import (
	"net/http"
	"strings"
	"time"
)

// Apiax is a Keycloak realm with one public client and direct access grants, as
// https://docs.apiax.io/hc/en-gb/articles/4402382856337 describes it. Rules,
// statuses and texts are those of Keycloak's source (keycloak/keycloak:
// services/src/main/java/org/keycloak/protocol/oidc/, TokenManager,
// RefreshTokenGrantType, TokenRevocationEndpoint, and authentication/). Its
// version and settings at Apiax are not known, so they are options.
type Apiax struct {
	s        *Server
	opts     ApiaxOptions
	users    map[string]*apiaxUser
	sessions []*apiaxSession
	refresh  map[string]*apiaxRefresh // :: refresh token → its record
	logins   []time.Time
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
	// RevokeRefreshToken makes a refresh token single-use but for
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
	// BadCredentialsStatus is 401 before Keycloak 26.6 (the default) and 400
	// since (keycloak/keycloak#45812).
	BadCredentialsStatus int
	// LowercaseBearer answers token_type bearer, as the vendor's page prints
	// it; on by default.
	LowercaseBearer bool
	// LockoutAfter wrong passwords a user is locked for LockoutFor, and longer
	// with each further multiple. 0 means never. 3 and 15 minutes.
	LockoutAfter int
	LockoutFor   time.Duration
}

type apiaxUser struct {
	password    string
	disabled    bool
	notSetUp    bool // a required action is pending
	failures    int
	lockedUntil time.Time
}

type apiaxSession struct {
	id, user string
	scope    string
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
	expires time.Time
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

// SetPassword makes a user or changes the password, and returns it. An empty
// password means a generated one. A change lifts a lockout, and sessions go on.
func (a *Apiax) SetPassword(username, password string) string {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if password == "" {
		password = a.s.mintPassword(ProviderApiax, "password")
	}
	u := a.users[username]
	if u == nil {
		u = &apiaxUser{}
		a.users[username] = u
	}
	u.password, u.failures, u.lockedUntil = a.s.register(password), 0, time.Time{}
	return password
}

// SetDisabled disables or enables a user.
func (a *Apiax) SetDisabled(username string, disabled bool) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if u := a.users[username]; u != nil {
		u.disabled = disabled
	}
}

// SetRequiredAction sets or clears an action that the user must take in a
// browser before a password grant works again.
func (a *Apiax) SetRequiredAction(username string, pending bool) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if u := a.users[username]; u != nil {
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

// EndSessions logs a user out everywhere, as an administrator or a restart of
// the server does.
func (a *Apiax) EndSessions(username string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, ses := range a.sessions {
		if ses.user == username {
			ses.ended = true
		}
	}
}

// sessionEnd is when a session ends: by its maximum, which refreshing does not
// move, or by idling (TokenManager.getExpiration).
func (a *Apiax) sessionEnd(ses *apiaxSession) time.Time {
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
	path, ok := strings.CutPrefix(strings.Join(c.segments, "/"), apiaxRealm+"/")
	if !ok {
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
	case handle == nil:
		return jsonReply(http.StatusNotFound, map[string]string{"error": "HTTP 404 Not Found"})
	case c.r.Method != http.MethodPost:
		return jsonReply(http.StatusMethodNotAllowed, map[string]string{"error": "HTTP 405 Method Not Allowed"})
	case c.form == nil:
		return jsonReply(http.StatusUnsupportedMediaType, map[string]string{"error": "HTTP 415 Unsupported Media Type"})
	case c.repeated() != "":
		return a.refuse(http.StatusBadRequest, "invalid_request", "duplicated parameter")
	}
	if refused := a.client(c); refused != nil {
		return *refused
	}
	return handle(c)
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

// client settles the public client by client_id. A client_assertion_type
// without an assertion has no effect (ClientAuthenticationFlow falls back to
// the id), which is how the vendor's page sends it. Keycloak also reads the id
// from HTTP Basic; that is refused here.
func (a *Apiax) client(c *call) *reply {
	id := c.param("client_id")
	var out reply
	switch {
	case id == "":
		out = a.refuse(http.StatusBadRequest, "invalid_client", "Missing client_id parameter")
	case id != ApiaxClientID, c.r.Header.Get("Authorization") != "", c.form.Has("client_assertion"):
		out = a.refuse(http.StatusUnauthorized, "invalid_client", "Invalid client or Invalid client credentials", id)
	default:
		return nil
	}
	return &out
}

func (a *Apiax) token(c *call) reply {
	switch c.param("grant_type") {
	case "password":
		return a.password(c)
	case "refresh_token":
		return a.refreshGrant(c)
	case "":
		return a.refuse(http.StatusBadRequest, "invalid_request", "Missing form parameter: grant_type")
	}
	return a.refuse(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type", c.param("grant_type"))
}

// password opens a new session.
func (a *Apiax) password(c *call) reply {
	if c.param("username") == "" {
		return a.refuse(http.StatusUnauthorized, "invalid_request", "Missing parameter: username")
	}
	if refused := a.authenticate(c); refused != nil {
		return *refused
	}
	scope, refused := a.scope(c.param("scope"))
	if refused != nil {
		return *refused
	}
	ses := &apiaxSession{
		id: randomHex(32), user: c.param("username"), scope: scope, started: c.now, refreshed: c.now,
	}
	a.sessions = append(a.sessions, ses)
	a.logins = append(a.logins, c.now)
	return a.answer(ses, false)
}

// authenticate checks a user's password. An unknown user, a wrong password and
// a locked user get the same text (ValidateUsername, ValidatePassword;
// keycloak/keycloak#48273).
func (a *Apiax) authenticate(c *call) *reply {
	bad := a.refuse(a.opts.BadCredentialsStatus, "invalid_grant", "Invalid user credentials",
		c.param("username"), c.param("password"))
	u := a.users[c.param("username")]
	switch {
	case u == nil:
		return &bad
	case u.disabled:
		bad = a.refuse(http.StatusBadRequest, "invalid_grant", "Account disabled")
		return &bad
	case c.now.Before(u.lockedUntil):
		return &bad
	case u.password != c.param("password"):
		u.failures++
		// DefaultBruteForceProtector: the wait grows with each multiple of the
		// failure factor.
		if a.opts.LockoutAfter > 0 {
			u.lockedUntil = c.now.Add(a.opts.LockoutFor * time.Duration(u.failures/a.opts.LockoutAfter))
		}
		return &bad
	case u.notSetUp:
		bad = a.refuse(http.StatusBadRequest, "invalid_grant", "Account is not fully set up")
		return &bad
	}
	u.failures, u.lockedUntil = 0, time.Time{}
	return nil
}

// scope grants the client's default scopes and openid on request.
func (a *Apiax) scope(asked string) (string, *reply) {
	set := spaceSet(asked)
	granted := "profile email"
	if set["openid"] {
		granted = "openid " + granted
	}
	delete(set, "openid")
	delete(set, "profile")
	delete(set, "email")
	if set["offline_access"] {
		out := a.refuse(http.StatusBadRequest, "not_allowed", "Offline tokens not allowed for the user or client")
		return "", &out
	}
	if len(set) > 0 {
		out := a.refuse(http.StatusBadRequest, "invalid_scope", "Invalid scopes: "+asked)
		return "", &out
	}
	return granted, nil
}
