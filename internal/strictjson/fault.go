package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Fault says at which byte a text stops being JSON and why, as "byte 31 is a raw line break
// inside a string: write it \n"; empty if it is JSON. Bytes count from 1. It quotes only
// the punctuation at fault, because the text around it may be a secret.
func Fault(text []byte) string {
	var v any
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(text, &v))
	if !ok {
		return ""
	}
	at := int(syntax.Offset) // the byte at fault, counted from 1
	if strings.Contains(syntax.Error(), "unexpected end") || at < 1 || at > len(text) {
		return fmt.Sprintf("it ends too early, at byte %d: a quote or a closing bracket "+
			"is missing", len(text))
	}
	before := bytes.TrimRight(text[:at-1], " \t\r\n")
	comma := bytes.LastIndexByte(before, ',') + 1
	switch c := text[at-1]; {
	case (c == '}' || c == ']') && comma > 0 && comma == len(before):
		return fmt.Sprintf("byte %d is a comma with nothing after it: remove it", comma)
	case c == '\n' || c == '\r':
		return fmt.Sprintf("byte %d is a raw line break inside a string: write it \\n", at)
	case c == '\t':
		return fmt.Sprintf("byte %d is a raw tab inside a string: write it \\t", at)
	case c == 0:
		return fmt.Sprintf("byte %d is NUL: store the document as plain text, in UTF-8", at)
	case c < ' ':
		return fmt.Sprintf("byte %d is a control character: remove it", at)
	case c == '\'':
		return fmt.Sprintf("byte %d is a single quote: JSON uses double quotes", at)
	case bytes.HasPrefix(text[at-1:], []byte("“")), bytes.HasPrefix(text[at-1:], []byte("”")),
		bytes.HasPrefix(text[at-1:], []byte("„")):
		return fmt.Sprintf("byte %d is a typographic quote: JSON uses straight double quotes", at)
	case c == '#', c == '/' && (at == 1 || text[at-2] != '\\'):
		return fmt.Sprintf("byte %d begins a comment: JSON allows none", at)
	case strings.Contains(syntax.Error(), "escape"):
		return fmt.Sprintf("byte %d cannot follow a backslash: "+
			"write a backslash itself as \\\\", at)
	case strings.Contains(syntax.Error(), "after top-level value"):
		return fmt.Sprintf("byte %d follows the end of the document: store only one document", at)
	case c == '"' && (strings.Contains(syntax.Error(), "after object key:value pair") ||
		strings.Contains(syntax.Error(), "after array element")):
		return fmt.Sprintf("a comma is missing before byte %d", at)
	case strings.Contains(syntax.Error(), "after object key:value pair"):
		return fmt.Sprintf("byte %d follows a value without a comma: "+
			"write a quote inside a string as \\\"", at)
	case strings.Contains(syntax.Error(), "after object key"):
		return fmt.Sprintf("a colon is missing before byte %d", at)
	case strings.Contains(syntax.Error(), "beginning of object key"):
		return fmt.Sprintf("byte %d begins a name without double quotes", at)
	case strings.Contains(syntax.Error(), "beginning of value") && at > 1 && c != '}' && c != ']' && c != ',':
		return fmt.Sprintf("byte %d begins a value without double quotes", at)
	}
	return fmt.Sprintf("the fault is at byte %d", at)
}
