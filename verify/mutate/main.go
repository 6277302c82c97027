// Mutate replaces the go command where gremlins calls it (`make mutate`), and corrects
// three faults that would make gremlins' score too high or too low:
//
//   - A mutant that does not compile fails its "test", and would count as killed.
//     Mutate ends with status 2 then, which gremlins counts as not viable.
//   - No block of a coverage profile covers the conditions after case, nor the
//     value of a constant. Gremlins would skip them as not covered. Mutate
//     adds them to the profile, so that their mutants are tried like any other.
//   - Gremlins measures in the run for the profile how long the tests last, and so when a
//     mutant has timed out. A cached run takes no time, so Mutate turns the cache off.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// statusNotViable is the status that means "does not compile" to gremlins.
const statusNotViable = 2

func main() {
	status, err := run(os.Getenv("EVERTOKEN_GO"), os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	os.Exit(status)
}

// run runs the go command and returns the status to end with.
func run(command string, args []string, stdout, stderr io.Writer) (int, error) {
	if command == "" {
		return 1, errors.New("EVERTOKEN_GO must name the go command; start this with `make mutate`")
	}
	args = slices.Clone(args)
	if len(args) > 0 && args[0] == "test" { // what vet finds is not found by a test
		args = slices.Insert(args, 1, "-vet=off")
	}
	profile := slices.Index(args, "-coverprofile") + 1
	if profile > 0 {
		args = slices.Insert(args, 1, "-count=1")
		profile++
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(context.Background(), command, args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(stdout, &said), stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		switch {
		case !errors.As(err, &exit):
			return 1, err
		case bytes.Contains(said.Bytes(), []byte("[build failed]")):
			return statusNotViable, nil
		}
		return exit.ExitCode(), nil
	}
	if profile > 0 && profile < len(args) {
		if err := widen(args[profile]); err != nil {
			return 1, err
		}
	}
	return 0, nil
}

// widen adds to a profile the expressions that none of its blocks covers. Paths in it
// begin with the module's name, and gremlins runs the go command in the module's folder.
func widen(profile string) error {
	b, err := os.ReadFile(profile)
	if err != nil {
		return err
	}
	files := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if file, _, ok := strings.Cut(line, ".go:"); ok {
			files[file+".go"] = true
		}
	}
	out := bytes.NewBuffer(b)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		_, path, _ := strings.Cut(file, "/")
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := blocks(out, file, source); err != nil {
			return err
		}
	}
	return os.WriteFile(profile, out.Bytes(), 0o600)
}

// blocks writes a block for each condition after case, and for each value that a
// constant or variable is declared with.
func blocks(out io.Writer, name string, source []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	block := func(expr ast.Expr) {
		from, to := set.Position(expr.Pos()), set.Position(expr.End())
		fmt.Fprintf(out, "%s:%d.%d,%d.%d 1 1\n", name, from.Line, from.Column, to.Line, to.Column)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CaseClause:
			for _, expr := range node.List {
				block(expr)
			}
		case *ast.ValueSpec:
			for _, expr := range node.Values {
				block(expr)
			}
		}
		return true
	})
	return nil
}
