package template

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
)

// incident is one kind of silence or fault.
type incident struct {
	name string
	// begin breaks something; nil where the world stays whole.
	begin func(*trace)
	// beat is a heartbeat during the incident; nil for a run.
	beat func(*trace)
	// alarms are those that fire.
	alarms []string
	// also are alarms that may fire besides, later.
	also []string
	// of is the connection that an alarm by name tells of; empty for the subject.
	of string
	// kind is the connection, where only one will do.
	kind string
	// lives is set where the subject's token does not die of it.
	lives bool
}

const wrong = `{"provider":"apix"}`

func incidents() []incident {
	silent := func(*trace) {}
	tells := func(namespace, metric, of string) func(*trace) {
		return func(tr *trace) { tr.tell(namespace, metric, of, 1) }
	}
	promise := []string{"PromiseAlarm", "ConnectionPromiseAlarm"}
	return []incident{
		{name: "The schedule is disabled, or its group deleted", beat: silent, alarms: []string{"NothingRanAlarm"}},
		{name: "Lambda drops every heartbeat", beat: silent, alarms: []string{"NothingRanAlarm"}},
		{name: "No heartbeat reaches Lambda",
			beat:   tells("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Undelivered.QueueName"),
			alarms: []string{"UndeliveredAlarm", "NothingRanAlarm"}},
		{name: "Every run ends by its timeout", beat: tells("AWS/Lambda", "Errors", "IssueFunction"),
			alarms: []string{"RunFailedAlarm", "NothingRanAlarm"}},
		{name: "The connections cannot be read", begin: func(tr *trace) {
			tr.AWS.Inject(&fakeaws.Fault{Operation: "GetParametersByPath", Code: "AccessDeniedException"})
		}, alarms: []string{"RunFailedAlarm", "NothingRanAlarm"}},
		{name: "The provider answers 503", begin: func(tr *trace) {
			tr.IDP.Inject(&fakeidp.Fault{Status: 503})
		}, alarms: append(promise, "FailedAlarm", "ConnectionFailedAlarm")},
		{name: "The provider rejects what is stored", begin: func(tr *trace) {
			tr.IDP.Inject(&fakeidp.Fault{Status: 400, Body: []byte(`{"error":"invalid_grant"}`)})
		}, alarms: append(promise, "BlockedAlarm", "ConnectionBlockedAlarm"), also: []string{"ConnectionFailedAlarm"}},
		{name: "AWS refuses to store the token", begin: func(tr *trace) {
			tr.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Code: "AccessDeniedException"})
		}, alarms: append(promise, "FailedAlarm", "ConnectionFailedAlarm")},
		{name: "An edit breaks a connection", begin: func(tr *trace) {
			tr.AWS.PutParameter(tr.Config.ConnectionsPath+subject, "String", wrong)
		}, alarms: append(promise, "FailedAlarm", "ConnectionFailedAlarm")},
		{name: "A new connection is declared wrong", begin: func(tr *trace) {
			tr.AWS.PutParameter(tr.Config.ConnectionsPath+"newcomer", "String", wrong)
		}, of: "newcomer", lives: true, alarms: []string{"FailedAlarm", "ConnectionFailedAlarm"}},
		{name: "A connection is removed", begin: func(tr *trace) {
			tr.Declare(subject, map[string]any{"connections": map[string]any{}})
		}, alarms: []string{"FewerConnectionsAlarm"}},
		{name: "A new password is refused, the session serves", kind: "30-minute", begin: func(tr *trace) {
			tr.PutSecret("evertoken/"+subject+"/credential", `{"username":"`+subject+`","password":"wrong"}`)
		}, lives: true, alarms: []string{"CredentialRefusedAlarm"}},
		{name: "A Flexera refresh token ends in 30 days", kind: "60-minute", begin: ending(30 * 24 * time.Hour), lives: true, alarms: []string{"PersonSoonAlarm"}},
		{name: "A Flexera refresh token ends in 7 days", kind: "60-minute", begin: ending(7 * 24 * time.Hour), lives: true, alarms: []string{"PersonNowAlarm", "PersonSoonAlarm"}},
		{name: "A step of a rotation fails, or is refused", lives: true, beat: func(tr *trace) {
			tr.tell("AWS/Lambda", "Errors", "RotateFunction", 1)
			tr.run()
		}, alarms: []string{"RotateFailedAlarm"}},
		{name: "Secrets Manager gives a rotation up", lives: true, beat: func(tr *trace) {
			tr.tell("AWS/Events", "TriggeredRules", "RotationEvents", 1)
			tr.run()
		}, alarms: []string{"RotationFailedAlarm"}},
	}
}

