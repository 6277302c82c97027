// Package docs has only tests: they compare the pages here with the code.
package docs

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const module = "evertoken/"

// listed is a package as `go list` prints it: its direct imports outside tests.
type listed struct {
	ImportPath string
	Imports    []string
}

// packages are this module's packages by folder, each with those of the module
// that it imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports := []string{}
		for _, name := range p.Imports {
			if folder, ours := strings.CutPrefix(name, module); ours {
				imports = append(imports, folder)
			}
		}
		slices.Sort(imports)
		found[strings.TrimPrefix(p.ImportPath, module)] = imports
	}
	if len(found) < 40 {
		t.Fatalf("go list names only %d packages", len(found))
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

// named are the words in code font of a cell of a table.
func named(cell string) []string {
	words := []string{}
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		words = append(words, m[1])
	}
	return words
}

// rows are the rows of the tables in a section of a page, each as its cells.
func rows(t *testing.T, page, heading string) [][]string {
	t.Helper()
	_, section, found := strings.Cut(page, "\n"+heading+"\n")
	if !found {
		t.Fatalf("the page has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var all [][]string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") {
			all = append(all, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	if len(all) == 0 {
		t.Fatalf("the section %q has no table", heading)
	}
	return all
}

// TestThePackageTableListsEveryPackage: docs/architecture.md lists every package, and for
// each deployed one the packages of this module that it imports.
func TestThePackageTableListsEveryPackage(t *testing.T) {
	t.Parallel()
	have := packages(t)
	inTable := map[string]bool{}
	for _, row := range rows(t, read(t, "architecture.md"), "## Packages") {
		folders := named(row[0])
		if len(folders) == 0 {
			continue // a head
		}
		for _, folder := range folders {
			if group, ok := strings.CutSuffix(folder, "/…"); ok {
				for p := range have {
					inTable[p] = inTable[p] || strings.HasPrefix(p, group+"/")
				}
				continue
			}
			if inTable[folder] = true; have[folder] == nil {
				t.Errorf("the table lists %s, which is no package", folder)
				continue
			}
			if len(row) < 3 { // never deployed
				continue
			}
			want := []string{}
			for _, name := range named(row[2]) {
				want = append(want, "internal/"+name)
			}
			slices.Sort(want)
			if diff := cmp.Diff(have[folder], want); diff != "" {
				t.Errorf("the imports of %s (-code +table):\n%s", folder, diff)
			}
		}
	}
	for p := range have {
		if !inTable[p] && p != "docs" {
			t.Errorf("the table has no row for %s", p)
		}
	}
}

// rule is one rule of depguard, which golangci-lint runs.
type rule struct {
	Files       []string
	Allow, Deny []pkg
	Mode        string `yaml:"list-mode"`
}

// pkg is an import that a rule names, alone or with the reason.
type pkg struct{ Pkg string }

func (p *pkg) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&p.Pkg)
	}
	var full struct{ Pkg string }
	err := n.Decode(&full)
	p.Pkg = full.Pkg
	return err
}

// TestTheImportRulesNameWhatExists: the rules in .golangci.yml name folders and packages
// that exist, and a rule that lists what a package may import lists what it imports. The
// linter checks that no package breaks a rule.
func TestTheImportRulesNameWhatExists(t *testing.T) {
	t.Parallel()
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]rule }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "../.golangci.yml")), &config); err != nil {
		t.Fatal(err)
	}
	rules := config.Linters.Settings.Depguard.Rules
	if len(rules) < 10 {
		t.Fatalf("only %d rules were read", len(rules))
	}
	have := packages(t)
	for name, r := range rules {
		var allowed []string
		for _, p := range slices.Concat(r.Allow, r.Deny) {
			if folder, ours := strings.CutPrefix(p.Pkg, module); ours && folder != "" {
				if _, err := os.Stat(filepath.Join("..", folder)); err != nil {
					t.Errorf("the rule %s names %s, which does not exist", name, p.Pkg)
				}
			}
		}
		for _, p := range r.Allow {
			allowed = append(allowed, strings.TrimPrefix(p.Pkg, module))
		}
		slices.Sort(allowed)
		for _, glob := range r.Files {
			folder := strings.TrimLeft(glob, "!*/")
			folder = strings.TrimRight(strings.TrimSuffix(folder, "*.go"), "*/")
			if strings.HasPrefix(folder, "$") || folder == "testdata" {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", folder)); err != nil {
				t.Errorf("the rule %s is about %s, which does not exist", name, glob)
			}
			if r.Mode == "lax" {
				if diff := cmp.Diff(have[folder], allowed); diff != "" {
					t.Errorf("the rule %s (-imported +allowed):\n%s", name, diff)
				}
			}
		}
	}
}

// TestTheFirstPageNamesPackagesThatExist: the files, folders and packages that the first
// page names exist.
func TestTheFirstPageNamesPackagesThatExist(t *testing.T) {
	t.Parallel()
	page, _, _ := strings.Cut(read(t, "architecture.md"), "\n## Ten words\n")
	paths := 0
	for _, word := range named(page) {
		if !strings.Contains(word, "/") {
			continue
		}
		paths++
		if _, err := os.Stat(filepath.Join("..", word)); err != nil {
			t.Errorf("the page names %s, which does not exist", word)
		}
	}
	if paths < 20 {
		t.Errorf("the page names only %d paths", paths)
	}
	if words := rows(t, read(t, "architecture.md"), "## Ten words"); len(words) > 12 { // a head of two lines
		t.Errorf("the glossary has %d words, and is to have ten at most", len(words)-2)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// anchor is the anchor that GitHub gives a heading.
func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(heading, "")
}

// TestEveryLinkLeadsToAPageAndAHeading: each link from one page to another leads to a
// page and a heading that exist.
func TestEveryLinkLeadsToAPageAndAHeading(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md")
	links := 0
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			to, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, ":") || strings.HasPrefix(to, "../..") {
				continue // another site
			}
			target := page
			if to != "" {
				target = filepath.Join(filepath.Dir(page), to)
			}
			links++
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if heading == "" {
				continue
			}
			found := slices.ContainsFunc(strings.Split(read(t, target), "\n"), func(line string) bool {
				return strings.HasPrefix(line, "#") && strings.ReplaceAll(anchor(line), " ", "-") == heading
			})
			if !found {
				t.Errorf("%s links to %s, a heading that does not exist", page, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}
