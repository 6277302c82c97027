package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said is what the sentence that explains a word of the glossary must contain.
var said = map[string]*regexp.Regexp{
	"connection": regexp.MustCompile(`declare|way to get`),
	"grant":      regexp.MustCompile(`kind of`),
	"exchange":   regexp.MustCompile(`turns?\b.*\binto\b`),
	"refresh":    regexp.MustCompile(`refresh token`),
	"re-mint":    regexp.MustCompile(`new session`),
	"seed":       regexp.MustCompile(`refresh token`),
	"claim":      regexp.MustCompile(`one run|alone`),
	"label":      regexp.MustCompile(`version`),
	"heartbeat":  regexp.MustCompile(`scheduled run|runs? (on a schedule|every few minutes)`),
	"emergency":  regexp.MustCompile(`dead|die`),
}

var (
	// notProse are blocks of code, code in a line, comments, headings and addresses of links.
	notProse = regexp.MustCompile("(?ms)```.*?^```|`[^`\n]+`|<!--.*?-->|^#+ [^\n]*$|\\]\\([^)\n]*\\)")
	// refreshToken is a term of OAuth; the glossary's refresh is an exchange.
	refreshToken = regexp.MustCompile(`refresh[_\s]+tokens?`)
	sentenceEnd  = regexp.MustCompile(`[.?!]["*)]*\s|\n\n|\|`)
)

// TestEveryPageExplainsTheWordsItUses: where a page uses a word of the glossary for the first time,
// the word is in italics or bold, and the sentence says the essential of it. Headings do not
// count. The page links to the glossary.
func TestEveryPageExplainsTheWordsItUses(t *testing.T) {
	t.Parallel()
	_, glossary, _ := strings.Cut(read(t, "architecture.md"), "\n## Ten words\n")
	glossary, _, _ = strings.Cut(glossary, "\n## ")
	words := regexp.MustCompile(`(?m)^\| ([a-z-]+) \| [a-z]`).FindAllStringSubmatch(glossary, -1)
	words = words[1:] // the first row is the heading
	if len(words) != len(said) {
		t.Fatalf("the glossary has %d words, want %d", len(words), len(said))
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := 0
	for _, page := range append(pages, "../README.md") {
		if page == "architecture.md" { // it has the glossary
			continue
		}
		text := read(t, page)
		prose := notProse.ReplaceAllString(text, "")
		used := 0
		for _, word := range words {
			if word[1] == "claim" && (page == "presets.md" || page == "providers.md") {
				continue // they speak of the claims of a JWT
			}
			if first, found := firstUse(prose, word[1]); found {
				used++
				explained++
				if !regexp.MustCompile(`\*([a-z]+ )?`+word[1]+`(s|es|ed)?\*`).MatchString(first) ||
					!said[word[1]].MatchString(first) {
					t.Errorf("%s uses the word %q first here, and does not explain it: %s", page, word[1], first)
				}
			}
		}
		if used > 0 && !strings.Contains(text, "architecture.md#ten-words") {
			t.Errorf("%s uses words of the glossary and does not link to it", page)
		}
	}
	if explained < 40 {
		t.Errorf("only %d words are explained", explained)
	}
}

// firstUse is the sentence in which a word is used first, on one line.
func firstUse(prose, word string) (sentence string, found bool) {
	prose = refreshToken.ReplaceAllStringFunc(prose, func(term string) string {
		return "REFRESH_TOKEN" + strings.Repeat(" ", len(term)-len("refresh_token"))
	})
	at := regexp.MustCompile(`(?i)(^|[^\w-])` + word + `(s|es|ed)?\b`).FindStringIndex(prose)
	if at == nil {
		return "", false
	}
	start, end := 0, len(prose)
	for _, m := range sentenceEnd.FindAllStringIndex(prose, -1) {
		if m[1] <= at[0]+1 {
			start = m[1]
		} else if m[0] >= at[1] {
			end = m[0]
			break
		}
	}
	sentence = strings.ReplaceAll(prose[start:end], "REFRESH_TOKEN", "refresh token")
	return strings.Join(strings.Fields(sentence), " "), true
}
