package rotate_test

import (
	"errors"
	"strings"
	"testing"

	"evertoken/internal/rotate"
)

// A connection that names another's document in another role stops no rotation
// of it, whichever comes first by name; alone it rotates nothing.
func TestAnIntruderStopsNoRotation(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"credential", "session", "token"} {
		for _, intruder := range []string{"aa", "zz"} {
			t.Run(document+" and "+intruder, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.Apiax("own")
				secret := "evertoken/own/" + document
				if document == "credential" {
					_, client := w.flexera("own2")
					secret = "evertoken/own2/credential"
					w.own(secret, client["client_id"])
				}
				other := map[string]any{"credential": secret}
				provider := "sharetribe"
				w.declare(intruder, provider, map[string]any{}, other)
				if document != "credential" {
					w.put("evertoken/own/session", "s", `{"refresh_token":"r"}`)
				}
				if err := w.rotateSecret(secret, "new"); err != nil {
					t.Fatal(err)
				}
				for _, err := range w.errors() {
					if strings.Contains(err.Error(), intruder) {
						t.Errorf("the intruder stopped it: %v", err)
					}
				}
				if len(w.errors()) > 0 || !strings.Contains(w.labels(secret), "new:CURRENT") {
					t.Errorf("%s: %v", w.labels(secret), w.errors())
				}
			})
		}
	}
	w := newWorld(t)
	w.AWS.CreateSecret("evertoken/own/session", nil, nil)
	w.put("evertoken/own/session", "s", `{"refresh_token":"r"}`)
	w.declare("a", "apiax", map[string]any{}, map[string]any{"session": "evertoken/own/session"})
	w.declare("b", "apiax", map[string]any{}, map[string]any{"session": "evertoken/own/session"})
	if err := w.rotateSecret("evertoken/own/session", "new"); err != nil {
		t.Fatal(err)
	}
	failures := w.errors()
	if len(failures) == 0 {
		t.Fatal("the rotation succeeded")
	}
	if m, ok := errors.AsType[rotate.Misconfigured](failures[0]); !ok ||
		!strings.Contains(m.Error(), "connection b's session") {
		t.Errorf("%v", failures[0])
	}
}

// A connection that uses a credential too, and whose settings cannot be read,
// stops no rotation of it. Alone it rotates nothing.
func TestAUserThatCannotBeReadStopsNoRotation(t *testing.T) {
	t.Parallel()
	for _, intruder := range []string{"aa", "zz"} {
		w := newWorld(t)
		const secret = "evertoken/own/credential"
		_, client := w.flexera("own")
		w.own(secret, client["client_id"])
		w.declare(intruder, "flexera", map[string]any{"zone": "moon"}, map[string]any{"credential": secret})
		if err := w.rotateSecret(secret, "new"); err != nil {
			t.Fatal(err)
		}
		if len(w.errors()) > 0 || !strings.Contains(w.labels(secret), "new:CURRENT") {
			t.Errorf("%s: %s: %v", intruder, w.labels(secret), w.errors())
		}
	}
	w := newWorld(t)
	w.declare("aa", "flexera", map[string]any{"zone": "moon"}, nil)
	w.AWS.CreateSecret("evertoken/aa/credential", nil, nil)
	w.put("evertoken/aa/credential", "cur", `{"client_id":"i","client_secret":"s"}`)
	if err := w.rotateSecret("evertoken/aa/credential", "new"); err != nil {
		t.Fatal(err)
	}
	if failures := w.errors(); len(failures) == 0 || !strings.Contains(failures[0].Error(), "settings.zone") {
		t.Errorf("%v", failures)
	}
}
