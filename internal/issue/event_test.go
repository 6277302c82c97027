package issue_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/issue"
)

const canary = "cAnArY-93b7"

func TestEveryFormOfAnEventIsParsed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	tests := []struct {
		name, event string
		want        issue.Event
	}{
		{"nothing", ``, issue.Event{}},
		{"null", `null`, issue.Event{}},
		{"empty", `{}`, issue.Event{}},
		{"Scheduler's default", `{"version":"0","id":"x","detail-type":"Scheduled Event","source":"aws.scheduler","account":"123456789012","detail":"{}"}`, issue.Event{}},
		{"EventBridge's rule", `{"version":"0","source":"aws.events","resources":["arn:aws:events:x"],"detail":{}}`, issue.Event{}},
		{"the template's", `{"source":"schedule"}`, issue.Event{}},
		{"named", `{"connections":["a","b-2"]}`, issue.Event{Connections: []string{"a", "b-2"}}},
		{"dry run", `{"dry_run":true}`, issue.Event{DryRun: true}},
		{"forced", `{"connections":["a"],"force":true}`, issue.Event{Connections: []string{"a"}, Force: true}},
		{"forced if unchanged", `{"connections":["a"],"force":true,"issued_at":"2026-11-21T17:00:00+01:00"}`, issue.Event{Connections: []string{"a"}, Force: true, IssuedAt: at}},
		{"candidate", `{"connections":["a"],"candidate":true,"dry_run":true}`, issue.Event{Connections: []string{"a"}, Candidate: true, DryRun: true}},
		{"empty issued_at", `{"connections":["a"],"issued_at":""}`, issue.Event{Connections: []string{"a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := issue.ParseEvent(json.RawMessage(tt.event))
			if err != nil {
				t.Fatalf("ParseEvent: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWrongEventIsRefusedByMember(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, event, problem string }{
		{"not an object", `"` + canary + `"`, "is not a JSON object"},
		{"a list", `["` + canary + `"]`, "is not a JSON object"},
		{"unknown member", `{"conections":["` + canary + `"]}`, `has "conections", which is not known here; the known ones are candidate, connections, dry_run, force, issued_at`},
		{"another spelling", `{"Force":true}`, `has "Force", which is not known here`},
		{"another source", `{"source":"` + canary + `"}`, `has "source", which is not known here`},
		{"connections of another type", `{"connections":"` + canary + `"}`, `has "connections", which has the wrong type: it must be a list`},
		{"force of another type", `{"connections":["a"],"force":"true"}`, `has "force", which has the wrong type: it must be true or false`},
		{"invalid name", `{"connections":["a","` + canary + `"]}`, `has a name in "connections" that no connection can have`},
		{"force without connections", `{"force":true}`, `has "force" without "connections"`},
		{"force with none", `{"force":true,"connections":[]}`, `has "force" without "connections"`},
		{"candidate of all", `{"candidate":true}`, `has "candidate", which needs one name in "connections"`},
		{"candidate of two", `{"candidate":true,"connections":["a","b"]}`, `has "candidate", which needs one name in "connections"`},
		{"candidate forced", `{"candidate":true,"force":true,"connections":["a"]}`, `has "force" beside "candidate"`},
		{"issued_at no time", `{"connections":["a"],"force":true,"issued_at":"` + canary + `"}`, `has an "issued_at" that is no RFC 3339 time`},
		{"issued_at without force", `{"connections":["a"],"issued_at":"2026-11-21T16:00:00Z"}`, `has "issued_at" without "force"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := issue.ParseEvent(json.RawMessage(tt.event))
			var invalid issue.InvalidEvent
			if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Problem, tt.problem) {
				t.Errorf("error %v, want an InvalidEvent that %s", err, tt.problem)
			}
			if err != nil && (strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Error(), "the event ")) {
				t.Errorf("text %q", err)
			}
		})
	}
}

func TestTheEventFilesAreAccepted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../events/issue-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no events found: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		if _, err := issue.ParseEvent(raw); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"connections":["a"],"force":true,"issued_at":"2026-11-21T16:00:00Z"}`, `{"source":"aws.events"}`, `{"dry_run":1}`, `[`, `null`, `{"connections":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := issue.ParseEvent(raw)
		if err != nil {
			var invalid issue.InvalidEvent
			if !errors.As(err, &invalid) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("error %q", err)
			}
			return
		}
		if e.Force && len(e.Connections) == 0 || !e.IssuedAt.IsZero() && !e.Force {
			t.Fatalf("accepted although it makes no sense: %+v", e)
		}
		for _, name := range e.Connections {
			if !connection.ValidName(name) {
				t.Fatalf("took the name %q", name)
			}
		}
	})
}
