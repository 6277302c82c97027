// Package strictjson reads one JSON object that a person wrote. It rejects unknown
// and repeated members by name, and reports a fault by its position, never by its
// value: a value may be a secret in the wrong place.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"evertoken/internal/lazyregexp"
)

// Decode reads one JSON object into the struct that v points to. It
// rejects a member for which the struct has no tag of exactly the same spelling, and
// a member that is repeated in its object, at any level. It returns the member at
// fault, empty for the object as a whole, and the problem, empty if there is none.
// Neither contains a value.
func Decode(data []byte, v any) (member, problem string) {
	if path := RepeatedAt(data); path != "" {
		return path, twice
	}
	return decode(data, v)
}

// DecodeOuter is [Decode] for an object whose members are decoded one by one
// afterwards: it does not look for repeated members inside them.
func DecodeOuter(data []byte, v any) (member, problem string) {
	for name, repeated := range Repeated(data) {
		if repeated {
			return Printable(name), twice
		}
	}
	return decode(data, v)
}

const twice = "is declared twice: remove one of the two"

func decode(data []byte, v any) (member, problem string) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return "", "is not a JSON object" + position(err)
	}
	known := tags(v)
	for name := range members {
		if !slices.Contains(known, name) {
			return Printable(name), "is not known here; the " +
				"known ones are " + strings.Join(known, ", ")
		}
	}
	if err := json.Unmarshal(data, v); err != nil {
		if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return typeErr.Field, "has the wrong type: it must be " + typeName(typeErr.Type)
		}
		if durationErr, ok := errors.AsType[*durationError](err); ok {
			return wrongDuration(members, v), durationErr.Error()
		}
		return "", "must have the form that the documentation gives" + position(err)
	}
	return "", ""
}

// Members counts the members of a JSON object: the colons at its own level. text
// must be an object that a decoder accepted. If the decoded map has fewer members, one
// of them is repeated.
func Members(text string) int {
	n, depth, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // what is escaped
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}

// Repeated returns the names that a JSON object contains more than once. encoding/json
// would silently use the last.
func Repeated(object json.RawMessage) map[string]bool {
	seen, twice := map[string]bool{}, map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(object))
	_, _ = d.Token() // the brace; the caller knows that this is an object
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return twice
		}
		twice[name] = twice[name] || seen[name]
		seen[name] = true
	}
	return twice
}

// RepeatedAt returns the path of the first member that is repeated in its object, at
// any level, such as settings.extra.x; "" if there is none, or if the document is not
// JSON.
func RepeatedAt(document []byte) string {
	d := json.NewDecoder(bytes.NewReader(document))
	path, _ := repeated(d, "")
	return path
}

// repeated reads one value and returns the path of a repeated member in it. ok is false if
// the value cannot be read.
func repeated(d *json.Decoder, at string) (path string, ok bool) {
	t, err := d.Token()
	if err != nil {
		return "", false
	}
	open, isOpen := t.(json.Delim)
	if !isOpen {
		return "", true
	}
	seen := map[string]bool{}
	for d.More() {
		inner := at
		if open == '{' {
			t, err := d.Token()
			name, isName := t.(string)
			if err != nil || !isName {
				return "", false
			}
			if inner = Printable(name); at != "" {
				inner = at + "." + inner
			}
			if seen[name] {
				return inner, true
			}
			seen[name] = true
		}
		if path, ok := repeated(d, inner); path != "" || !ok {
			return path, ok
		}
	}
	_, err = d.Token() // the closing bracket
	return "", err == nil
}

// wrongDuration finds the member whose duration is invalid, which the decoder does not
// report.
func wrongDuration(members map[string]json.RawMessage, v any) string {
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		ft := t.Field(i).Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if raw, ok := members[name]; ok && ft == reflect.TypeFor[Duration]() {
			var d Duration
			if json.Unmarshal(raw, &d) != nil {
				return name
			}
		}
	}
	return ""
}

// tags returns the JSON names of the members of v, a pointer to a struct, sorted.
func tags(v any) []string {
	t := reflect.TypeOf(v).Elem()
	if known, ok := tagsOf.Load(t); ok {
		if names, ok := known.([]string); ok {
			return names
		}
	}
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	tagsOf.Store(t, names)
	return names
}

// tagsOf caches [tags] by type: a fleet's declarations have few types.
var tagsOf sync.Map // of reflect.Type to []string

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "a list"
	default:
		return "a number"
	}
}

var unprintable = lazyregexp.New(`[^A-Za-z0-9_.-]`)

// Printable makes a member's name safe for a log line.
func Printable(name string) string {
	name = unprintable().ReplaceAllString(name, "?")
	return name[:min(len(name), 64)]
}

func position(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf(" (the fault is near byte %d)", syntax.Offset)
	}
	return ""
}

// Duration is a Go duration in a JSON string, with d for days: "90m", "14d",
// "1d12h".
type Duration time.Duration

type durationError struct{}

func (*durationError) Error() string { return `must be a duration, such as "10m", "24h" or "14d"` }

var daysRE = lazyregexp.New(`^(\d{1,5})d`)

// ParseDuration reads a Go duration that may begin with a whole number of days.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if m := daysRE().FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, &durationError{}
		}
		days = time.Duration(n) * 24 * time.Hour
		if s = s[len(m[0]):]; s == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days+d < 0 { // negative if the sum overflows time.Duration
		return 0, &durationError{} // ParseDuration's own error quotes the value
	}
	return days + d, nil
}

// UnmarshalJSON reads a duration's text.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return &durationError{}
	}
	parsed, err := ParseDuration(s)
	*d = Duration(parsed)
	return err
}
