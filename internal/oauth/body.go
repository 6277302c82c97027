package oauth

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// readAnswer reads at most limit bytes of an answer's body, before and after inflating it.
// Answer contains what arrived even if a success could not be read whole: a refresh token
// in it may be the only copy.
func readAnswer(response *http.Response, limit int64, doing string) (Answer, error) {
	raw, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	long := int64(len(raw)) > limit
	raw = raw[:min(int64(len(raw)), limit)]
	inflated, state := inflate(raw, response.Header.Values("Content-Encoding"), limit)
	a := Answer{Status: response.StatusCode, Header: redact.Wrap(&response.Header),
		Body: redact.New(decodeText(inflated))}
	failed := func(class exchange.Class, problem string) (Answer, error) {
		return a, &exchange.Error{Class: class, Doing: doing, Status: a.Status, Lost: true,
			Problem: problem}
	}
	switch {
	case !a.OK():
		return a, nil // a refusal counts, however its body ends
	case long || state == inflatedTooLong:
		return failed(exchange.Transient, "the answer is too long to be a token response")
	case state == inflatedUnknown:
		return failed(exchange.Misconfigured, "the answer has a compression that was not asked for")
	case wholeJSON(a.Body.Reveal()):
		return a, nil // the JSON is complete, whatever the framing says
	case err != nil || state == inflatedBroken:
		return failed(exchange.Transient, "the answer broke off")
	}
	return a, nil
}

// wholeJSON reports whether a text is one JSON object or list.
func wholeJSON(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text))
}

// inflation is the result of inflating a body.
type inflation int

const (
	inflatedWhole inflation = iota
	inflatedBroken
	inflatedTooLong
	inflatedUnknown
)

// inflate undoes a compression that Evertoken did not ask for; gateways apply it all the
// same. It recognizes gzip by its first bytes, whatever the header says.
func inflate(body []byte, encodings []string, limit int64) ([]byte, inflation) {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(encodings, ",")))
	var r io.Reader
	var err error
	switch {
	case len(body) == 0:
		return body, inflatedWhole
	case bytes.HasPrefix(body, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(bytes.NewReader(body))
	case strings.Contains(encoding, "deflate") && !textual(body):
		// In RFC 9110 section 8.4.1.2 "deflate" means zlib; some servers send it without
		// zlib's header.
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	case slices.Contains([]string{"br", "zstd", "compress", "x-compress", "dcb", "dcz"}, encoding) &&
		!textual(body):
		return nil, inflatedUnknown
	default:
		return body, inflatedWhole // plain, whatever the header says
	}
	if err != nil {
		return nil, inflatedBroken
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case int64(len(out)) > limit:
		return out[:limit], inflatedTooLong
	case err != nil:
		return out, inflatedBroken
	}
	return out, inflatedWhole
}

// textual reports whether a body begins like text rather than like compressed data.
func textual(body []byte) bool {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	return bytes.IndexFunc(body[:min(len(body), 32)], func(r rune) bool {
		return r > '~' || r < ' ' && r != '\t' && r != '\r' && r != '\n'
	}) < 0
}

// decodeText removes a byte order mark, and decodes UTF-16 if the mark says so.
func decodeText(body []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return strings.TrimPrefix(string(body), "\ufeff")
	}
	body = body[2:]
	units := make([]uint16, len(body)/2)
	for i := range units {
		units[i] = order.Uint16(body[2*i:])
	}
	return string(utf16.Decode(units))
}
