package template

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// resolver reads the template for a stack in which every condition is true.
type resolver struct{ *evaluator }

// stack is the template with the given parameters, and the defaults of the others.
func stack(t *testing.T, parameters map[string]string) resolver {
	t.Helper()
	r := newEvaluator(t, load(t), "evertoken", parameters)
	r.everything, r.bare = true, true
	return resolver{r}
}

// text resolves a text or an intrinsic function. A reference to a resource is its logical
// id.
func (r resolver) text(value any) string {
	return fmt.Sprint(r.value(value))
}

func (r resolver) number(value any) int {
	r.t.Helper()
	n, err := strconv.Atoi(r.text(value))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// alarms are the stack's metric alarms by logical id.
func (r resolver) alarms() map[string]alarm {
	r.t.Helper()
	out := map[string]alarm{}
	resources := r.template.get("Resources")
	for _, id := range resources.members() {
		if resources.get(id, "Type").text() == "AWS::CloudWatch::Alarm" {
			out[id] = r.alarm(id, resources.get(id, "Properties"))
		}
	}
	return out
}

func (r resolver) alarm(id string, properties node) alarm {
	r.t.Helper()
	has := properties.members()
	a := alarm{
		name: id, n: r.number(properties.get("EvaluationPeriods").value), m: r.number(properties.get("DatapointsToAlarm").value),
		threshold: float64(r.number(properties.get("Threshold").value)), comparison: properties.get("ComparisonOperator").text(),
		missing: properties.get("TreatMissingData").text(), tells: slices.Contains(has, "AlarmActions"),
	}
	if !slices.Contains(has, "Metrics") {
		a.period = time.Duration(r.number(properties.get("Period").value)) * time.Second
		a.queries = []query{{id: "m", key: r.series(properties, properties),
			stat: properties.get("Statistic").text()}}
		return a
	}
	queries, ok := properties.get("Metrics").value.([]any)
	if !ok {
		r.t.Fatalf("the metrics of %s are no list", id)
	}
	for i, q := range queries {
		entry := node{r.t, fmt.Sprintf("%s.Metrics[%d]", properties.path, i), q}
		if watched := entry.get("ReturnData").text() == "true"; watched != (i == len(queries)-1) {
			r.t.Errorf("%s watches another metric than its last", id)
		}
		if !slices.Contains(entry.members(), "MetricStat") {
			a.queries = append(a.queries, r.expression(&a, entry))
			continue
		}
		stat := entry.get("MetricStat")
		a.period = time.Duration(r.number(stat.get("Period").value)) * time.Second
		a.queries = append(a.queries,
			query{id: entry.get("Id").text(), key: r.series(stat.get("Metric"), stat),
				stat: stat.get("Stat").text()})
	}
	return a
}

var insightsRE = regexp.MustCompile(`^SELECT (MIN|MAX)\((\w+)\) FROM SCHEMA\("Evertoken", FunctionName, Connection\) ` +
	`WHERE FunctionName = '(\w+)' GROUP BY Connection ORDER BY (MIN|MAX)\(\) (ASC|DESC)$`)

// expression is an entry of metric math, or a Metrics Insights query for the series of
// all connections.
func (r resolver) expression(a *alarm, entry node) query {
	r.t.Helper()
	text := r.text(entry.get("Expression").value)
	if !strings.HasPrefix(text, "SELECT ") {
		return query{id: entry.get("Id").text(), expression: text}
	}
	m := insightsRE.FindStringSubmatch(text)
	if m == nil || m[1] != m[4] {
		r.t.Fatalf("%s asks in another way than the model knows: %s", a.name, text)
	}
	a.byName, a.period = true, time.Duration(r.number(entry.get("Period").value))*time.Second
	return query{id: entry.get("Id").text(), key: key("Evertoken", m[2], m[3]) + "/",
		stat: map[string]string{"MIN": "Minimum", "MAX": "Maximum"}[m[1]]}
}

// series is the key of a metric with one dimension.
func (r resolver) series(metric, _ node) string {
	r.t.Helper()
	dimensions, ok := metric.get("Dimensions").value.([]any)
	if !ok || len(dimensions) != 1 {
		r.t.Fatalf("%s has not one dimension", metric.path)
	}
	dimension := node{r.t, metric.path, dimensions[0]}
	return key(metric.get("Namespace").text(), metric.get("MetricName").text(),
		r.text(dimension.get("Value").value))
}

// key is that of a series: its namespace, name and the value of its dimension. A
// connection's name follows after a slash.
func key(namespace, name, of string) string { return namespace + " " + name + " " + of }

// told has the alarms that notify a person, the composite one included, each with the
// moment at which it went into ALARM.
type told map[string]time.Time

// watch evaluates all alarms each minute from the first moment to the last, and returns
// when each that notifies a person first went into ALARM. An alarm for one connection
// watches the one called name.
func (r resolver) watch(s series, name string, from, to time.Time, how reading) (told, map[string]state) {
	alarms, states, first := r.alarms(), map[string]state{}, told{}
	for id := range alarms {
		states[id] = stateInsufficient
	}
	for now := from.Truncate(time.Minute); !now.After(to); now = now.Add(time.Minute) {
		for id, a := range alarms {
			if a.byName {
				a = a.of(name)
			}
			states[id] = a.evaluate(s, now, states[id], how)
			if a.tells && states[id] == stateAlarm && first[id].IsZero() {
				first[id] = now
			}
		}
		if states["SilenceAlarm"] == stateAlarm && states["HasRunAlarm"] == stateOK &&
			first["NothingRanAlarm"].IsZero() {
			first["NothingRanAlarm"] = now
		}
	}
	return first, states
}

// of is a contributor of an alarm by name.
func (a alarm) of(name string) alarm {
	a.queries = slices.Clone(a.queries)
	a.queries[0].key += name
	return a
}

// TestTheModelKnowsTheCompositeAlarm: the model knows one composite alarm, and its rule.
func TestTheModelKnowsTheCompositeAlarm(t *testing.T) {
	t.Parallel()
	r := stack(t, nil)
	check(t, "the rule", `ALARM("SilenceAlarm") AND OK("HasRunAlarm")`,
		r.text(r.template.get("Resources", "NothingRanAlarm", "Properties", "AlarmRule").value))
}

// TestEveryAlarmReportsItsStartAndItsEnd: an alarm that notifies when it fires also
// notifies when it ends, and says what to do first and where to read more.
func TestEveryAlarmReportsItsStartAndItsEnd(t *testing.T) {
	t.Parallel()
	r := stack(t, nil)
	resources := r.template.get("Resources")
	runbook := read(t, "docs/operations.md")
	for _, id := range resources.members() {
		if kind := resources.get(id, "Type").text(); kind != "AWS::CloudWatch::Alarm" &&
			kind != "AWS::CloudWatch::CompositeAlarm" {
			continue
		}
		properties := resources.get(id, "Properties")
		text := r.text(properties.get("AlarmDescription").value)
		if len(text) > 1024 {
			t.Errorf("%s has a description of %d characters, of 1024", id, len(text))
		}
		if id == "SilenceAlarm" || id == "HasRunAlarm" {
			check(t, id+" has actions", false, slices.Contains(properties.members(), "AlarmActions"))
			continue
		}
		check(t, id+" OKActions", properties.get("AlarmActions").value, properties.get("OKActions").value)
		// The section and the command have lines of their own. The command comes last, so that
		// an operator copies no other text with it.
		_, first, _ := strings.Cut(text, "\nRunbook: docs/operations.md, "+id+".\nFirst, ")
		if _, command, _ := strings.Cut(first, ":\n"); command == "" || strings.Contains(command, "\n") {
			t.Errorf("%s names no section or no first command on lines of their own: %s", id, text)
		}
		_, section, found := strings.Cut(runbook, "\n### "+id+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		for _, part := range []string{"**Means.**", "**See.**", "**Do.**", "**Verify.**"} {
			if !found || !strings.Contains(section, part) {
				t.Errorf("docs/operations.md has no section %s with %s", id, part)
			}
		}
	}
}
