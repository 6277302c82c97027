package simulate

import (
	"context"
	"fmt"
	"sync"
	"testing"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// events are what a second run may have been woken by.
var events = map[string]issue.Event{
	"scheduled": {},
	"forced":    {Connections: []string{subject}, Force: true},
}

// runBeside makes a run of its own and prints its answer.
func runBeside(w *fakeworld.World, e issue.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), w.RunTimeout)
	defer cancel()
	report, err := w.Runner().Run(ctx, e)
	fmt.Fprintf(w.Log, "%+v %v\n", report, err)
}

// beside brings a scenario about, lets the runs happen, and checks what becomes
// of it. No answer is lost, so that nothing may be sent twice; but an operator
// who forces a run has what was refused tried again.
func beside(t *testing.T, s scenario, second issue.Event, runs func(*fakeworld.World)) {
	w := fakeworld.New(t)
	strict(w)
	s.arrange(w)
	x := &watcher{w: w, s: s, name: subject, forced: second.Force}
	tally.Lock()
	tally.worlds++
	tally.Unlock()
	runs(w)
	reached(w, subject, 0)
	x.recover()
	for _, p := range x.problems {
		t.Error(p)
	}
	if len(x.problems) > 0 {
		t.Logf("output:\n%.6000s", w.Log)
	}
}

// TestTwoRunsAtOnce lets two runs begin from one state at the same time.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		for name, event := range events {
			t.Run(s.name+" "+name, func(t *testing.T) {
				beside(t, s, event, func(w *fakeworld.World) {
					var both sync.WaitGroup
					for _, e := range []issue.Event{{}, event} {
						both.Go(func() { runBeside(w, e) })
					}
					both.Wait()
				})
			})
		}
	}
}

// TestRunInTheMiddleOfAnother holds a run before each of its calls to AWS, and
// after each exchange, for as long as a whole other run takes: two runs from one
// state, in every order with one turn each way.
func TestRunInTheMiddleOfAnother(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		if !soak() && s.variant { // the same order of calls as another
			continue
		}
		for name, event := range events {
			if !soak() && name == "forced" != (s.name == "apiax renewal") {
				continue
			}
			operations, exchanges := calls(t, s)
			for at := range operations {
				t.Run(fmt.Sprintf("%s %s before call %d", s.name, name, at), func(t *testing.T) {
					beside(t, s, event, func(w *fakeworld.World) {
						w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Skip: at, Times: 1, Hook: func(fakeaws.Call) { runBeside(w, event) }})
						runBeside(w, issue.Event{})
						w.AWS.ClearFaults()
					})
				})
			}
			for at := range exchanges {
				t.Run(fmt.Sprintf("%s %s during exchange %d", s.name, name, at), func(t *testing.T) {
					beside(t, s, event, func(w *fakeworld.World) {
						w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Skip: at, Times: 1, Hook: func(fakeidp.Request) { runBeside(w, event) }})
						runBeside(w, issue.Event{})
						w.IDP.ClearFaults()
					})
				})
			}
		}
	}
}
