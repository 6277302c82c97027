package issue

import (
	"time"

	"evertoken/internal/renew"
)

// Report is the answer of a run. It holds no secret.
type Report struct {
	// DryRun says that the answer is about what a run would do.
	DryRun   bool `json:"dry_run,omitempty"`
	Checked  int  `json:"checked"`
	Issued   int  `json:"issued"`
	Fresh    int  `json:"fresh"`
	Failed   int  `json:"failed"`
	Blocked  int  `json:"blocked"`
	Waiting  int  `json:"waiting"`
	Deferred int  `json:"deferred"`
	// Connections has an entry for each connection that was not simply fresh. In a dry
	// run, and if the event names connections, it has an entry for every one.
	Connections []Entry `json:"connections"`
	// LeftOut is how many entries were left out, because Lambda takes 6 MB: first those
	// that need no action. All are counted above and logged.
	LeftOut int `json:"left_out,omitempty"`
	// Revision is the commit that the function was built from; only in a dry run.
	Revision string `json:"revision,omitempty"`
}

// Entry is the result of one connection.
type Entry struct {
	Name       string     `json:"name"`
	Outcome    string     `json:"outcome"`
	Reason     string     `json:"reason,omitempty"`
	ErrorClass string     `json:"error_class,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	// SecondsLeft is the life left to the published token, 0 once it has expired; absent
	// if there is none.
	SecondsLeft *int64 `json:"seconds_left,omitempty"`
	// CredentialSecondsLeft is how long until a person or a stronger grant
	// must renew what is stored; absent if not known.
	CredentialSecondsLeft *int64 `json:"credential_seconds_left,omitempty"`
	// NeedsPersonAt is the end of what only a person can renew; absent if not known.
	NeedsPersonAt *time.Time `json:"needs_person_at,omitempty"`
	// CredentialRefused says that the provider refused a changed or stronger credential in
	// this run, although the token lives.
	CredentialRefused bool `json:"credential_refused,omitempty"`
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
	e := Entry{Name: r.Name, Outcome: string(r.Outcome), Reason: r.Reason,
		ErrorClass: string(r.Class), Hint: r.Hint}
	if !r.ExpiresAt.IsZero() {
		at := r.ExpiresAt.UTC().Truncate(time.Second)
		e.ExpiresAt, e.SecondsLeft = &at, secondsUntil(r.ExpiresAt, now)
	}
	if !r.CredentialEnds.IsZero() {
		e.CredentialSecondsLeft = secondsUntil(r.CredentialEnds, now)
	}
	if !r.NeedsPersonAt.IsZero() {
		at := r.NeedsPersonAt.UTC().Truncate(time.Second)
		e.NeedsPersonAt = &at
	}
	e.CredentialRefused = r.CredentialRefused
	return e
}

func secondsUntil(t, now time.Time) *int64 {
	n := max(0, int64(t.Sub(now)/time.Second))
	return &n
}
