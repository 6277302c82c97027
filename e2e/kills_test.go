package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

// killTimeout is the function's time-out here, a little over the least time in which a
// run begins an exchange.
const killTimeout = 20 * time.Second

const subject = "subject"

// killed is a renewal whose process is killed.
type killed struct {
	provider string
	connect  func(w *world)
	// due is an age at which the token is due and not in an emergency; 0 for the very
	// first token.
	due time.Duration
	// single is set where the refresh token or seed works once.
	single bool
}

// TestAKilledRenewalLosesNothingAndSendsNothingTwice ends the process at each call of a
// renewal, before the call or after it was applied, and runs again at once: nothing may
// be lost, and nothing sent twice. To resolve a claim that was left over takes longer
// than any run: internal/simulate tests that with a clock of its own.
func TestAKilledRenewalLosesNothingAndSendsNothingTwice(t *testing.T) {
	t.Parallel()
	apiax := func(w *world) { w.Apiax(subject) }
	oauth2 := func(w *world) { w.OAuth2(subject, "refresh_token") }
	flexera := func(w *world) { w.Flexera(subject, false) }
	tests := map[string]killed{
		"apiax first":                   {"apiax", apiax, 0, true},
		"apiax renewal":                 {"apiax", apiax, 16 * time.Minute, true},
		"oauth2 refresh_token first":    {"oauth2", oauth2, 0, true},
		"oauth2 refresh_token renewal":  {"oauth2", oauth2, 40 * time.Minute, true},
		"flexera refresh token renewal": {"flexera", flexera, 40 * time.Minute, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := test.arrange(t)
			if got, err := clean.run(clean.function, `{}`); err != nil || got.Issued != 1 {
				t.Fatalf("the undisturbed run answered %+v, %v", got, err)
			}
			calls, requests := len(clean.calls()), len(clean.IDP.Requests())
			if calls < 4 || requests < 1 {
				t.Fatalf("the undisturbed run made %d calls and %d requests", calls, requests)
			}
			for _, k := range kills(calls, requests) {
				t.Run(k.String(), func(t *testing.T) {
					t.Parallel()
					w := test.arrange(t)
					k.inject(w)
					result, err := w.invoke(w.function, `{}`)
					if err != nil || !result.Exited {
						t.Fatalf("the process was not killed: %s, %v", result.Payload, err)
					}
					w.AWS.ClearFaults()
					w.IDP.ClearFaults()
					test.left(t, w)
					test.again(t, w)
				})
			}
		})
	}
}

// arrange stops before the run that is killed.
func (x killed) arrange(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, options{timeout: killTimeout})
	strict(w)
	x.connect(w)
	if x.due > 0 {
		if got, err := w.run(w.function, `{}`); err != nil || got.Issued != 1 {
			t.Fatalf("the first run answered %+v, %v", got, err)
		}
		if err := w.age(subject, x.due, "session", "token"); err != nil {
			t.Fatal(err)
		}
	}
	w.AWS.ResetCalls()
	w.IDP.ResetRequests()
	return w
}

// left checks what a killed run left behind: a session that lives, or else a claim that
// says what may have been sent.
func (x killed) left(t *testing.T, w *world) {
	t.Helper()
	sent := x.sentOnce(t, w)
	if _, ok := w.Token(subject); !ok && x.due > 0 {
		t.Error("the published token no longer exists")
	}
	if !x.single {
		return
	}
	session, ok := w.Session(subject)
	alive := ok && w.IDP.RefreshTokenAlive(x.provider, session.RefreshToken.Reveal())
	switch {
	case alive || claimed(w):
	case sent:
		t.Error("the provider has acted, and neither a session that lives nor a claim is stored")
	case x.due > 0:
		t.Error("nothing was sent, and the session no longer exists")
	}
}

// again runs at once after the kill, as a duplicate event would. A claim left on
// the session must be respected; without one the token is renewed. A session that
// was stored a moment ago could be a living run's: the next one waits, and a
// minute later its token follows.
func (x killed) again(t *testing.T, w *world) {
	t.Helper()
	held := x.single && claimed(w)
	outcome, reason := x.next(t, w)
	if !held && outcome == "deferred" && strings.Contains(reason, "has just stored a session") {
		if err := w.age(subject, time.Minute, "session"); err != nil {
			t.Fatal(err)
		}
		outcome, reason = x.next(t, w)
	}
	switch {
	case held && outcome != "deferred":
		t.Errorf("there is a claim, and the next run answered %s: %s", outcome, reason)
	case !held && outcome != "issued" && outcome != "fresh":
		t.Errorf("there is no claim, and the next run answered %s: %s", outcome, reason)
	}
	x.sentOnce(t, w)
	token, ok := w.Token(subject)
	switch {
	case !ok && held && x.due == 0: // there was none, and the claim is respected
	case !ok || !w.IDP.Accepts(x.provider, token.AccessToken.Reveal()):
		t.Error("the token published does not work")
	}
}

// next is the connection's entry in a run's answer.
func (x killed) next(t *testing.T, w *world) (outcome, reason string) {
	t.Helper()
	got, err := w.run(w.function, `{"connections":["`+subject+`"]}`)
	if err != nil || len(got.Connections) != 1 {
		t.Fatalf("the next run answered %+v, %v", got, err)
	}
	return got.Connections[0].Outcome, got.Connections[0].Reason
}

// sentOnce checks that the provider has acted on each credential once at most, and
// reports whether it has acted at all.
func (x killed) sentOnce(t *testing.T, w *world) bool {
	t.Helper()
	refresh, passwords := w.sent()
	for _, sent := range []map[string]int{refresh, passwords} {
		for _, n := range sent {
			if x.single && n > 1 {
				t.Errorf("a refresh token or password was acted on %d times", n)
			}
		}
	}
	return len(refresh)+len(passwords) > 0
}

// claimed reports whether the current session has the claim's label, or says that it is
// being opened.
func claimed(w *world) bool {
	secret := w.AWS.Secret("evertoken/" + subject + "/session")
	current, _ := secret.Labelled(secrets.Current)
	holder, ok := secret.Labelled("EVERTOKEN_EXCHANGE")
	session, there := w.Session(subject)
	return ok && holder.ID == current.ID || there && session.Opening()
}

// kill is the end of the process at one call.
type kill struct {
	provider bool // to the provider, not to AWS
	at       int
	after    bool // after the call was applied
}

func kills(calls, requests int) []kill {
	var out []kill
	for _, after := range []bool{false, true} {
		for at := range calls {
			out = append(out, kill{false, at, after})
		}
		for at := range requests {
			out = append(out, kill{true, at, after})
		}
	}
	return out
}

func (k kill) String() string {
	what, when := "call", "before"
	if k.provider {
		what = "request"
	}
	if k.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s %d", when, what, k.at)
}

func (k kill) inject(w *world) {
	if k.provider {
		f := &fakeidp.Fault{Kind: fakeidp.DropBefore, Skip: k.at, Times: 1,
			Hook: func(fakeidp.Request) { w.function.Kill() }}
		if k.after {
			f.Kind = fakeidp.DropAfter
		}
		w.IDP.Inject(f)
		return
	}
	f := &fakeaws.Fault{Kind: fakeaws.DropBefore, Skip: k.at, Times: 1,
		Hook: func(fakeaws.Call) { w.function.Kill() }}
	if k.after {
		f.Kind = fakeaws.DropAfter
	}
	w.AWS.Inject(f)
}
