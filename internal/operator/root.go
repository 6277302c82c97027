package operator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evertoken/internal/build"
)

// app is one run of the command.
type app struct {
	Process
	profile, region, endpoint string
	stackName, path, output   string
	dryRun, yes               bool
	// aws is made by the first call of [app.cloud].
	aws *cloud
	// asks is made by the first call of [app.prompter].
	asks *prompter
}

const longHelp = `Evertoken keeps access tokens in AWS Secrets Manager from expiring. This command
declares connections, maintains them and shows their state. It works with your own
AWS credentials, as the AWS CLI does.

Exit codes:
  0    done, nothing needs a person
  1    a person is needed: something is wrong, or a provider refused
  2    the command line is wrong
  3    AWS gave no answer; nothing was changed
  4    the command stopped half-way; run it again, and it finishes the work
  130  interrupted before anything was changed`

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "evertoken", Short: "Keep access tokens fresh in AWS Secrets Manager", Long: longHelp,
		SilenceUsage: true, SilenceErrors: true, Version: build.Revision(),
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	f := root.PersistentFlags()
	f.StringVar(&a.profile, "profile", "", "AWS profile (default: AWS_PROFILE)")
	f.StringVar(&a.region, "region", "", "AWS Region (default: AWS_REGION, or the profile's)")
	f.StringVar(&a.endpoint, "endpoint-url", "", "where AWS is, as http://127.0.0.1:8766 "+
		"(default: AWS_ENDPOINT_URL)")
	f.StringVar(&a.stackName, "stack", "", "Evertoken's CloudFormation stack (default: "+
		"EVERTOKEN_STACK, or the only one)")
	f.StringVar(&a.path, "connections-path", "", "where connections are declared (default: "+
		"EVERTOKEN_CONNECTIONS_PATH, the stack's, or "+defaultPath+")")
	f.StringVarP(&a.output, "output", "o", "table", "table or json")
	f.SortFlags = false
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"},
		cobra.ShellCompDirectiveNoFileComp))
	root.AddGroup(&cobra.Group{ID: groupLook, Title: "Look:"}, &cobra.Group{ID: groupChange,
		Title: "Change (each has --dry-run):"})
	for _, c := range []*cobra.Command{a.statusCommand(), a.explainCommand(), a.checkCommand(),
		a.tokenCommand()} {
		c.GroupID = groupLook
		root.AddCommand(c)
	}
	root.AddCommand(a.addCommand(), a.credentialCommand(), a.renewCommand(), a.rotateCommand(),
		a.renameCommand(), a.removeCommand(), a.serviceAccountCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("`"+c.CommandPath()+" --help` lists its flags.", "%w", err)
	})
	return root
}

const (
	groupLook   = "look"
	groupChange = "change"
)

// changing marks a command that changes something, and gives it --dry-run.
func (a *app) changing(c *cobra.Command) *cobra.Command {
	c.GroupID = groupChange
	c.Flags().BoolVar(&a.dryRun, "dry-run", false, "change nothing; print the AWS CLI's "+
		"commands instead")
	return c
}

// asking gives a command that asks before it changes something --yes.
func (a *app) asking(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return a.changing(c)
}

func (a *app) checkFlags() error {
	switch {
	case !slices.Contains([]string{"table", "json"}, a.output):
		return usage("Give --output table or --output json.", "--output must be table or json")
	case a.path != "" && (!strings.HasPrefix(a.path, "/") || !strings.HasSuffix(a.path, "/")):
		return usage("Give it as in --connections-path "+defaultPath+".",
			"--connections-path must begin and end with a slash")
	case a.endpoint != "" && !strings.HasPrefix(a.endpoint, "http://") &&
		!strings.HasPrefix(a.endpoint, "https://"):
		return usage("Give it as in --endpoint-url http://127.0.0.1:8766.",
			"--endpoint-url must be a URL")
	}
	return nil
}

// names accepts the arguments NAME of a command: exactly n of them.
func names(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("Usage: "+c.UseLine(), "%s needs %s", c.CommandPath(), plural(n, "name"))
		}
		return nil
	}
}

func plural(n int, thing string) string {
	if n == 1 {
		return "one " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// completeNames completes the names of connections.
func (a *app) completeNames(c *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, nothing
	}
	all, err := a.fleet(c.Context())
	if err != nil {
		return nil, nothing
	}
	var out []string
	for _, d := range all.declared {
		out = append(out, d.Name+"\t"+d.Connection.Provider)
	}
	return out, nothing
}
