package supply

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// commands are the released programs.
var commands = []string{"./functions/issue", "./functions/rotate", "./cmd/evertoken"}

// permitted are licences that demand only to be named.
var permitted = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// listed are the modules of docs/licences.md with their licences.
func listed(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/licences.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = m[2]
	}
	return out
}

// built are the modules of the released programs, on every system that they are built
// for.
func built(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		c := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-tags", "lambda.norpc",
			"-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}"}, commands...)...)
		c.Dir, c.Stderr = root, t.Output()
		c.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		answer, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range strings.Fields(string(answer)) {
			out[module] = true
		}
	}
	return out
}

// TestEveryModulesLicenceIsListed: docs/licences.md names exactly the modules in the
// released binaries, and each has a licence that demands only to be named.
func TestEveryModulesLicenceIsListed(t *testing.T) {
	t.Parallel()
	list := listed(t)
	if licence := list["the Go standard library"]; licence != "BSD-3-Clause" {
		t.Errorf("the Go standard library is listed with %q", licence)
	}
	delete(list, "the Go standard library")
	said := map[string]bool{}
	for module, licence := range list {
		said[module] = true
		for one := range strings.SplitSeq(licence, " and ") {
			if !slices.Contains(permitted, one) {
				t.Errorf("%s has the licence %q: is that one that may be given on?", module, one)
			}
		}
	}
	if diff := cmp.Diff(built(t), said); diff != "" {
		t.Errorf("docs/licences.md (-built +listed):\n%s", diff)
	}
}
