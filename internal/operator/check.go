package operator

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…|NAME…", Short: "Find what is wrong with connections, in files or in AWS",
		Long: `Check reads connections with the functions' own parser.

Check reads a FILE without AWS, so a build can check a pull request: evertoken
check connections/*.json. A file holds one connection, whose name is the file's,
or {"connections":{"NAME":{…}}}. Check also finds connections that contradict each
other across the files. It names all faults, each with its line and column.

Check looks a NAME up in AWS: its secrets, their tags and keys, who may read
them, the schedule against the token's life, rotations, and, by a dry run of the
function issue, what the function itself sees.

It exits with 1 if something is wrong.`,
		Example: "  evertoken check connections/*.json\n  evertoken check apiax-prod",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("Usage: "+c.UseLine(), "evertoken check needs a file or a name")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var files, names []string
			for _, arg := range args {
				if isFile(arg) {
					files = append(files, arg)
				} else {
					names = append(names, arg)
				}
			}
			var findings []finding
			if len(files) > 0 {
				found, err := a.checkFiles(files)
				if err != nil {
					return err
				}
				findings = append(findings, found...)
			}
			if len(names) > 0 {
				found, err := a.checkNames(c.Context(), names)
				if err != nil {
					return err
				}
				findings = append(findings, found...)
			}
			return a.tellFindings(findings)
		},
	}
}

// isFile reports whether an argument is a file, not the name of a connection.
func isFile(arg string) bool {
	if strings.ContainsRune(arg, filepath.Separator) || strings.Contains(arg, ".") {
		return true
	}
	_, err := os.Stat(arg)
	return err == nil && !connection.ValidName(arg)
}

// The weights of a finding.
const (
	weightOK      = "ok"
	weightWarning = "warning"
	weightFault   = "fault"
	weightUnread  = "unread"
)

// finding is one thing that a check found.
type finding struct {
	Connection string `json:"connection,omitempty"`
	Weight     string `json:"weight"`
	// File, Line and Column are its position, for files.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	What   string `json:"what"`
	// Next is what to do, a command where there is one.
	Next string `json:"next,omitempty"`
}

// checkFiles checks files by themselves and against each other.
func (a *app) checkFiles(files []string) ([]finding, error) {
	texts := map[string][]byte{}      // :: parameter → text
	fileOf := map[string]string{}     // :: parameter → file
	var all []connection.Parameter    //
	var findings []finding            //
	rules := a.rules(defaultPath, "") // the Region of the functions is not known offline
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the operator names it
		if err != nil {
			return nil, usage("Check the file's name and your rights to it.", "%s cannot be read: %w", file,
				errors.Unwrap(err))
		}
		text = trimMark(text)
		if at, broken := syntaxFault(text); broken {
			findings = append(findings, finding{Weight: weightFault, File: file, Line: at.line,
				Column: at.column, What: "is not JSON: the fault is here"})
			continue
		}
		parameter := rules.Path + strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if other, twice := fileOf[parameter]; twice {
			findings = append(findings, finding{Weight: weightFault, File: file, Line: 1, Column: 1,
				What: "has the same name as " + other + ": both would become one parameter. " +
					"Rename one of the two"})
			continue
		}
		texts[parameter], fileOf[parameter] = text, file
		all = append(all, connection.Parameter{Name: parameter, Value: string(text)})
	}
	for _, d := range connection.Load(all, rules) {
		err := d.Err
		if err == nil {
			_, err = a.provider(d.Connection)
		}
		if err == nil {
			findings = append(findings, finding{Connection: d.Name, Weight: weightOK,
				File: fileOf[d.Parameter], What: "can be declared in " + d.Parameter})
			continue
		}
		text := texts[d.Parameter]
		for _, err := range a.faults(d, string(text), err) {
			name, _ := member(err)
			at := locate(text, wayTo(text, d.Name, name)...)
			findings = append(findings, finding{Connection: d.Name, Weight: weightFault,
				File: fileOf[d.Parameter], Line: at.line, Column: at.column, What: problem(err)})
		}
	}
	slices.SortStableFunc(findings, func(x, y finding) int {
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line),
			cmp.Compare(x.Column, y.Column))
	})
	return findings, nil
}

// wayTo leads to a member of a connection in a file of one or of several.
func wayTo(text []byte, name, member string) []string {
	if found, _ := memberAt(text, 0, "connections"); found >= 0 {
		return append([]string{"connections", name}, pathOf(member)...)
	}
	return pathOf(member)
}

// trimMark removes a byte order mark.
func trimMark(text []byte) []byte {
	return []byte(strings.TrimPrefix(string(text), "\ufeff"))
}

// tellFindings prints what was found. In a file only faults are of interest.
func (a *app) tellFindings(findings []finding) error {
	count := map[string]int{}
	for _, f := range findings {
		count[f.Weight]++
	}
	if a.output == "json" {
		if err := a.json(map[string]any{"findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			a.tellFinding(f)
		}
		a.printf("%s\n", checked(findings, count))
	}
	switch {
	case count[weightFault] > 0:
		return errPerson
	case count[weightUnread] > 0:
		return &failure{exitAWS, errors.New("not everything could be read"),
			"The items marked unread above were not checked."}
	}
	return nil
}

var weightTones = map[string]string{
	weightOK: toneGood, weightWarning: toneWarn, weightFault: toneBad, weightUnread: toneWarn,
}

func (a *app) tellFinding(f finding) {
	if f.File != "" {
		if f.Weight == weightOK {
			return
		}
		name := ""
		if f.Connection != "" {
			name = f.Connection + ": "
		}
		a.printf("%s:%d:%d: %s%s\n", f.File, f.Line, f.Column, name, f.What)
		return
	}
	a.printf("%s: %s  %s\n", f.Connection, a.paint(a.Stdout, weightTones[f.Weight],
		fmt.Sprintf("%-7s", f.Weight)), f.What)
	for line := range strings.Lines(f.Next) {
		a.printf("    %s\n", strings.TrimRight(line, "\n"))
	}
}

func checked(findings []finding, count map[string]int) string {
	names := map[string]bool{}
	for _, f := range findings {
		name := f.Connection
		if name == "" { // a file that cannot be parsed has no connection's name
			name = f.File
		}
		names[name] = true
	}
	return fmt.Sprintf("checked %d: %d %s, %d %s", len(names), count[weightFault],
		word(count[weightFault], "fault"),
		count[weightWarning], word(count[weightWarning], "warning"))
}

func word(n int, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}
