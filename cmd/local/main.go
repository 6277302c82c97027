// Command local is what `make run` runs: both functions as they are deployed, and around
// them, on loopback sockets, fakes of AWS and of the providers. Without a flag it is a
// demonstration that checks itself and ends. With -serve it stays up, for the AWS CLI, an
// SDK or SAM. With -connections it does one run against real providers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	o, err := parseFlags(os.Args[1:], os.Getenv, os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(2)
	}
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	serve bool
	// port is that of the fake AWS with serve; the providers and Lambda have the
	// two after it. 0 means free ones.
	port int
	// connections, credentials and sessions are files, see real.go.
	connections, credentials, sessions string
}

// defaultPort is the first of the three that -serve listens on.
const defaultPort = 8766

func parseFlags(args []string, getenv func(string) string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(usage)
	f.BoolVar(&o.serve, "serve", false, "stay up until Ctrl-C, for the AWS CLI, an SDK or SAM")
	f.IntVar(&o.port, "port", defaultPort,
		"with -serve: first of three ports (AWS, providers, Lambda); 0 for free ones")
	f.StringVar(&o.connections, "connections", "",
		"JSON `file` with {\"connections\":{…}}: one run against the real providers")
	f.StringVar(&o.credentials, "credentials", getenv("CREDENTIALS"),
		"with -connections: JSON `file` with a credential by connection name; a variable EVERTOKEN_CREDENTIAL_<NAME> takes precedence")
	f.StringVar(&o.sessions, "sessions", "sessions.local.json",
		"with -connections: `file` that keeps sessions between runs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.serve && o.connections != "":
		return o, errors.New("-serve and -connections exclude each other")
	case o.port < 0 || o.port > 65533:
		return o, errors.New("-port must be from 0 to 65533")
	}
	return o, nil
}

func run(o options, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "evertoken-local-")
	if err != nil {
		return fmt.Errorf("making a folder for the bootstraps: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder left in the temporary folder does no harm
	fmt.Fprintln(out, "building functions/issue and functions/rotate for this machine …")
	built, err := build(ctx, root, dir)
	if err != nil {
		return err
	}
	switch {
	case o.connections != "":
		signal.Ignore(os.Interrupt) // by the function too, which inherits it: the run lasts minutes at most
		return runReal(ctx, o, os.LookupEnv, built, out)
	case o.serve:
		s, err := startServing(ctx, o.port, root, root, built, out)
		if err != nil {
			return err
		}
		defer s.close()
		return s.wait(ctx)
	}
	return runDemo(ctx, root, built, out)
}

// moduleRoot is the folder of go.mod, where events/ and functions/ are.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding go.mod: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("finding go.mod: run this in Evertoken's own folder")
	}
	return filepath.Dir(file), nil
}

// bootstraps are the paths of the built functions.
type bootstraps struct{ issue, rotate string }

// build builds both functions into dir, with the deployed functions' flags, for this
// machine.
func build(ctx context.Context, root, dir string) (bootstraps, error) {
	b := bootstraps{issue: filepath.Join(dir, "issue", "bootstrap"),
		rotate: filepath.Join(dir, "rotate", "bootstrap")}
	for function, path := range map[string]string{"issue": b.issue, "rotate": b.rotate} {
		c := exec.CommandContext(ctx, "go",
			append(append([]string{"build"}, buildFlags...), "-o", path,
				"./functions/"+function)...)
		c.Dir, c.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := c.CombinedOutput(); err != nil {
			return b, fmt.Errorf("building functions/%s: %w\n%s", function, err, text)
		}
	}
	return b, nil
}

// buildFlags are those of the Makefile's BUILD.
var buildFlags = []string{"-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w"}
