package operator

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"evertoken/internal/config"
	"evertoken/internal/exchange"
	"evertoken/internal/operator/serviceaccount"
)

func (a *app) serviceAccountCommand() *cobra.Command {
	var o serviceaccount.Options
	c := a.asking(&cobra.Command{
		Use: "service-account NAME", Short: "Move a Flexera connection from a user's refresh " +
			"token onto a service account", Args: names(1),
		Long: `Service-account moves a flexera connection from a user's refresh token, which
dies after a year, onto a service account, whose client can be rotated. It works
with the rights of that user, shows what it will do and asks. After a failure, run
it again: it finishes what is half done.`,
		Example: "  evertoken service-account flexera-prod --name evertoken --org 1105 --role " +
			"service_account_client_manager",
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			o.Connection = args[0]
			return a.serviceAccount(c.Context(), o)
		},
	})
	f := c.Flags()
	f.StringVar(&o.Name, "name", "", "name of the service account; "+
		"created if it does not exist (required)")
	f.StringArrayVar(&o.Roles, "role", nil,
		"a role to grant to it; grant as few as possible; may be repeated (required)")
	f.StringVar(&o.Description, "description", "", "description of a new service account")
	f.Int64Var(&o.Org, "org", 0, "the organization's number (default: "+
		"the connection's settings.org_id)")
	return c
}

func (a *app) serviceAccount(ctx context.Context, o serviceaccount.Options) error {
	o.Name = strings.TrimSpace(o.Name)
	switch {
	case o.Name == "":
		return usage("Give the service account's name: --name evertoken.", "--name is missing")
	case len(o.Roles) == 0:
		return usage("Give at least one --role, with as few rights as the applications need.",
			"--role is missing: a service account without a role may do nothing")
	case o.Org < 0:
		return usage("Give the organization's number as Flexera One shows it.",
			"--org must be at least 1")
	}
	c, err := a.cloud(ctx)
	if err != nil {
		return err
	}
	all, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	if _, err := all.connection(o.Connection); err != nil {
		return err
	}
	settings, err := config.Load(a.Getenv)
	if err != nil {
		return usage("", "%w", err)
	}
	settings.ConnectionsPath, settings.Region = all.path, c.region
	settings.AllowLoopbackHTTP = settings.AllowLoopbackHTTP || c.local()
	w := serviceaccount.World{
		Config: settings, Secrets: c.store, Parameters: c.values, Out: a.Stdout, Now: a.Now, Sleep: a.Sleep,
		Confirm: func() error { return a.confirm("Continue?") },
	}
	if a.dryRun {
		w.CLI = a.cli
	}
	return moved(serviceaccount.Move(ctx, w, o))
}

// moved turns an error of a move into one of the command's own.
func moved(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	code := exitPerson
	var next []string
	for inner := err; inner != nil; {
		s, ok := errors.AsType[*serviceaccount.Stopped](inner)
		if !ok {
			break
		}
		if s.Begun {
			code = exitHalf
		}
		if s.Hint != "" {
			next = append(next, s.Hint)
		}
		inner = s.Err
	}
	if e, ok := errors.AsType[*exchange.Error](err); ok && e.Hint != "" {
		next = append(next, e.Hint)
	}
	return &failure{code, err, strings.Join(next, "\n")}
}