// ending lets the time pass until the published token says that a person is
// needed in so long.
func ending(in time.Duration) func(*trace) {
	return func(tr *trace) {
		token, ok := tr.Token(subject)
		if !ok || token.NeedsPersonAt.IsZero() {
			tr.t.Fatal("the token does not say when a person is needed")
		}
		tr.Clock.Advance(token.NeedsPersonAt.Add(-in).Sub(tr.Clock.Now()))
		for ; tr.tokenLeft() <= 0; tr.run() {
			tr.beat()
		}
		tr.series = series{}
	}
}

// tokensBy is the connection that a heartbeat's column is about: the shortest
// token life that the heartbeat is fit for.
func tokensBy(every time.Duration) string {
	if every > 10*time.Minute {
		return "60-minute"
	}
	return "30-minute"
}

var everies = []string{"1m", "2m", "5m", "10m", "15m"}

// outcome is what became of an incident: when each alarm fired at the latest,
// over all readings, and when the token died.
type outcome struct {
	fired map[string]time.Duration
	dies  time.Duration
}

// healthy is a trace without incident, and the run after which the subject's
// token has the least life left: the worst moment to begin one.
func healthy(t *testing.T, kind string, every time.Duration) (_ *trace, worst int) {
	t.Helper()
	tr := newTrace(t, kind, every)
	tr.run()
	for tr.Clock.Now().Sub(fakeworld.Start) < 4*time.Hour {
		tr.beat()
		tr.run()
	}
	for i := range tr.left {
		if time.Duration(i)*every >= 100*time.Minute && (worst == 0 || tr.left[i] < tr.left[worst]) {
			worst = i
		}
	}
	return tr, worst
}

// play lets an incident begin after the run at which the token has the least
// life left.
func play(t *testing.T, in incident, kind string, every time.Duration, after int) outcome {
	t.Helper()
	tr := newTrace(t, kind, every)
	tr.run()
	for range after {
		tr.beat()
		tr.run()
	}
	dies := tr.tokenLeft()
	if in.begin != nil {
		in.begin(tr)
	}
	began := tr.Clock.Now()
	for lasts := 6*every + 20*time.Minute; tr.Clock.Now().Sub(began) < lasts; {
		tr.beat()
		if in.beat != nil {
			in.beat(tr)
		} else {
			tr.run()
		}
	}
	of := in.of
	if of == "" {
		of = subject
	}
	out := outcome{fired: map[string]time.Duration{}, dies: dies}
	r := stack(t, map[string]string{"Every": every.String()[:len(every.String())-2]})
	for i, how := range readings() {
		first, _ := r.watch(tr.series, of, began.Add(-100*time.Minute), tr.Clock.Now(), how)
		for id, at := range first {
			if at.Before(began) {
				t.Errorf("%s, every %s: %s fired before", in.name, every, id)
			}
			out.fired[id] = max(out.fired[id], at.Sub(began))
		}
		for id := range out.fired {
			if i > 0 && first[id].IsZero() {
				t.Errorf("%s, every %s: whether %s fires depends on what the user guide leaves open", in.name, every, id)
			}
		}
	}
	return out
}

