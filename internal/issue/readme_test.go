package issue_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// TestTheREADMEsFirstConnectionWorks: Evertoken issues and renews the README's first
// connection, however long the provider takes to answer and whatever fraction of a second
// the clock shows.
func TestTheREADMEsFirstConnectionWorks(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`(?m)^\{"provider": "apiax".*\}$`).FindString(string(readme))
	var declared map[string]any
	if err := json.Unmarshal([]byte(example), &declared); err != nil {
		t.Fatalf("the README's first connection is not there: %v", err)
	}
	for _, takes := range []time.Duration{0, time.Millisecond, 700 * time.Millisecond, 1900 * time.Millisecond} {
		w := fakeworld.New(t)
		w.Clock.Advance(takes / 3)
		w.Apiax("apiax-prod")
		declared["settings"] = map[string]any{"token_url": w.IDP.Apiax().TokenURL()}
		w.Declare("apiax-prod", declared)
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Hook: func(fakeidp.Request) { w.Clock.Advance(takes) }})
		report := w.Run(issue.Event{})
		for range 12 {
			if e := fakeworld.Entry(report, "apiax-prod"); e.Outcome == "failed" ||
				e.Outcome == "blocked" || e.Hint != "" {
				t.Errorf("with answers after %s: %+v", takes, e)
			}
			if left := timeLeft(t, w); left < 10*time.Minute-w.Config.Every {
				t.Errorf("with answers after %s: a token with %s left", takes, left)
			}
			report = w.Tick()
		}
	}
}

func timeLeft(t *testing.T, w *fakeworld.World) time.Duration {
	t.Helper()
	token, ok := w.Token("apiax-prod")
	if !ok {
		t.Fatal("no token")
	}
	return token.ExpiresAt.Sub(w.Clock.Now())
}
