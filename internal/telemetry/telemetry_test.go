package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/telemetry"
)

func now() time.Time { return time.Date(2026, 11, 21, 17, 0, 0, 123456789, time.FixedZone("", 3600)) }

var run = []telemetry.Metric{
	{Name: "Issued", Unit: telemetry.Count, Value: 3},
	{Name: "RemainingOfPromise", Unit: telemetry.None, Value: 1.5},
	{Name: "CredentialSecondsLeft", Unit: telemetry.Seconds, Value: 0},
	{Name: "RunDuration", Unit: telemetry.Milliseconds, Value: 182},
}

func TestMetricsLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := telemetry.NewMetrics(&out, "evertoken-issue", now).Write(run); err != nil {
		t.Fatalf("Write: %v", err)
	}
	want := `{"CredentialSecondsLeft":0,"FunctionName":"evertoken-issue","Issued":3,"RemainingOfPromise":1.5,"RunDuration":182,` +
		`"_aws":{"CloudWatchMetrics":[{"Namespace":"Evertoken","Dimensions":[["FunctionName"]],"Metrics":[` +
		`{"Name":"Issued","Unit":"Count"},{"Name":"RemainingOfPromise","Unit":"None"},{"Name":"CredentialSecondsLeft","Unit":"Seconds"},{"Name":"RunDuration","Unit":"Milliseconds"}]}],` +
		`"Timestamp":1795276800123},"level":"INFO","timestamp":"2026-11-21T16:00:00Z"}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// The rules of the embedded metric format, from its specification
// (CloudWatch_Embedded_Metric_Format_Specification in the CloudWatch user guide).
func TestMetricsKeepTheRulesOfTheFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := telemetry.NewMetrics(&out, "", now).Write(run); err != nil {
		t.Fatalf("Write: %v", err)
	}
	line := out.String()
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 256*1024 {
		t.Fatalf("not one line of at most 256 KiB: %q", line)
	}
	var root map[string]any
	if err := json.Unmarshal([]byte(line), &root); err != nil {
		t.Fatalf("not one JSON object: %v", err)
	}
	var meta struct {
		AWS struct {
			Timestamp         *int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal([]byte(line), &meta); err != nil {
		t.Fatalf("the metadata has another shape: %v", err)
	}
	if meta.AWS.Timestamp == nil || *meta.AWS.Timestamp != now().UnixMilli() {
		t.Errorf("Timestamp is not the time in milliseconds: %v", meta.AWS.Timestamp)
	}
	if len(meta.AWS.CloudWatchMetrics) == 0 {
		t.Fatal("no directive")
	}
	units := regexp.MustCompile(`^(Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|Terabits|Percent|Count|(Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|Megabits|Gigabits|Terabits|Count)/Second|None)$`)
	for _, d := range meta.AWS.CloudWatchMetrics {
		if len(d.Namespace) < 1 || len(d.Namespace) > 1024 || len(d.Dimensions) < 1 || len(d.Metrics) > 100 {
			t.Errorf("directive out of bounds: %+v", d)
		}
		for _, set := range d.Dimensions {
			if len(set) > 30 {
				t.Errorf("%d dimensions in a set", len(set))
			}
			for _, name := range set {
				value, ok := root[name].(string)
				if !ok || value == "" || len(value) > 1024 {
					t.Errorf("dimension %s has the value %v", name, root[name])
				}
			}
		}
		for _, m := range d.Metrics {
			if _, ok := root[m.Name].(float64); !ok || !units.MatchString(m.Unit) {
				t.Errorf("metric %s in %s has the value %v", m.Name, m.Unit, root[m.Name])
			}
		}
	}
	if root["level"] != "INFO" || root["timestamp"] != "2026-11-21T16:00:00Z" {
		t.Errorf("level %v, timestamp %v: Lambda may drop the line", root["level"], root["timestamp"])
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

func TestMetricsErrors(t *testing.T) {
	t.Parallel()
	if err := telemetry.NewMetrics(full{}, "f", now).Write(run); err == nil || err.Error() != "writing metrics: no space" {
		t.Errorf("error of a full device: %v", err)
	}
	var out bytes.Buffer
	err := telemetry.NewMetrics(&out, "f", now).Write([]telemetry.Metric{{Name: "N", Unit: telemetry.Count, Value: math.NaN()}})
	if err == nil || out.Len() > 0 {
		t.Errorf("a value that JSON cannot hold: %v, wrote %q", err, out.String())
	}
}
