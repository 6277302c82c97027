package issue

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/strictjson"
)

// Event says what a run must do. The zero Event is a scheduled run, which renews every
// token that is due.
type Event struct {
	// Connections are the names of the connections to check; empty means all.
	Connections []string
	// Force renews the named connections although they are not due.
	Force bool
	// DryRun reports what a run would do, and spends and writes nothing.
	DryRun bool
	// IssuedAt, with Force, is issued_at of the token that failed. The run does not replace
	// a newer one. Zero means any.
	IssuedAt time.Time
	// Candidate tries the version of the one named connection's credential that
	// has [LabelCandidate] in place of AWSCURRENT, as if forced. On success its
	// session is stored and its token published, and the caller moves AWSCURRENT
	// onto that version; a refusal changes nothing.
	Candidate bool
}

// LabelCandidate is the label on a version of a credential that Evertoken tries before it
// becomes AWSCURRENT.
const LabelCandidate = "EVERTOKEN_CANDIDATE"

// InvalidEvent is returned to whoever invoked the function; Lambda reports it
// under this name.
type InvalidEvent struct{ Problem string }

func (e InvalidEvent) Error() string { return "the event " + e.Problem }

// sources are the sources of events without a request: the default ones of EventBridge and
// of Scheduler, and the template's own.
var sources = []string{"aws.scheduler", "aws.events", "schedule"}

type eventWire struct {
	Connections []string `json:"connections"`
	Force       bool     `json:"force"`
	DryRun      bool     `json:"dry_run"`
	IssuedAt    string   `json:"issued_at"`
	Candidate   bool     `json:"candidate"`
}

// ParseEvent reads an event. Its error is an [InvalidEvent].
func ParseEvent(raw json.RawMessage) (Event, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return Event{}, nil
	}
	var source struct {
		Source string `json:"source"`
	}
	if json.Unmarshal(raw, &source) == nil && slices.Contains(sources, source.Source) {
		return Event{}, nil
	}
	var w eventWire
	if member, problem := strictjson.Decode(raw, &w); problem != "" {
		if member != "" {
			problem = `has "` + member + `", which ` + problem
		}
		return Event{}, InvalidEvent{problem}
	}
	e := Event{Connections: w.Connections, Force: w.Force, DryRun: w.DryRun, Candidate: w.Candidate}
	for _, name := range e.Connections {
		if !connection.ValidName(name) {
			return Event{}, InvalidEvent{`has a name in "connections" that no connection can have`}
		}
	}
	if e.Force && len(e.Connections) == 0 {
		return Event{}, InvalidEvent{`has "force" without "connections": name those to renew`}
	}
	switch {
	case e.Candidate && len(e.Connections) != 1:
		return Event{}, InvalidEvent{`has "candidate", which needs one name in "connections"`}
	case e.Candidate && e.Force:
		return Event{}, InvalidEvent{`has "force" beside "candidate": a candidate is always tried`}
	}
	if w.IssuedAt != "" {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(w.IssuedAt))
		switch {
		case err != nil:
			return Event{}, InvalidEvent{`has an "issued_at" that is no RFC 3339 time: ` +
				"write it as in 2026-11-21T16:00:00Z"}
		case !e.Force:
			return Event{}, InvalidEvent{`has "issued_at" without "force"`}
		}
		e.IssuedAt = at.UTC()
	}
	return e, nil
}
