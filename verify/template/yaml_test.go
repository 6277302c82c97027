package template

import (
	"fmt"
	"regexp"
	"strings"
)

// A small reader for the YAML that template.yaml is written in: block and flow
// maps and lists, plain and quoted scalars, folded text, comments, and
// CloudFormation's short tags in their long form. It refuses what it does not
// know. All scalars are text.

type line struct {
	indent int
	text   string
}

type reader struct {
	lines []line
	at    int
}

// parseYAML reads a document.
func parseYAML(text string) (root any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("reading YAML: %v", problem)
		}
	}()
	r := &reader{}
	for raw := range strings.Lines(text) {
		raw = strings.TrimRight(raw, " \n")
		trimmed := strings.TrimLeft(raw, " ")
		if stripped := uncomment(trimmed); stripped != "" {
			r.lines = append(r.lines, line{len(raw) - len(trimmed), stripped})
		}
	}
	root = r.block(0)
	if r.at < len(r.lines) {
		panic("unexpected indentation at " + r.lines[r.at].text)
	}
	return root, nil
}

// uncomment takes a comment off the end of a line.
func uncomment(text string) string {
	quote := byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" [{,", text[i-1]) >= 0):
			quote = c
		case c == '#' && (i == 0 || text[i-1] == ' '):
			return strings.TrimRight(text[:i], " ")
		}
	}
	return text
}

var keyRE = regexp.MustCompile(`^([A-Za-z0-9_:./-]+):( +(.*))?$`)

func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

// block reads the map, list or value whose lines have this indentation.
func (r *reader) block(indent int) any {
	if r.at == len(r.lines) || r.lines[r.at].indent != indent {
		panic(fmt.Sprintf("nothing is indented by %d where it should be, after line %d", indent, r.at))
	}
	switch first := r.lines[r.at].text; {
	case isItem(first):
		return r.list(indent)
	case keyRE.MatchString(first):
		return r.mapping(indent)
	default:
		r.at++
		return r.value(first, indent)
	}
}

func (r *reader) list(indent int) []any {
	out := []any{}
	for r.at < len(r.lines) && r.lines[r.at].indent == indent && isItem(r.lines[r.at].text) {
		inner := strings.TrimPrefix(r.lines[r.at].text, "-")
		text := strings.TrimLeft(inner, " ")
		r.lines[r.at] = line{indent + 1 + len(inner) - len(text), text}
		if tag, rest := tagOf(text); tag != "" && rest == "" {
			r.at++
			out = append(out, long(tag, r.block(r.lines[r.at].indent)))
			continue
		}
		out = append(out, r.block(r.lines[r.at].indent))
	}
	return out
}

func (r *reader) mapping(indent int) map[string]any {
	out := map[string]any{}
	for r.at < len(r.lines) && r.lines[r.at].indent == indent {
		m := keyRE.FindStringSubmatch(r.lines[r.at].text)
		if m == nil {
			panic("no key in " + r.lines[r.at].text)
		}
		if _, twice := out[m[1]]; twice {
			panic(m[1] + " twice")
		}
		r.at++
		out[m[1]] = r.value(m[3], indent)
	}
	return out
}

// value reads what stands behind a key, or below it if that is nothing.
func (r *reader) value(text string, indent int) any {
	switch text {
	case "":
		return r.block(r.deeper(indent))
	case ">-":
		inner := r.deeper(indent)
		var words []string
		for r.at < len(r.lines) && r.lines[r.at].indent >= inner {
			words = append(words, r.lines[r.at].text)
			r.at++
		}
		return strings.Join(words, " ")
	}
	if tag, rest := tagOf(text); tag != "" && rest == "" { // its value stands below
		return long(tag, r.block(r.deeper(indent)))
	}
	f := &flow{text: text}
	out := f.value(false)
	if f.rest() != "" {
		panic("unexpected " + f.rest())
	}
	return out
}

// deeper is the indentation of the next line, which must be more than this one.
func (r *reader) deeper(indent int) int {
	if r.at == len(r.lines) || r.lines[r.at].indent <= indent {
		panic(fmt.Sprintf("a key without a value before line %d", r.at))
	}
	return r.lines[r.at].indent
}

// flow reads a value that stands in one line.
type flow struct{ text string }

func (f *flow) rest() string { return strings.TrimLeft(f.text, " ") }

func (f *flow) take(prefix string) bool {
	rest, found := strings.CutPrefix(f.rest(), prefix)
	if found {
		f.text = rest
	}
	return found
}

// value reads one value; inside a flow list or map a comma or bracket ends it.
func (f *flow) value(inside bool) any {
	if tag, rest := tagOf(f.rest()); tag != "" {
		f.text = rest
		return long(tag, f.value(inside))
	}
	switch {
	case f.take("["):
		out := []any{}
		for !f.take("]") {
			out = append(out, f.value(true))
			f.comma("]")
		}
		return out
	case f.take("{"):
		out := map[string]any{}
		for !f.take("}") {
			key, rest, found := strings.Cut(f.rest(), ": ")
			if !found {
				panic("no key in " + f.text)
			}
			f.text = rest
			out[key] = f.value(true)
			f.comma("}")
		}
		return out
	}
	for _, quote := range []string{`"`, "'"} {
		if f.take(quote) {
			text, rest, closed := strings.Cut(f.text, quote)
			if !closed || strings.Contains(text, `\`) {
				panic("a quoted text that is not closed, or has escapes")
			}
			f.text = rest
			return text
		}
	}
	text, end := f.rest(), len(f.rest())
	if inside {
		if i := strings.IndexAny(text, ",]}"); i >= 0 {
			end = i
		}
	}
	f.text = text[end:]
	return strings.TrimRight(text[:end], " ")
}

func (f *flow) comma(end string) {
	if !f.take(",") && !strings.HasPrefix(f.rest(), end) {
		panic("no comma before " + f.text)
	}
}

var tagRE = regexp.MustCompile(`^!([A-Za-z]+)( +(.*))?$`)

func tagOf(text string) (tag, rest string) {
	if m := tagRE.FindStringSubmatch(text); m != nil {
		return m[1], m[3]
	}
	return "", text
}

// long is the long form of a short tag.
func long(tag string, value any) any {
	name := "Fn::" + tag
	switch tag {
	case "Ref", "Condition":
		name = tag
	case "GetAtt":
		if text, ok := value.(string); ok {
			resource, attribute, _ := strings.Cut(text, ".")
			value = []any{resource, attribute}
		}
	}
	return map[string]any{name: value}
}
