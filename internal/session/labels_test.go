package session

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// named are the words in the code that name a label or an environment variable.
var named = regexp.MustCompile(`^EVERTOKEN_[A-Z_]+$`)

// TestEveryLabelIsExplained compares the table in docs/reliability.md with the code, so
// that a reader finds each label of a secret there. The same words begin environment
// variables; those are in the reference.
func TestEveryLabelIsExplained(t *testing.T) {
	t.Parallel()
	labels := rows(t, "../../docs/reliability.md")
	variables := rows(t, "../../docs/reference.md") + rows(t, "../../docs/command.md")
	found := map[string]bool{}
	for _, root := range []string{"..", "../../functions"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "fake" || d.Name() == "testdata"):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && named.MatchString(text) {
						found[strings.TrimSuffix(text, "_")] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sure := range []string{"EVERTOKEN_EXCHANGE", "EVERTOKEN_REJECTED", "EVERTOKEN_MADE", "EVERTOKEN_EVERY"} {
		if !found[sure] {
			t.Errorf("%s was not found in the code: this test does not look where it should", sure)
		}
	}
	delete(found, "EVERTOKEN") // the prefix of all
	for name := range found {
		whole := regexp.MustCompile(name + `(_?<|[^A-Z_])`)
		if !whole.MatchString(labels) && !whole.MatchString(variables) {
			t.Errorf("%s is in the code and in no table: a label belongs into docs/reliability.md, an "+
				"environment variable into docs/reference.md or docs/command.md", name)
		}
	}
}

// rows are the lines of a page's tables, and what docs/command.md says in prose.
func rows(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(page, "command.md") {
		var out []string
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| `") {
				out = append(out, line)
			}
		}
		return strings.Join(out, "")
	}
	return string(text)
}
