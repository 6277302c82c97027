package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"evertoken/internal/telemetry"
)

func now() time.Time { return time.Date(2026, 11, 21, 17, 0, 0, 123456789, time.FixedZone("", 3600)) }

var run = telemetry.Line{Metrics: []telemetry.Metric{
	{Name: "Issued", Unit: telemetry.Count, Value: 3},
	{Name: "RemainingOfPromise", Unit: telemetry.None, Value: 1.5},
	{Name: "NeedsPersonSeconds", Unit: telemetry.Seconds, Value: 0},
	{Name: "RunDuration", Unit: telemetry.Milliseconds, Value: 182},
}}

var one = telemetry.Line{
	Dimensions: []telemetry.Dimension{{Name: "Connection", Value: "apiax-prod"}},
	Metrics:    []telemetry.Metric{{Name: "Trouble", Unit: telemetry.None, Value: 2}},
	Properties: map[string]string{"expires_at": "2026-11-21T17:00:00Z"},
}

func TestMetricsAreOneLineInTheEmbeddedFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := telemetry.NewMetrics(&out, "evertoken-issue", now).Write(run, one); err != nil {
		t.Fatalf("Write: %v", err)
	}
	want := `{"FunctionName":"evertoken-issue","Issued":3,"NeedsPersonSeconds":0,"RemainingOfPromise":1.5,"RunDuration":182,` +
		`"_aws":{"CloudWatchMetrics":[{"Namespace":"Evertoken","Dimensions":[["FunctionName"]],"Metrics":[` +
		`{"Name":"Issued","Unit":"Count"},{"Name":"RemainingOfPromise","Unit":"None"},{"Name":"NeedsPersonSeconds","Unit":"Seconds"},{"Name":"RunDuration","Unit":"Milliseconds"}]}],` +
		`"Timestamp":1795276800123},"level":"INFO","timestamp":"2026-11-21T16:00:00Z"}` + "\n" +
		`{"Connection":"apiax-prod","FunctionName":"evertoken-issue","Trouble":2,` +
		`"_aws":{"CloudWatchMetrics":[{"Namespace":"Evertoken","Dimensions":[["FunctionName","Connection"]],"Metrics":[{"Name":"Trouble","Unit":"None"}]}],` +
		`"Timestamp":1795276800123},"expires_at":"2026-11-21T17:00:00Z","level":"INFO","timestamp":"2026-11-21T16:00:00Z"}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// emfSchema is AWS's schema. It names no draft; its fragments as $id are those of
// draft 7 and before.
func emfSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	schema, err := compiler.Compile("testdata/emf.schema.json")
	if err != nil {
		t.Fatalf("the schema: %v", err)
	}
	return schema
}

// keepsTheFormat checks a line by the JSON Schema that AWS publishes, and by the rules
// that only the specification's text has.
func keepsTheFormat(t *testing.T, line string) {
	t.Helper()
	schema := emfSchema(t)
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		t.Fatalf("not one JSON value: %v in %q", err, line)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("%v in %s", err, line)
	}
	var root map[string]any
	var meta struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	if err := errors.Join(json.Unmarshal([]byte(line), &root), json.Unmarshal([]byte(line), &meta)); err != nil {
		t.Fatal(err)
	}
	if len(meta.AWS.CloudWatchMetrics) == 0 {
		t.Error("no directive")
	}
	for _, d := range meta.AWS.CloudWatchMetrics {
		if len(d.Metrics) > 100 {
			t.Errorf("%d metrics in a directive", len(d.Metrics))
		}
		for _, name := range slices.Concat(d.Dimensions...) {
			if value, ok := root[name].(string); !ok || value == "" || len(value) > 1024 {
				t.Errorf("dimension %s has the value %v", name, root[name])
			}
		}
		for _, m := range d.Metrics {
			if _, ok := root[m.Name].(float64); !ok {
				t.Errorf("metric %s has the value %v", m.Name, root[m.Name])
			}
		}
	}
	if len(line) > 256*1024 {
		t.Errorf("%d bytes", len(line))
	}
	// Lambda drops what is below the log level and takes no level for INFO.
	if root["level"] != "INFO" || root["timestamp"] != "2026-11-21T16:00:00Z" {
		t.Errorf("level %v, timestamp %v", root["level"], root["timestamp"])
	}
}

func TestMetricsMatchAWSsSchema(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := telemetry.NewMetrics(&out, "", now).Write(run, one); err != nil {
		t.Fatalf("Write: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines in %q", len(lines), out.String())
	}
	for _, line := range lines {
		keepsTheFormat(t, line)
	}
}

// TestAWSsSchemaRefusesAWrongLine: a schema that accepts everything would check nothing.
func TestAWSsSchemaRefusesAWrongLine(t *testing.T) {
	t.Parallel()
	schema := emfSchema(t)
	for _, line := range []string{
		`{}`, `[]`,
		`{"_aws":{"CloudWatchMetrics":[]}}`,
		`{"_aws":{"Timestamp":1.5,"CloudWatchMetrics":[]}}`,
		`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"","Dimensions":[["F"]],"Metrics":[]}]}}`,
		`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[],"Metrics":[]}]}}`,
		`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["F"]],"Metrics":[{"Unit":"Count"}]}]}}`,
		`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["F"]],"Metrics":[{"Name":"M","Unit":"Tokens"}]}]}}`,
	} {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(document) == nil {
			t.Errorf("accepted: %s", line)
		}
	}
}

func TestNoLineIsWrittenIfOneCannotBeEncoded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	bad := telemetry.Line{Metrics: []telemetry.Metric{{Name: "N", Unit: telemetry.Count, Value: math.NaN()}}}
	if err := telemetry.NewMetrics(&out, "f", now).Write(run, bad); err == nil || out.Len() > 0 {
		t.Errorf("error %v, wrote %q", err, out.String())
	}
}

func TestMetricsFromSeveralGoroutinesStayWholeLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := telemetry.NewMetrics(&out, "f", now)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if err := m.Write(run); err != nil {
				t.Errorf("Write: %v", err)
			}
		})
	}
	wait.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 20 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("torn line %q", line)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestAMetricThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	if err := telemetry.NewMetrics(full{}, "f", now).Write(run); err == nil ||
		err.Error() != "writing metrics: no space" {
		t.Errorf("error of a full device: %v", err)
	}
}
