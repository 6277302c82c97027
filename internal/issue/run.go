package issue

import (
	"context"
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/renew"
)

// noTimeLeft is the reason of a connection that is left to a later run.
const noTimeLeft = "no time left in this run"

// run is the state of one run.
type run struct {
	*Runner
	event  Event
	engine renew.Engine
	pool   *pool

	mu      sync.Mutex
	results []renew.Result
}

func (r *Runner) newRun(e Event, lasts time.Duration) *run {
	out := &run{Runner: r, event: e, engine: r.Engine}
	out.engine.RunLasts = lasts
	return out
}

// renewAll does what the event asks for, and returns the result of each connection, in
// name order.
func (r *run) renewAll(ctx context.Context, declared []connection.Declared) []renew.Result {
	r.pool = &pool{most: r.Config.Concurrency, sleep: r.engine.Sleep,
		do: func(t *task) { r.done(ctx, r.renew(ctx, t)) }}
	all := r.prepare(ctx, declared)
	r.readAll(ctx, all)
	r.pool.wait()
	slices.SortFunc(r.results, func(a, b renew.Result) int { return strings.Compare(a.Name, b.Name) })
	return r.results
}

// done records a result.
func (r *run) done(ctx context.Context, result renew.Result) {
	r.logResult(ctx, result)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
}

// prepare makes a task for each connection that the event is about. A faulty declaration,
// or a name that no connection has, gets its result at once.
func (r *run) prepare(ctx context.Context, declared []connection.Declared) []*task {
	var all []*task
	missing := map[string]bool{} // asked for, and not found so far
	for _, name := range r.event.Connections {
		missing[name] = true
	}
	users := map[string]int{} // of each credential
	for _, d := range declared {
		users[d.Connection.SecretName(d.Connection.Credential)]++
	}
	hosts, credentials := map[string]*host{}, map[string]*shared{}
	var faulty []connection.Declared
	for _, d := range declared {
		if len(r.event.Connections) > 0 && !missing[d.Name] {
			continue
		}
		delete(missing, d.Name)
		err := d.Err
		var provider exchange.Provider
		if err == nil {
			provider, err = r.provider(ctx, d.Connection)
		}
		if err != nil {
			d.Err = err
			faulty = append(faulty, d)
			continue
		}
		t := &task{turn: len(all), job: renew.Job{
			Connection: d.Connection, Parameter: d.Parameter, Provider: provider,
			Force: r.event.Force, IssuedAt: r.event.IssuedAt, DryRun: r.event.DryRun,
			Candidate: r.event.Candidate, Named: len(r.event.Connections) > 0,
		}}
		t.host = r.hostOf(t, hosts)
		t.gate = &gate{host: t.host, pressing: func() bool { return t.pressing(r.Config.Every, r.Now()) }}
		if credential := d.Connection.SecretName(d.Connection.Credential); users[credential] > 1 {
			t.gate.settings = d.Connection.Provider + " " + string(d.Connection.Settings)
			key := credential + " at " + provider.Host()
			if credentials[key] == nil {
				credentials[key] = newShared()
			}
			t.gate.shared = credentials[key]
		}
		t.job.Gate = t.gate
		all = append(all, t)
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		r.done(ctx, misconfigured(name, "no connection has this name", "`evertoken status` lists "+
			"the connections. To declare this one, run `evertoken add "+name+"` or write the parameter "+
			r.Config.ConnectionsPath+name+"."))
	}
	r.tellFaulty(ctx, faulty)
	r.takeTurns(all)
	return all
}

// hostOf is the host of a task's provider, which the provider's connections share. If the
// host is not known, the connection shares it with no other.
func (r *run) hostOf(t *task, hosts map[string]*host) *host {
	name := t.job.Connection.Provider + " at " + t.job.Provider.Host()
	if t.job.Provider.Host() == "" {
		name = "that of " + t.job.Connection.Name
	}
	if hosts[name] == nil {
		hosts[name] = r.pool.newHost(t.job.Provider.Traits().AtOnce)
	}
	return hosts[name]
}

// takeTurns puts another one of equally urgent tasks first in every run.
func (r *run) takeTurns(all []*task) {
	if len(all) == 0 {
		return
	}
	by := int(r.Now().Unix()/int64(r.Config.Every/time.Second)) % len(all)
	for i, t := range all {
		t.turn = (i - by + len(all)) % len(all)
	}
}

func misconfigured(name, reason, hint string) renew.Result {
	return renew.Result{Name: name, Outcome: renew.Failed, Class: exchange.Misconfigured,
		Reason: reason, Hint: hint}
}

// provider makes a connection's provider. A fault in our own code there ends this
// connection's task only.
func (r *run) provider(ctx context.Context, c connection.Connection) (
	p exchange.Provider, err error,
) {
	defer func() {
		if recover() != nil {
			r.tellFault(ctx, c.Name)
			p, err = nil, errInternalFault
		}
	}()
	if p, err = r.Provider(c); err == nil {
		p.Traits() // called here, because a panic in a later call would end the run
		p.Host()
	}
	return p, err
}

var errInternalFault = errors.New("an internal fault; the log has its place")

// tellFault logs where a panic happened. It does not log the panic's text, which may hold
// a value.
func (r *run) tellFault(ctx context.Context, name string) {
	r.Log.ErrorContext(ctx, "internal fault", "connection", name, "stack", string(debug.Stack()))
}

func (r *run) faulty(ctx context.Context, name string) renew.Result {
	r.tellFault(ctx, name)
	return misconfigured(name, errInternalFault.Error(),
		"Report it as an issue of Evertoken, with the log line \"internal fault\".")
}

// renew renews a task's connection. A fault in our own code ends this connection's task
// only.
func (r *run) renew(ctx context.Context, t *task) (result renew.Result) {
	defer func() {
		if recover() != nil {
			result = r.faulty(ctx, t.job.Connection.Name)
		}
	}()
	if r.scheduled() && r.tooLate(ctx, t.host) {
		return r.engine.Defer(t.job, noTimeLeft)
	}
	if r.event.Candidate {
		if none, ok := r.readCandidate(ctx, &t.job); !ok {
			return none
		}
	}
	result = r.engine.Renew(ctx, t.job)
	if result.Outcome == renew.Failed && t.gate.late {
		result.Outcome, result.Class, result.Reason = renew.Deferred, "", noTimeLeft
	}
	return result
}

// scheduled reports whether the run is over all connections and renews only due tokens.
func (r *run) scheduled() bool { return len(r.event.Connections) == 0 && !r.event.DryRun }

// tooLate reports whether it is too late to begin an exchange at the host: there must be
// time to store its result, after the writes of others that wait.
func (r *run) tooLate(ctx context.Context, h *host) bool {
	need := max(limits.LeastExchange, h.answersIn()) + limits.Store
	if r.WriteDelay != nil {
		need += 2 * r.WriteDelay() // a session, then a token
	}
	return limits.Remaining(ctx) < need
}
