package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// report has the measurements, and writes docs/performance.md.
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

` + "`make bench`" + ` writes this page. It builds the functions and runs each in a process of
its own, as Lambda does, against stand-ins for AWS and for a provider.
[scale.md](scale.md) says what the figures mean for a fleet.

A *connection* is one declared way to get tokens. An *exchange* is one request that turns
its credential, or its session's refresh token, into a token
([the ten words](architecture.md#ten-words)).
`)
	d.line("| setting | value |\n|---|---|")
	d.line("| each call to AWS | %d ms |", awsLatency.Milliseconds())
	d.line("| quotas of AWS, in calls a second; up to one second's worth may come at once | %d writes of secrets, %d `BatchGetSecretValue`, %d reads of parameters |", writeQuota, batchQuota, parameterQuota)
	d.line("| each exchange with the provider | %d ms, all connections at one host |", providerLatency.Milliseconds())
	d.line("| declarations | %d connections to a parameter |", packed)
	d.line("| template parameters | the defaults |")
	d.line("| machine | %d cores, %s/%s, %s |\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	d.line("Time is not scaled. Lambda with 256 MB gives a function a seventh of a core: there,\ncomputing takes longer than here, and waiting takes the same time.\n")
	d.runs()
	d.startsTable()
	return d.String()
}

func (d *report) runs() {
	d.line("## A run in which every token is due\n\nA run makes one write for each token. The limit is the time that the write quota needs\nfor these writes.\n")
	d.line("| connections | issued | failed | deferred | took | limit | ratio | aim | calls for each token | throttled | peak memory | answer | log |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.due {
		d.line("| %d | %d | %d | %d | %s | %s | %s | %s | %.2f | %d | %s | %s | %s |", r.n, r.report.Issued, r.report.Failed, r.report.Deferred,
			seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.calls, r.report.Issued), r.throttle, megabytes(r.peak), megabytes(int64(r.answer)), megabytes(int64(r.logs)))
	}
	d.line("\n## A run in which nothing is due\n\nA run reads each token, and nothing else. The limit is the time that the quotas of\nreads need for this.\n")
	d.line("| connections | fresh | took | limit | ratio | aim | calls for each connection | credentials and sessions decrypted | peak memory |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.idle {
		d.line("| %d | %d | %s | %s | %s | %s | %.3f | %d | %s |", r.n, r.report.Fresh, seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.calls, r.n), r.long, megabytes(r.peak))
	}
	d.line("\n## Single-use refresh tokens\n\nA first run opens each session from a *seed*, a refresh token in the credential; a later run\nrenews each token. The limit is the time that the write quota needs for the writes that were\nmade. A run defers what it has no time for to the next run.\n")
	d.line("| connections | run | issued | failed | deferred | took | limit | ratio | aim | writes for each token | calls for each token | peak memory |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, r := range d.single {
		d.line("| %d | %s | %d | %d | %d | %s | %s | %s | %s | %.2f | %.2f | %s |", r.n, r.what, r.report.Issued, r.report.Failed, r.report.Deferred,
			seconds(r.took), seconds(r.limit), ratio(r), reach(r), each(r.writes, r.report.Issued), each(r.calls, r.report.Issued), megabytes(r.peak))
	}
	d.line(singleUse)
	d.line("\n## A host that hangs\n\nA tenth of the connections is at a host that does not answer. The aim is that the others\nfinish within 5 %% of the time that their share of the fleet would take alone.\n")
	d.line("| connections | case | issued | failed | last token of the others after | the whole run took |\n|--:|---|--:|--:|--:|--:|")
	for _, r := range d.hang {
		d.line("| %d | %s | %d | %d | %s | %s |", r.n, r.what, r.report.Issued, r.report.Failed, seconds(r.others), seconds(r.took))
	}
	r := d.throttled
	d.line("\n## A throttled AWS\n\n| connections | case | issued | failed | deferred | took | limit | ratio | calls throttled |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|")
	d.line("| %d | %s | %d | %d | %d | %s | %s | %s | %d |", r.n, r.what, r.report.Issued, r.report.Failed, r.report.Deferred, seconds(r.took), seconds(r.limit), ratio(r), r.throttle)
}

// singleUse explains the calls of the table.
const singleUse = `
A renewal makes 6 calls: it describes the token and the session, proves that the session
can be written, *claims* it (so that one run alone sends its refresh token), stores the
session and publishes the token. The last 4 are writes. Its share of the batch reads
comes on top. An opening makes 5 writes: the *label* on the credential's version that
records whose seed it is, the version that says that a session is being opened, the
claim, the session, the token.

The aims were 6 calls for a renewal, reads included, and 4 writes for an opening. No
further call can be saved safely:

- A batch read shows only the labels of AWSCURRENT. It does not show where the claim's
  label is, whether the secret is a replica, or whether a rotation is in progress, which
  Secrets Manager would abandon if the run wrote the token. The list of secrets shows all
  this, but up to five minutes late.
- Without the seed's label, a copied credential would end the session of the connection
  that used it first.
- A run claims with a move of the label, which AWS refuses if another run has claimed by
  then. A put that carries the label would instead take it from the other run.`

func (d *report) startsTable() {
	d.line("\n## Start\n\nThe figures are medians of 21 starts. Init is the time from the start of the process\nuntil it asks for its first event. The bare handler (`e2e/bench/bare`) has the same SDK\npackages and makes one call of each. The aim is at most 1.25 times its init and 1.2 times\nits size.\n")
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
		d.line("\nThe Python template's size is that of its packages, without the interpreter.")
	}
}

func ratio(r row) string {
	if r.limit < time.Second {
		return "–" // latency, not the quota, decides
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
