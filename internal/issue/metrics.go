package issue

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"evertoken/internal/renew"
	"evertoken/internal/telemetry"
)

// The values of a connection's metric Trouble.
const (
	noTrouble      = 0
	failedTrouble  = 1
	blockedTrouble = 2
)

// metrics are the lines that a run over all connections writes for CloudWatch: one for the
// fleet, and one for each of at most perConnection connections.
//
// The fleet's line leaves out what is not known. In particular it has no
// RemainingOfPromise if no connection has a token. A run over nothing is not a healthy
// fleet; and a connection that never had a token has failed, but has broken no promise.
func metrics(results []renew.Result, report Report, now time.Time, every, took time.Duration,
	perConnection int,
) []telemetry.Line {
	fleet := []telemetry.Metric{
		{Name: "Checked", Unit: telemetry.Count, Value: float64(report.Checked)},
		{Name: "Issued", Unit: telemetry.Count, Value: float64(report.Issued)},
		{Name: "Failed", Unit: telemetry.Count, Value: float64(report.Failed)},
		{Name: "Blocked", Unit: telemetry.Count, Value: float64(report.Blocked)},
		{Name: "Deferred", Unit: telemetry.Count, Value: float64(report.Deferred)},
	}
	refused := 0
	var promise, needsPerson []float64
	for _, r := range results {
		if r.CredentialRefused {
			refused++
		}
		if v, ok := remainingOfPromise(r, now, every); ok {
			promise = append(promise, v)
		}
		if v, ok := needsPersonSeconds(r, now); ok {
			needsPerson = append(needsPerson, v)
		}
	}
	fleet = append(fleet,
		telemetry.Metric{Name: "CredentialRefused", Unit: telemetry.Count, Value: float64(refused)})
	if len(promise) > 0 {
		fleet = append(fleet, telemetry.Metric{Name: "RemainingOfPromise", Unit: telemetry.None,
			Value: slices.Min(promise)})
	}
	if len(needsPerson) > 0 {
		fleet = append(fleet, telemetry.Metric{Name: "NeedsPersonSeconds", Unit: telemetry.Seconds,
			Value: slices.Min(needsPerson)})
	}
	fleet = append(fleet, telemetry.Metric{Name: "RunDuration", Unit: telemetry.Milliseconds,
		Value: float64(took.Milliseconds())})
	return append([]telemetry.Line{{Metrics: fleet}},
		connectionLines(results, now, every, perConnection)...)
}

// connectionLines are the lines of at most so many connections: of those in trouble first,
// and then of the first by name. The latter are the same in every run, because CloudWatch
// charges for each connection that had a line within an hour, and a choice by life would
// go round the whole fleet. A connection that is no longer in trouble has no line any
// more. The alarms read that as good news (TreatMissingData of notBreaching).
func connectionLines(results []renew.Result, now time.Time, every time.Duration,
	most int,
) []telemetry.Line {
	chosen := slices.Clone(results)
	need := make(map[string]bool, len(results))
	for _, r := range results {
		need[r.Name] = inNeed(r, now, every)
	}
	slices.SortStableFunc(chosen, func(a, b renew.Result) int {
		switch {
		case need[a.Name] != need[b.Name]:
			return before(need[a.Name])
		case !need[a.Name]:
			return strings.Compare(a.Name, b.Name)
		case a.ExpiresAt.IsZero() != b.ExpiresAt.IsZero():
			// The fleet's Failed counts one that never had a token: it must not take
			// the place of one whose token is about to die.
			return before(b.ExpiresAt.IsZero())
		}
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), strings.Compare(a.Name, b.Name))
	})
	lines := make([]telemetry.Line, 0, min(most, len(chosen)))
	for _, r := range chosen[:min(most, len(chosen))] {
		line := telemetry.Line{
			Dimensions: []telemetry.Dimension{{Name: "Connection", Value: r.Name}},
			Metrics: []telemetry.Metric{{Name: "Trouble", Unit: telemetry.None,
				Value: trouble(r.Outcome)}},
			Properties: next(r),
		}
		if v, ok := remainingOfPromise(r, now, every); ok {
			line.Metrics = append(line.Metrics,
				telemetry.Metric{Name: "RemainingOfPromise", Unit: telemetry.None, Value: v})
		}
		if v, ok := needsPersonSeconds(r, now); ok {
			line.Metrics = append(line.Metrics,
				telemetry.Metric{Name: "NeedsPersonSeconds", Unit: telemetry.Seconds, Value: v})
		}
		lines = append(lines, line)
	}
	return lines
}

// before orders true before false.
func before(first bool) int {
	if first {
		return -1
	}
	return 1
}

// inNeed reports whether an alarm that names connections would fire for this one.
func inNeed(r renew.Result, now time.Time, every time.Duration) bool {
	promise, ok := remainingOfPromise(r, now, every)
	return trouble(r.Outcome) != noTrouble || ok && promise < 1
}

// next is the next event of a connection, if it is known.
func next(r renew.Result) map[string]string {
	out := map[string]string{"outcome": string(r.Outcome)}
	for name, at := range map[string]time.Time{
		"renew_after": r.RenewAfter, "expires_at": r.ExpiresAt, "session_ends_at": r.CredentialEnds,
		"needs_person_at": r.NeedsPersonAt,
	} {
		if !at.IsZero() {
			out[name] = at.UTC().Format(time.RFC3339)
		}
	}
	return out
}

func trouble(o renew.Outcome) float64 {
	switch o {
	case renew.Failed:
		return failedTrouble
	case renew.Blocked:
		return blockedTrouble
	case renew.Issued, renew.Fresh, renew.Waiting, renew.Deferred:
	}
	return noTrouble
}

// remainingOfPromise is the life that the published token will have left two heartbeats
// from now, as a multiple of the life promised to applications. If it is under 1, somebody
// must act, and two heartbeats remain for that. Some tokens have less than two heartbeats
// between the time when they are due and the promise. Then remainingOfPromise looks ahead
// by that time only, so that a token that is not due yet is never under 1. ok is false if
// there is no token.
func remainingOfPromise(r renew.Result, now time.Time, every time.Duration) (
	value float64, ok bool,
) {
	if r.ExpiresAt.IsZero() || r.MinRemaining <= 0 {
		return 0, false
	}
	ahead := 2 * every
	if !r.RenewAfter.IsZero() {
		ahead = max(0, min(ahead, r.ExpiresAt.Sub(r.RenewAfter)-r.MinRemaining))
	}
	left := r.ExpiresAt.Sub(now) - ahead
	return max(0, float64(left)/float64(r.MinRemaining)), true
}

// needsPersonSeconds is the time until something ends that only a person can renew. ok is
// false if nothing of that kind is known.
func needsPersonSeconds(r renew.Result, now time.Time) (value float64, ok bool) {
	if r.NeedsPersonAt.IsZero() {
		return 0, false
	}
	return max(0, r.NeedsPersonAt.Sub(now).Truncate(time.Second).Seconds()), true
}
