package keycloak

import (
	"strings"
	"testing"
)

// realm is a Keycloak realm as Apiax has one, real or fake: accounts, sessions
// and settings as its administrator changes them.
type realm interface {
	realmURL() string
	// addUser makes a user and returns the password.
	addUser(name string) string
	disableUser(name string)
	deleteUser(name string)
	endSessions(name string)
	// lockAfter switches brute-force protection on.
	lockAfter(failures int, forEver bool)
	// counted waits until so many wrong passwords of a user are counted, and locked
	// until the user is locked. Keycloak counts in the background: of two wrong passwords
	// that it counts at the same time, neither follows the other, so no account is locked.
	counted(name string, failures int)
	locked(name string)
	// singleUse switches "Revoke Refresh Token" on.
	singleUse()
	// notBefore ends all tokens issued so far.
	notBefore()
	replaceKeys()
	disableRealm()
	disableClient()
	requireConsent()
	// limitSessions denies a user who has n sessions another.
	limitSessions(n string)
}

// fact is one behaviour of Keycloak.
type fact struct {
	name string
	// ask sets up the situation, and returns the answer to check.
	ask    func(t *testing.T, r realm) answer
	status int
	// older is the status before 26.6, where it differs
	// (keycloak/keycloak#45812), and olderProblem the problem.
	older        int
	problem      string // error and description, empty for a grant
	olderProblem string
	// also checks the other members of a granted answer.
	also func(answer) (problem string)
}

const (
	wrongPassword = "invalid_grant: Invalid user credentials"
	inactive      = "invalid_grant: Session not active"
	noClient      = "invalid_client: Invalid client or Invalid client credentials"
)

