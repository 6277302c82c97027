package template

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// subject is the connection that an incident is about.
const subject = "subject"

// trace is what CloudWatch is told by a stack, run by run: the real function over
// the fakes, on a clock of its own.
type trace struct {
	*fakeworld.World
	t      *testing.T
	series series
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

// incident is one kind of silence or fault.
type incident struct {
	name string
	// begin breaks something; nil where nothing but the runs is broken.
	begin func(*trace)
	// beat is a heartbeat during the incident; a run where it is nil.
	beat func(*trace)
	// fires are the alarms that must be heard of before the token dies.
	fires []string
}

func silent(*trace) {}

func incidents() []incident {
	return []incident{
		{name: "the schedule is disabled, or deleted", beat: silent, fires: []string{"NothingRanAlarm"}},
		{name: "every heartbeat is lost before it reaches the function", beat: func(tr *trace) {
			tr.tell("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Undelivered.QueueName", 1)
		}, fires: []string{"NothingRanAlarm", "UndeliveredAlarm"}},
		{name: "every run ends by its timeout", beat: func(tr *trace) {
			tr.tell("AWS/Lambda", "Errors", "IssueFunction", 1)
		}, fires: []string{"NothingRanAlarm", "RunFailedAlarm"}},
		{name: "Lambda drops every heartbeat", beat: func(tr *trace) {
			tr.tell("AWS/Lambda", "AsyncEventsDropped", "IssueFunction", 1)
		}, fires: []string{"NothingRanAlarm", "RunFailedAlarm"}},
		{name: "the connections cannot be read", begin: func(tr *trace) {
			tr.AWS.Inject(&fakeaws.Fault{Operation: "GetParametersByPath", Code: "AccessDeniedException"})
		}, fires: []string{"NothingRanAlarm", "RunFailedAlarm"}},
		{name: "the provider answers 503", begin: func(tr *trace) {
			tr.IDP.Inject(&fakeidp.Fault{Status: 503})
		}, fires: []string{"PromiseAlarm", "ConnectionPromiseAlarm"}},
		{name: "AWS refuses to store", begin: func(tr *trace) {
			tr.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException"})
		}, fires: []string{"PromiseAlarm", "ConnectionPromiseAlarm"}},
		{name: "the provider rejects what is stored", begin: func(tr *trace) {
			tr.IDP.Inject(&fakeidp.Fault{Status: 400, Body: []byte(`{"error":"invalid_grant"}`)})
		}, fires: []string{"PromiseAlarm", "ConnectionPromiseAlarm"}},
	}
}

var everies = []string{"1m", "2m", "5m", "10m", "15m"}

func TestProbe(t *testing.T) {
	for _, every := range everies {
		e, _ := time.ParseDuration(every)
		for kind := range kinds {
			healthy := newTrace(t, kind, e)
			healthy.run()
			for healthy.Clock.Now().Sub(fakeworld.Start) < 4*time.Hour {
				healthy.Clock.Advance(e)
				healthy.run()
			}
			worst := len(healthy.left) / 2
			for i, l := range healthy.left {
				if i*int(e.Minutes()) > 100 && l < healthy.left[worst] {
					worst = i
				}
			}
			r := stack(t, map[string]string{"Every": every})
			f, _ := r.watch(healthy.series, subject, fakeworld.Start, healthy.Clock.Now(), readings()[0])
			t.Logf("every %s, %s: worst %d left %s; healthy fired %v", every, kind, worst, healthy.left[worst], f)
			for _, in := range incidents() {
				tr := newTrace(t, kind, e)
				tr.run()
				for range worst {
					tr.Clock.Advance(e)
					tr.run()
				}
				began, left := tr.Clock.Now(), tr.tokenLeft()
				if in.begin != nil {
					in.begin(tr)
				}
				for tr.Clock.Now().Sub(began) < 2*time.Hour {
					tr.Clock.Advance(e)
					if in.beat != nil {
						in.beat(tr)
					} else {
						tr.run()
					}
				}
				line := ""
				for _, how := range readings() {
					f, _ := r.watch(tr.series, subject, began.Add(-90*time.Minute), tr.Clock.Now(), how)
					for k, v := range f {
						line += " " + k + "=" + v.Sub(began).Round(time.Second).String()
					}
					line += " |"
				}
				t.Logf("   %s (dies %s):%s", in.name, left, line)
			}
		}
	}
}
