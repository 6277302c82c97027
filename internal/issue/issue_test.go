package issue_test

import (
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

func TestEveryProviderIsIssuedThenFreshThenRenewed(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	names := w.All()
	report := w.Run(issue.Event{})
	if report.Issued != len(names) || report.Checked != len(names) {
		t.Fatalf("first run: %+v\n%s", report, w.Log)
	}
	if report = w.Run(issue.Event{}); report.Fresh != len(names) {
		t.Fatalf("second run: %+v", report)
	}
	for range 24 * 12 { // a day
		report = w.Tick()
		if report.Failed+report.Blocked+report.Deferred > 0 {
			t.Fatalf("at %s: %+v", w.Clock.Now(), report)
		}
		for _, name := range names {
			token, ok := w.Token(name)
			if !ok || !token.ExpiresAt.After(w.Clock.Now()) {
				t.Fatalf("%s: %s has no live token", w.Clock.Now(), name)
			}
			if !w.IDP.Accepts(token.Provider, token.AccessToken.Reveal()) {
				t.Fatalf("%s: the provider refuses what %s published", w.Clock.Now(), name)
			}
		}
	}
	for _, name := range names {
		n := w.AWS.VersionsYoungerThan("evertoken/"+name+"/token", 24*time.Hour)
		if n >= 97 {
			t.Errorf("%s: %d versions of the token in a day", name, n)
		}
	}
}
