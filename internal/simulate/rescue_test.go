package simulate

import (
	"fmt"
	"testing"
)

// TestASessionIsRescuedTwiceInSuccession refuses every put of one run, so that its session goes
// to the rescue parameter, and the puts of the next run from each of its calls on. Where
// that run has restored the session and deleted the parameter, it rescues its own session
// within the half minute for which Parameter Store keeps the name.
func TestASessionIsRescuedTwiceInSuccession(t *testing.T) {
	t.Parallel()
	var noPut fault
	for _, f := range awsFaults() {
		if f.name == "no put any more" {
			noPut = f
		}
	}
	if noPut.inject == nil {
		t.Fatal("the fault does not exist")
	}
	for _, s := range scenarios() {
		if s.name != "apiax renewal" && s.name != "oauth2 refresh renewal" && s.name != "sharetribe user renewal" {
			continue
		}
		operations, _ := calls(t, s)
		for at := range 2 * len(operations) { // the second run makes more calls than a clean one
			t.Run(fmt.Sprintf("%s %d", s.name, at), func(t *testing.T) {
				second := noPut
				second.at = at
				problems, output := try(t, s, []fault{noPut}, []fault{second})
				for _, p := range problems {
					t.Error(p)
				}
				if len(problems) > 0 {
					t.Logf("output:\n%.6000s", output)
				}
			})
		}
	}
}
