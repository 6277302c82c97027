package issue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"evertoken/internal/renew"
	"evertoken/internal/telemetry"
)

const every = 5 * time.Minute

// values are a line's metrics by name.
func values(l telemetry.Line) map[string]float64 {
	out := map[string]float64{}
	for _, m := range l.Metrics {
		out[m.Name] = m.Value
	}
	return out
}

// told returns the metrics of a run over the results: the fleet's, and each connection's
// by name.
func told(results []renew.Result, perConnection int) (fleet map[string]float64,
	connections map[string]map[string]float64) {
	lines := metrics(results, newReport(results, now, false), now, every, 1234*time.Millisecond, perConnection)
	connections = map[string]map[string]float64{}
	for _, l := range lines[1:] {
		connections[l.Dimensions[0].Value] = values(l)
	}
	return values(lines[0]), connections
}

func TestARunWritesTheDocumentedMetrics(t *testing.T) {
	t.Parallel()
	results := oneOfEach()
	results[1].NeedsPersonAt = now.Add(40 * 24 * time.Hour)
	results[4].NeedsPersonAt = now.Add(6 * 24 * time.Hour)
	results[4].CredentialRefused = true
	lines := metrics(results, newReport(results, now, false), now, every, 1234*time.Millisecond, 100)
	want := []telemetry.Line{
		{Metrics: []telemetry.Metric{
			{Name: "Checked", Unit: "Count", Value: 6}, {Name: "Issued", Unit: "Count", Value: 1}, {Name: "Failed", Unit: "Count", Value: 1},
			{Name: "Blocked", Unit: "Count", Value: 1}, {Name: "Deferred", Unit: "Count", Value: 1}, {Name: "CredentialRefused", Unit: "Count", Value: 1},
			{Name: "RemainingOfPromise", Unit: "None", Value: 0}, {Name: "NeedsPersonSeconds", Unit: "Seconds", Value: 6 * 24 * 3600},
			{Name: "RunDuration", Unit: "Milliseconds", Value: 1234},
		}},
		line("blocked", 2, 0, 40*24*3600),
		line("flexera-eu", 1, 0),
		line("apiax-prod", 0, 1190.0/300),
		line("deferred", 0, 3),
		line("fresh", 0, 5, 6*24*3600),
		{Dimensions: []telemetry.Dimension{{Name: "Connection", Value: "waiting"}}, Metrics: []telemetry.Metric{{Name: "Trouble", Unit: "None"}}},
	}
	if diff := cmp.Diff(want, lines, cmpopts.IgnoreFields(telemetry.Line{}, "Properties")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestAConnectionsMetricsTellWhatHappensNext(t *testing.T) {
	t.Parallel()
	results := []renew.Result{{
		Name: "a", Outcome: renew.Fresh, ExpiresAt: now.Add(time.Hour), MinRemaining: time.Minute, RenewAfter: now.Add(30 * time.Minute),
		CredentialEnds: now.Add(14 * 24 * time.Hour), NeedsPersonAt: now.Add(300 * 24 * time.Hour),
	}, {Name: "b", Outcome: renew.Waiting}}
	want := []map[string]string{{
		"outcome": "fresh", "renew_after": "2026-11-21T16:30:00Z", "expires_at": "2026-11-21T17:00:00Z",
		"session_ends_at": "2026-12-05T16:00:00Z", "needs_person_at": "2027-09-17T16:00:00Z",
	}, {"outcome": "waiting"}}
	for i, l := range connectionLines(results, now, every, 100) {
		if diff := cmp.Diff(want[i], l.Properties); diff != "" {
			t.Errorf("%s (-want +got):\n%s", results[i].Name, diff)
		}
	}
}

func line(name string, trouble, promise float64, needsPerson ...float64) telemetry.Line {
	l := telemetry.Line{
		Dimensions: []telemetry.Dimension{{Name: "Connection", Value: name}},
		Metrics:    []telemetry.Metric{{Name: "Trouble", Unit: "None", Value: trouble}, {Name: "RemainingOfPromise", Unit: "None", Value: promise}},
	}
	for _, v := range needsPerson {
		l.Metrics = append(l.Metrics, telemetry.Metric{Name: "NeedsPersonSeconds", Unit: "Seconds", Value: v})
	}
	return l
}

// TestARunWithoutConnectionsReportsNoHealthyFleet: an empty or wrong path must not look
// like a fleet whose tokens all live.
func TestARunWithoutConnectionsReportsNoHealthyFleet(t *testing.T) {
	t.Parallel()
	for name, results := range map[string][]renew.Result{
		"nothing is declared":           nil,
		"nothing but one that waits":    {{Name: "new", Outcome: renew.Waiting}},
		"nothing but a bad declaration": {misconfigured("x", "r", "h")},
	} {
		fleet, _ := told(results, 100)
		if v, ok := fleet["RemainingOfPromise"]; ok {
			t.Errorf("%s: RemainingOfPromise %v", name, v)
		}
		if got, ok := fleet["Checked"]; !ok || got != float64(len(results)) {
			t.Errorf("%s: Checked %v", name, got)
		}
		if _, ok := fleet["NeedsPersonSeconds"]; ok {
			t.Errorf("%s: NeedsPersonSeconds is written without a connection", name)
		}
	}
}

// TestATypingErrorInANewConnectionHidesNothing: a connection that never had a token has
// failed and broken no promise, so the fleet's minimum is still that of the others.
func TestATypingErrorInANewConnectionHidesNothing(t *testing.T) {
	t.Parallel()
	good := renew.Result{Name: "good", Outcome: renew.Fresh, ExpiresAt: now.Add(time.Hour),
		MinRemaining: 10 * time.Minute}
	typo := misconfigured("typo", "r", "h")
	fleet, connections := told([]renew.Result{good, typo}, 100)
	if fleet["RemainingOfPromise"] != 5 || fleet["Failed"] != 1 {
		t.Errorf("fleet %v", fleet)
	}
	if diff := cmp.Diff(map[string]float64{"Trouble": 1}, connections["typo"]); diff != "" {
		t.Errorf("the newcomer (-want +got):\n%s", diff)
	}
	good.ExpiresAt = now.Add(12 * time.Minute)
	if fleet, _ = told([]renew.Result{good, typo}, 100); fleet["RemainingOfPromise"] != 0.2 {
		t.Errorf("a later failure is hidden: %v", fleet)
	}
}

// TestWhatEvertokenRenewsItselfNeedsNoPerson: a session that Evertoken opens again every
// fourteen days does not mask the yearly end of a refresh token.
func TestWhatEvertokenRenewsItselfNeedsNoPerson(t *testing.T) {
	t.Parallel()
	fleet, connections := told([]renew.Result{
		{Name: "apiax", Outcome: renew.Fresh, ExpiresAt: now.Add(time.Hour), MinRemaining: time.Minute, CredentialEnds: now.Add(2 * 24 * time.Hour)},
		{Name: "flexera", Outcome: renew.Fresh, ExpiresAt: now.Add(time.Hour), MinRemaining: time.Minute, CredentialEnds: now.Add(29 * 24 * time.Hour), NeedsPersonAt: now.Add(29 * 24 * time.Hour)},
	}, 100)
	if got := fleet["NeedsPersonSeconds"]; got != 29*24*3600 {
		t.Errorf("NeedsPersonSeconds %v", got)
	}
	if _, ok := connections["apiax"]["NeedsPersonSeconds"]; ok {
		t.Error("apiax needs no person")
	}
	fleet, _ = told([]renew.Result{{NeedsPersonAt: now.Add(-time.Hour)}}, 100)
	if got, ok := fleet["NeedsPersonSeconds"]; !ok || got != 0 {
		t.Errorf("past its end: %v", got)
	}
}

// TestConnectionsInTroubleAlwaysHaveMetrics: metrics cover all connections that need a
// person, whatever their number, and then always the same ones.
func TestConnectionsInTroubleAlwaysHaveMetrics(t *testing.T) {
	t.Parallel()
	fleet := func(edit func([]renew.Result)) []renew.Result {
		var results []renew.Result
		for i := range 5 {
			results = append(results,
				renew.Result{Name: fmt.Sprintf("c-%d", i), Outcome: renew.Fresh,
					ExpiresAt: now.Add(time.Duration(10-i) * time.Hour), MinRemaining: time.Hour})
		}
		if edit != nil {
			edit(results)
		}
		return results
	}
	for name, tt := range map[string]struct {
		results []renew.Result
		most    int
		want    []string
	}{
		"none":                           {fleet(nil), 0, nil},
		"all are well":                   {fleet(nil), 2, []string{"c-0", "c-1"}},
		"all are well, an hour on":       {fleet(func(r []renew.Result) { r[0].ExpiresAt = now.Add(19 * time.Hour) }), 2, []string{"c-0", "c-1"}},
		"no trouble, and metrics of all": {fleet(nil), 500, []string{"c-0", "c-1", "c-2", "c-3", "c-4"}},
		"one has failed":                 {fleet(func(r []renew.Result) { r[2].Outcome = renew.Failed }), 2, []string{"c-2", "c-0"}},
		"one is blocked":                 {fleet(func(r []renew.Result) { r[3].Outcome = renew.Blocked }), 2, []string{"c-3", "c-0"}},
		"a promise is about to break": {fleet(func(r []renew.Result) {
			r[4].Outcome, r[4].ExpiresAt = renew.Deferred, now.Add(time.Hour)
		}), 2, []string{"c-4", "c-0"}},
		"a promise is just kept": {fleet(func(r []renew.Result) {
			r[4].ExpiresAt = now.Add(2*every + time.Hour)
		}), 2, []string{"c-0", "c-1"}},
		"the least life first, never a token last": {append(fleet(func(r []renew.Result) {
			r[1].Outcome, r[3].Outcome = renew.Failed, renew.Failed
		}), misconfigured("a-newcomer", "r", "h")), 3, []string{"c-3", "c-1", "a-newcomer"}},
		"a newcomer that failed, before those that are well": {append(fleet(nil), misconfigured("newcomer", "r", "h")), 2, []string{"newcomer", "c-0"}},
		"more in need than have a line": {fleet(func(r []renew.Result) {
			for i := range r {
				r[i].Outcome = renew.Failed
			}
		}), 2, []string{"c-4", "c-3"}},
	} {
		var got []string
		for _, l := range connectionLines(tt.results, now, every, tt.most) {
			got = append(got, l.Dimensions[0].Value)
			if len(l.Metrics) > 3 {
				t.Errorf("%s: %d metrics of %s", name, len(l.Metrics), l.Dimensions[0].Value)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRemainingOfPromiseLooksTwoHeartbeatsAhead(t *testing.T) {
	t.Parallel()
	token := func(left, min time.Duration) renew.Result {
		return renew.Result{ExpiresAt: now.Add(left), MinRemaining: min}
	}
	due := func(r renew.Result, left time.Duration) renew.Result {
		r.RenewAfter = r.ExpiresAt.Add(-left)
		return r
	}
	const m = time.Minute
	tests := []struct {
		name   string
		result renew.Result
		want   float64
	}{
		{"one hour, promised ten minutes", token(60*m, 10*m), 5},
		{"after two heartbeats just what is promised", token(20*m, 10*m), 1},
		{"after two heartbeats half of it", token(15*m, 10*m), 0.5},
		{"after two heartbeats dead", token(10*m, 10*m), 0},
		{"dead", token(-60*m, 10*m), 0},
		{"renewed 25 minutes before its end, two heartbeats are looked ahead", due(token(25*m, 10*m), 25*m), 1.5},
		{"just not due, and less than two heartbeats to its promise", due(token(15*m, 10*m), 15*m), 1},
		{"due, and not renewed", due(token(14*m, 10*m), 15*m), 0.9},
		{"renewed when the promise is already broken", due(token(8*m, 10*m), 8*m), 0.8},
	}
	for _, tt := range tests {
		if got, ok := remainingOfPromise(tt.result, now, every); got != tt.want || !ok {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	for name, r := range map[string]renew.Result{
		"nothing is known": {Outcome: renew.Failed},
		"no token":         {MinRemaining: 10 * m},
		"no promise":       token(60*m, 0),
	} {
		if v, ok := remainingOfPromise(r, now, every); ok {
			t.Errorf("%s: %v of the promise remains", name, v)
		}
	}
}
