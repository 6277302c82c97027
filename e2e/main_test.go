// Package e2e tests the functions as they are deployed: built by the flags of the
// Makefile, run by the Runtime API, and reached over sockets alone.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bootstrap is the built function issue.
var bootstrap string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	flag.Parse()
	// The tests wait for processes far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "evertoken-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bootstrap = filepath.Join(dir, "issue", "bootstrap")
	if err := build(bootstrap, "evertoken/functions/issue"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds a function as it is deployed, for this machine's processor.
func build(to, pkg string) error {
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", "lambda.norpc",
		"-trimpath", "-ldflags", "-s -w", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// TestScriptsOfTheFunctions runs testdata/script. The first word of a script's name is
// its subject: an outcome, or a fault. commands lists a script's commands.
func TestScriptsOfTheFunctions(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Cmds:                commands,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values[worldKey{}] = &scriptState{}
			return nil
		},
	})
}
