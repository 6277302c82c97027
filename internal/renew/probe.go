package renew

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/limits"
)

// probes reports whether a run sends the published token to the connection's probe: in one
// run of each period, and in a run that names the connection. It is a pure function of the
// job's Connection, Named, Force, Candidate and DryRun.
func probes(j Job, every time.Duration, now time.Time) bool {
	p := j.Connection.Probe
	if p.Every == 0 || j.Force || j.Candidate || j.DryRun {
		return false
	}
	return j.Named || probeDue(j.Connection.Name, p.Every, every, now)
}

// revokedByProbe reports whether the probe shows that the published token is revoked
// and must be renewed. Hints report other answers.
func (r *renewal) revokedByProbe(ctx context.Context) bool {
	prober, ok := r.job.Provider.(exchange.Prober)
	if !ok || r.token == nil || !probes(r.job, r.Every, r.now) || !limits.Enough(ctx) {
		return false
	}
	if r.noCredential != nil { // the hosts that the credential allows are not known
		r.hint("The token was not probed, because the credential, which may say where it may be sent, " +
			"cannot be read.")
		return false
	}
	bounded, cancel := limits.Bounded(ctx)
	defer cancel()
	status, err := prober.Probe(bounded, r.credential, r.access())
	every := r.conn.Probe.Every
	switch {
	case err != nil:
		r.hint("The token could not be probed: " + asExchange(err).Error() +
			". If this lasts, check probe.url.")
	case status >= 200 && status <= 299:
	case status != http.StatusUnauthorized:
		r.hint(fmt.Sprintf("The probe was answered HTTP %d, which does not say whether the token "+
			"works. If this lasts, check probe.url.", status))
	case !probeRenews(r.token.IssuedAt, every, r.now):
		r.hint(fmt.Sprintf("The probe was answered HTTP 401 for a token that was issued less "+
			"than %s ago. Evertoken renews a token for that once in %s at most. "+
			"If the token works, correct probe.url.", every, every))
	default:
		return true
	}
	return false
}

// probeDue reports whether the run at now is the one in its period that probes the token.
// The clock and the connection's name alone decide which one it is, so nothing has to be
// stored and the probes of many connections are spread over time: the name chooses when a
// period begins, and the first heartbeat in it probes. If a heartbeat is longer than the
// period, each heartbeat probes.
func probeDue(name string, every, heartbeat time.Duration, now time.Time) bool {
	if every <= 0 {
		return false
	}
	if heartbeat >= every {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails (hash.Hash)
	offset := time.Duration(int64(h.Sum32())%int64(every/time.Second)) * time.Second
	// A run begins a little before or after its heartbeat, so the clock's heartbeats count,
	// not the times of the runs.
	tick := now.Truncate(heartbeat)
	period := func(t time.Time) int64 { return int64((time.Duration(t.UnixNano()) + offset) / every) }
	return period(tick) != period(tick.Add(-heartbeat))
}

// probeRenews reports whether a token that a probe found revoked is renewed. A token younger
// than the period is not. A probe that is wrong and answers 401 to every token then costs
// one renewal in each period at most.
func probeRenews(issued time.Time, every time.Duration, now time.Time) bool {
	return !now.Before(issued.Add(every))
}
