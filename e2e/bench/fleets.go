package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// row is one line of a table of runs.
type row struct {
	what string
	n    int
	measured
	// limit is the best time that the quotas allow; zero where they set none.
	limit time.Duration
	// reach is how many times the limit a run may take; zero for no promise.
	reach float64
}

// writesAt is how long so many writes take at a share of the write quota.
func writesAt(n int, share float64) time.Duration {
	return time.Duration(float64(n) / (writeQuota * share) * float64(time.Second))
}

// fleets measures runs over fleets.
func (b *bench) fleets(ctx context.Context, d *report) error {
	sizes := []int{1, 100, 1000, 10000}
	if d.quick {
		sizes = sizes[:2]
	}
	times := map[int]int{1: 9, 100: 3, 1000: 3, 10000: 1}
	for _, n := range sizes {
		progress("due and idle", n)
		all, err := b.measure(ctx, fleet{n: n, kind: client, age: due, writes: 1, times: times[n]})
		if err != nil {
			return fmt.Errorf("%d due: %w", n, err)
		}
		d.due = append(d.due, row{what: "due", n: n, measured: median(all, took), limit: writesAt(n, 1), reach: promised(n, 10000, 1.1)})
		if all, err = b.measure(ctx, fleet{n: n, kind: client, age: idle, writes: 1, times: times[n]}); err != nil {
			return fmt.Errorf("%d idle: %w", n, err)
		}
		d.idle = append(d.idle, row{what: "idle", n: n, measured: median(all, took), limit: readsAt(n), reach: promised(n, 10000, 1.3)})
	}
	for _, n := range sizes {
		progress("single-use", n)
		opening, renewal, err := b.single(ctx, n)
		if err != nil {
			return fmt.Errorf("%d single-use: %w", n, err)
		}
		d.single = append(d.single, row{what: "opening from seeds", n: n, measured: opening, limit: writesAt(opening.writes, 1), reach: promised(n, 1000, 1.2)})
		if opening.report.Issued == n {
			d.single = append(d.single, row{what: "renewal", n: n, measured: renewal, limit: writesAt(renewal.writes, 1), reach: promised(n, 1000, 1.2)})
		}
	}
	hanging, throttled := 300, 1000
	if d.quick {
		hanging, throttled = 60, 100
	}
	progress("a hanging host", hanging)
	for _, hang := range []bool{false, true} {
		all, err := b.measure(ctx, fleet{n: hanging, kind: client, age: due, writes: 1, hang: hang, times: 3})
		if err != nil {
			return fmt.Errorf("hanging host: %w", err)
		}
		what := map[bool]string{false: "all answer", true: "a tenth is at a host that hangs"}[hang]
		d.hang = append(d.hang, row{what: what, n: hanging, measured: median(all, func(m measured) time.Duration { return m.others })})
	}
	progress("a throttled AWS", throttled)
	all, err := b.measure(ctx, fleet{n: throttled, kind: client, age: due, writes: 0.5, times: 1})
	if err != nil {
		return fmt.Errorf("throttled: %w", err)
	}
	d.throttled = row{what: "due, others use half of the write quota", n: throttled, measured: all[0], limit: writesAt(throttled, 0.5)}
	return nil
}

// promised is the ratio to reach where the fleet is so large that the quota decides, and
// zero where latency does.
func promised(n, from int, ratio float64) float64 {
	if n < from {
		return 0
	}
	return ratio
}

// readsAt is how long the reading of n tokens takes at the quotas: pages of ten
// parameters, batches of twenty tokens.
func readsAt(n int) time.Duration {
	parameters := ceil(n, packed)
	seconds := float64(ceil(parameters, 10))/parameterQuota + float64(ceil(n, 20))/batchQuota
	return time.Duration(seconds * float64(time.Second))
}

func ceil(n, by int) int { return (n + by - 1) / by }

func progress(what string, n int) {
	fmt.Fprintf(os.Stderr, "%s: %s, %d connections\n", time.Now().Format(time.TimeOnly), what, n)
}

// printOne measures one run, as due:1000.
func (b *bench) printOne(ctx context.Context, which string) error {
	state, size, _ := strings.Cut(which, ":")
	n, err := strconv.Atoi(size)
	if err == nil && n > 0 && state == "single" {
		opening, renewal, err := b.single(ctx, n)
		if err == nil {
			opening.print("opening from seeds", n)
			renewal.print("renewal", n)
		}
		return err
	}
	ages := map[string]time.Duration{"due": due, "hang": due, "idle": idle, "missing": missing}
	age, known := ages[state]
	if err != nil || !known || n < 1 {
		return fmt.Errorf("%q is not a state and a number, as due:1000", which)
	}
	m, err := b.once(ctx, fleet{n: n, kind: client, age: age, hang: state == "hang", writes: 1})
	if err != nil {
		return err
	}
	m.print(state, n)
	return nil
}

// print prints what one run cost.
func (m measured) print(what string, n int) {
	r := m.report
	fmt.Printf("%s:%d: %s, writes need %s, reads %s\nissued %d, fresh %d, failed %d, deferred %d; last token after %s, of the others %s\n"+
		"%d calls, %d throttled, %d writes, %d credentials and sessions decrypted; peak %s, answer %s, log %s\n",
		what, n, seconds(m.took), seconds(writesAt(m.writes, 1)), seconds(readsAt(n)), r.Issued, r.Fresh, r.Failed, r.Deferred,
		seconds(m.last), seconds(m.others), m.calls, m.throttle, m.writes, m.long, megabytes(m.peak), megabytes(int64(m.answer)), megabytes(int64(m.logs)))
}
