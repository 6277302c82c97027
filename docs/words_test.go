package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryPageExplainsTheWordsItUses: a page with a paragraph "Some words" explains
// there each of the ten words that it uses, and links to the glossary.
func TestEveryPageExplainsTheWordsItUses(t *testing.T) {
	t.Parallel()
	_, glossary, _ := strings.Cut(read(t, "architecture.md"), "\n## Ten words\n")
	glossary, _, _ = strings.Cut(glossary, "\n## ")
	words := regexp.MustCompile(`(?m)^\| ([a-z-]+) \| [a-z]`).FindAllStringSubmatch(glossary, -1)
	words = words[1:] // the first row is the heading
	if len(words) != 10 {
		t.Fatalf("the glossary has %d words, want 10", len(words))
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range pages {
		before, rest, found := strings.Cut(read(t, page), "\nSome words:")
		if !found {
			continue
		}
		checked++
		explained, after, _ := strings.Cut(rest, "\n\n")
		if !strings.Contains(explained, "architecture.md#ten-words") {
			t.Errorf("%s explains words without a link to the glossary", page)
		}
		// A refresh token is a term of OAuth; the glossary's refresh is an exchange. A block of
		// code is not prose.
		used := regexp.MustCompile("(?s)```.*?```|refresh[_ ]token").ReplaceAllString(before+after, "")
		for _, word := range words {
			if page == "presets.md" && word[1] == "claim" {
				continue // it speaks of the claims of a JWT
			}
			if regexp.MustCompile(`\b`+word[1]+`(s|es|ed)?\b`).MatchString(used) &&
				!strings.Contains(explained, word[1]) {
				t.Errorf("%s uses the word %q and does not explain it", page, word[1])
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d pages explain words", checked)
	}
}
