package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/telemetry"
)

// said is the output of a run over one of each connection: the series of metrics, and the
// fields of the log.
func said(t *testing.T) (metrics series, fields set) {
	t.Helper()
	tr := newTrace(t, "60-minute", parse(t, "5m"))
	tr.All()
	tr.Declare("typo", map[string]any{"provider": "apix"})
	tr.run()
	fields = set{}
	for line := range strings.Lines(tr.Log.String() + tr.Metrics.String()) {
		var root map[string]any
		if err := json.Unmarshal([]byte(line), &root); err != nil {
			t.Fatal(err)
		}
		for name := range root {
			if name == "msg" {
				name = "message" // so Lambda's own logger calls it
			}
			fields[name] = true
		}
	}
	return tr.series, fields
}

// widgets are the dashboard's.
type widget struct {
	Type                string
	X, Y, Width, Height int
	Properties          struct {
		Title, Query string
		Alarms       []string
		Metrics      [][]any
	}
}

func dashboard(t *testing.T) []widget {
	t.Helper()
	r := stack(t, nil)
	text := r.text(r.template.get("Resources", "Dashboard", "Properties", "DashboardBody").value)
	var body struct{ Widgets []widget }
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("the dashboard is no JSON: %v", err)
	}
	if len(body.Widgets) == 0 {
		t.Fatal("the dashboard is empty")
	}
	return body.Widgets
}

// providedByAWS are the metrics of AWS itself that the dashboard shows.
var providedByAWS = []string{
	"AWS/Lambda Duration", "AWS/Lambda Errors", "AWS/Lambda Throttles", "AWS/Lambda AsyncEventsDropped",
	"AWS/SQS ApproximateNumberOfMessagesVisible",
}

var searchRE = regexp.MustCompile(`^SEARCH\('\{Evertoken,FunctionName,Connection\} FunctionName="IssueFunction" MetricName="(\w+)"', 'Minimum', 300\)$`)

// TestTheDashboardShowsWrittenMetricsAndEveryAlarm: each metric that it shows is one that
// the function writes, each alarm is one of the template's, and it has every alarm that
// notifies a person.
func TestTheDashboardShowsWrittenMetricsAndEveryAlarm(t *testing.T) {
	t.Parallel()
	metrics, _ := said(t)
	shown := set{}
	for _, w := range dashboard(t) {
		if w.X < 0 || w.X+w.Width > 24 || w.Width < 1 || w.Height < 1 {
			t.Errorf("%s is not within the 24 columns", w.Properties.Title)
		}
		for _, alarm := range w.Properties.Alarms {
			shown[strings.TrimSuffix(alarm, ".Arn")] = true
		}
		for _, m := range w.Properties.Metrics {
			checkMetric(t, m, metrics)
		}
	}
	r, want := stack(t, nil), set{"NothingRanAlarm": true}
	for id, a := range r.alarms() {
		if a.tells {
			want[id] = true
		}
	}
	check(t, "the alarms on the dashboard", slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(shown)))
}

func checkMetric(t *testing.T, entry []any, metrics series) {
	t.Helper()
	if options, ok := entry[0].(map[string]any); ok {
		expression := fmt.Sprint(options["expression"])
		if m := searchRE.FindStringSubmatch(expression); m != nil {
			if len(metrics[key("Evertoken", m[1], "IssueFunction/"+subject)]) == 0 {
				t.Errorf("no connection has the metric %s", m[1])
			}
		} else if expression != "m1 / 86400" {
			t.Errorf("an expression that this test does not know: %s", expression)
		}
		return
	}
	if len(entry) < 4 {
		t.Fatalf("not a metric with one dimension: %v", entry)
	}
	namespace, name, dimension, value := fmt.Sprint(entry[0]), fmt.Sprint(entry[1]), fmt.Sprint(entry[2]), fmt.Sprint(entry[3])
	if slices.Contains(providedByAWS, namespace+" "+name) {
		return
	}
	if dimension != "FunctionName" || len(metrics[key(namespace, name, value)]) == 0 {
		t.Errorf("no function writes %s of %s %s", name, dimension, value)
	}
}