func parse(t *testing.T, every string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(every)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestEveryAllowedHeartbeatIsPlayed: the model goes through every heartbeat that the template
// has.
func TestEveryAllowedHeartbeatIsPlayed(t *testing.T) {
	t.Parallel()
	allowed, ok := load(t).get("Parameters", "Every", "AllowedValues").value.([]any)
	if !ok {
		t.Fatal("Every has no AllowedValues")
	}
	var got []string
	for _, v := range allowed {
		got = append(got, fmt.Sprint(v))
	}
	check(t, "AllowedValues of Every", everies, got)
}

var update = flag.Bool("update", false, "write the table of docs/operations.md")

// TestEveryIncidentRaisesAnAlarmBeforeATokenExpires plays every incident at every
// heartbeat. It checks that an alarm notifies a person before the first token dies, that
// nothing else fires, and that the runbook's table has the same figures.
func TestEveryIncidentRaisesAnAlarmBeforeATokenExpires(t *testing.T) {
	t.Parallel()
	all := incidents()
	outcomes := make([][]outcome, len(all))
	for i := range outcomes {
		outcomes[i] = make([]outcome, len(everies))
	}
	for column, text := range everies {
		every := parse(t, text)
		worst := map[string]int{}
		for kind := range kinds {
			tr, w := healthy(t, kind, every)
			worst[kind] = w
			if kind == "30-minute" && every > 10*time.Minute {
				continue // a run every so often cannot keep those tokens alive
			}
			for _, how := range readings() {
				if first, _ := stack(t, map[string]string{"Every": text}).watch(tr.series, subject, fakeworld.Start.Add(-time.Hour), tr.Clock.Now(), how); len(first) > 0 {
					t.Errorf("every %s, %s tokens, no incident: %v fired", text, kind, first)
				}
			}
		}
		for row, in := range all {
			kind := in.kind
			if kind == "" {
				kind = tokensBy(every)
			}
			o := play(t, in, kind, every, worst[kind])
			outcomes[row][column] = o
			inTime := false
			for _, id := range in.alarms {
				at, fired := o.fired[id]
				if !fired {
					t.Errorf("%s, every %s: %s does not fire", in.name, text, id)
				}
				inTime = inTime || fired && at < o.dies
			}
			if !inTime && !in.lives {
				t.Errorf("%s, every %s: an alarm fires after %v, and the token dies after %s",
					in.name, text, o.fired, o.dies)
			}
			for id := range o.fired {
				if !slices.Contains(in.alarms, id) && !slices.Contains(in.also, id) {
					t.Errorf("%s, every %s: %s fires too", in.name, text, id)
				}
			}
		}
	}
	table := tableOf(all, outcomes)
	const begin, end = "<!-- The table is computed by verify/template: go test ./verify/template -run TestEveryIncidentRaisesAnAlarmBeforeATokenExpires -update -->\n", "<!-- end of the table -->"
	page := read(t, "docs/operations.md")
	before, rest, found := strings.Cut(page, begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("docs/operations.md has no place for the table:\n%s", table)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, "docs/operations.md"), []byte(before+begin+table+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	check(t, "the table of docs/operations.md", table, old)
}

// tableOf has a row for each alarm of each incident: after how many minutes it
// fires, and after how many the token dies.
func tableOf(all []incident, outcomes [][]outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| incident | alarm | %s |\n|---|---|%s\n", strings.Join(everies, " | "),
		strings.Repeat("---:|", len(everies)))
	minutes := func(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }
	for row, in := range all {
		name := in.name
		for _, id := range in.alarms {
			fmt.Fprintf(&b, "| %s | `%s` |", name, id)
			for _, o := range outcomes[row] {
				fmt.Fprintf(&b, " %d", minutes(o.fired[id]))
				if !in.lives {
					fmt.Fprintf(&b, " of %d", int(o.dies/time.Minute))
				}
				b.WriteString(" |")
			}
			b.WriteString("\n")
			name = ""
		}
	}
	return b.String()
}

// TestTheFirstDeployRaisesNoAlarm: a stack without connections, and one whose first run
// comes late, fire no alarm.
func TestTheFirstDeployRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	for _, text := range everies {
		every := parse(t, text)
		tr := &trace{World: fakeworld.New(t), t: t, series: series{}}
		tr.Config.Every = every
		for range 12 {
			tr.Clock.Advance(every)
			tr.run()
		}
		for _, how := range readings() {
			r := stack(t, map[string]string{"Every": text})
			first, states := r.watch(tr.series, subject, fakeworld.Start.Add(-2*time.Hour), tr.Clock.Now(), how)
			if len(first) > 0 {
				t.Errorf("every %s: %v", text, first)
			}
			check(t, "HasRunAlarm at "+text, stateOK, states["HasRunAlarm"])
		}
	}
}

// TestALateRunRaisesNoAlarm: a run that begins a minute late and lasts four, after
// a quick one, is no silence, and up to a heartbeat of five minutes neither is
// one lost heartbeat.
func TestALateRunRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	for _, text := range everies {
		every := parse(t, text)
		at := fakeworld.Start.Add(59 * time.Second)
		gaps := []time.Duration{every, every, every + 5*time.Minute, every, every}
		if every <= 5*time.Minute {
			gaps = append(gaps, 2*every+time.Minute, every)
		}
		points := series{}
		for _, gap := range gaps {
			at = at.Add(gap)
			k := key("Evertoken", "Checked", "IssueFunction")
			points[k] = append(points[k], point{at, 1})
		}
		for _, how := range readings() {
			if first, _ := stack(t, map[string]string{"Every": text}).watch(points, subject, fakeworld.Start, at, how); len(first) > 0 {
				t.Errorf("every %s: %v", text, first)
			}
		}
	}
}

// TestTooFewConnectionsRaiseAnAlarm: with the parameter set, the alarm lasts as long as there
// are fewer.
func TestTooFewConnectionsRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	const every = 5 * time.Minute
	points, k := series{}, key("Evertoken", "Checked", "IssueFunction")
	at := fakeworld.Start
	for i := range 60 {
		at = at.Add(every)
		points[k] = append(points[k], point{at, map[bool]float64{true: 3, false: 2}[i < 10]})
	}
	for least, want := range map[string]state{"0": stateOK, "2": stateOK, "3": stateAlarm} {
		for _, how := range readings() {
			_, states := stack(t, map[string]string{"LeastConnections": least}).watch(points,
				subject, fakeworld.Start, at, how)
			check(t, "LeastConnections "+least, want, states["FewerConnectionsAlarm"])
		}
	}
}
