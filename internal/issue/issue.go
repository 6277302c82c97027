// Package issue is one run over all connections: it loads them, reads their
// tokens in batches, reads and renews what is due, several at a time and the most
// urgent first, and reports.
package issue

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"evertoken/internal/build"
	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

// Reader reads secrets in batches; see [secrets.Store].
type Reader interface {
	Batch(ctx context.Context, ids []string) map[string]secrets.Read
}

// Parameters reads SSM; see [secrets.Parameters].
type Parameters interface {
	ByPath(ctx context.Context, path string) (map[string]secrets.Listed, error)
	Batch(ctx context.Context, names []string) map[string]secrets.Read
}

// Runner makes runs.
type Runner struct {
	Config     config.Config
	Secrets    Reader
	Parameters Parameters
	// Engine renews; its RunLasts is set for each run from the run's deadline.
	Engine renew.Engine
	// Provider makes a connection's provider. Its error names the setting.
	Provider func(connection.Connection) (exchange.Provider, error)
	Metrics  *telemetry.Metrics
	// WriteDelay is how long a write to Secrets Manager must wait for others now; nil for
	// no wait.
	WriteDelay func() time.Duration
	// Calls returns the calls to AWS, by operation, since it was last called; nil if they
	// are not counted.
	Calls func() map[string]int
	Log   *slog.Logger
	Now   func() time.Time
}

// RunFailed is returned if no connection could be checked. Lambda reports it under this
// name. The [Report] has what failed for one connection.
type RunFailed struct {
	Doing string
	Err   error
}

func (e RunFailed) Error() string {
	text := e.Doing + ": " + e.Err.Error()
	switch secrets.ErrorKind(e.Err) {
	case secrets.ErrDenied:
		return text + ". Allow the function's role ssm:GetParametersByPath on the parameters " +
			"below EVERTOKEN_CONNECTIONS_PATH."
	case secrets.ErrThrottled, secrets.ErrTransient:
		return text + ". The next run tries again, and you need to do nothing unless this lasts."
	}
	return text
}

// Unwrap returns the cause.
func (e RunFailed) Unwrap() error { return e.Err }

// The time that is reserved for the answer and the metrics, after the renewals: more for
// a larger fleet, whose answer takes longer to write on a slow processor.
const (
	tellReserve        = 1500 * time.Millisecond
	tellReserveForEach = 300 * time.Microsecond
)

// Run does one run.
func (r *Runner) Run(ctx context.Context, e Event) (Report, error) {
	if e.DryRun {
		r = r.dry()
	}
	began, runLasts := r.Now(), limits.Run
	if deadline, ok := ctx.Deadline(); ok { // at the beginning of a run this is the function's timeout
		runLasts = min(limits.Run, time.Until(deadline).Round(time.Second)+time.Second)
	}
	loading, cancel := keepTime(ctx, tellReserve)
	defer cancel()
	parameters, err := r.Parameters.ByPath(loading, r.Config.ConnectionsPath)
	if err != nil {
		return Report{}, RunFailed{"reading the connections", err}
	}
	declared := connection.Load(asParameters(parameters), connection.Rules{
		Path: r.Config.ConnectionsPath, ParameterPrefix: r.Config.ParameterPrefix,
		Region: r.Config.Region, Account: account(ctx),
	})
	working, cancel := keepTime(ctx, tellReserve+time.Duration(len(declared))*tellReserveForEach)
	defer cancel()
	results := r.newRun(e, runLasts).renewAll(working, declared)

	now := r.Now()
	report := newReport(results, now, e.DryRun || len(e.Connections) > 0)
	if e.DryRun {
		report.DryRun, report.Revision = true, build.Revision()
	}
	r.logLeft(ctx, results)
	r.logRun(ctx, report, now.Sub(began))
	if len(e.Connections) == 0 && !e.DryRun { // a run over named connections says nothing of the fleet
		lines := metrics(results, report, now, r.Config.Every, now.Sub(began), r.Config.ConnectionMetrics)
		if err := r.Metrics.Write(lines...); err != nil {
			r.Log.ErrorContext(ctx, "metrics were not written", "error", err.Error())
		}
	}
	return report.fit(mostAnswer), nil
}

// dry is the runner with a logger that marks each line as one of a dry run, because its
// outcomes read like those of a run that renewed something.
func (r *Runner) dry() *Runner {
	out := *r
	out.Log = r.Log.With("dry_run", true)
	if r.Engine.Log != nil {
		out.Engine.Log = r.Engine.Log.With("dry_run", true)
	}
	return &out
}

// keepTime returns the context with an earlier deadline, if it has one.
func keepTime(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// account is the account that the function runs in, "" outside Lambda.
func account(ctx context.Context) string {
	if l, ok := lambdacontext.FromContext(ctx); ok {
		return connection.AccountIn(l.InvokedFunctionArn)
	}
	return ""
}

func asParameters(m map[string]secrets.Listed) []connection.Parameter {
	out := make([]connection.Parameter, 0, len(m))
	for name, p := range m {
		out = append(out, connection.Parameter{Name: name, Value: p.Value, Secure: p.Secure})
	}
	return out
}
