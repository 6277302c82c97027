package issue_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// promise is the fleet's RemainingOfPromise in a run's metrics.
func promise(t *testing.T, w *fakeworld.World) (value float64, ok bool) {
	t.Helper()
	var line struct{ RemainingOfPromise *float64 }
	if err := json.NewDecoder(strings.NewReader(w.Metrics.String())).Decode(&line); err != nil {
		t.Fatal(err)
	}
	if line.RemainingOfPromise == nil {
		return 0, false
	}
	return *line.RemainingOfPromise, true
}

// TestABrokenDeclarationIsReportedBeforeItsTokenDies: after an edit that breaks a
// connection, the run still reports how long its token lives.
func TestABrokenDeclarationIsReportedBeforeItsTokenDies(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{
		"not JSON":           `{`,
		"an unknown member":  `{"provider":"apiax","tokn":"x"}`,
		"an unknown setting": `{"provider":"apiax","min_remaining":"6m","settings":{"client":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			w.Apiax("a")
			w.Run(issue.Event{})
			token, _ := w.Token("a")
			w.AWS.PutParameter(w.Config.ConnectionsPath+"a", "String", broken)
			w.Metrics.Reset()
			report := w.Tick()
			e := fakeworld.Entry(report, "a")
			if e.Outcome != "failed" || e.ExpiresAt == nil || !e.ExpiresAt.Equal(token.ExpiresAt) {
				t.Errorf("entry %+v, token until %s", e, token.ExpiresAt)
			}
			if v, ok := promise(t, w); !ok || v < 1 {
				t.Errorf("RemainingOfPromise %v of a token that lives for 25 minutes", v)
			}
			w.Clock.Advance(w.Config.Every)
			w.Clock.Advance(w.Config.Every)
			w.Metrics.Reset()
			w.Tick()
			if v, ok := promise(t, w); !ok || v >= 1 {
				t.Errorf("RemainingOfPromise %v ten minutes before the token dies", v)
			}
		})
	}
}

// TestABrokenNewConnectionBreaksNoPromise: a connection that never had a token breaks no
// promise, and another connection's token does not count as its own.
func TestABrokenNewConnectionBreaksNoPromise(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("a")
	w.Run(issue.Event{})
	w.Declare("thief", map[string]any{"provider": "apiax", "token": "evertoken/a/token", "mistake": 1})
	w.Declare("typo", map[string]any{"provider": "apix"})
	w.Clock.Advance(time.Minute)
	w.Metrics.Reset()
	report := w.Run(issue.Event{})
	for _, name := range []string{"thief", "typo"} {
		if e := fakeworld.Entry(report, name); e.Outcome != "failed" || e.ExpiresAt != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if v, ok := promise(t, w); !ok || v < 1 {
		t.Errorf("RemainingOfPromise %v", v)
	}
}
