package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"evertoken/internal/strictjson"
)

func TestASyntaxErrorIsLocatedWithoutTheText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":"canary"}`:          "",
		`{"a":"canary","b":"c",}`: "byte 22 is a comma with nothing after it: remove it",
		"{\"a\":\"c\",\n}":        "byte 9 is a comma with nothing after it: remove it",
		`["canary",]`:             "byte 10 is a comma with nothing after it: remove it",
		"{\"a\":\"can\nary\"}":    "byte 10 is a raw line break inside a string: write it \\n",
		"{\"a\":\"can\r\nary\"}":  "byte 10 is a raw line break inside a string: write it \\n",
		"{\"a\":\"can\tary\"}":    "byte 10 is a raw tab inside a string: write it \\t",
		"{\"a\":\"can\x00ary\"}":  "byte 10 is NUL: store the document as plain text, in UTF-8",
		"{\"a\":\"can\x1bary\"}":  "byte 10 is a control character: remove it",
		"{\x00\"\x00a":            "byte 2 is NUL: store the document as plain text, in UTF-8",
		`{'a':'canary'}`:          "byte 2 is a single quote: JSON uses double quotes",
		`{“a”:“canary”}`:          "byte 2 is a typographic quote: JSON uses straight double quotes",
		`{"a":"can\qary"}`:        `byte 11 cannot follow a backslash: write a backslash itself as \\`,
		`{"a":"canary"`:           "it ends too early, at byte 13: a quote or a closing bracket is missing",
		`{"a":"canary`:            "it ends too early, at byte 12: a quote or a closing bracket is missing",
		`{"a":"canary"}{}`:        "byte 15 follows the end of the document: store only one document",
		`{"a":"canary" "b":"c"}`:  "a comma is missing before byte 15",
		`{"a":"can"ary"}`:         `byte 11 follows a value without a comma: write a quote inside a string as \"`,
		`{"a" "canary"}`:          "a colon is missing before byte 6",
		`{a:"canary"}`:            "byte 2 begins a name without double quotes",
		`{"a":canary}`:            "byte 6 begins a value without double quotes",
		`{"a":}`:                  "the fault is at byte 6",
		"# canary\n{}":            "byte 1 begins a comment: JSON allows none",
		"{} // canary":            "byte 4 begins a comment: JSON allows none",
		"":                        "it ends too early, at byte 0: a quote or a closing bracket is missing",
	} {
		if got := strictjson.Fault([]byte(text)); got != want {
			t.Errorf("%q:\n%s, want\n%s", text, got, want)
		}
	}
}

// FuzzFault checks that a fault is returned exactly where the text is not JSON, and that
// it quotes nothing of the text.
func FuzzFault(f *testing.F) {
	for _, s := range []string{`{"a":1,}`, "{\"a\":\"\n\"}", `{'a'`, `{"a":"\q"}`, "\x00", "“",
		"{}{}", "nul", `{"a" 1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const marked = "QZJX9173"
		text = append(text, marked...)
		got := strictjson.Fault(text)
		if (got == "") != json.Valid(text) {
			t.Errorf("%q: %q", text, got)
		}
		if strings.Contains(got, "QZJX") {
			t.Errorf("the fault quotes the text: %s", got)
		}
	})
}
