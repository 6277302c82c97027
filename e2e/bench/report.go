package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// report is what was measured, and writes docs/performance.md.
type report struct {
	quick           bool
	starts          []*start
	pythonProblem   string
	due, idle       []row
	single, hang    []row
	throttled       row
	strings.Builder // the text so far
}

func (d *report) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *report) text() string {
	d.line(`# Performance

This page is written by ` + "`make bench`" + `, which builds the functions and runs them
as Lambda would, in processes of their own, against a stand-in for AWS and for a
provider. What the figures mean for a fleet is in [scale.md](scale.md).
`)
	d.line("| stand-in | is |\n|---|---|")
	d.line("| each call to AWS | %d ms |", awsLatency.Milliseconds())
	d.line("| quotas of AWS, in calls a second, a second's worth of them at once | %d writes of secrets, %d `BatchGetSecretValue`, %d reads of parameters |", writeQuota, batchQuota, parameterQuota)
	d.line("| each exchange with the provider | %d ms, all connections at one host |", providerLatency.Milliseconds())
	d.line("| declarations | %d connections to a parameter |", packed)
	d.line("| settings | none but the template's defaults |")
	d.line("| machine | %d cores, %s/%s, %s |\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	d.line("Time is not scaled. Lambda at 256 MB has a seventh of a core: there the processor\ntakes longer than here, the waiting takes the same.\n")
	d.runs()
	d.startsTable()
	return d.String()
}

func (d *report) runs() {
	d.line("## A run in which every token is due\n\nOne write for each token. The limit is what the write quota allows.\n")
	d.line("| connections | issued | failed | deferred | took | limit | ratio | to reach | calls for each token | throttled | peak memory | answer | log |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.due {
		d.line("| %d | %d | %d | %d | %s | %s | %s | %s | %.2f | %d | %s | %s | %s |", r.n, r.report.Issued, r.report.Failed, r.report.Deferred,
			seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.calls, r.report.Issued), r.throttle, megabytes(r.peak), megabytes(int64(r.answer)), megabytes(int64(r.logs)))
	}
	d.line("\n## A run in which nothing is due\n\nOne read for each token, and nothing else. The limit is what the quotas of reads\nallow.\n")
	d.line("| connections | fresh | took | limit | ratio | to reach | calls for each connection | credentials and sessions decrypted | peak memory |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.idle {
		d.line("| %d | %d | %s | %s | %s | %s | %.3f | %d | %s |", r.n, r.report.Fresh, seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.calls, r.n), r.long, megabytes(r.peak))
	}
	d.line("\n## Single-use refresh tokens\n\nEach session is opened from a seed, and then renewed. The limit is what the write\nquota allows for the writes that were made. What does not fit into one run is\ndeferred to the next.\n")
	d.line("| connections | run | issued | failed | deferred | took | limit | ratio | to reach | writes for each token | calls for each token | peak memory |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.single {
		d.line("| %d | %s | %d | %d | %d | %s | %s | %s | %s | %.2f | %.2f | %s |", r.n, r.what, r.report.Issued, r.report.Failed, r.report.Deferred,
			seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.writes, r.report.Issued), each(r.calls, r.report.Issued), megabytes(r.peak))
	}
	d.line(singleUse)
	d.line("\n## A host that hangs\n\nThe others are the connections at the host that answers: they are to be done\nwithin 5 %% of the time that their share of the fleet takes by itself.\n")
	d.line("| connections | case | issued | failed | last token of the others after | the whole run took |\n|--:|---|--:|--:|--:|--:|")
	for _, r := range d.hang {
		d.line("| %d | %s | %d | %d | %s | %s |", r.n, r.what, r.report.Issued, r.report.Failed, seconds(r.others), seconds(r.took))
	}
	r := d.throttled
	d.line("\n## A throttled AWS\n\n| connections | case | issued | failed | deferred | took | limit | ratio | calls throttled |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|")
	d.line("| %d | %s | %d | %d | %d | %s | %s | %s | %d |", r.n, r.what, r.report.Issued, r.report.Failed, r.report.Deferred, seconds(r.took), seconds(r.limit), ratio(r), r.throttle)
}

// singleUse says what the calls of the table are.
const singleUse = `
What a renewal makes: 6 calls (the descriptions of the token and of the session, the
proof, the claim, the session, the token), of which the last 4 are writes, and its
share of the reads in batches. An opening makes 5 writes: the label that says whose
seed it is, the version that says that a session is being opened, the claim, the
session, the token.

The aims were 6 calls to a renewal, reads included, and 4 writes to an opening; no
further call can be spared safely. A batch tells only the labels of AWSCURRENT, and so
neither where the claim's label is, nor that the secret is a replica, nor that a
rotation is under way, which a write of the token would make Secrets Manager abandon;
the list of secrets tells all that up to five minutes late. Without the seed's label, a
credential that was copied would end the session of the connection that used it first,
and a put that brings the claim's label along, in place of a move, would take that label
from another run instead of being refused.`

func (d *report) startsTable() {
	d.line("\n## Start\n\nMedians of 21 starts. Init is the time from the start of the process until it asks\nfor its first event. The bare handler (`e2e/bench/bare`) has the same SDK packages\nand makes one call of each. To reach: 1.25 times its init, 1.2 times its size.\n")
	d.line("| | init | times bare | first answer after | peak memory | size | times bare |\n|---|--:|--:|--:|--:|--:|--:|")
	var bare *start
	for _, s := range d.starts {
		if s.name == "bare handler" {
			bare = s
		}
	}
	for _, s := range d.starts {
		first := milliseconds(middle(s.firsts))
		if s.event == "" {
			first = "–"
		}
		d.line("| %s | %s | %.2f | %s | %s | %s | %.2f |", s.name, milliseconds(middle(s.inits)), float64(middle(s.inits))/float64(middle(bare.inits)),
			first, megabytes(s.peak), megabytes(s.size), float64(s.size)/float64(bare.size))
	}
	if d.pythonProblem != "" {
		d.line("\n**The Python template was NOT measured**, because it could not be set up here:\n\n```\n%s\n```", strings.TrimSpace(d.pythonProblem))
	} else {
		d.line("\nThe Python template's size is that of its packages, the interpreter not counted.")
	}
}

func ratio(r row) string {
	if r.limit < time.Second {
		return "–" // latency, not the quota, is what it takes
	}
	return fmt.Sprintf("%.2f", float64(r.took)/float64(r.limit))
}

func reach(r row) string {
	if r.reach == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", r.reach)
}

func each(n, of int) float64 { return float64(n) / float64(max(1, of)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
