package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConstantsAndCasesAreBlocksToo(t *testing.T) {
	t.Parallel()
	const source = `package x

const daily = 24 - 1

func f(a, b int) int {
	switch {
	case a > b, a == 0:
		return a
	}
	return daily
}
`
	want := "m/x.go:3.15,3.21 1 1\nm/x.go:7.7,7.12 1 1\nm/x.go:7.14,7.20 1 1\n"
	var out bytes.Buffer
	if err := blocks(&out, "m/x.go", []byte(source)); err != nil || out.String() != want {
		t.Errorf("%v, got:\n%s", err, out.String())
	}
}

// TestAMutantsStatusIsThatOfItsTests runs the go command on a small module.
func TestAMutantsStatusIsThatOfItsTests(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		want       int
	}{
		{"passes", "if false { t.Fail() }", 0},
		{"fails", "t.Fail()", 1},
		{"does not compile", `_ = "a" - t.Name()`, statusNotViable},
		{"what only vet finds", `if n := t.Name(); n != "a" || n != "b" { return }`, 0},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"go.mod":    "module m\n\ngo 1.26\n",
			"x_test.go": "package x\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) { " + tt.code + " }\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(dir)
		got, err := run("go", []string{"test", "."}, io.Discard, io.Discard)
		if got != tt.want || err != nil {
			t.Errorf("%s: status %d, %v", tt.name, got, err)
		}
	}
	if _, err := run("", nil, io.Discard, io.Discard); err == nil ||
		!strings.Contains(err.Error(), "make mutate") {
		t.Errorf("without the command: %v", err)
	}
}
