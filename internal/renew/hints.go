package renew

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentences joins hints into one text, each hint once and as a whole sentence: it
// begins with a capital and ends with a full stop. A name such as min_remaining
// keeps its first letter. Empty hints are left out.
func Sentences(hints ...string) string {
	var out []string
	for _, h := range hints {
		if h = sentence(h); h != "" && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return strings.Join(out, " ")
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	if word, _, _ := strings.Cut(text, " "); !strings.ContainsAny(word, "_.") {
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	if last := text[len(text)-1]; last != '.' && last != '!' && last != '?' {
		text += "."
	}
	return text
}
