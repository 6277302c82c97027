package simulate

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestSeveralFaultsTogetherAreRepaired breaks two or three calls of up to three
// successive runs, chosen at random. A failure prints the seed; repeat it with
// -rapid.seed, and search longer with -rapid.checks.
func TestSeveralFaultsTogetherAreRepaired(t *testing.T) {
	t.Parallel()
	all := scenarios()
	aws, idp := awsFaults(), idpFaults()
	names := make([]string, len(all))
	sizes := make(map[string][2]int)
	for i, s := range all {
		names[i] = s.name
		a, p := calls(t, s)
		sizes[s.name] = [2]int{len(a), p}
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(all)-1).Draw(t, "scenario")
		s := all[i]
		runs := make([][]fault, 3)
		for n := range rapid.IntRange(2, 3).Draw(t, "faults") {
			var f fault
			if rapid.Bool().Draw(t, fmt.Sprint("at the provider ", n)) {
				f = rapid.SampledFrom(idp).Draw(t, fmt.Sprint("fault ", n))
				f.at = rapid.IntRange(0, max(0, sizes[s.name][1]-1)).Draw(t, fmt.Sprint("call ", n))
			} else {
				f = rapid.SampledFrom(aws).Draw(t, fmt.Sprint("fault ", n))
				f.at = rapid.IntRange(0, sizes[s.name][0]+3).Draw(t, fmt.Sprint("call ", n))
			}
			run := rapid.IntRange(0, len(runs)-1).Draw(t, fmt.Sprint("run ", n))
			runs[run] = append(runs[run], f)
		}
		problems, output := try(t, s, runs...)
		if len(problems) > 0 {
			for i, run := range runs {
				for _, f := range run {
					t.Logf("run %d: %s at call %d", i, f.name, f.at)
				}
			}
			t.Fatalf("%s: %q\n%.8000s", s.name, problems, output)
		}
	})
}
