package operator

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	docsPage  = "../../docs/command.md"
	docsBegin = "<!-- The reference below is the command's own help; UPDATE_DOCS=1 go test " +
		"./internal/operator writes it. -->\n"
)

// docs/command.md has every subcommand's own help.
func TestTheCommandsPageIsItsHelp(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	head, have, found := strings.Cut(string(page), docsBegin)
	if !found {
		t.Fatalf("%s has no line %q", docsPage, docsBegin)
	}
	a := &app{Process: Process{Getenv: func(string) string { return "" }}}
	want := reference(a.root())
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(docsPage, []byte(head+docsBegin+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("UPDATE_DOCS=1 go test ./internal/operator writes it (-help +page):\n%s", diff)
	}
	for code, text := range map[int]string{exitDone: "`0`", exitPerson: "`1`", exitUsage: "`2`", exitAWS: "`3`", exitHalf: "`4`", exitInterrupted: "`130`"} {
		if !strings.Contains(head, "| "+text+" |") {
			t.Errorf("the exit code %d is not in the page's table", code)
		}
	}
}

// reference writes the help of all subcommands.
func reference(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### Flags of every subcommand\n\n```\n%s```\n", flags(root.PersistentFlags()))
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() && c.Name() != "completion" {
			continue
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n", strings.TrimSuffix(c.UseLine(), " [flags]"),
			strings.TrimSpace(long(c)))
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.TrimRight(unindent(c.Example), "\n"))
		}
		if text := flags(c.LocalFlags()); text != "" {
			fmt.Fprintf(&b, "\n```\n%s```\n", text)
		}
	}
	return b.String()
}

// long is a command's description. A list in it, indented, becomes a block.
func long(c *cobra.Command) string {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	var b strings.Builder
	inList := false
	for line := range strings.Lines(text + "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != inList && strings.TrimSpace(line) != "" {
			b.WriteString("```\n")
			inList = indented
		}
		b.WriteString(line)
	}
	return strings.ReplaceAll(b.String(), "\n\n```\n", "\n```\n\n")
}

func unindent(text string) string { return strings.ReplaceAll("\n"+text, "\n  ", "\n")[1:] }

func flags(f *pflag.FlagSet) string {
	visible := pflag.NewFlagSet("", pflag.ContinueOnError)
	visible.SortFlags = f.SortFlags
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && flag.Name != "help" && flag.Name != "version" {
			visible.AddFlag(flag)
		}
	})
	return visible.FlagUsages()
}

// Every subcommand that changes something has --dry-run, and every one has a
// description of its own.
func TestEveryChangingSubcommandHasADryRun(t *testing.T) {
	t.Parallel()
	a := &app{Process: Process{Getenv: func(string) string { return "" }}}
	for _, c := range a.root().Commands() {
		if c.Short == "" || len(c.Short) > 100 {
			t.Errorf("%s: short description %q", c.Name(), c.Short)
		}
		if (c.GroupID == groupChange) != (c.Flags().Lookup("dry-run") != nil) {
			t.Errorf("%s: changes something: %v, has --dry-run: %v", c.Name(),
				c.GroupID == groupChange, c.Flags().Lookup("dry-run") != nil)
		}
	}
}
