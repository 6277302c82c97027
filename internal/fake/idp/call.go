package fakeidp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRequest bounds a request body. Token requests are far smaller.
const maxRequest = 1 << 20

// call is one request as a provider's logic sees it.
type call struct {
	r        *http.Request
	now      time.Time
	provider string
	segments []string // of the path below the provider's prefix, unescaped
	vars     []string // the segments that matched a route's {}
	body     []byte
	form     url.Values // nil unless the body is a well-formed form
	json     bool       // form was read from JSON
}

// newCall reads a request whole, so that the server sees a client hang up.
func newCall(r *http.Request, now time.Time) (*call, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxRequest {
		return nil, errors.New("request body too large")
	}
	c := &call{r: r, now: now, body: body}
	if err := c.setPath(r.URL.EscapedPath()); err != nil {
		return nil, err
	}
	if isForm(r.Header.Get("Content-Type")) {
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.form = form
		}
	}
	return c, nil
}

// setPath splits an escaped path. Segments are unescaped one by one, because
// a name in a path may hold a slash.
func (c *call) setPath(escaped string) error {
	for seg := range strings.SplitSeq(strings.TrimPrefix(escaped, "/"), "/") {
		s, err := url.PathUnescape(seg)
		if err != nil {
			return err
		}
		c.segments = append(c.segments, s)
	}
	// RFC 8414 section 3.1 puts the well-known part before the issuer's path.
	if c.segments[0] == ".well-known" && c.segments[len(c.segments)-1] == ProviderOAuth2 {
		c.provider = ProviderOAuth2
		return nil
	}
	switch c.segments[0] {
	case ProviderFlexera, ProviderFlexNet, ProviderSharetribe, ProviderApiax, ProviderOAuth2, redirected:
		c.provider = c.segments[0]
	}
	c.segments = c.segments[1:]
	return nil
}

// param is a form parameter, "" if absent.
func (c *call) param(name string) string { return c.form.Get(name) }

// repeated names a form parameter that was sent more than once, which RFC 6749
// section 3.2 forbids. Parameters listed in except may repeat.
func (c *call) repeated(except ...string) string {
next:
	for name, values := range c.form {
		for _, e := range except {
			if name == e {
				continue next
			}
		}
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

// bearer is the token of an Authorization: Bearer header, "" if there is none.
func (c *call) bearer() string {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// route binds a method and a path pattern, in which {} matches any one segment, to a
// provider's logic.
type route struct {
	method, pattern string
	handle          func(*call) reply
}

// dispatch runs the route that fits. Its second result is 0, or the status to
// answer when none did: 404 or 405.
func dispatch(routes []route, c *call) (reply, int) {
	status := http.StatusNotFound
	for _, rt := range routes {
		vars, ok := match(rt.pattern, c.segments)
		if !ok {
			continue
		}
		if rt.method != c.r.Method {
			status = http.StatusMethodNotAllowed
			continue
		}
		c.vars = vars
		return rt.handle(c), 0
	}
	return reply{}, status
}

func match(pattern string, segments []string) (vars []string, ok bool) {
	parts := strings.Split(pattern, "/")
	if len(parts) != len(segments) {
		return nil, false
	}
	for i, p := range parts {
		switch {
		case p == "{}" && segments[i] != "":
			vars = append(vars, segments[i])
		case p != segments[i]:
			return nil, false
		}
	}
	return vars, true
}

// reply is an answer before it is written. A status of 0 closes the connection
// without one.
type reply struct {
	status int
	header http.Header
	body   []byte
	cut    bool // close the connection in the middle of the body
}

func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		panic("fakeidp: encoding an answer: " + err.Error()) // only our own types get here
	}
	return reply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// tokenReply is a successful token answer, which RFC 6749 section 5.1 forbids
// caches to keep.
func tokenReply(v any) reply {
	out := jsonReply(http.StatusOK, v)
	out.header.Set("Cache-Control", "no-store")
	out.header.Set("Pragma", "no-cache")
	return out
}

// oauthError is an error answer of RFC 6749 section 5.2.
func oauthError(status int, code, description string) reply {
	out := tokenReply(map[string]string{"error": code, "error_description": description})
	out.status = status
	return out
}

func textReply(status int, text string) reply {
	return reply{status: status, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		body: []byte(text)}
}

func htmlReply(status int, title string) reply {
	body := "<!DOCTYPE html>\n<html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>\n"
	return reply{status: status, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body: []byte(body)}
}

// send writes an answer, or closes the connection where it says so.
func send(w http.ResponseWriter, out reply) {
	if out.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range out.header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if !out.cut {
		w.WriteHeader(out.status)
		_, _ = w.Write(out.body) // a client that hung up is no concern of ours
		return
	}
	// Less than the declared length: net/http closes the connection, and the
	// client sees an unexpected end.
	w.Header().Set("Content-Length", itoa(len(out.body)))
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body[:len(out.body)/2])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
