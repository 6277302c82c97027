// Bench builds the functions, runs them as Lambda would against a fake AWS with latencies
// and quotas, and writes the measurements to docs/performance.md:
//
//	go run ./e2e/bench            everything, about 25 minutes
//	go run ./e2e/bench -quick     up to 100 connections, about two minutes, nothing written
//	go run ./e2e/bench -starts    the starts alone, nothing written
//	go run ./e2e/bench -one due:1000   one run (due, idle, missing, hang or single), nothing written
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

// bench has the paths of the measured executables.
type bench struct {
	dir                 string
	issue, rotate, bare string
	python              string // empty where it could not be set up
	pythonProblem       string
}

func main() {
	quick := flag.Bool("quick", false, "only up to 100 connections, and write nothing")
	startsOnly := flag.Bool("starts", false, "only how the functions start, and write nothing")
	one := flag.String("one", "", "only one run, as due:1000, and write nothing")
	out := flag.String("out", "docs/performance.md", "the file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *quick, *startsOnly, *one, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, quick, startsOnly bool, one, out string) error {
	dir, err := os.MkdirTemp("", "evertoken-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // files that remain there do no harm
	b := &bench{dir: dir}
	if err := b.build(ctx); err != nil {
		return err
	}
	if one != "" {
		return b.printOne(ctx, one)
	}
	b.setUpPython(ctx)
	d := &report{quick: quick}
	if err := b.starts(ctx, d); err != nil {
		return err
	}
	if startsOnly {
		d.startsTable()
		fmt.Println(d.String())
		return nil
	}
	if err := b.fleets(ctx, d); err != nil {
		return err
	}
	text := d.text()
	fmt.Println(text)
	if quick {
		return nil
	}
	return os.WriteFile(out, []byte(text), 0o600)
}

// build builds the measured executables with the flags that `make build` uses.
func (b *bench) build(ctx context.Context) error {
	for _, target := range []struct {
		from string
		to   *string
	}{{"./functions/issue", &b.issue}, {"./functions/rotate", &b.rotate}, {"./e2e/bench/bare", &b.bare}} {
		*target.to = filepath.Join(b.dir, filepath.Base(target.from))
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath",
			"-ldflags", "-s -w", "-o", *target.to, target.from)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", target.from, err, output)
		}
	}
	return nil
}

// setUpPython makes an executable of the Python template, in a virtual
// environment of its own that is kept under build/.
func (b *bench) setUpPython(ctx context.Context) {
	venv, err := filepath.Abs("build/bench-venv")
	if err != nil {
		b.pythonProblem = err.Error()
		return
	}
	python := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		for _, command := range [][]string{
			{"python3", "-m", "venv", venv},
			{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", boto3},
		} {
			if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
				b.pythonProblem = fmt.Sprintf("%v: %v: %s", command, err, output)
				_ = os.RemoveAll(venv) // half a set-up would look complete
				return
			}
		}
	}
	handler, err := filepath.Abs("e2e/bench/python/handler.py")
	if err != nil {
		b.pythonProblem = err.Error()
		return
	}
	path := filepath.Join(b.dir, "python")
	script := fmt.Sprintf("#!/bin/sh\nexec %q %q\n", python, handler)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it must be executable
		b.pythonProblem = err.Error()
		return
	}
	b.python = path
}

// boto3 is the version that the Python template uses.
const boto3 = "boto3==1.43.11"
