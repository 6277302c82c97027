// Package issue is one run over all connections: it loads them, reads their
// documents in batches, renews what is due, several at a time, and reports.
package issue

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/exchange"
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
	ByPath(ctx context.Context, path string) (map[string]string, error)
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
	Provider func(connection.Connection) (renew.Provider, error)
	Metrics  *telemetry.Metrics
	Log      *slog.Logger
	Now      func() time.Time
}

// longestRun is how long a Lambda can last, for a run that has no deadline.
const longestRun = 15 * time.Minute

// RunFailed is returned where no connection could be looked at; Lambda reports
// it under this name. What fails for one connection is in the [Report].
type RunFailed struct {
	Doing string
	Err   error
}

func (e RunFailed) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e RunFailed) Unwrap() error { return e.Err }

// Run does one run.
func (r *Runner) Run(ctx context.Context, e Event) (Report, error) {
	began, runLasts := r.Now(), longestRun
	if deadline, ok := ctx.Deadline(); ok { // taken at the beginning: it stands for the function's timeout
		runLasts = min(longestRun, time.Until(deadline).Round(time.Second)+time.Second)
	}
	parameters, err := r.Parameters.ByPath(ctx, r.Config.ConnectionsPath)
	if err != nil {
		return Report{}, RunFailed{"reading the connections", err}
	}
	declared := connection.Load(asParameters(parameters), connection.Rules{
		Path: r.Config.ConnectionsPath, ParameterPrefix: r.Config.ParameterPrefix, Region: r.Config.Region,
	})
	jobs, results := r.prepare(ctx, declared, e)
	results = append(results, r.renewAll(ctx, jobs, runLasts)...)
	slices.SortFunc(results, func(a, b renew.Result) int { return strings.Compare(a.Name, b.Name) })

	now := r.Now()
	report := newReport(results, now, e.DryRun || len(e.Connections) > 0)
	for _, result := range results {
		r.logResult(ctx, result, now)
	}
	if len(e.Connections) == 0 && !e.DryRun { // a run over a few says nothing of the fleet
		if err := r.Metrics.Write(metrics(results, report, now, r.Config.Every, now.Sub(began), r.Config.ConnectionMetrics)...); err != nil {
			r.Log.ErrorContext(ctx, "metrics were not written", "error", err.Error())
		}
	}
	return report, nil
}

func asParameters(m map[string]string) []connection.Parameter {
	out := make([]connection.Parameter, 0, len(m))
	for name, value := range m {
		out = append(out, connection.Parameter{Name: name, Value: value})
	}
	return out
}

// prepare reads the documents of the connections that the event is about. What
// is already settled, a faulty declaration or a name that nothing has, comes
// back as results.
func (r *Runner) prepare(ctx context.Context, declared []connection.Declared, e Event) ([]renew.Job, []renew.Result) {
	var results []renew.Result
	var jobs []renew.Job
	missing := map[string]bool{} // asked for, and not found so far
	for _, name := range e.Connections {
		missing[name] = true
	}
	users := map[string]int{} // of each credential
	for _, d := range declared {
		users[connection.SecretName(d.Connection.Credential)]++
		if len(e.Connections) > 0 && !missing[d.Name] {
			continue
		}
		delete(missing, d.Name)
		err := d.Err
		var provider renew.Provider
		if err == nil {
			provider, err = r.provider(ctx, d.Connection)
		}
		if err != nil {
			results = append(results, misconfigured(d.Name, err.Error(), "correct it in the parameter "+d.Parameter))
			continue
		}
		jobs = append(jobs, renew.Job{Connection: d.Connection, Provider: provider, Force: e.Force, IssuedAt: e.IssuedAt, DryRun: e.DryRun})
	}
	for name := range missing {
		results = append(results, misconfigured(name, "no connection has this name", "declare it in the parameter "+r.Config.ConnectionsPath+name))
	}
	r.readDocuments(ctx, jobs)
	now := r.Now()
	rotate(jobs, int(now.Unix()/int64(r.Config.Every/time.Second))) // among equals another is first in every run
	slices.SortStableFunc(jobs, func(a, b renew.Job) int { return compare(a, b, now) })
	hosts := map[string]*host{} // :: provider's host → what this run learns of it
	turns := map[string]*turn{} // :: credential → whose turn it is to send its password
	for i := range jobs {
		credential := connection.SecretName(jobs[i].Connection.Credential)
		var g gate
		if jobs[i].SharedCredential = users[credential] > 1; jobs[i].SharedCredential {
			if turns[credential] == nil {
				turns[credential] = &turn{}
			}
			g.turn = turns[credential]
		}
		if at := jobs[i].Provider.Host(); at != "" {
			at = jobs[i].Connection.Provider + " at " + at
			if hosts[at] == nil {
				hosts[at] = &host{}
			}
			g.host = hosts[at]
		}
		jobs[i].Gate = g
	}
	return jobs, results
}

