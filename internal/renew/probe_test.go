package renew

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// probed is a provider whose probe gives this answer.
type probed struct {
	provider
	status int
	err    error
	asked  *int
}

func (p probed) Probe(context.Context, credential.Credential, redact.Secret) (int, error) {
	*p.asked++
	return p.status, p.err
}

// Only status 401 to a token that is older than a period says that it is revoked. A run
// reports every other answer, except that the token works.
func TestOnlyARefusedProbeRenewsAToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status  int
		err     error
		change  func(r *renewal)
		left    time.Duration
		asked   int
		revoked bool
		told    string
	}{
		"200": {200, nil, nil, time.Hour, 1, false, ""},
		"299": {299, nil, nil, time.Hour, 1, false, ""},
		"199": {199, nil, nil, time.Hour, 1, false, "The probe was answered HTTP 199"},
		"300": {300, nil, nil, time.Hour, 1, false, "The probe was answered HTTP 300"},
		"401": {401, nil, nil, time.Hour, 1, true, ""},
		"401 for a token of this period": {401, nil, func(r *renewal) { r.token = &TokenTimes{at.Add(-time.Minute), at.Add(time.Hour)} },
			time.Hour, 1, false, "issued less than 15m0s ago"},
		"403":                   {403, nil, nil, time.Hour, 1, false, "The probe was answered HTTP 403"},
		"no answer":             {0, errors.New("no route"), nil, time.Hour, 1, false, "The token could not be probed"},
		"401 and an error":      {401, errors.New("no route"), nil, time.Hour, 1, false, "The token could not be probed"},
		"no token":              {401, nil, func(r *renewal) { r.token = nil }, time.Hour, 0, false, ""},
		"no probe is declared":  {401, nil, func(r *renewal) { r.conn.Probe.Every, r.job.Connection.Probe.Every = 0, 0 }, time.Hour, 0, false, ""},
		"the provider has none": {401, nil, func(r *renewal) { r.job.Provider = provider{} }, time.Hour, 0, false, ""},
		"no time":               {401, nil, nil, time.Second, 0, false, ""},
		"no credential":         {401, nil, func(r *renewal) { r.noCredential = &Stopped{} }, time.Hour, 0, false, "The token was not probed"},
	} {
		r := holding(t, both, credential.Session{})
		asked := 0
		r.job.Provider, r.job.Named, r.now = probed{status: tt.status, err: tt.err, asked: &asked}, true, at
		r.conn.Probe.Every = 15 * time.Minute
		r.job.Connection.Probe.Every = 15 * time.Minute
		if tt.change != nil {
			tt.change(r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), tt.left)
		got := r.revokedByProbe(ctx)
		cancel()
		hints := Sentences(r.hints...)
		if got != tt.revoked || asked != tt.asked || (hints == "") != (tt.told == "") ||
			!strings.Contains(hints, tt.told) {
			t.Errorf("%s: revoked %t, asked %d times, hints %q", name, got, asked, hints)
		}
	}
}

// A run probes once per period, and where it names the connection; never in a run that
// renews anyway, or in a dry run.
func TestARunProbesOncePerPeriod(t *testing.T) {
	t.Parallel()
	const every = 15 * time.Minute
	due, notDue := at, at
	for !probeDue("c", every, 5*time.Minute, due) {
		due = due.Add(5 * time.Minute)
	}
	for probeDue("c", every, 5*time.Minute, notDue) {
		notDue = notDue.Add(5 * time.Minute)
	}
	for name, tt := range map[string]struct {
		job      Job
		declared bool
		now      time.Time
		want     bool
	}{
		"its heartbeat":        {Job{}, true, due, true},
		"another heartbeat":    {Job{}, true, notDue, false},
		"named":                {Job{Named: true}, true, notDue, true},
		"forced":               {Job{Named: true, Force: true}, true, due, false},
		"a candidate":          {Job{Named: true, Candidate: true}, true, due, false},
		"a dry run":            {Job{Named: true, DryRun: true}, true, due, false},
		"no probe is declared": {Job{Named: true}, false, due, false},
	} {
		tt.job.Connection = connection.Connection{Name: "c"}
		if tt.declared {
			tt.job.Connection.Probe.Every = every
		}
		if got := probes(tt.job, 5*time.Minute, tt.now); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// In every period exactly one heartbeat probes, whenever in its heartbeat a run
// happens, and the probes of a fleet are spread.
func TestOneHeartbeatOfEachPeriodProbes(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ every, heartbeat time.Duration }{
		{15 * time.Minute, time.Minute}, {15 * time.Minute, 5 * time.Minute}, {15 * time.Minute, 2 * time.Minute}, {time.Hour, 10 * time.Minute},
		{24 * time.Hour, 15 * time.Minute}, {50 * time.Minute, 15 * time.Minute},
	} {
		for _, jitter := range []time.Duration{0, time.Second, tt.heartbeat - time.Second} {
			for _, name := range []string{"a", "apiax-prod", "zz-9"} {
				var due []time.Time
				for at := start; at.Before(start.Add(20 * tt.every)); at = at.Add(tt.heartbeat) {
					if probeDue(name, tt.every, tt.heartbeat, at.Add(jitter)) {
						due = append(due, at)
					}
				}
				if len(due) < 19 || len(due) > 21 {
					t.Errorf("every %s, heartbeat %s, %s: %d probes in 20 periods", tt.every, tt.heartbeat, name, len(due))
				}
				for i := 1; i < len(due); i++ {
					if gap := due[i].Sub(due[i-1]); gap <= tt.every-tt.heartbeat || gap >= tt.every+tt.heartbeat {
						t.Errorf("every %s, heartbeat %s, %s: %s between two probes", tt.every, tt.heartbeat, name, gap)
					}
				}
			}
		}
	}
	if probeDue("a", 0, time.Minute, start) || !probeDue("a", 15*time.Minute, time.Hour, start) {
		t.Error("nothing declared is probed, or a long heartbeat is not")
	}
	at := map[bool]int{}
	for i := range 300 {
		at[probeDue(fmt.Sprintf("connection-%d", i), 15*time.Minute, 5*time.Minute, start)]++
	}
	if at[true] < 60 || at[true] > 140 {
		t.Errorf("%d of 300 connections probe in one heartbeat of three", at[true])
	}
}

func TestAWrongProbeRenewsOncePerPeriod(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: false, 14 * time.Minute: false, 15 * time.Minute: true, time.Hour: true} {
		if got := probeRenews(now.Add(-age), 15*time.Minute, now); got != want {
			t.Errorf("a token of %s: %t", age, got)
		}
	}
}
