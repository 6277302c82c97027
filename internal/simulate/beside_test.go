package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// other is a run or a rotation that coincides with a scheduled run.
type other struct {
	name string
	run  func(*fakeworld.World)
	// again is set where an operator asked for the run, so that what was refused may be
	// sent once more.
	again bool
	// rotates is the document that is rotated, "" for none.
	rotates string
}

var (
	scheduled = other{name: "scheduled", run: func(w *fakeworld.World) { runBeside(w, issue.Event{}) }}
	forced    = other{name: "forced", again: true, run: func(w *fakeworld.World) {
		runBeside(w, issue.Event{Connections: []string{subject}, Force: true})
	}}
	rotatesSession = rotationOf("session")
	rotatesToken   = rotationOf("token")
)

// rotationOf is a rotation of one document of the connection by the four steps.
func rotationOf(document string) other {
	return other{name: "rotation of the " + document, again: true, rotates: document,
		run: func(w *fakeworld.World) {
			rotator := w.Rotator()
			w.OnRotation = fakeworld.Steps(func(e events.SecretsManagerSecretRotationEvent) error {
				err := fakeworld.Handle(rotator, e)
				fmt.Fprintf(w.Log, "%s: %v\n", e.Step, err)
				return err
			})
			// It is refused while another rotation is in progress.
			fmt.Fprintln(w.Log, w.Rotate("evertoken/"+subject+"/"+document, secrets.FreshID()))
		}}
}

// runBeside makes a run of its own and prints its answer.
func runBeside(w *fakeworld.World, e issue.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), w.RunTimeout)
	defer cancel()
	report, err := w.Runner().Run(ctx, e)
	fmt.Fprintf(w.Log, "%+v %v\n", report, err)
}

// arranged is a world in which the scenario is set up. Where o is a rotation, an operator
// has enabled it before.
func arranged(t *testing.T, s scenario, o other) *fakeworld.World {
	w := fakeworld.New(t)
	strict(w)
	s.arrange(w)
	if o.rotates != "" {
		err := w.Rotate("evertoken/"+subject+"/"+o.rotates, secrets.FreshID(),
			func(in *secretsmanager.RotateSecretInput) {
				in.RotateImmediately = aws.Bool(false)
			})
		if err != nil {
			t.Fatalf("enabling the rotation: %v", err)
		}
	}
	return w
}

// beside sets up a scenario, makes the runs, and checks the result. No answer is lost, so
// nothing may be sent twice. But an operator who forces a run, or begins a rotation, has
// Evertoken send again what was refused.
func beside(t *testing.T, s scenario, o other, runs func(*fakeworld.World)) {
	w := arranged(t, s, o)
	x := &watcher{w: w, s: s, name: subject, forced: o.again}
	tally.Lock()
	tally.worlds++
	tally.Unlock()
	runs(w)
	if o.rotates != "" { // Secrets Manager tries a rotation that failed again
		_ = w.AWS.RetryRotation("evertoken/" + subject + "/" + o.rotates)
	}
	reached(w, subject, 0)
	x.recover()
	for _, p := range x.problems {
		t.Error(p)
	}
	if len(x.problems) > 0 {
		t.Logf("output:\n%.6000s", w.Log)
	}
}

// pairs are the scenarios of two coinciding runs: all of them, and for each grant that
// opens a session or mints a token on its own the first try with a wrong value.
func pairs() []scenario {
	out := scenarios()
	for _, c := range []struct {
		name, provider, member string
		connect                func(*fakeworld.World)
	}{
		{"flexera user", "flexera", "refresh_token", func(w *fakeworld.World) { w.Flexera(subject, false) }},
		{"flexera service", "flexera", "client_secret", func(w *fakeworld.World) { w.Flexera(subject, true) }},
		{"sharetribe integration", "sharetribe", "client_secret", func(w *fakeworld.World) { w.Sharetribe(subject, "integration") }},
		{"sharetribe user", "sharetribe", "password", func(w *fakeworld.World) { w.Sharetribe(subject, "user") }},
		{"sharetribe trusted", "sharetribe", "password", func(w *fakeworld.World) { w.Sharetribe(subject, "trusted") }},
		{"flexnet", "flexnet", "password", func(w *fakeworld.World) { w.FlexNet(subject) }},
		{"oauth2 client", "oauth2", "client_secret", func(w *fakeworld.World) { w.OAuth2(subject, "client_credentials") }},
		{"oauth2 refresh", "oauth2", "refresh_token", func(w *fakeworld.World) { w.OAuth2(subject, "refresh_token") }},
		{"oauth2 password", "oauth2", "password", func(w *fakeworld.World) { w.OAuth2(subject, "password") }},
	} {
		out = append(out,
			scenario{name: c.name + " wrong first " + c.member, provider: c.provider,
				onlyRefresh: true,
				arrange: func(w *fakeworld.World) {
					c.connect(w)
					mistype(w, c.member)
				}})
	}
	return out
}

