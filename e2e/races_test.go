package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
)

const (
	racers = 6
	rounds = 10
)

// strict gives every provider its strictest rule for a refresh token that is sent twice.
func strict(w *world) {
	w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = true })
	w.IDP.Sharetribe().Configure(func(o *fakeidp.SharetribeOptions) { o.ReuseKillsFamily = true })
}

// TestConcurrentRunsSendARefreshTokenOnce lets several functions renew one connection at
// the same time. Its refresh token works once, and its reuse ends the session. Each round
// has a connection of its own, and two races: for the first token, and for the next.
func TestConcurrentRunsSendARefreshTokenOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		provider string
		due      time.Duration // age at which a token is due and not in an emergency
		connect  func(w *world, name string)
	}{
		"oauth2 refresh_token":   {"oauth2", 40 * time.Minute, func(w *world, name string) { w.OAuth2(name, "refresh_token") }},
		"apiax":                  {"apiax", 16 * time.Minute, func(w *world, name string) { w.Apiax(name) }},
		"sharetribe user":        {"sharetribe", 40 * time.Minute, func(w *world, name string) { w.Sharetribe(name, "user") }},
		"sharetribe integration": {"sharetribe", 40 * time.Minute, func(w *world, name string) { w.Sharetribe(name, "integration") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			strict(w)
			functions := []*fakelambda.Function{w.function}
			for range racers - 1 {
				f := w.start(options{})
				t.Cleanup(func() { _ = f.Close() })
				functions = append(functions, f)
			}
			race(t, w, functions, `{"dry_run":true}`) // so that all are started
			met := 0
			for i := range rounds {
				subject := fmt.Sprintf("round-%d", i)
				test.connect(w, subject)
				event := `{"connections":["` + subject + `"]}`

				race(t, w, functions, event)
				checkRace(t, w, subject, test.provider)

				if err := w.age(subject, test.due, "session", "token"); err != nil {
					t.Fatal(err)
				}
				before, passwords := len(w.AWS.Secret("evertoken/"+subject+"/token").Versions), w.passwords()
				issued, deferred := race(t, w, functions, event)
				met += deferred
				checkRace(t, w, subject, test.provider)
				after := len(w.AWS.Secret("evertoken/" + subject + "/token").Versions)
				if issued != 1 || after != before+1 {
					t.Errorf("%s: %d runs issued and %d tokens were published, want one of each",
						subject, issued, after-before)
				}
				// Without any token the next run may use the stronger grant in spite of a
				// claim; here it has no need to.
				if n := w.passwords() - passwords; n > 0 {
					t.Errorf("%s: a password was sent %d times to renew a session", subject, n)
				}
				if t.Failed() {
					return
				}
			}
			if met == 0 {
				t.Error("no run coincided with another, so nothing raced")
			}
			t.Logf("%d runs coincided with another", met)
		})
	}
}

// passwords counts how often the providers acted on one.
func (w *world) passwords() int {
	total := 0
	_, sent := w.sent()
	for _, n := range sent {
		total += n
	}
	return total
}

// race invokes all functions at once and returns how many issued a token, and how many
// found another run in progress. None may fail, since there is no fault.
func race(t *testing.T, w *world, functions []*fakelambda.Function, event string) (issued, deferred int) {
	t.Helper()
	start := make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, f := range functions {
		all.Go(func() {
			<-start
			got, err := w.run(f, event)
			mu.Lock()
			defer mu.Unlock()
			issued, deferred = issued+got.Issued, deferred+got.Deferred
			if err != nil || got.Failed+got.Blocked+got.Waiting > 0 {
				t.Errorf("a racer answered %+v, %v", got, err)
			}
		})
	}
	close(start)
	all.Wait()
	return issued, deferred
}

// checkRace checks the result: each refresh token was sent at most once, and session and
// token work.
func checkRace(t *testing.T, w *world, subject, provider string) {
	t.Helper()
	refresh, _ := w.sent()
	for _, n := range refresh {
		if n > 1 {
			t.Errorf("%s: a refresh token was sent %d times", subject, n)
		}
	}
	session, ok := w.Session(subject)
	if !ok || !w.IDP.RefreshTokenAlive(provider, session.RefreshToken.Reveal()) {
		t.Errorf("%s: the session stored does not live", subject)
	}
	token, ok := w.Token(subject)
	if !ok || !w.IDP.Accepts(provider, token.AccessToken.Reveal()) {
		t.Errorf("%s: the token published does not work", subject)
	}
}
