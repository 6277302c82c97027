package renew_test

import (
	"testing"

	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
)

// alive holds a connection to a published token that its provider accepts.
func alive(t *testing.T, w *fakeworld.World, connection string) {
	t.Helper()
	published, ok := w.Token(connection)
	if !ok || !published.ExpiresAt.After(w.Clock.Now()) {
		t.Errorf("%s has no living token at %s", connection, w.Clock.Now())
	}
}

func ticks(w *fakeworld.World, n int) {
	for range n {
		w.Tick()
	}
}

// refuse makes every call fail that fits.
func refuse(w *fakeworld.World, operation, secret, code string) {
	w.AWS.Inject(&fakeaws.Fault{Operation: operation, Resource: secret, Kind: fakeaws.Refuse, Code: code})
}
