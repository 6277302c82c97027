package oauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members are the members of one object in order, each decoded separately: a client must
// ignore unknown ones (RFC 6749 section 5.1), and a wrong type in a member that Evertoken
// does not need must not cost the token.
type members []member

// get returns the value of the member with exactly this name; the last if it is repeated,
// as decoders do; nil if there is none.
func (m members) get(name string) json.RawMessage {
	for i := len(m) - 1; i >= 0; i-- {
		if m[i].name == name {
			return m[i].value
		}
	}
	return nil
}

// folded returns the value of the first member with one of the given names, which must be
// in the form of [fold]. Earlier names take precedence.
func (m members) folded(names ...string) (json.RawMessage, bool) {
	for _, name := range names {
		for _, one := range m {
			if fold(one.name) == name && string(one.value) != "null" {
				return one.value, true
			}
		}
	}
	return nil, false
}

// path returns the value at a path of names with dots between them.
func (m members) path(path string) json.RawMessage {
	name, rest, deeper := strings.Cut(path, ".")
	if value := m.get(path); value != nil || !deeper {
		return value
	}
	return object(m.get(name)).path(rest)
}

// object returns the members of a value that is an object, otherwise nil.
func object(value json.RawMessage) members {
	m, whole, _ := readObject(string(value))
	if !whole {
		return nil
	}
	return m
}

// list returns the elements of a value that is a list, otherwise nil.
func list(value json.RawMessage) []json.RawMessage {
	var l []json.RawMessage
	if json.Unmarshal(value, &l) != nil {
		return nil
	}
	return l
}

// text returns a value's string, trimmed. ok is false if the value is not a string.
func text(value json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(value, &s) != nil || s == nil {
		return "", false
	}
	return strings.TrimSpace(*s), true
}

// fold maps the spellings of a name to one: access_token, accessToken and Access-Token are
// equal.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// readObject reads the members of the JSON object at the beginning of a text, as far as
// possible. whole reports whether it reached the end of the object; rest is what follows
// it.
func readObject(content string) (m members, whole bool, rest string) {
	d := json.NewDecoder(strings.NewReader(content))
	if brace, err := d.Token(); err != nil || brace != json.Delim('{') {
		return nil, false, ""
	}
	m = members{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return m, false, ""
		}
		m = append(m, member{name, value})
	}
	if _, err := d.Token(); err != nil {
		return m, false, ""
	}
	return m, true, content[d.InputOffset():]
}

// form is the kind of a body.
type form int

const (
	formNothing form = iota // empty, or white space
	formObject              // an object, in JSON or another format that parseBody reads
	formBroken              // an object that is cut off
	formPage                // an HTML page
	formText                // anything else
)

// body is an answer's body. Its content type does not matter: vendors send
// "application/vnd.goa.error", "text/html" and worse.
type body struct {
	members
	form form
	text string // the body as received
}

// parseBody reads a body as JSON, as a form or as XML, whichever it looks like.
func parseBody(content string) body {
	trimmed := strings.Trim(content, " \t\r\n\x00")
	b := body{form: formText, text: content}
	if trimmed == "" {
		b.form = formNothing
		return b
	}
	switch trimmed[0] {
	case '{':
		var whole bool
		var rest string
		if b.members, whole, rest = readObject(trimmed); !whole {
			if mended, ok := mend(trimmed); ok {
				b.members, b.form = mended, formObject
				return b
			}
			b.form = formBroken
		} else if !another(rest) {
			b.form = formObject
		} else {
			b.members = nil
		}
		return b
	case '"': // JSON in a JSON string
		var inner string
		if json.Unmarshal([]byte(trimmed), &inner) == nil &&
			strings.HasPrefix(strings.TrimSpace(inner), "{") {
			return parseBody(inner)
		}
	case '[': // a list that contains only the object
		if l := list(json.RawMessage(trimmed)); len(l) == 1 && len(object(l[0])) > 0 {
			return body{members: object(l[0]), form: formObject, text: content}
		}
	case '<':
		if i := strings.Index(trimmed, `{"`); i > 0 { // PHP prints a notice before the object
			if m, whole, rest := readObject(trimmed[i:]); whole && len(m) > 0 &&
				strings.TrimSpace(rest) == "" {
				b.members, b.form = m, formObject
				return b
			}
		}
		return parseMarkup(b, trimmed)
	}
	if inner, err := base64.StdEncoding.DecodeString(trimmed); err == nil &&
		bytes.HasPrefix(inner, []byte("{")) {
		return parseBody(string(inner)) // API Gateway encodes a body that it was told is binary
	}
	if m := parseForm(trimmed); m != nil {
		b.members, b.form = m, formObject
		return b
	}
	// The server's software printed a warning before the object.
	if i := strings.Index(trimmed, `{"`); i > 0 && trimmed[0] != '[' && trimmed[0] != '{' {
		if m, whole, rest := readObject(trimmed[i:]); whole && !another(rest) && len(m) > 0 {
			b.members, b.form = m, formObject
		}
	}
	return b
}

