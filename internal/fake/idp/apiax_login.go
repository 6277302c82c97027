package fakeidp

import (
	"net/http"
	"strings"
	"time"
)

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
	if a.opts.ConsentRequired {
		return a.refuse(http.StatusBadRequest, "invalid_client", "Client requires user consent")
	}
	user := strings.ToLower(c.param("username"))
	if a.opts.SessionLimit > 0 && a.sessionsOf(user) >= a.opts.SessionLimit {
		return tooManySessions(c)
	}
	ses := &apiaxSession{
		id: randomHex(32), user: user, scope: scope, started: c.now, refreshed: c.now,
		offline: spaceSet(scope)["offline_access"],
	}
	a.sessions = append(a.sessions, ses)
	a.logins = append(a.logins, c.now)
	return a.answer(ses, false)
}

// sessionsOf is how many sessions of a user live.
func (a *Apiax) sessionsOf(user string) int {
	n := 0
	for _, ses := range a.sessions {
		if ses.user == user && !ses.ended && a.s.now().Before(a.sessionEnd(ses)) {
			n++
		}
	}
	return n
}

// tooManySessions is a page, unless the client asks for JSON.
func tooManySessions(c *call) reply {
	const text = "There are too many sessions"
	if !strings.Contains(c.r.Header.Get("Accept"), "application/json") {
		return htmlReply(http.StatusForbidden, text)
	}
	return jsonReply(http.StatusForbidden, map[string]string{"error": text})
}

// authenticate checks a user's password. An unknown user, a wrong password and
// a locked user get the same text (ValidateUsername, ValidatePassword;
// keycloak/keycloak#48273).
func (a *Apiax) authenticate(c *call) *reply {
	bad := a.refuse(a.opts.BadCredentialsStatus, "invalid_grant", "Invalid user credentials",
		c.param("username"), c.param("password"))
	disabled := a.refuse(http.StatusBadRequest, "invalid_grant", "Account disabled")
	u := a.user(c.param("username"))
	passwordFirst := a.opts.BadCredentialsStatus == http.StatusBadRequest // since 26.6
	switch {
	case u == nil, u.lockedOut, c.now.Before(u.lockedUntil):
		return &bad
	case u.disabled && !passwordFirst:
		return &disabled
	case u.password != c.param("password"):
		a.fail(u, c.now)
		return &bad
	case u.disabled:
		return &disabled
	case u.notSetUp:
		bad = a.refuse(http.StatusBadRequest, "invalid_grant", "Account is not fully set up")
		return &bad
	}
	u.failures, u.lockedUntil = 0, time.Time{}
	return nil
}

// fail counts a wrong password (DefaultBruteForceProtector): the wait grows with each
// multiple of the failure factor, and two fast failures cause one too.
func (a *Apiax) fail(u *apiaxUser, now time.Time) {
	fast := !u.lastFailure.IsZero() && now.Sub(u.lastFailure) < a.opts.QuickLogin
	u.failures++
	u.lastFailure = now
	switch {
	case a.opts.LockoutAfter == 0:
	case a.opts.LockoutForEver:
		u.lockedOut = u.failures >= a.opts.LockoutAfter
	case u.failures >= a.opts.LockoutAfter:
		u.lockedUntil = now.Add(a.opts.LockoutFor * time.Duration(u.failures/a.opts.LockoutAfter))
	case fast:
		u.lockedUntil = now.Add(time.Minute)
	}
}

// scope grants the client's default scopes, and openid and offline access on
// request.
func (a *Apiax) scope(asked string) (string, *reply) {
	set := spaceSet(asked)
	granted := "profile email"
	for _, optional := range []string{"offline_access", "openid"} {
		if set[optional] {
			granted = optional + " " + granted
		}
		delete(set, optional)
	}
	delete(set, "profile")
	delete(set, "email")
	if len(set) > 0 {
		out := a.refuse(http.StatusBadRequest, "invalid_scope", "Invalid scopes: "+asked)
		return "", &out
	}
	return granted, nil
}