// others are what coincides with a scenario. With EVERTOKEN_SOAK set, every pair is
// tested. Otherwise variants, whose order of calls is another scenario's, are omitted,
// and rotations and forced runs coincide with only a few renewals.
func others(s scenario) []other {
	session := slices.ContainsFunc([]string{"apiax", "sharetribe", "oauth2 password"}, func(of string) bool {
		return strings.HasPrefix(s.name, of)
	}) && !strings.HasPrefix(s.name, "sharetribe anonymous")
	out := []other{scheduled}
	switch {
	case soak():
		out = append(out, forced, rotatesToken)
	case s.variant:
		return nil
	case s.name == "apiax renewal":
		out = append(out, forced, rotatesToken)
	case s.name == "oauth2 refresh renewal", s.name == "flexnet renewal", s.name == "flexnet first":
		out = append(out, rotatesToken)
	}
	if session && (soak() || strings.HasSuffix(s.name, "renewal") || s.name == "apiax wrong first password") {
		out = append(out, rotatesSession)
	}
	return out
}

// TestTwoConcurrentRunsLoseNothing lets two runs begin from one state at the same time.
func TestTwoConcurrentRunsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, s := range pairs() {
		for _, o := range []other{scheduled, forced} {
			t.Run(s.name+" "+o.name, func(t *testing.T) {
				beside(t, s, o, func(w *fakeworld.World) {
					var both sync.WaitGroup
					for _, run := range []other{scheduled, o} {
						both.Go(func() { run.run(w) })
					}
					both.Wait()
				})
			})
		}
	}
}

// TestARunInTheMiddleOfAnotherLosesNothing stops a run before each of its calls to AWS,
// and after each exchange, until another run has ended: two runs from one state, in every
// order with one switch each way. It stops a rotation for a run, too.
func TestARunInTheMiddleOfAnotherLosesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range pairs() {
		for _, o := range others(s) {
			inTheMiddle(t, s, scheduled, o)
			if o.rotates != "" {
				inTheMiddle(t, s, o, scheduled)
			}
		}
	}
}

// inTheMiddle lets inner run at each point of outer.
func inTheMiddle(t *testing.T, s scenario, outer, inner other) {
	t.Helper()
	asked := inner
	if outer.again {
		asked = outer
	}
	w := arranged(t, s, asked)
	w.AWS.ResetCalls()
	w.IDP.ResetRequests()
	outer.run(w)
	for at := range w.AWS.Calls() {
		t.Run(fmt.Sprintf("%s/%s before call %d of %s", s.name, inner.name, at, outer.name), func(t *testing.T) {
			beside(t, s, asked, func(w *fakeworld.World) {
				w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Skip: at, Times: 1,
					Hook: func(fakeaws.Call) { inner.run(w) }})
				outer.run(w)
				w.AWS.ClearFaults()
			})
		})
	}
	for at := range w.IDP.Requests() {
		t.Run(fmt.Sprintf("%s/%s during exchange %d of %s", s.name, inner.name, at, outer.name),
			func(t *testing.T) {
				beside(t, s, asked, func(w *fakeworld.World) {
					w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Skip: at, Times: 1,
						Hook: func(fakeidp.Request) { inner.run(w) }})
					outer.run(w)
					w.IDP.ClearFaults()
				})
			})
	}
}
