package template

import (
	"math"
	"slices"
	"testing"
	"time"
)

// A small model of how CloudWatch evaluates an alarm, after the user guide:
//
//   - "Evaluating an alarm": Datapoints to Alarm (M) out of Evaluation Periods (N).
//   - "Alarm evaluation windows": the window slides; each evaluation looks at
//     whole periods that end now.
//   - "How alarm state is evaluated when data is missing": more points than N are
//     retrieved (the evaluation range), real points decide before missing ones do.
//   - "Using metric math": FILL, IF, DIFF.
//
// What the guide leaves open is a [reading]; an alarm must hold under each.

type state string

const (
	stateOK           state = "OK"
	stateAlarm        state = "ALARM"
	stateInsufficient state = "INSUFFICIENT_DATA"
)

// reading is one possible meaning of what the user guide leaves open.
type reading struct {
	// beyond is by how many points the evaluation range is longer than N. The
	// guide's example retrieves 5 points for N = 3 and says that the number
	// depends on the period.
	beyond func(n int) int
	// fillsNothing is set where FILL also fills a metric that has no point in the
	// whole range.
	fillsNothing bool
}

func readings() []reading {
	two := func(int) int { return 2 }
	twice := func(n int) int { return max(n, 2) }
	return []reading{{two, false}, {two, true}, {twice, false}, {twice, true}}
}

// ingestion is how long it takes until alarms see the metrics of a log line. AWS promises
// no figure; a minute is usual.
const ingestion = 2 * time.Minute

// point is one value of a metric.
type point struct {
	at    time.Time
	value float64
}

// series is the data that CloudWatch has received, by key, each in the order of its times.
type series map[string][]point

// missing represents a missing data point.
var missing = math.NaN()

func isMissing(v float64) bool { return math.IsNaN(v) }

// statistic is that of the points in the period (end-period, end] that are visible at the
// time now; missing where there are none.
func (s series) statistic(key, stat string, end time.Time, period time.Duration, now time.Time) float64 {
	after, until := end.Add(-period), now.Add(-ingestion)
	if until.After(end) {
		until = end
	}
	var values []float64
	first, _ := slices.BinarySearchFunc(s[key], after, func(p point, at time.Time) int {
		return p.at.Compare(at)
	})
	for _, p := range s[key][first:] {
		if p.at.After(until) {
			break
		}
		if p.at.After(after) {
			values = append(values, p.value)
		}
	}
	if stat == "SampleCount" && len(values) > 0 {
		return float64(len(values))
	}
	if len(values) == 0 {
		return missing
	}
	switch stat {
	case "Minimum":
		return slices.Min(values)
	case "Maximum":
		return slices.Max(values)
	case "Sum":
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		return sum
	}
	panic("no statistic " + stat)
}

// query is one entry of an alarm's metrics: a metric's statistic, or an
// expression over others.
type query struct {
	id, key, stat string
	expression    string
}

// alarm is a metric alarm of the template with its parameters put in.
type alarm struct {
	name       string
	queries    []query // the last is watched
	period     time.Duration
	n, m       int
	comparison string
	threshold  float64
	missing    string
	tells      bool // has actions
	byName     bool // one contributor for each connection
}

// points are the newest count data points at the time now, newest first.
func (a alarm) points(s series, now time.Time, count int, r reading) []float64 {
	values := map[string][]float64{}
	var last []float64
	for _, q := range a.queries {
		last = make([]float64, count)
		if q.expression != "" {
			last = evaluate(q.expression, values, count, r)
		} else {
			for i := range count {
				last[i] = s.statistic(q.key, q.stat, now.Add(-time.Duration(i)*a.period), a.period, now)
			}
		}
		values[q.id] = last
	}
	return last
}

func (a alarm) breaches(v float64) bool {
	switch a.comparison {
	case "LessThanThreshold":
		return v < a.threshold
	case "GreaterThanThreshold":
		return v > a.threshold
	case "GreaterThanOrEqualToThreshold":
		return v >= a.threshold
	}
	panic("no comparison " + a.comparison)
}

// evaluate is the state after an evaluation at the time now.
func (a alarm) evaluate(s series, now time.Time, before state, r reading) state {
	return a.judge(a.points(s, now, a.n+r.beyond(a.n), r), before)
}

// judge is the state by data points, newest first.
func (a alarm) judge(points []float64, before state) state {
	var real []float64
	for _, v := range points {
		if !isMissing(v) {
			real = append(real, v)
		}
	}
	real = real[:min(len(real), a.n)] // with enough of them, the most recent existing points alone count
	breaching := 0
	for _, v := range real {
		if a.breaches(v) {
			breaching++
		}
	}
	filled := a.n - len(real)
	switch {
	case breaching >= a.m:
		return stateAlarm
	case filled == 0:
		return stateOK
	}
	switch a.missing {
	case "breaching":
		if breaching+filled >= a.m {
			return stateAlarm
		}
		return stateOK
	case "notBreaching":
		return stateOK
	case "ignore":
		if len(real) > breaching {
			return stateOK
		}
		return before
	}
	panic("no treatment of missing data " + a.missing)
}

// TestTheModelOfAnAlarmFollowsCloudWatch compares the model with the two tables of the
// user guide. In these, 0 is a point that does not breach, X one that does, - a missing
// one; the newest comes last, and five points are retrieved for N = 3.
func TestTheModelOfAnAlarmFollowsCloudWatch(t *testing.T) {
	t.Parallel()
	const retain = state("retain current state")
	tests := []struct {
		m                               int
		points                          string
		ignore, breaching, notBreaching state
	}{
		{3, "0-X-X", stateOK, stateOK, stateOK},
		{3, "0----", stateOK, stateOK, stateOK},
		{3, "-----", retain, stateAlarm, stateOK},
		{3, "0XX-X", stateAlarm, stateAlarm, stateAlarm},
		{3, "----X", retain, stateAlarm, stateOK},
		{3, "X----", retain, stateAlarm, stateOK},
		{2, "0-X-X", stateAlarm, stateAlarm, stateAlarm},
		{2, "00X0X", stateAlarm, stateAlarm, stateAlarm},
		{2, "0-X--", stateOK, stateAlarm, stateOK},
		{2, "----0", stateOK, stateAlarm, stateOK},
		{2, "----X", retain, stateAlarm, stateOK},
	}
	for _, tt := range tests {
		var points []float64
		for _, c := range tt.points {
			points = append([]float64{map[rune]float64{'0': 0, 'X': 1, '-': missing}[c]}, points...)
		}
		for treatment, want := range map[string]state{"ignore": tt.ignore, "breaching": tt.breaching, "notBreaching": tt.notBreaching} {
			a := alarm{n: 3, m: tt.m, comparison: "GreaterThanThreshold", missing: treatment}
			if got := a.judge(points, retain); got != want {
				t.Errorf("%d of 3, %s, missing data %s: %s, want %s", tt.m, tt.points, treatment, got, want)
			}
		}
	}
}
