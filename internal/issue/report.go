package issue

import (
	"time"

	"evertoken/internal/renew"
	"evertoken/internal/telemetry"
)

// Report is the answer of a run. It holds no secret.
type Report struct {
	Checked  int `json:"checked"`
	Issued   int `json:"issued"`
	Fresh    int `json:"fresh"`
	Failed   int `json:"failed"`
	Blocked  int `json:"blocked"`
	Waiting  int `json:"waiting"`
	Deferred int `json:"deferred"`
	// Connections has an entry for each that was not simply fresh; for every
	// one in a dry run and where connections were named.
	Connections []Entry `json:"connections"`
}

// Entry tells of one connection.
type Entry struct {
	Name       string     `json:"name"`
	Outcome    string     `json:"outcome"`
	Reason     string     `json:"reason,omitempty"`
	ErrorClass string     `json:"error_class,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	// SecondsLeft is the life left of the published token, 0 once it is
	// dead; absent if there is none.
	SecondsLeft *int64 `json:"seconds_left,omitempty"`
	// CredentialSecondsLeft is how long until a person or a stronger grant
	// must renew what is stored; absent where not known.
	CredentialSecondsLeft *int64 `json:"credential_seconds_left,omitempty"`
}

func newReport(results []renew.Result, now time.Time, all bool) Report {
	report := Report{Checked: len(results), Connections: []Entry{}}
	for _, r := range results {
		switch r.Outcome {
		case renew.Issued:
			report.Issued++
		case renew.Fresh:
			report.Fresh++
		case renew.Failed:
			report.Failed++
		case renew.Blocked:
			report.Blocked++
		case renew.Waiting:
			report.Waiting++
		case renew.Deferred:
			report.Deferred++
		}
		if all || r.Outcome != renew.Fresh {
			report.Connections = append(report.Connections, newEntry(r, now))
		}
	}
	return report
}

func newEntry(r renew.Result, now time.Time) Entry {
	e := Entry{Name: r.Name, Outcome: string(r.Outcome), Reason: r.Reason, ErrorClass: string(r.Class), Hint: r.Hint}
	if !r.ExpiresAt.IsZero() {
		at := r.ExpiresAt.UTC().Truncate(time.Second)
		e.ExpiresAt, e.SecondsLeft = &at, secondsUntil(r.ExpiresAt, now)
	}
	if !r.CredentialEnds.IsZero() {
		e.CredentialSecondsLeft = secondsUntil(r.CredentialEnds, now)
	}
	return e
}

func secondsUntil(t, now time.Time) *int64 {
	n := max(0, int64(t.Sub(now)/time.Second))
	return &n
}

// nothingToRemain is what RemainingOfPromise says where there is no token to
// speak of, so that the alarm on missing data means that nothing ran at all.
const nothingToRemain = 100

// remainingOfPromise is the least, over all connections, of the life that a
// token will have left after two more runs, as a multiple of the life promised
// to its readers. Under 1 somebody must act: even then the promise holds for as
// long as two runs take. A connection that waits for its credential does not
// count; one that has no token though it should has none left.
func remainingOfPromise(results []renew.Result, now time.Time, every time.Duration) float64 {
	least := float64(nothingToRemain)
	for _, r := range results {
		switch {
		case r.ExpiresAt.IsZero() && r.Outcome == renew.Waiting:
		case r.ExpiresAt.IsZero() || r.MinRemaining <= 0:
			least = min(least, 0)
		default:
			left := r.ExpiresAt.Sub(now) - 2*every
			least = min(least, max(0, float64(left)/float64(r.MinRemaining)))
		}
	}
	return least
}

// metrics are the run's figures for CloudWatch.
func metrics(results []renew.Result, report Report, now time.Time, every, took time.Duration) []telemetry.Metric {
	out := []telemetry.Metric{
		{Name: "Checked", Unit: telemetry.Count, Value: float64(report.Checked)},
		{Name: "Issued", Unit: telemetry.Count, Value: float64(report.Issued)},
		{Name: "Failed", Unit: telemetry.Count, Value: float64(report.Failed)},
		{Name: "Blocked", Unit: telemetry.Count, Value: float64(report.Blocked)},
		{Name: "Deferred", Unit: telemetry.Count, Value: float64(report.Deferred)},
		{Name: "RemainingOfPromise", Unit: telemetry.None, Value: remainingOfPromise(results, now, every)},
		{Name: "RunDuration", Unit: telemetry.Milliseconds, Value: float64(took.Milliseconds())},
	}
	least, known := time.Duration(0), false
	for _, r := range results {
		if left := r.CredentialEnds.Sub(now); !r.CredentialEnds.IsZero() && (!known || left < least) {
			least, known = left, true
		}
	}
	if known {
		out = append(out, telemetry.Metric{Name: "CredentialSecondsLeft", Unit: telemetry.Seconds, Value: max(0, least.Seconds())})
	}
	return out
}