// facts were observed at Keycloak 26.5.6 and 26.7.3.
var facts = []fact{
	{name: "a login", status: 200, ask: func(t *testing.T, r realm) answer {
		return mustLogin(t, r, "user", r.addUser("user"))
	}, also: func(a answer) string {
		if n := a.number("expires_in"); n != 1799 && n != 1800 {
			return "expires_in is neither 1799 nor 1800"
		}
		if a.text("refresh_token") == "" || a.number("refresh_expires_in") < 14*24*3600-1 {
			return "the refresh token does not live for 14 days"
		}
		return ""
	}},
	{name: "a refresh", status: 200, ask: func(t *testing.T, r realm) answer {
		return refresh(t, r, mustLogin(t, r, "user", r.addUser("user")).text("refresh_token"))
	}},
	{name: "no client_id", status: 401, problem: noClient, ask: func(t *testing.T, r realm) answer {
		return post(t, at(r, "token"),
			form("grant_type", "password", "username", "user", "password", r.addUser("user")))
	}},
	{name: "an unknown client", status: 401, problem: noClient, ask: func(t *testing.T, r realm) answer {
		return post(t, at(r, "token"),
			form("client_id", "other", "grant_type", "password", "username", "u", "password", "p"))
	}},
	{name: "the public client by HTTP Basic", status: 200, ask: func(t *testing.T, r realm) answer {
		q := request(t, at(r, "token"), formEncoded,
			form("grant_type", "password", "username", "user", "password", r.addUser("user")).Encode())
		q.SetBasicAuth(clientID, "")
		return send(t, q)
	}},
	{name: "a junk client_assertion of the public client", status: 200, ask: func(t *testing.T, r realm) answer {
		return login(t, r, "user", r.addUser("user"), "client_assertion", "junk",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}},
	{name: "an assertion type without an assertion", status: 200, ask: func(t *testing.T, r realm) answer {
		return login(t, r, "user", r.addUser("user"),
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}},
	{name: "client_credentials of the public client", status: 401,
		problem: "unauthorized_client: Public client not allowed to retrieve service account",
		ask: func(t *testing.T, r realm) answer {
			return post(t, at(r, "token"), form("client_id", clientID, "grant_type", "client_credentials"))
		}},
	{name: "an unknown grant", status: 400, problem: "unsupported_grant_type: Unsupported grant_type",
		ask: func(t *testing.T, r realm) answer {
			return post(t, at(r, "token"), form("client_id", clientID, "grant_type", "magic"))
		}},
	{name: "a JSON body", status: 400, problem: "invalid_request: Missing form parameter: grant_type",
		ask: func(t *testing.T, r realm) answer {
			return send(t, request(t, at(r, "token"), "application/json", `{"grant_type":"password"}`))
		}},
	{name: "a parameter twice", status: 400, problem: "invalid_request: duplicated parameter",
		ask: func(t *testing.T, r realm) answer {
			v := form("client_id", clientID, "grant_type", "password", "username", "user",
				"password", r.addUser("user"))
			v.Add("scope", "openid")
			v.Add("scope", "openid")
			return post(t, at(r, "token"), v)
		}},
	{name: "an unknown realm", status: 404, problem: "Realm does not exist: ",
		ask: func(t *testing.T, r realm) answer {
			return post(t, strings.Replace(at(r, "token"), "/realms/", "/realms/no-", 1), form("client_id", clientID))
		}},
	{name: "a POST to an unknown path", status: 405, problem: "HTTP 405 Method Not Allowed: ",
		ask: func(t *testing.T, r realm) answer { return post(t, at(r, "tokens"), form("client_id", clientID)) }},
	{name: "a slash at the end of the token URL", status: 200, ask: func(t *testing.T, r realm) answer {
		return post(t, at(r, "token")+"/",
			form("client_id", clientID, "grant_type", "password", "username", "user", "password", r.addUser("user")))
	}},
	{name: "the user name in capitals", status: 200, ask: func(t *testing.T, r realm) answer {
		return login(t, r, "USER", r.addUser("user"))
	}},
	{name: "a wrong password", status: 400, older: 401, problem: wrongPassword,
		ask: func(t *testing.T, r realm) answer {
			r.addUser("user")
			return login(t, r, "user", "wrong")
		}},
	{name: "an unknown user", status: 400, older: 401, problem: wrongPassword,
		ask: func(t *testing.T, r realm) answer { return login(t, r, "nobody", "wrong") }},
	{name: "no user name", status: 401, problem: "invalid_request: Missing parameter: username",
		ask: func(t *testing.T, r realm) answer {
			return post(t, at(r, "token"), form("client_id", clientID, "grant_type", "password", "password", "p"))
		}},
	{name: "a disabled user", status: 400, problem: "invalid_grant: Account disabled",
		ask: func(t *testing.T, r realm) answer {
			password := r.addUser("user")
			r.disableUser("user")
			return login(t, r, "user", password)
		}},
	{name: "a disabled user's wrong password", status: 400, problem: wrongPassword,
		olderProblem: "invalid_grant: Account disabled",
		ask: func(t *testing.T, r realm) answer {
			r.addUser("user")
			r.disableUser("user")
			return login(t, r, "user", "wrong")
		}},
	{name: "a disabled user's refresh", status: 400, problem: "invalid_grant: User disabled",
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.disableUser("user")
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "a deleted user's refresh", status: 400, problem: inactive, ask: func(t *testing.T, r realm) answer {
		a := mustLogin(t, r, "user", r.addUser("user"))
		r.deleteUser("user")
		return refresh(t, r, a.text("refresh_token"))
	}},
	{name: "a refresh after the administrator's logout", status: 400, problem: inactive,
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.endSessions("user")
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "junk for a refresh token", status: 400, problem: "invalid_grant: Invalid refresh token",
		ask: func(t *testing.T, r realm) answer { return refresh(t, r, "junk") }},
	{name: "no refresh token", status: 400, problem: "invalid_request: No refresh token",
		ask: func(t *testing.T, r realm) answer {
			return post(t, at(r, "token"), form("client_id", clientID, "grant_type", "refresh_token"))
		}},
	{name: "a refresh after revoking the token", status: 400, problem: inactive,
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			post(t, at(r, "revoke"), form("client_id", clientID, "token", a.text("refresh_token")))
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "another session of the user after revoking one", status: 200,
		ask: func(t *testing.T, r realm) answer {
			password := r.addUser("user")
			a, other := mustLogin(t, r, "user", password), mustLogin(t, r, "user", password)
			post(t, at(r, "revoke"), form("client_id", clientID, "token", a.text("refresh_token")))
			return refresh(t, r, other.text("refresh_token"))
		}},
	{name: "a logout", status: 204, ask: func(t *testing.T, r realm) answer {
		a := mustLogin(t, r, "user", r.addUser("user"))
		return post(t, at(r, "logout"), form("client_id", clientID, "refresh_token", a.text("refresh_token")))
	}},
	{name: "a second logout", status: 204, ask: func(t *testing.T, r realm) answer {
		a := mustLogin(t, r, "user", r.addUser("user"))
		v := form("client_id", clientID, "refresh_token", a.text("refresh_token"))
		post(t, at(r, "logout"), v)
		return post(t, at(r, "logout"), v)
	}},
	{name: "a spent refresh token where they are single-use", status: 400,
		problem: "invalid_grant: Maximum allowed refresh token reuse exceeded", ask: func(t *testing.T, r realm) answer {
			r.singleUse()
			a := mustLogin(t, r, "user", r.addUser("user"))
			refresh(t, r, a.text("refresh_token"))
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "its successor after that", status: 400,
		problem: "invalid_grant: Session doesn't have required client",
		ask: func(t *testing.T, r realm) answer {
			r.singleUse()
			a := mustLogin(t, r, "user", r.addUser("user"))
			next := refresh(t, r, a.text("refresh_token"))
			refresh(t, r, a.text("refresh_token"))
			return refresh(t, r, next.text("refresh_token"))
		}},
	{name: "the right password after two fast wrong ones", status: 400, older: 401, problem: wrongPassword,
		ask: func(t *testing.T, r realm) answer {
			r.lockAfter(30, false)
			password := r.addUser("user")
			login(t, r, "user", "wrong")
			r.counted("user", 1)
			login(t, r, "user", "wrong")
			r.locked("user")
			return login(t, r, "user", password)
		}},
	{name: "the right password after a permanent lockout", status: 400, older: 401, problem: wrongPassword,
		ask: func(t *testing.T, r realm) answer {
			r.lockAfter(1, true)
			password := r.addUser("user")
			login(t, r, "user", "wrong")
			r.locked("user")
			return login(t, r, "user", password)
		}},
	{name: "a refresh after a permanent lockout", status: 400, problem: "invalid_grant: User disabled",
		ask: func(t *testing.T, r realm) answer {
			r.lockAfter(1, true)
			a := mustLogin(t, r, "user", r.addUser("user"))
			login(t, r, "user", "wrong")
			r.locked("user")
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "an offline token", status: 200, ask: func(t *testing.T, r realm) answer {
		return mustLogin(t, r, "user", r.addUser("user"), "scope", "offline_access")
	}, also: func(a answer) string {
		if a.number("refresh_expires_in") != 0 {
			return "refresh_expires_in is not 0"
		}
		if claims(a.text("refresh_token"))["exp"] != nil {
			return "the offline token has an exp"
		}
		return ""
	}},
	{name: "an offline token's refresh", status: 200, ask: func(t *testing.T, r realm) answer {
		a := mustLogin(t, r, "user", r.addUser("user"), "scope", "offline_access")
		return refresh(t, r, a.text("refresh_token"))
	}},
	{name: "an unknown scope", status: 400, problem: "invalid_scope: Invalid scopes: magic",
		ask: func(t *testing.T, r realm) answer { return login(t, r, "user", r.addUser("user"), "scope", "magic") }},
	{name: "one session more than a user may have", status: 403, problem: "There are too many sessions: ",
		ask: func(t *testing.T, r realm) answer {
			password := r.addUser("user")
			r.limitSessions("1")
			mustLogin(t, r, "user", password)
			return login(t, r, "user", password)
		}},
	{name: "a refresh after not-before was pushed", status: 400, problem: "invalid_grant: Stale token",
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.notBefore()
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "a refresh after the realm's keys were replaced", status: 400,
		problem: "invalid_grant: Invalid refresh token",
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.replaceKeys()
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "a disabled realm", status: 403, problem: "access_denied: Realm not enabled",
		ask: func(t *testing.T, r realm) answer {
			password := r.addUser("user")
			r.disableRealm()
			return login(t, r, "user", password)
		}},
	{name: "a disabled client", status: 401, problem: noClient, ask: func(t *testing.T, r realm) answer {
		password := r.addUser("user")
		r.disableClient()
		return login(t, r, "user", password)
	}},
	{name: "a refresh by a disabled client", status: 401, problem: noClient,
		ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.disableClient()
			return refresh(t, r, a.text("refresh_token"))
		}},
	{name: "a client that needs the user's consent", status: 400,
		problem: "invalid_client: Client requires user consent", ask: func(t *testing.T, r realm) answer {
			password := r.addUser("user")
			r.requireConsent()
			return login(t, r, "user", password)
		}},
	{name: "a refresh where consent is wanted since", status: 400,
		problem: "invalid_scope: Client no longer has requested consent from user", ask: func(t *testing.T, r realm) answer {
			a := mustLogin(t, r, "user", r.addUser("user"))
			r.requireConsent()
			return refresh(t, r, a.text("refresh_token"))
		}},
}

// hold checks every fact at its own realm. older is set for a server before 26.6.
func hold(t *testing.T, older bool, newRealm func(*testing.T) realm) {
	for _, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			a := f.ask(t, newRealm(t))
			status, wanted := f.status, f.problem
			if older && f.older != 0 {
				status = f.older
			}
			if older && f.olderProblem != "" {
				wanted = f.olderProblem
			}
			problem := ""
			if a.status >= 300 {
				problem = a.problem()
			}
			if a.status != status || problem != wanted {
				t.Errorf("HTTP %d %q, want %d %q", a.status, problem, status, wanted)
			}
			if f.also != nil && a.status == status {
				if problem := f.also(a); problem != "" {
					t.Error(problem)
				}
			}
		})
	}
}
