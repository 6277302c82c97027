package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFiguresStayWithinBounds prints what the function costs: go test -run Figures -v ./e2e. The
// bounds are loose, to notice an accident, not a slow machine.
func TestFiguresStayWithinBounds(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&table, "\n%-44s %12s", name, fmt.Sprintf(format, args...))
	}

	info, err := os.Stat(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	row("binary", "%.1f MB", float64(info.Size())/1e6)
	if info.Size() < 1e6 || info.Size() > 50e6 {
		t.Errorf("the binary has %d bytes", info.Size())
	}

	var inits []time.Duration
	var rss int64
	for range 10 {
		w := newWorld(t, options{})
		result, err := w.invoke(w.function, `{"dry_run":true}`)
		if err != nil || result.FunctionError != "" || result.InitDuration <= 0 {
			t.Fatalf("%s, %v", result.Payload, err)
		}
		inits = append(inits, result.InitDuration)
	}
	slices.Sort(inits)
	row("start of the process to first /next, median", "%.0f ms",
		float64(inits[len(inits)/2].Microseconds())/1e3)

	for _, fleet := range []int{1, 20, 40} {
		w := newWorld(t, options{env: []string{"EVERTOKEN_WRITES_PER_SECOND=50"}}) // all that AWS allows
		for i := range fleet {
			w.Apiax(fmt.Sprintf("fleet-%d", i))
		}
		published := func(what, event string) {
			w.AWS.ResetCalls()
			result, err := w.invoke(w.function, event)
			if err != nil || result.FunctionError != "" {
				t.Fatalf("%s, %v", result.Payload, err)
			}
			rss = max(rss, result.PeakRSS)
			calls := len(w.calls())
			row(fmt.Sprintf("%s, %d connections: calls to AWS", what, fleet), "%d", calls)
			row("    for each", "%.2f", float64(calls)/float64(fleet))
			if calls == 0 || calls > 30*fleet+10 {
				t.Errorf("%s made %d calls for %d connections", what, calls, fleet)
			}
		}
		published("opening sessions", `{}`)
		for i := range fleet {
			if err := w.age(fmt.Sprintf("fleet-%d", i), 16*time.Minute, "session", "token"); err != nil {
				t.Fatal(err)
			}
		}
		published("refreshing", `{}`)
		published("nothing due", `{}`)
	}
	for _, kind := range []struct {
		name    string
		connect func(w *world)
	}{
		{"client secret, published in a secret", func(w *world) { w.Flexera("subject", true) }},
		{"FlexNet, published in a secret", func(w *world) { w.FlexNet("subject") }},
	} {
		w := newWorld(t, options{})
		kind.connect(w)
		if got, err := w.run(w.function, `{}`); err != nil || got.Issued != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		row(kind.name+": calls to AWS", "%d", len(w.calls()))
	}
	row("peak memory (resident)", "%.1f MB", float64(rss)/1e6)
	if rss < 1e6 || rss > 128e6 {
		t.Errorf("the process took %d bytes", rss)
	}
	t.Log(table.String())
}
