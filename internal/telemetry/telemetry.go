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

// Namespace is that of all metrics.
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

// Metrics writes metrics. Its dimension is the function alone: a dimension per
// connection would be charged per connection, and the log has those figures.
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

// Write writes one line with all the metrics. The line has a level and a
// timestamp of its own: Lambda drops what is below the log level, and takes a
// line without one for INFO.
func (m *Metrics) Write(metrics []Metric) error {
	now := m.now().UTC()
	directive := emfDirective{Namespace: Namespace, Dimensions: [][]string{{"FunctionName"}}}
	line := map[string]any{"FunctionName": m.function, "level": "INFO", "timestamp": now.Format(time.RFC3339)}
	for _, metric := range metrics {
		directive.Metrics = append(directive.Metrics, emfMetric{metric.Name, metric.Unit})
		line[metric.Name] = metric.Value
	}
	line["_aws"] = map[string]any{"Timestamp": now.UnixMilli(), "CloudWatchMetrics": []emfDirective{directive}}
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encoding metrics: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}
