// Command flexera-service-account moves a flexera connection from a user's
// refresh token, which dies after a year and can be made by hand only, onto a
// service account, whose client needs no renewal by hand.
//
// It runs with the operator's own AWS credentials and with the rights of the
// user whose refresh token is stored, shows what it is about to do and asks. It
// can be run again after a failure half-way: a service account of that name is
// used, not made again, and so is a client whose secret is already stored.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

const command = "flexera-service-account"

func main() {
	os.Exit(process{
		getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		aws: secrets.Config, now: time.Now, sleep: secrets.Sleep,
	}.run(context.Background(), os.Args[1:]))
}

// process is what the command has of the world.
type process struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	aws            func(context.Context) (aws.Config, error)
	now            func() time.Time
	sleep          func(context.Context, time.Duration) error
}

// options are the command line.
type options struct {
	connection, name, description string
	roles                         []string
	org                           int64 // 0: that of the connection's settings
	yes                           bool
	path                          string // where the connections are; "": that of the environment
}

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run returns the exit code.
func (p process) run(ctx context.Context, args []string) int {
	o, err := parseFlags(args, p.stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		fmt.Fprintf(p.stderr, "%s: %v\n", command, err)
		return exitUsage
	}
	m, err := p.migration(ctx, o)
	if err == nil {
		err = m.run(ctx)
	}
	if err != nil {
		p.tell(err)
		return exitFailed
	}
	return exitDone
}

func parseFlags(args []string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.connection, "connection", "", "`name` of the flexera connection to move (required)")
	f.StringVar(&o.name, "name", "", "`name` of the service account, which is made unless it exists (required)")
	f.Func("role", "`name` of a role to grant it, as few as will do; may be repeated (required)", func(s string) error {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(o.roles, s) {
			o.roles = append(o.roles, s)
		}
		return nil
	})
	f.StringVar(&o.description, "description", "", "`text` to describe a new service account by")
	f.Int64Var(&o.org, "org", 0, "`id` of the organization (default: the connection's settings.org_id)")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.StringVar(&o.path, "connections-path", "", "SSM `path` of the connections (default: EVERTOKEN_CONNECTIONS_PATH, or /evertoken/connections/)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.name = strings.TrimSpace(o.name)
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.connection == "":
		return o, errors.New("-connection is missing")
	case o.name == "":
		return o, errors.New("-name is missing")
	case len(o.roles) == 0:
		return o, errors.New("-role is missing: a service account without a role may do nothing")
	case o.org < 0:
		return o, errors.New("-org must be at least 1")
	case o.path != "" && (!strings.HasPrefix(o.path, "/") || !strings.HasSuffix(o.path, "/")):
		return o, errors.New("-connections-path must begin and end with a slash")
	}
	return o, nil
}

// migration connects to AWS.
func (p process) migration(ctx context.Context, o options) (*migration, error) {
	c, err := config.Load(p.getenv)
	if err != nil {
		return nil, err
	}
	if o.path != "" {
		c.ConnectionsPath = o.path
	}
	sdk, err := p.aws(ctx)
	switch {
	case err != nil:
		return nil, err
	case sdk.Region == "":
		return nil, errors.New("no AWS Region is set: set AWS_REGION, or a profile that has one")
	}
	if _, err := sdk.Credentials.Retrieve(ctx); err != nil { // its text may name files and accounts
		return nil, errors.New("no usable AWS credentials were found: sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID")
	}
	c.Region = sdk.Region
	return &migration{
		process: p, options: o, config: c,
		secrets:    secrets.NewStore(secretsmanager.NewFromConfig(sdk), nil),
		parameters: secrets.NewParameters(ssm.NewFromConfig(sdk)),
	}, nil
}

// stopped is an error with what to do about it.
type stopped struct {
	err  error
	hint string
}

func (s *stopped) Error() string { return s.err.Error() }

func (s *stopped) Unwrap() error { return s.err }

func stop(hint string, err error) error { return &stopped{err: err, hint: hint} }

func refuse(hint, format string, args ...any) error {
	return stop(hint, fmt.Errorf(format, args...))
}

// tell prints an error and what to do about it.
func (p process) tell(err error) {
	fmt.Fprintf(p.stderr, "%s: %v\n", command, err)
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		if e.Hint != "" {
			fmt.Fprintln(p.stderr, "  "+e.Hint)
		}
		if e.RetryAfter > 0 {
			fmt.Fprintf(p.stderr, "  The provider asks to wait for %v.\n", e.RetryAfter)
		}
	}
	if s, ok := errors.AsType[*stopped](err); ok && s.hint != "" {
		fmt.Fprintln(p.stderr, "  "+s.hint)
	}
}
