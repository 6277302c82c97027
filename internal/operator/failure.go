package operator

import (
	"errors"
	"fmt"
	"strings"
)

// failure is an error as the command prints it: what happened, what the person does
// next, and the exit code.
type failure struct {
	code int
	err  error
	// next is whole sentences, or a command on a line of its own; may be empty.
	next string
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// person returns a failure that only a person can correct.
func person(next, format string, args ...any) error {
	return &failure{exitPerson, fmt.Errorf(format, args...), next}
}

// usage returns a failure for a command line that cannot work.
func usage(next, format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...), next}
}

// half returns a failure for work that was begun and is not finished. The same
// command, run again, continues from there.
func half(err error, done, next string) error {
	return &failure{exitHalf, fmt.Errorf("%s; then: %w", done, err), next}
}

func halfDone(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.code == exitHalf
}

// errPerson ends a command that has already printed what a person must do.
var errPerson = errors.New("a person is needed")

// tell prints an error and returns the exit code.
func (a *app) tell(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errPerson):
		return exitPerson
	}
	f, ok := errors.AsType[*failure](err)
	if !ok { // cobra's own: an unknown command or flag
		f = &failure{exitUsage, err, "`evertoken --help` lists the subcommands and flags."}
	}
	a.errorf("%s %v\n", a.red("evertoken:"), err)
	for line := range strings.Lines(hints(err)) {
		a.errorf("  %s\n", strings.TrimRight(line, "\n"))
	}
	return f.code
}

// hints joins what every failure in the chain says to do next, the outermost
// first.
func hints(err error) string {
	var out []string
	for err != nil {
		if f, ok := err.(*failure); ok && f.next != "" { //nolint:errorlint // each link of the chain is checked
			out = append(out, f.next)
		}
		err = errors.Unwrap(err)
	}
	return strings.Join(out, "\n")
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.Stdout, format, args...) }

func (a *app) errorf(format string, args ...any) { _, _ = fmt.Fprintf(a.Stderr, format, args...) }
