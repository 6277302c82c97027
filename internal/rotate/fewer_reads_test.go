package rotate_test

import (
	"fmt"
	"testing"
	"time"

	"evertoken/internal/secrets"
)

// calls counts the calls of an operation on a secret so far.
func (w *world) calls(operation, secret string) int {
	n := 0
	for _, c := range w.AWS.Calls() {
		if c.Operation == operation && c.Resource == secret {
			n++
		}
	}
	return n
}

// TestAProviderWithoutSessionsNeedsNoSession: rotation does not read the session's secret.
func TestAProviderWithoutSessionsNeedsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.IDP.FlexNet()
	w.connect("c", "flexnet", map[string]string{"username": "u", "password": n.AddUser("u", "")},
		map[string]any{"base_url": n.BaseURL(), "token_name": "lambda-c", "username": "u"}, nil)
	w.rotated("evertoken/c/token")
	check(t, "reads of the session", 0, w.calls("GetSecretValue", "evertoken/c/session"))
}

// TestOlderVersionsAreReadOnlyForAClientThatNoLabelExplains: the labelled versions explain
// both clients, so older versions cost no read.
func TestOlderVersionsAreReadOnlyForAClientThatNoLabelExplains(t *testing.T) {
	t.Parallel()
	reads := map[int]int{}
	for _, older := range []int{0, 3} {
		w := newWorld(t)
		_, first := w.flexera("f")
		w.own(flexeraCredential, first["client_id"])
		w.rotated(flexeraCredential)
		for i := range older {
			version := fmt.Sprintf("older%d", i)
			w.put(flexeraCredential, version, "{}", "MINE")
			w.move(flexeraCredential, "MINE", "", version)
		}
		w.Clock.Advance(4 * time.Hour)
		w.prepare(flexeraCredential, "two")
		before := w.calls("GetSecretValue", flexeraCredential)
		check(t, "outcome", "ok", w.step("createSecret", flexeraCredential, "two"))
		reads[older] = w.calls("GetSecretValue", flexeraCredential) - before
		if _, found := w.AWS.Secret(flexeraCredential).Labelled(secrets.Pending); !found {
			t.Error("no version has AWSPENDING")
		}
	}
	check(t, "reads with three older versions", reads[0], reads[3])
}

// TestAPromotedVersionIsReadOnce: a test of the set-up does not compare it with AWSCURRENT,
// which it is.
func TestAPromotedVersionIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	const secret = "evertoken/c/token"
	w.rotated(secret)
	before := w.calls("GetSecretValue", secret)
	check(t, "outcome", "ok", w.step("testSecret", secret, "first"))
	check(t, "reads", 1, w.calls("GetSecretValue", secret)-before)
}

// TestAMissingVersionIsReadAgain, with waits that give AWS time to show it everywhere.
func TestAMissingVersionIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	const secret = "evertoken/c/token"
	w.put(secret, "cur", "{}")
	outcome, waits := w.stepWithin(time.Minute, "createSecret", secret, "tok")
	check(t, "outcome", "Refused", outcome)
	check(t, "waits",
		[]time.Duration{100 * time.Millisecond, 200 * time.Millisecond,
			400 * time.Millisecond}, waits)
}
