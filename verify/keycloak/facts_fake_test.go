package keycloak

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
)

// double is the fake of Apiax as a [realm].
type double struct{ idp *fakeidp.Server }

func (d double) realmURL() string                  { return d.idp.Apiax().RealmURL() }
func (d double) addUser(name string) string        { return d.idp.Apiax().SetPassword(name, "") }
func (d double) disableUser(name string)           { d.idp.Apiax().SetDisabled(name, true) }
func (d double) deleteUser(name string)            { d.idp.Apiax().DeleteUser(name) }
func (d double) endSessions(name string)           { d.idp.Apiax().EndSessions(name) }
func (d double) notBefore()                        { d.idp.Apiax().PushNotBefore() }
func (d double) replaceKeys()                      { d.idp.Apiax().ReplaceKeys() }
func (d double) set(f func(*fakeidp.ApiaxOptions)) { d.idp.Apiax().Configure(f) }

func (d double) lockAfter(failures int, forEver bool) {
	d.set(func(o *fakeidp.ApiaxOptions) { o.LockoutAfter, o.LockoutForEver = failures, forEver })
}

func (d double) counted(string, int) {} // at once
func (d double) locked(string)       {}
func (d double) singleUse()          { d.set(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = true }) }
func (d double) disableRealm()       { d.set(func(o *fakeidp.ApiaxOptions) { o.RealmDisabled = true }) }
func (d double) disableClient()      { d.set(func(o *fakeidp.ApiaxOptions) { o.ClientDisabled = true }) }
func (d double) requireConsent()     { d.set(func(o *fakeidp.ApiaxOptions) { o.ConsentRequired = true }) }

func (d double) limitSessions(n string) {
	limit, err := strconv.Atoi(n)
	if err != nil {
		panic(err)
	}
	d.set(func(o *fakeidp.ApiaxOptions) { o.SessionLimit = limit })
}

// TestTheFakeOfApiaxHasEveryFact compares the fake of Apiax with what real servers do.
func TestTheFakeOfApiaxHasEveryFact(t *testing.T) {
	for status, older := range map[int]bool{http.StatusUnauthorized: true, http.StatusBadRequest: false} {
		t.Run("wrong password "+strconv.Itoa(status), func(t *testing.T) {
			hold(t, older, func(t *testing.T) realm {
				now := time.Now()
				s, err := fakeidp.New(fakeidp.Options{Now: func() time.Time { return now }, NoEcho: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				s.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.BadCredentialsStatus = status })
				return double{s}
			})
		})
	}
}
