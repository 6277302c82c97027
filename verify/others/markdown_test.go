//go:build verify

package others

import (
	"os"
	"strings"
	"testing"
)

// page is the documentation whose code these tests run unchanged.
const page = "../../docs/consumers.md"

// snippet returns the code block of a language under a heading of the page.
func snippet(t *testing.T, heading, language string) string {
	t.Helper()
	_, section, found := strings.Cut(readPage(t), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, code, found := strings.Cut(section, "\n```"+language+"\n")
	code, _, closed := strings.Cut(code, "\n```\n")
	if !found || !closed {
		t.Fatalf("no code in %s under %q", language, heading)
	}
	return code + "\n"
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
