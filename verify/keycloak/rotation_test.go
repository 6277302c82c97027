//go:build verify

package keycloak

import (
	"slices"
	"testing"
)

const (
	version1 = "6f1c2f0e-5b1a-4c1e-9b4e-2d8f0c7a1e35"
	version2 = "7f1c2f0e-5b1a-4c1e-9b4e-2d8f0c7a1e35"
)

// A rotation of the session logs in once; the published token lives on, and the next
// renewals use the new session.
func rotation(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	r.singleUse()
	a.want("the first run", a.named(), "issued", "")
	published, opened := a.token(), a.refreshToken()
	if !a.rotate("session", version1) {
		t.Fatal("the new session is not current")
	}
	if a.refreshToken() == opened || !r.alive(published) || a.token() != published {
		t.Error("the session is to be a new one, and the published token to live")
	}
	a.want("a forced run", a.force(), "issued", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
	if got := r.events(); !slices.Equal(got, []string{"LOGIN", "LOGIN", "REFRESH_TOKEN"}) {
		t.Errorf("the server saw %q", got)
	}
	if !a.rotate("token", version2) || !r.alive(a.token()) {
		t.Error("the rotated token is not current, or is dead")
	}
	if n := r.sent("REFRESH_TOKEN_ERROR invalid_token"); n != 0 {
		t.Errorf("%d refresh tokens were refused", n)
	}
}

// A rotation that the server refuses changes nothing, and sends the password
// once.
func rotationRefused(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	published, opened := a.token(), a.refreshToken()
	a.put(map[string]any{"username": "user", "password": "wrong"})
	if a.rotate("session", version1) {
		t.Error("a session is current that was never opened")
	}
	if a.refreshToken() != opened || a.token() != published || !r.alive(published) {
		t.Error("the session that was current no longer is")
	}
	if n := r.sent("LOGIN_ERROR invalid_user_credentials"); n != 1 {
		t.Errorf("the wrong password was sent %d times, want once", n)
	}
	// Secrets Manager tries again: until it stops, a run leaves the session to the
	// rotation.
	a.want("a run during the rotation", a.force(), "deferred", "")
	if !r.alive(a.token()) {
		t.Error("the published token is dead")
	}
}

// Where another person has locked the account permanently, the rotation sends the
// password once and leaves the current session.
func rotationLocked(t *testing.T, s *server) {
	r, a, _ := apiax(t, s)
	a.want("the first run", a.named(), "issued", "")
	opened := a.refreshToken()
	r.lockAfter(1, true)
	login(t, r, "user", "wrong")
	r.locked("user")
	before := len(r.events())
	if a.rotate("session", version1) || a.refreshToken() != opened {
		t.Error("the session changed")
	}
	if got := r.events()[before:]; len(got) > 1 {
		t.Errorf("the server saw %q", got)
	}
}
