package fakeidp

import (
	"net/http"
	"time"
)

// The texts in which Keycloak words the end of a refresh token.
const (
	apiaxInvalid      = "Invalid refresh token"
	apiaxInactive     = "Token is not active"
	apiaxNoSession    = "Session not active"
	apiaxDetached     = "Session doesn't have required client"
	apiaxDisabled     = "User disabled"
	apiaxWrongClient  = "Invalid refresh token. Token client and authorized client don't match"
	apiaxStale        = "Stale token"
	apiaxReuseReached = "Maximum allowed refresh token reuse exceeded"
)

// refreshGrant continues a session and moves its idle clock.
func (a *Apiax) refreshGrant(c *call) reply {
	value := c.param("refresh_token")
	if value == "" {
		return a.refuse(http.StatusBadRequest, "invalid_request", "No refresh token")
	}
	r := a.refresh[value]
	if problem := a.refreshProblem(r, ApiaxClientID); problem != "" {
		return a.refuse(http.StatusBadRequest, "invalid_grant", problem, value)
	}
	if a.opts.ConsentRequired {
		return a.refuse(http.StatusBadRequest, "invalid_scope", "Client no longer has requested consent from user")
	}
	if problem := a.reuseProblem(r); problem != "" {
		// The client session ends, and with it the token that replaced this one.
		r.session.detached = true
		return a.refuse(http.StatusBadRequest, "invalid_grant", problem, value)
	}
	ses := r.session
	if ses.current != r.id {
		ses.current, ses.currentSerial, ses.uses = r.id, r.serial, 0
	}
	ses.uses++
	ses.refreshed = c.now
	return a.answer(ses, true)
}

// refreshProblem says why a refresh token is dead, "" if it is not.
func (a *Apiax) refreshProblem(r *apiaxRefresh, clientID string) string {
	now := a.s.now()
	switch {
	case r == nil, r.forged:
		return apiaxInvalid
	case !r.expires.IsZero() && !now.Before(r.expires):
		return apiaxInactive
	case clientID != ApiaxClientID:
		return apiaxWrongClient
	case r.issued.Before(a.notBefore):
		return apiaxStale
	case r.session.ended, !now.Before(a.sessionEnd(r.session)), a.user(r.session.user) == nil:
		return apiaxNoSession
	case r.session.detached:
		return apiaxDetached
	case a.user(r.session.user).disabled, a.user(r.session.user).lockedOut:
		return apiaxDisabled
	}
	return ""
}

// reuseProblem says why a live refresh token may not be used again, "" if it may
// (TokenManager.validateTokenReuse): a token older than the one used last is stale, and
// that one may be used RefreshMaxReuse times more. Keycloak tells older tokens by their
// second of issue; here the order of issue decides, so that two refreshes within one
// second differ.
func (a *Apiax) reuseProblem(r *apiaxRefresh) string {
	ses := r.session
	switch {
	case !a.opts.RevokeRefreshToken:
		return ""
	case ses.current == r.id && ses.uses > a.opts.RefreshMaxReuse:
		return apiaxReuseReached
	case ses.current != "" && ses.current != r.id && r.serial < ses.currentSerial:
		return apiaxStale
	}
	return ""
}

// answer issues the tokens of a session, as TokenManager.build() words them.
// Both lives are capped by the session's end.
func (a *Apiax) answer(ses *apiaxSession, refreshed bool) reply {
	now := a.s.now()
	end := a.sessionEnd(ses)
	// A JWT's times are whole seconds: of 1800 seconds 1799 may be left.
	expires := now.Truncate(time.Second).Add(a.opts.AccessLife)
	if end.Before(expires) {
		expires = end
	}
	access := a.s.issueJWT(accessToken{
		provider: ProviderApiax, subject: ses.user, realm: ApiaxClientID, scope: ses.scope, expires: expires,
	}, map[string]any{"typ": "Bearer", "azp": ApiaxClientID, "iss": a.RealmURL(), "sid": ses.id, "scope": ses.scope})
	out := map[string]any{
		"access_token": access, "expires_in": seconds(expires.Sub(now)), "refresh_expires_in": 0,
		"token_type": "Bearer", "not-before-policy": 0, "session_state": ses.id, "scope": ses.scope,
	}
	if a.opts.LowercaseBearer {
		out["token_type"] = "bearer"
	}
	if refreshed && a.opts.ExpiresAtOnRefresh {
		delete(out, "expires_in")
		out["expires_at"] = expires.UnixMilli()
	}
	if spaceSet(ses.scope)["openid"] {
		out["id_token"] = a.s.mintJWT(ProviderApiax, "id", map[string]any{
			"typ": "ID", "sub": ses.user, "iat": now.Unix(), "exp": expires.Unix(), "aud": ApiaxClientID,
		})
	}
	if !a.opts.NoRefreshTokens {
		out["refresh_token"] = a.newRefresh(ses, now, end)
		if !a.opts.RefreshExpiresInZero && !ses.offline {
			out["refresh_expires_in"] = seconds(end.Sub(now))
		}
	}
	return tokenReply(out)
}

// newRefresh issues a refresh token; Keycloak does so at every refresh, whatever
// the realm's settings.
func (a *Apiax) newRefresh(ses *apiaxSession, now, end time.Time) string {
	r := &apiaxRefresh{id: randomHex(32), session: ses, serial: len(a.refresh), issued: now}
	claims := map[string]any{
		"typ": "Offline", "jti": r.id, "iat": now.Unix(), "sub": ses.user,
		"azp": ApiaxClientID, "iss": a.RealmURL(), "aud": a.RealmURL(), "sid": ses.id, "scope": ses.scope,
	}
	if !ses.offline {
		r.expires, claims["typ"], claims["exp"] = end, "Refresh", end.Unix()
	}
	v := a.s.mintJWT(ProviderApiax, "refresh", claims)
	a.refresh[v] = r
	return v
}

// revoke ends the session of the token, and no other session of the user's. An invalid
// token gets status 200 too, with an error as the body.
func (a *Apiax) revoke(c *call) reply {
	r := a.refresh[c.param("token")]
	if a.refreshProblem(r, ApiaxClientID) != "" {
		return a.refuse(http.StatusOK, "invalid_token", "Invalid token", c.param("token"))
	}
	r.session.ended = true
	return reply{status: http.StatusOK}
}

// logout ends the session of a refresh token; one that has ended causes no error.
func (a *Apiax) logout(c *call) reply {
	r := a.refresh[c.param("refresh_token")]
	if problem := a.refreshProblem(r, ApiaxClientID); problem != "" && problem != apiaxNoSession {
		return a.refuse(http.StatusBadRequest, "invalid_grant", problem, c.param("refresh_token"))
	}
	r.session.ended = true
	return noContent()
}
