//go:build verify

package supply

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAStockToolFindsTheListedLicences: a stock tool finds the licences of
// docs/licences.md in the modules' files.
func TestAStockToolFindsTheListedLicences(t *testing.T) {
	t.Parallel()
	found := map[string]string{}
	for _, command := range commands {
		system := "linux"
		if command == "./cmd/evertoken" {
			system = "windows" // with a module more than elsewhere
		}
		licencesOf(t, command, system, found)
	}
	for module, licence := range found {
		// The detector mistakes the licence of Go's own modules for one with similar
		// words: https://go.dev/LICENSE is BSD-3-Clause.
		if strings.HasPrefix(module, "golang.org/x/") && licence == "BSD-Source-Code" {
			found[module] = "BSD-3-Clause"
		}
	}
	list := listed(t)
	delete(list, "the Go standard library")
	if diff := cmp.Diff(found, list); diff != "" {
		t.Errorf("docs/licences.md (-found in the modules +listed):\n%s", diff)
	}
}

func licencesOf(t *testing.T, command, system string, into map[string]string) {
	t.Helper()
	folder := t.TempDir()
	binary, sbom := filepath.Join(folder, "binary"), filepath.Join(folder, "sbom.json")
	run := func(env []string, name string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), name, args...)
		c.Dir, c.Env = root, append(os.Environ(), env...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c.Args, " "), err, out)
		}
	}
	run([]string{"CGO_ENABLED=0", "GOOS=" + system}, "go", "build", "-buildvcs=false", "-tags",
		"lambda.norpc", "-trimpath", "-o", binary, command)
	run(nil, "go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin", "-licenses", "-json",
		"-version", "v0.0.0", "-output", sbom, binary)
	content, err := os.ReadFile(sbom)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		Components []struct {
			Name     string
			Evidence struct {
				Licenses []struct{ License struct{ ID string } }
			}
		}
	}
	if err := json.Unmarshal(content, &bom); err != nil {
		t.Fatal(err)
	}
	if len(bom.Components) == 0 {
		t.Errorf("%s: the list of components is empty", command)
	}
	for _, c := range bom.Components {
		var ids []string
		for _, l := range c.Evidence.Licenses {
			ids = append(ids, l.License.ID)
		}
		slices.Sort(ids)
		into[c.Name] = strings.Join(slices.Compact(ids), " and ")
	}
}
