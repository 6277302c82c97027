package template

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// subject is the connection that an incident is about.
const subject = "subject"

// trace is what a stack sends to CloudWatch, run by run: the real function over the
// fakes, on a clock of its own.
type trace struct {
	*fakeworld.World
	t      *testing.T
	series series
	beats  int // how many there were
	// left is the life left of the subject's token after each run.
	left []time.Duration
}

// kinds are connections by the life of their tokens.
var kinds = map[string]func(*fakeworld.World){
	"30-minute": func(w *fakeworld.World) { w.Apiax(subject) },
	"60-minute": func(w *fakeworld.World) { w.Flexera(subject, false) },
}

func newTrace(t *testing.T, kind string, every time.Duration) *trace {
	t.Helper()
	w := fakeworld.New(t)
	w.Config.Every, w.Config.ConnectionMetrics = every, 100
	w.Clock.Advance(30 * time.Second) // a schedule begins at any second
	kinds[kind](w)
	return &trace{World: w, t: t, series: series{}}
}

// late is how late a heartbeat may come: Scheduler keeps to the minute, so that
// two are never just a heartbeat apart, and a token that was not due by a few
// seconds waits for the next one.
var late = []time.Duration{40 * time.Second, 0}

// beat lets the time pass until the next heartbeat.
func (tr *trace) beat() {
	n := len(late)
	tr.Clock.Advance(tr.Config.Every + late[(tr.beats+1)%n] - late[tr.beats%n])
	tr.beats++
}

func (tr *trace) tell(namespace, metric, of string, value float64) {
	k := key(namespace, metric, of)
	tr.series[k] = append(tr.series[k], point{tr.Clock.Now(), value})
}

// run makes one run and keeps its metrics.
func (tr *trace) run() {
	tr.t.Helper()
	tr.Metrics.Reset()
	failed := 0.0
	if _, err := tr.TryRun(issue.Event{}); err != nil {
		failed = 1
	}
	tr.tell("AWS/Lambda", "Errors", "IssueFunction", failed)
	for line := range strings.Lines(tr.Metrics.String()) {
		var root map[string]any
		var emf struct {
			Connection string
			AWS        struct {
				CloudWatchMetrics []struct {
					Namespace string
					Metrics   []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if json.Unmarshal([]byte(line), &root) != nil || json.Unmarshal([]byte(line), &emf) != nil {
			tr.t.Fatalf("no metrics: %s", line)
		}
		of := "IssueFunction"
		if emf.Connection != "" {
			of += "/" + emf.Connection
		}
		for _, d := range emf.AWS.CloudWatchMetrics {
			for _, m := range d.Metrics {
				tr.tell(d.Namespace, m.Name, of, root[m.Name].(float64))
			}
		}
	}
	tr.left = append(tr.left, tr.tokenLeft())
}

func (tr *trace) tokenLeft() time.Duration {
	token, ok := tr.Token(subject)
	if !ok {
		return 0
	}
	return token.ExpiresAt.Sub(tr.Clock.Now())
}
