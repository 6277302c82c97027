//go:build verify

package keycloak

import (
	"os"
	"strings"
	"testing"
)

// versions are those that verify/run.sh installs: the last of the line before a
// wrong password became 400 (keycloak/keycloak#45812), and the newest.
func versions(t *testing.T) (older, newest string) {
	t.Helper()
	list, err := os.ReadFile("versions.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(list)) // each version with its checksum
	if len(words) != 4 {
		t.Fatalf("versions.txt has %d words, want two versions with their checksums", len(words))
	}
	return words[0], words[2]
}

func TestTheOlderServerHasEveryFact(t *testing.T) {
	older, _ := versions(t)
	s := start(t, older)
	hold(t, true, func(t *testing.T) realm { return newRealm(t, s) })
}

func TestTheNewestServerHasEveryFact(t *testing.T) {
	_, newest := versions(t)
	s := start(t, newest)
	hold(t, false, func(t *testing.T) realm { return newRealm(t, s) })
}
