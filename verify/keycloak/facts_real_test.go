//go:build verify

package keycloak

import "testing"

// The versions that verify/run.sh installs: the last of the line before a wrong
// password became 400 (keycloak/keycloak#45812), and the newest.
const (
	olderVersion = "26.5.6"
	version      = "26.7.3"
)

func TestFactsOfTheOlderServer(t *testing.T) {
	s := start(t, olderVersion)
	hold(t, true, func(t *testing.T) realm { return newRealm(t, s) })
}
func TestFactsOfTheServer(t *testing.T) {
	s := start(t, version)
	hold(t, false, func(t *testing.T) realm { return newRealm(t, s) })
}
