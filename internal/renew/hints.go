package renew

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"evertoken/internal/exchange"
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

// tellFailures adds hints about what failed although the connection has its token.
func (r *renewal) tellFailures(a attempt, failed failures) {
	if len(failed) == 0 {
		r.tellUntried(a)
		return
	}
	last := failed[len(failed)-1].x
	if a.fallback {
		r.hintOldSession(last.Error(), last.Hint)
		return
	}
	r.hint("Evertoken used the " + a.grant.Type + " grant, because another grant failed: " +
		last.Error())
}

// tellUntried adds a hint if the credential has changed and this run could send nothing of it.
// Only the run that sent it has reported the provider's answer.
func (r *renewal) tellUntried(a attempt) {
	unspent := slices.ContainsFunc(r.grants, func(g exchange.Grant) bool { return !r.spentSeed(g) })
	if a.grant.FromSession() && !a.fallback && !r.sessionFits() && unspent {
		r.hintOldSession("the stored credential has not opened one, and may not be sent now",
			"`evertoken explain "+r.conn.Name+"` says why.")
	}
}

func (r *renewal) hintOldSession(why, remedy string) {
	r.hint("A new session could not be opened, so Evertoken uses the old one while it works: " + why)
	r.hint(remedy)
}