// rotate turns the jobs by n places.
func rotate(jobs []renew.Job, n int) {
	if len(jobs) > 0 {
		n %= len(jobs)
		copy(jobs, append(slices.Clone(jobs[n:]), jobs[:n]...))
	}
}

func misconfigured(name, reason, hint string) renew.Result {
	return renew.Result{Name: name, Outcome: renew.Failed, Class: exchange.Misconfigured, Reason: reason, Hint: hint}
}

// provider makes a connection's provider, and keeps a fault in our own code
// there to this connection.
func (r *Runner) provider(ctx context.Context, c connection.Connection) (p renew.Provider, err error) {
	defer func() {
		if recover() != nil {
			r.Log.ErrorContext(ctx, "internal fault", "connection", c.Name, "stack", string(debug.Stack()))
			p, err = nil, errInternalFault
		}
	}()
	if p, err = r.Provider(c); err == nil {
		p.Traits() // asked for later, where a fault would end the run
		p.Host()
	}
	return p, err
}

var errInternalFault = errors.New("an internal fault; the log has its place")

// readDocuments reads all documents of all connections in as few calls as it
// takes.
func (r *Runner) readDocuments(ctx context.Context, jobs []renew.Job) {
	var ids, names []string
	for _, j := range jobs {
		c := j.Connection
		ids = append(ids, c.Credential)
		if usesSession(j) {
			ids = append(ids, c.Session)
		}
		if c.Token != "" {
			ids = append(ids, c.Token)
		} else {
			names = append(names, c.TokenParameter)
		}
		if c.PlainCopy != "" {
			ids = append(ids, c.PlainCopy)
		}
	}
	read, parameters := r.Secrets.Batch(ctx, ids), r.Parameters.Batch(ctx, names)
	for i := range jobs {
		c := jobs[i].Connection
		credential, token := read[c.Credential], read[c.Token]
		jobs[i].Credential, jobs[i].Token = &credential, token
		if session, ok := read[c.Session]; ok {
			jobs[i].Session = &session
		}
		if copied, ok := read[c.PlainCopy]; ok {
			jobs[i].Copy = &copied
		}
		if c.TokenParameter != "" {
			jobs[i].Token = parameters[c.TokenParameter]
		}
	}
}

func usesSession(j renew.Job) bool {
	return j.Provider.Traits().Session != exchange.NoSession
}

// renewAll renews several connections at a time.
func (r *Runner) renewAll(ctx context.Context, jobs []renew.Job, runLasts time.Duration) []renew.Result {
	engine := r.Engine
	engine.RunLasts = runLasts
	results := make([]renew.Result, len(jobs))
	queue := make(chan int)
	var workers sync.WaitGroup
	for range min(r.Config.Concurrency, len(jobs)) {
		workers.Go(func() {
			for i := range queue {
				results[i] = r.renewOne(ctx, &engine, jobs[i])
			}
		})
	}
	for i := range jobs {
		queue <- i
	}
	close(queue)
	workers.Wait()
	return results
}

// renewOne keeps a fault in our own code to the connection that met it. What
// the panic says is not logged, since it may hold a value; where it was is.
func (r *Runner) renewOne(ctx context.Context, engine *renew.Engine, j renew.Job) (result renew.Result) {
	defer func() {
		if recover() != nil {
			r.Log.ErrorContext(ctx, "internal fault", "connection", j.Connection.Name, "stack", string(debug.Stack()))
			result = misconfigured(j.Connection.Name, "an internal fault; the log has its place", "report it with the log line \"internal fault\"")
		}
	}()
	return engine.Renew(ctx, j)
}

func (r *Runner) logResult(ctx context.Context, result renew.Result, now time.Time) {
	level := slog.LevelInfo
	switch result.Outcome {
	case renew.Fresh:
		level = slog.LevelDebug
	case renew.Failed, renew.Blocked:
		level = slog.LevelError
	case renew.Deferred, renew.Waiting:
		level = slog.LevelWarn
	}
	attrs := []any{"connection", result.Name, "outcome", string(result.Outcome), "reason", result.Reason}
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
		attrs = append(attrs, "expires_in", *secondsUntil(result.ExpiresAt, now))
	}
	r.Log.Log(ctx, level, "connection", attrs...)
}
