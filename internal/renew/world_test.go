package renew_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// world is a world with the template's time-out.
func world(t *testing.T, connect func(*fakeworld.World)) *fakeworld.World {
	t.Helper()
	w := fakeworld.New(t)
	w.RunTimeout = 4 * time.Minute
	connect(w)
	return w
}

// runNow is a run that names the connection.
func runNow(w *fakeworld.World) issue.Entry {
	return fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}}), name)
}

// restored clears the faults, and checks after n heartbeats that the rescue parameter is
// gone and the connection has a living token. of is the case.
func restored(t *testing.T, w *fakeworld.World, n int, of time.Duration) {
	t.Helper()
	w.AWS.ClearFaults()
	ticks(w, n)
	if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
		t.Errorf("%s: the rescue parameter is still there after %d heartbeats", of, n)
	}
	alive(t, w, name)
}

// sent counts the requests that reached a provider by a grant.
func sent(w *fakeworld.World, grant string) int { return w.Sent(grant) }

// sends counts how often each refresh token reached the provider.
func sends(w *fakeworld.World) map[string]int {
	out := map[string]int{}
	for _, r := range w.IDP.Requests() {
		if token := r.Form.Get("refresh_token"); token != "" && r.Status != http.StatusServiceUnavailable {
			out[token]++
		}
	}
	return out
}

const (
	name    = "c"
	session = "evertoken/c/session"
	token   = "evertoken/c/token"
	cred    = "evertoken/c/credential"
)

// advance moves the clock to when the token is to be renewed.
func advance(t *testing.T, w *fakeworld.World) {
	t.Helper()
	published, ok := w.Token(name)
	if !ok {
		t.Fatal("no token was published")
	}
	w.Clock.Advance(published.RenewAfter.Sub(w.Clock.Now()))
}

// want runs and compares the outcome of the connection.
func want(t *testing.T, w *fakeworld.World, outcome, hint string) issue.Entry {
	t.Helper()
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}}), name)
	if e.Outcome != outcome || !strings.Contains(e.Hint+" | "+e.Reason, hint) {
		t.Fatalf("got %+v, want outcome %s telling %q", e, outcome, hint)
	}
	return e
}

// labelled is the id of the version that has a label.
func labelled(w *fakeworld.World, secret, label string) string {
	v, _ := w.AWS.Secret(secret).Labelled(label)
	return v.ID
}

func moveCurrent(t *testing.T, w *fakeworld.World, secret, to string) {
	t.Helper()
	if err := w.Store().MoveLabel(context.Background(), secret, secrets.Current, to, labelled(w, secret, secrets.Current)); err != nil {
		t.Fatal(err)
	}
}

// alive checks that a connection has a published token that its provider accepts.
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

// refuse makes every matching call fail.
func refuse(w *fakeworld.World, operation, secret, code string) {
	w.AWS.Inject(&fakeaws.Fault{Operation: operation, Resource: secret, Kind: fakeaws.Refuse, Code: code})
}