// TestTheDashboardsQueriesUseLoggedMembers: a query names only fields of the functions'
// log lines, or its own.
func TestTheDashboardsQueriesUseLoggedMembers(t *testing.T) {
	t.Parallel()
	_, fields := said(t)
	for _, name := range []string{"grant_type", "hint", "error_class", "connection", "took_ms", "aws_calls", "aws_writes", "host", "status", "session_ends_at"} {
		if !fields[name] && !slices.Contains([]string{"aws_calls", "aws_writes", "host", "status"}, name) {
			t.Errorf("nothing logs %s", name)
		}
	}
	// The code that wires the real clients writes these, and has its own tests.
	for _, name := range []string{"aws_calls", "aws_writes", "host", "status"} {
		fields[name] = true
	}
	queries := map[string]string{}
	resources := load(t).get("Resources")
	for _, id := range resources.members() {
		if resources.get(id, "Type").text() == "AWS::Logs::QueryDefinition" {
			queries[id] = resources.get(id, "Properties", "QueryString").text()
		}
	}
	inDashboard := 0
	for _, w := range dashboard(t) {
		if w.Type != "log" {
			continue
		}
		_, query, found := strings.Cut(w.Properties.Query, " | ")
		if !found || !strings.HasPrefix(w.Properties.Query, "SOURCE '") {
			t.Errorf("%s has no source", w.Properties.Title)
		}
		inDashboard++
		if !slices.Contains(slices.Collect(maps.Values(queries)), query) {
			t.Errorf("%s is not also a saved query: %s", w.Properties.Title, query)
		}
	}
	if inDashboard < 4 || len(queries) < 6 {
		t.Errorf("%d queries, %d of them on the dashboard", len(queries), inDashboard)
	}
	for id, query := range queries {
		for _, word := range unknown(query, fields) {
			t.Errorf("%s asks for %s, which nothing logs", id, word)
		}
	}
}

// words of CloudWatch Logs Insights.
var words = strings.Fields(`fields filter stats sort limit by as and or in like desc asc count max pct latest bin ispresent 1h`)

// unknown are the words of a query that are neither fields nor the language's.
func unknown(query string, fields set) []string {
	query = regexp.MustCompile(`"[^"]*"|/[^/]+/`).ReplaceAllString(query, "")
	own := set{}
	for _, m := range regexp.MustCompile(`\bas (\w+)`).FindAllStringSubmatch(query, -1) {
		own[m[1]] = true
	}
	var out []string
	for _, word := range regexp.MustCompile(`@?\b[A-Za-z_]\w*`).FindAllString(query, -1) {
		if word[0] != '@' && !fields[word] && !own[word] && !slices.Contains(words, word) {
			out = append(out, word)
		}
	}
	return out
}

func TestAQuerysUnknownWordsAreFound(t *testing.T) {
	t.Parallel()
	got := unknown(`filter message = "x y" and mesage like /z/ | stats latest(a) as b by c | sort b, @timestamp`, set{"message": true, "a": true})
	check(t, "unknown words", []string{"mesage", "c"}, got)
}

// TestEveryMetricIsOneOfTheREADME keeps the list of metrics complete: a run writes
// exactly the metrics that the README names, and at most three of each connection.
func TestEveryMetricIsOneOfTheREADME(t *testing.T) {
	t.Parallel()
	metrics, _ := said(t)
	fleet, connection := set{}, set{}
	for k := range metrics {
		parts := strings.Fields(k)
		if parts[0] != telemetry.Namespace {
			continue
		}
		if strings.Contains(parts[2], "/") {
			connection[parts[1]] = true
		} else {
			fleet[parts[1]] = true
		}
	}
	check(t, "the fleet's metrics", []string{
		"Blocked", "Checked", "CredentialRefused", "Deferred", "Failed", "Issued", "NeedsPersonSeconds", "RemainingOfPromise", "RunDuration",
	}, slices.Sorted(maps.Keys(fleet)))
	check(t, "a connection's metrics",
		[]string{"NeedsPersonSeconds", "RemainingOfPromise",
			"Trouble"}, slices.Sorted(maps.Keys(connection)))
}

// TestTheMetricsOfARunMatchAWSsSchema: AWS's schema of the embedded metric format accepts
// the lines of a run over one of each connection.
func TestTheMetricsOfARunMatchAWSsSchema(t *testing.T) {
	t.Parallel()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	schema, err := compiler.Compile(root + "/internal/telemetry/testdata/emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	w := fakeworld.New(t)
	w.Config.ConnectionMetrics = 100
	names := w.All()
	w.Declare("typo", map[string]any{"provider": "apix"})
	w.Run(issue.Event{})
	lines := strings.Split(strings.TrimSuffix(w.Metrics.String(), "\n"), "\n")
	check(t, "lines", len(names)+2, len(lines))
	for _, line := range lines {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}