// mend reads an object that is almost JSON: it accepts raw line breaks and tabs within
// strings, and commas before a closing bracket.
func mend(content string) (members, bool) {
	var out strings.Builder
	inString, escaped := false, false
	for i, r := range content {
		switch {
		case escaped:
			escaped = false
		case inString && r == '\\':
			escaped = true
		case r == '"':
			inString = !inString
		case inString && r < ' ':
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		case !inString && r == ',':
			if rest := strings.TrimLeft(content[i+1:], " \t\r\n"); rest != "" &&
				(rest[0] == '}' || rest[0] == ']') {
				continue
			}
		}
		out.WriteRune(r)
	}
	m, whole, rest := readObject(out.String())
	return m, whole && !another(rest)
}

// another reports whether the rest after an object may be a second answer rather than a
// remainder of broken framing.
func another(rest string) bool { return strings.ContainsAny(rest, `{}[]`) }

// parseForm reads a form (application/x-www-form-urlencoded), which GitHub sends by default
// and others for historical reasons; nil if the text is not a form.
func parseForm(content string) members {
	if strings.ContainsAny(content, " \t\r\n<{\"") || !strings.Contains(content, "=") {
		return nil
	}
	values, err := url.ParseQuery(content)
	if err != nil {
		return nil
	}
	var m members
	known := false
	for name, all := range values {
		value, err := json.Marshal(all[0])
		if err != nil {
			continue
		}
		m = append(m, member{name, value})
		switch fold(name) {
		case "accesstoken", "refreshtoken", "error", "errordescription", "expiresin", "tokentype":
			known = true
		}
	}
	if !known {
		return nil
	}
	return m
}

// htmlTags are the elements that make a one-sentence answer a page rather than XML.
var htmlTags = map[string]bool{"h1": true, "h2": true, "h3": true, "p": true, "b": true,
	"title": true, "div": true, "span": true}

// maxElements limits how many elements of an XML answer are read.
const maxElements = 1000

// parseMarkup distinguishes a page from XML and reads XML elements without children as
// members. It does not expand entities that the document declares.
func parseMarkup(b body, content string) body {
	lower := strings.ToLower(content[:min(len(content), 2000)])
	if strings.Contains(lower, "<html") || strings.Contains(lower, "<!doctype html") ||
		strings.Contains(lower, "<head") || strings.Contains(lower, "<body") {
		b.form = formPage
		return b
	}
	d := xml.NewDecoder(strings.NewReader(content))
	d.Strict = false
	var name, value string
	open := false
	for range maxElements {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			name, value, open = t.Name.Local, "", true
			for _, a := range t.Attr {
				if raw, err := json.Marshal(a.Value); err == nil {
					b.members = append(b.members, member{a.Name.Local, raw})
				}
			}
		case xml.CharData:
			value += string(t)
		case xml.EndElement:
			if raw, err := json.Marshal(strings.TrimSpace(value)); err == nil && open {
				b.members = append(b.members, member{name, raw})
			}
			open = false
		}
	}
	b.form = formObject
	if len(b.members) == 1 && htmlTags[b.members[0].name] { // Mashery: <h1>403 Developer Inactive</h1>
		b.members, b.form, b.text = nil, formText, tags().ReplaceAllString(b.text, " ")
		return b
	}
	if len(b.members) == 0 {
		b.form = formPage
	}
	return b
}
