// Package operator is the command evertoken: what a person who runs Evertoken
// does with it, one file to a subcommand. It works with the operator's own AWS
// credentials, and reads connections with the same parser as the functions.
//
// No secret is ever printed, but by `evertoken token`, which is for that. What
// changes something in AWS goes through [changes], of which there are two: one
// that does it, and one that prints the AWS CLI's command for it (--dry-run).
package operator

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// The exit codes, which docs/command.md lists.
const (
	exitDone = 0
	// exitPerson: a person is needed, a check found a fault, a provider refused.
	exitPerson = 1
	// exitUsage: the command line is wrong.
	exitUsage = 2
	// exitAWS: AWS could not be asked: credentials, Region, network, a right, the
	// stack. Nothing was changed.
	exitAWS = 3
	// exitHalf: something was begun and is not finished. The message says what,
	// and the same command finishes it.
	exitHalf = 4
	// exitInterrupted: Ctrl-C, before anything was changed.
	exitInterrupted = 130
)

// Process is what the command has of the world.
type Process struct {
	// Getenv reads the environment, which the AWS SDK reads too.
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	// Sleep waits, and returns early with the context's error when that ends.
	Sleep func(context.Context, time.Duration) error
}

// Run runs the command line, without the program's name, and returns the exit
// code.
func (p Process) Run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{Process: p}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && !halfDone(err) {
		err = &failure{code: exitInterrupted, err: errors.New("interrupted: nothing was changed")}
	}
	return a.tell(err)
}

// terminal reports whether a stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
