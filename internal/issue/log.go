package issue

import (
	"context"
	"log/slog"
	"time"

	"evertoken/internal/renew"
)

// logResult logs a connection's outcome as soon as it is known. It logs fresh connections,
// and those for which no time was left, at DEBUG only: there may be thousands of both.
func (r *Runner) logResult(ctx context.Context, result renew.Result) {
	level := slog.LevelInfo
	switch result.Outcome {
	case renew.Fresh:
		level = slog.LevelDebug
	case renew.Failed, renew.Blocked:
		level = slog.LevelError
	case renew.Deferred, renew.Waiting:
		level = slog.LevelWarn
		if result.Reason == noTimeLeft {
			level = slog.LevelDebug
		}
	}
	if !r.Log.Enabled(ctx, level) {
		return
	}
	attrs := []any{"connection", result.Name, "outcome", string(result.Outcome),
		"reason", result.Reason}
	if result.Class != "" {
		attrs = append(attrs, "error_class", string(result.Class))
	}
	if result.Hint != "" {
		attrs = append(attrs, "hint", result.Hint)
	}
	if result.Grant != "" {
		attrs = append(attrs, "grant_type", result.Grant)
	}
	if !result.ExpiresAt.IsZero() {
		attrs = append(attrs, "expires_in", *secondsUntil(result.ExpiresAt, r.Now()))
	}
	r.Log.Log(ctx, level, "connection", attrs...)
}

// logLeft logs in one line how many connections no time was left for.
func (r *Runner) logLeft(ctx context.Context, results []renew.Result) {
	n := 0
	for _, result := range results {
		if result.Outcome == renew.Deferred && result.Reason == noTimeLeft {
			n++
		}
	}
	if n > 0 {
		r.Log.WarnContext(ctx, "some connections are left to the next run, which begins with the most urgent",
			"outcome", string(renew.Deferred), "reason", noTimeLeft, "connections", n)
	}
}

// writes are the operations that share AWS's quota of 50 a second for an account
// and Region (Secrets Manager user guide, "Quotas").
var writes = []string{"PutSecretValue", "UpdateSecretVersionStage"}

// logRun logs the run as a whole: how long it took, and its calls to AWS.
func (r *Runner) logRun(ctx context.Context, report Report, took time.Duration) {
	attrs := []any{"checked", report.Checked, "took_ms", took.Milliseconds()}
	if r.Calls != nil {
		calls, all, written := r.Calls(), 0, 0
		for _, n := range calls {
			all += n
		}
		for _, operation := range writes {
			written += calls[operation]
		}
		attrs = append(attrs, "aws_calls", all, "aws_writes", written, "aws", calls)
	}
	r.Log.InfoContext(ctx, "run", attrs...)
}
