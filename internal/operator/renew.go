package operator

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
)

func (a *app) renewCommand() *cobra.Command {
	var wait bool
	c := a.changing(&cobra.Command{
		Use: "renew NAME", Short: "Renew a token now, although it is not due", Args: names(1),
		Long: `Renew has the function issue renew the token of a connection at once, and try
again what the provider has refused. With --wait it waits for a run or a rotation
that is in progress, and for a fault that passes.`,
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return a.renew(c.Context(), args[0], wait)
		},
	})
	c.Flags().BoolVar(&wait, "wait", false, "wait until a token is published, five minutes at most")
	return c
}

func (a *app) renew(ctx context.Context, name string, wait bool) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	return a.change(func(ch changes) error {
		ev := event{Connections: []string{name}, Force: true}
		if wait {
			e, err := a.awaited(ctx, ch, t.stack, ev)
			if err != nil || a.dryRun {
				return goesOn(err)
			}
			if !hasToken(e.Outcome) {
				return refusal(e)
			}
			return a.tellIssued(e)
		}
		report, err := ch.run(ctx, t.stack, ev)
		if err != nil || a.dryRun {
			return goesOn(err)
		}
		e := outcomeOf(report, name)
		if !hasToken(e.Outcome) {
			return refusal(e)
		}
		return a.tellIssued(e)
	})
}

// goesOn reports an interrupted invocation: the function does not notice the interrupt.
func goesOn(err error) error {
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		return &failure{exitHalf, errors.New("interrupted"), "The function continues on its own: " +
			"`evertoken status` shows the result."}
	}
	return err
}

// target is a connection to change, and the stack that serves it.
type target struct {
	connection.Declared
	stack stack
	all   fleet
}

// target finds the stack and a connection that can be used.
func (a *app) target(ctx context.Context, name string) (target, error) {
	s, all, err := a.deployed(ctx)
	if err != nil {
		return target{}, err
	}
	d, err := all.connection(name)
	return target{d, s, all}, err
}
