package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	fakelambda "evertoken/internal/fake/lambda"
)

// starts measures how the functions start, compared with the bare handler and the Python
// template. It starts them in turn, so that a slow moment of the machine slows them all.
func (b *bench) starts(ctx context.Context, d *report) error {
	c, err := newCloud(1)
	if err != nil {
		return err
	}
	defer c.close()
	c.connect(1, client, idle, func(int) int { return 0 })
	subjects := []*start{
		{name: "`issue`", binary: b.issue, event: `{"source":"schedule"}`},
		{name: "`rotate`", binary: b.rotate},
		{name: "bare handler", binary: b.bare, event: `{}`},
	}
	if b.python != "" {
		subjects = append(subjects, &start{name: "Python template, boto3", binary: b.python, event: `{}`})
	}
	for range 21 {
		for _, s := range subjects {
			if err := s.measure(ctx, c); err != nil {
				return fmt.Errorf("starting %s: %w", s.name, err)
			}
		}
	}
	for _, s := range subjects {
		if s.size, err = size(s.binary); err != nil {
			return err
		}
	}
	if b.python != "" {
		if subjects[3].size, err = size("build/bench-venv/lib"); err != nil {
			return err
		}
	}
	d.starts, d.pythonProblem = subjects, b.pythonProblem
	return nil
}

// start is how one executable starts.
type start struct {
	name, binary, event string
	inits, firsts       []time.Duration
	peak, size          int64
}

// measure starts a process and gives it one event.
func (s *start) measure(ctx context.Context, c *cloud) error {
	f, err := fakelambda.Start(ctx,
		fakelambda.Options{Binary: s.binary, Name: "bench", Timeout: time.Minute, MemoryMB: 256,
			Env: append(environment(c), "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1")})
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // always nil
	r, err := f.Invoke(ctx, []byte(s.event))
	if err != nil {
		return err
	}
	if r.FunctionError != "" && s.event != "" { // rotate has nothing to rotate
		return fmt.Errorf("%s: %s", r.ErrorType, r.ErrorMessage)
	}
	s.inits = append(s.inits, r.InitDuration)
	s.firsts = append(s.firsts, r.InitDuration+r.Duration)
	s.peak = max(s.peak, r.PeakRSS)
	return nil
}

func middle(all []time.Duration) time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// size is that of a file, or of all files in a folder.
func size(path string) (int64, error) {
	var n int64
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
