package simulate

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// tally counts what all tests of this package have tried and found.
var tally struct {
	sync.Mutex
	worlds, faults, quarters int
	states                   map[string]int // :: a half-done state → how often a broken run ended in it
	told                     []string
}

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.seed"); !soak() && f.Value.String() == f.DefValue {
		_ = f.Value.Set("1") // as for TestDaysOfFaultsBreakNoPromise
	}
	code := m.Run()
	tally.Lock()
	defer tally.Unlock()
	if soak() {
		for _, state := range slices.Sorted(maps.Keys(tally.states)) {
			fmt.Printf("%6d × %s\n", tally.states[state], state)
		}
	}
	for _, line := range tally.told {
		fmt.Println(line)
	}
	held := "every invariant held"
	if code != 0 {
		held = "an invariant was VIOLATED, see above"
	}
	fmt.Printf("%d faults tried in %d worlds, %d half-done states reached, %d stretches of time simulated: %s\n",
		tally.faults, tally.worlds, len(tally.states), tally.quarters, held)
	os.Exit(code)
}

// changing are the parts of a label that differ from run to run: times and hashes.
var changing = regexp.MustCompile(`_(\d{8}T\d{6}Z|[0-9a-f]{16}|[0-9a-f]{8})(_|\.|$)`)

// reached notes in which state a broken run left a world.
func reached(w *fakeworld.World, name string, faults int) {
	secret := w.AWS.Secret("evertoken/" + name + "/session")
	state := "no session"
	if v, ok := secret.Labelled(secrets.Current); ok {
		var members map[string]json.RawMessage
		_ = json.Unmarshal([]byte(v.Value), &members) // garbage is a state too
		state = "session of " + strings.Join(slices.Sorted(maps.Keys(members)), " ") + " with " + labels(v.Labels)
	}
	for _, v := range secret.Versions {
		if l := labels(v.Labels); l != "" && !slices.Contains(v.Labels, secrets.Current) {
			state += ", another with " + l
		}
	}
	if v, ok := w.AWS.Secret("evertoken/" + name + "/credential").Labelled(secrets.Current); ok &&
		len(v.Labels) > 1 {
		state += ", credential with " + labels(v.Labels)
	}
	if _, ok := w.AWS.Parameter("/evertoken/rescue/" + name); ok {
		state += ", rescued"
	}
	if _, ok := published(w, name); !ok {
		state += ", no token"
	}
	tally.Lock()
	defer tally.Unlock()
	if tally.states == nil {
		tally.states = map[string]int{}
	}
	tally.states[state]++
	tally.faults += faults
}

func labels(all []string) string {
	out := make([]string, len(all))
	for i, label := range all {
		out[i] = changing.ReplaceAllString(label, "$2")
	}
	slices.Sort(out)
	return strings.Join(out, "+")
}

func tell(format string, args ...any) {
	tally.Lock()
	defer tally.Unlock()
	tally.told = append(tally.told, fmt.Sprintf(format, args...))
}
