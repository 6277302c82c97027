package issue_test

import (
	"fmt"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// BenchmarkRun is one run over a fleet, the fakes' own work included: of a
// provider without sessions and of one whose refresh tokens are single-use,
// while nothing is due and while everything is.
func BenchmarkRun(b *testing.B) {
	providers := []struct {
		name    string
		connect func(w *fakeworld.World, name string)
	}{
		{"flexera", func(w *fakeworld.World, name string) { w.Flexera(name, false) }},
		{"apiax", func(w *fakeworld.World, name string) { w.Apiax(name) }},
	}
	for _, p := range providers {
		for _, n := range []int{1, 20, 100} {
			for _, due := range []bool{false, true} {
				state := map[bool]string{false: "fresh", true: "due"}[due]
				b.Run(fmt.Sprintf("%s/%d/%s", p.name, n, state), func(b *testing.B) {
					w := fakeworld.New(b)
					w.Config.Concurrency = 8
					for i := range n {
						p.connect(w, fmt.Sprintf("c-%03d", i))
					}
					benchmarkRun(b, w, n, due)
				})
			}
		}
	}
}

func benchmarkRun(b *testing.B, w *fakeworld.World, n int, due bool) {
	b.Helper()
	runner := w.Runner()
	run := func() issue.Report {
		report, err := runner.Run(b.Context(), issue.Event{})
		if err != nil {
			b.Fatalf("Run: %v", err)
		}
		return report
	}
	if report := run(); report.Issued != n {
		b.Fatalf("the first run: %+v", report)
	}
	calls, requests, published := 0, 0, 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if due {
			token, _ := w.Token("c-000")
			w.Clock.Advance(token.RenewAfter.Sub(token.IssuedAt) + time.Minute)
		}
		w.AWS.ResetCalls()
		w.IDP.ResetRequests()
		w.Log.Reset()
		w.Metrics.Reset()
		b.StartTimer()
		report := run()
		b.StopTimer()
		if want := map[bool]int{false: 0, true: n}[due]; report.Issued != want || report.Issued+report.Fresh != n {
			b.Fatalf("%+v", report)
		}
		calls += len(w.AWS.Calls())
		requests += len(w.IDP.Requests())
		published += report.Issued
		b.StartTimer()
	}
	b.ReportMetric(float64(calls)/float64(b.N), "aws-calls/run")
	if due {
		b.ReportMetric(float64(calls)/float64(published), "aws-calls/published")
		b.ReportMetric(float64(requests)/float64(published), "provider-requests/published")
	}
}
