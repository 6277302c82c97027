// Package telemetry writes what an operator sees: JSON log lines and metrics in
// CloudWatch's embedded metric format. Both go to standard output, which Lambda
// sends to CloudWatch Logs.
package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger returns the logger of Lambda's own library: JSON with level,
// timestamp and request id, at AWS_LAMBDA_LOG_LEVEL.
func NewLogger() *slog.Logger { return lambdacontext.NewLogger() }

// Namespace is the CloudWatch namespace of all metrics.
const Namespace = "Evertoken"

// Units as CloudWatch names them.
const (
	Count        = "Count"
	None         = "None"
	Seconds      = "Seconds"
	Milliseconds = "Milliseconds"
)

// Metric is one value of a run.
type Metric struct {
	Name  string
	Unit  string
	Value float64
}

// Dimension is a name and a value that, beside the function's name, identify the series of
// a line's metrics. CloudWatch charges for each metric of each value.
type Dimension struct{ Name, Value string }

// Line is one line of the embedded metric format: metrics with the same dimensions.
type Line struct {
	// Dimensions are added to FunctionName, which every line has.
	Dimensions []Dimension
	Metrics    []Metric
	// Properties are further members of the log line. They are not metrics: queries over
	// the log find them, and they cost nothing.
	Properties map[string]string
}

// Metrics writes metrics.
type Metrics struct {
	mu       sync.Mutex
	w        io.Writer
	function string
	now      func() time.Time
}

// NewMetrics returns metrics for the function, written to w.
func NewMetrics(w io.Writer, function string, now func() time.Time) *Metrics {
	if function == "" {
		function = "evertoken"
	}
	return &Metrics{w: w, function: function, now: now}
}

type emfMetric struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

type emfDirective struct {
	Namespace  string      `json:"Namespace"`
	Dimensions [][]string  `json:"Dimensions"`
	Metrics    []emfMetric `json:"Metrics"`
}

// Write writes the lines, or none of them if one cannot be encoded.
func (m *Metrics) Write(lines ...Line) error {
	now := m.now().UTC()
	var out []byte
	for _, line := range lines {
		b, err := m.encode(line, now)
		if err != nil {
			return fmt.Errorf("encoding metrics: %w", err)
		}
		out = append(append(out, b...), '\n')
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.w.Write(out); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}

// encode encodes a line. It has a level and a timestamp of its own: Lambda drops
// what is below the log level, and takes a line without a level for INFO.
func (m *Metrics) encode(line Line, now time.Time) ([]byte, error) {
	root := map[string]any{"FunctionName": m.function, "level": "INFO",
		"timestamp": now.Format(time.RFC3339)}
	names := []string{"FunctionName"}
	for _, d := range line.Dimensions {
		names = append(names, d.Name)
		root[d.Name] = d.Value
	}
	for name, value := range line.Properties {
		root[name] = value
	}
	directive := emfDirective{Namespace: Namespace, Dimensions: [][]string{names}}
	for _, metric := range line.Metrics {
		directive.Metrics = append(directive.Metrics, emfMetric{metric.Name, metric.Unit})
		root[metric.Name] = metric.Value
	}
	root["_aws"] = map[string]any{"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []emfDirective{directive}}
	return json.Marshal(root)
}
