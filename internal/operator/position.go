package operator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// position is a place in a text file, both counted from 1; the column in bytes,
// as compilers count.
type position struct{ line, column int }

func (p position) String() string { return fmt.Sprintf("%d:%d", p.line, p.column) }

// positionOf turns an offset in bytes into line and column.
func positionOf(text []byte, offset int) position {
	before := text[:min(max(offset, 0), len(text))]
	return position{bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')}
}

// syntaxFault is where a text stops being JSON; ok is false where it does not.
func syntaxFault(text []byte) (at position, ok bool) {
	var v any
	err := json.Unmarshal(text, &v)
	if syntax, is := errors.AsType[*json.SyntaxError](err); is {
		return positionOf(text, int(syntax.Offset)-1), true
	}
	return position{}, false
}

// locate finds the name of a member in a JSON object, by the names that lead to
// it. Where the way ends early it returns the place of the last name found: what
// is missing is missing there.
func locate(text []byte, way ...string) position {
	at, from := 0, 0
	for _, name := range way {
		found, value := memberAt(text, from, name)
		if found < 0 {
			break
		}
		at, from = found, value
	}
	if at == 0 {
		at = len(text) - len(bytes.TrimLeft(text, " \t\r\n\ufeff"))
	}
	return positionOf(text, at)
}

// memberAt finds a member of the object that begins at or behind from: where its
// name begins, or -1, and where its value begins or is about to.
func memberAt(text []byte, from int, name string) (found, value int) {
	d := json.NewDecoder(bytes.NewReader(text[from:]))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return -1, 0
	}
	for d.More() {
		begins := from + int(d.InputOffset())
		begins += len(text[begins:]) - len(bytes.TrimLeft(text[begins:], " \t\r\n,"))
		key, err := d.Token()
		if err != nil {
			return -1, 0
		}
		if key == name {
			after := from + int(d.InputOffset())
			return begins, after + len(text[after:]) - len(bytes.TrimLeft(text[after:], " \t\r\n:"))
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return -1, 0
		}
	}
	return -1, 0
}

// pathOf splits a member as errors name it, settings.zone, and leaves out what is
// not a name.
func pathOf(member string) []string {
	if member == "" {
		return nil
	}
	return strings.Split(member, ".")
}
