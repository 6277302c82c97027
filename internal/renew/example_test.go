package renew_test

import (
	"fmt"
	"time"

	"evertoken/internal/renew"
)

// The decision depends on its facts alone: the clock and what the documents say.
func ExampleDecide() {
	issued := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	facts := renew.Facts{
		Name:  "flexera-prod",
		Every: 5 * time.Minute, // how often a run happens
		Token: &renew.TokenTimes{IssuedAt: issued, ExpiresAt: issued.Add(time.Hour)},
	}
	for _, age := range []time.Duration{10 * time.Minute, 40 * time.Minute, 55 * time.Minute, time.Hour} {
		facts.Now = issued.Add(age)
		d := renew.Decide(facts)
		fmt.Printf("%s old: due %t, emergency %t (%s)\n", age, d.Due, d.Emergency, d.Reason)
	}
	// Output:
	// 10m0s old: due false, emergency false (not due)
	// 40m0s old: due true, emergency false (due)
	// 55m0s old: due true, emergency true (emergency)
	// 1h0m0s old: due true, emergency true (expired)
}
