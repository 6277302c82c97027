package oauth

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// speak is a server that reads one request and writes bytes of its own, then
// closes the connection, or leaves it open until the test ends.
func speak(t *testing.T, open bool, write func(io.Writer)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		write(conn)
		if open {
			_, _ = io.Copy(io.Discard, conn) // until the client gives up
		}
	}()
	return "http://" + listener.Addr().String()
}

func refresh(url string) Request {
	return Request{TokenURL: url, Kind: RefreshGrant,
		Form: redact.ValuesOf(map[string][]string{"grant_type": {"refresh_token"},
			"refresh_token": {"sent"}})}
}

const goodBody = `{"access_token":"at","refresh_token":"the-only-copy","expires_in":3600,"token_type":"Bearer"}`

// A complete answer is read even if its framing is broken.
func TestACompleteAnswerInBrokenFramingIsRead(t *testing.T) {
	t.Parallel()
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(goodBody), goodBody)
	for name, tt := range map[string]struct {
		answer string
		open   bool
	}{
		"length too large, closed":    {"Content-Length: 500\r\n\r\n" + goodBody, false},
		"length too large, left open": {"Content-Length: 500\r\n\r\n" + goodBody, true},
		"no last chunk, closed":       {"Transfer-Encoding: chunked\r\n\r\n" + chunk, false},
		"no last chunk, left open":    {"Transfer-Encoding: chunked\r\n\r\n" + chunk, true},
		"half a last chunk":           {"Transfer-Encoding: chunked\r\n\r\n" + chunk + "0\r", false},
		"no length, left open":        {"\r\n" + goodBody, true},
		"chunked twice":               {"Connection: close\r\n\r\n" + goodBody + "\r\n0\r\n\r\n", false},
		"a byte order mark":           {"Connection: close\r\n\r\n\ufeff" + goodBody, false},
		"NULs behind it":              {"Connection: close\r\n\r\n" + goodBody + "\x00\x00", false},
		"a warning before it":         {"Connection: close\r\n\r\nDeprecated: x in y.php on line 3\n" + goodBody, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := speak(t, tt.open, func(w io.Writer) {
				_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+tt.answer)
			})
			c := newClient()
			c.Timeout = 300 * time.Millisecond
			got, err := c.Exchange(t.Context(), loopback, refresh(url))
			if err != nil || got.AccessToken.Reveal() != "at" ||
				got.RefreshToken.Reveal() != "the-only-copy" ||
				got.ExpiresAt.Sub(testNow) != time.Hour {
				t.Errorf("%v: %q, %q until %s", err, got.AccessToken.Reveal(), got.RefreshToken.Reveal(), got.ExpiresAt)
			}
		})
	}
}

// The refresh token of an incomplete answer is kept.
func TestTheRefreshTokenOfABrokenAnswerIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		head, body, kept string
	}{
		"cut behind it":            {"Content-Length: 500\r\n", `{"access_token":"at","refresh_token":"the-only-copy","expi`, "the-only-copy"},
		"cut before the end":       {"Content-Length: 500\r\n", `{"access_token":"at","refresh_token":"the-only-copy"`, "the-only-copy"},
		"cut in a wrapper":         {"Content-Length: 500\r\n", `{"data":{"refresh_token":"the-only-copy","expi`, "the-only-copy"},
		"cut in it":                {"Content-Length: 500\r\n", `{"access_token":"at","refresh_token":"the-on`, ""},
		"escapes":                  {"Content-Length: 500\r\n", `{"refresh_token":"a\/b\u002b\"","x":`, `a/b+"`},
		"cut, as a whole answer":   {"", `{"access_token":"at","refresh_token":"the-only-copy","expi`, "the-only-copy"},
		"in a page":                {"", `<html><pre>{"access_token":"at","refresh_token":"the-only-copy"}</pre></html>`, "the-only-copy"},
		"no JSON behind it":        {"", `{"refresh_token":"the-only-copy",,}`, "the-only-copy"},
		"two answers":              {"", `{"refresh_token":"the-only-copy"}{"x":1}`, "the-only-copy"},
		"a wrapper without access": {"", `{"answer":{"token":"x"},"refreshToken":"the-only-copy"}`, "the-only-copy"},
		"an error next to it":      {"", `{"error":"weird","refresh_token":"the-only-copy"}`, "the-only-copy"},
		"a type that is no bearer": {"", `{"access_token":"at","token_type":"mac","refresh_token":"the-only-copy"}`, "the-only-copy"},
		"longer than any token's":  {"", `{"refresh_token":"the-only-copy","x":"` + strings.Repeat("x", 4000), "the-only-copy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := speak(t, false, func(w io.Writer) {
				_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n"+tt.head+"\r\n"+tt.body)
			})
			c := newClient()
			c.MaxBody = 2000
			got, err := c.Exchange(t.Context(), loopback, refresh(url))
			e := failure(t, err)
			if got.RefreshToken.Reveal() != tt.kept || !got.AccessToken.IsZero() ||
				e.Lost != (tt.kept == "") || e.Unusable != (tt.kept != "") {
				t.Errorf("kept %q, %+v", got.RefreshToken.Reveal(), e)
			}
			if strings.Contains(err.Error()+e.Hint, "only-copy") {
				t.Errorf("the error shows it: %v", err)
			}
		})
	}
}

func compressed(t *testing.T, how, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	default:
		bare, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w = bare
	}
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func utf16Text(text string, little bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		if little {
			b = append(b, byte(u), byte(u>>8))
		} else {
			b = append(b, byte(u>>8), byte(u))
		}
	}
	return string(b)
}

func TestACompressedAnswerIsRead(t *testing.T) {
	t.Parallel()
	zipped := compressed(t, "gzip", goodBody)
	for name, tt := range map[string]struct{ encoding, body string }{
		"gzip":                      {"gzip", zipped},
		"x-gzip, spelled otherwise": {"X-GZip", zipped},
		"gzip without a header":     {"", zipped},
		"gzip called identity":      {"identity", zipped},
		"deflate":                   {"deflate", compressed(t, "zlib", goodBody)},
		"deflate, bare":             {"deflate", compressed(t, "flate", goodBody)},
		"a wrong header":            {"gzip", goodBody},
		"a charset for an encoding": {"utf-8", goodBody},
		"a byte order mark within":  {"gzip", compressed(t, "gzip", "\ufeff"+goodBody)},
		"UTF-16, little-endian":     {"", utf16Text(goodBody, true)},
		"UTF-16, big-endian":        {"", utf16Text(goodBody, false)},
		"a JSON string":             {"", `"` + strings.ReplaceAll(goodBody, `"`, `\"`) + `"`},
		"a list of the one":         {"", "[" + goodBody + "]"},
		"base64":                    {"", base64.StdEncoding.EncodeToString([]byte(goodBody))},
		"XML":                       {"", `<?xml version="1.0"?><OAuth><access_token>at</access_token><refresh_token>the-only-copy</refresh_token><expires_in>3600</expires_in></OAuth>`},
		"a form":                    {"", "access_token=at&refresh_token=the-only-copy&expires_in=3600&token_type=bearer"},
		"a form with a line break":  {"", "access_token=at&refresh_token=the%2Donly%2Dcopy&expires_in=3600\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, tt.body)
			})
			got, err := newClient().Exchange(t.Context(), loopback, refresh(s.URL))
			if err != nil || got.AccessToken.Reveal() != "at" ||
				got.RefreshToken.Reveal() != "the-only-copy" ||
				got.ExpiresAt.Sub(testNow) != time.Hour {
				t.Errorf("%v: %q, %q until %s", err, got.AccessToken.Reveal(), got.RefreshToken.Reveal(), got.ExpiresAt)
			}
		})
	}
	for name, tt := range map[string]struct{ encoding, body, problem string }{
		"a bomb":          {"gzip", compressed(t, "gzip", strings.Repeat(" ", 8<<20)), "the answer is too long to be a token response"},
		"a bare bomb":     {"deflate", compressed(t, "flate", strings.Repeat(" ", 8<<20)), "the answer is too long to be a token response"},
		"half a gzip":     {"gzip", zipped[:len(zipped)/2], "the answer broke off"},
		"no gzip at all":  {"gzip", "\x1f\x8b", "the answer broke off"},
		"brotli":          {"br", "\x8b\x01\x80canaryBodyText5c1d\x03", "the answer has a compression that was not asked for"},
		"gzip of nothing": {"gzip", compressed(t, "gzip", ""), "the answer is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", tt.encoding)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := newClient().Exchange(t.Context(), loopback, refresh(s.URL))
			if e := failure(t, err); e.Problem != tt.problem || !e.Lost {
				t.Errorf("%+v", e)
			}
			leaks(t, err)
		})
	}
}

// One deadline and the limits on sizes bound a malicious server: it costs no more than a
// lost answer.
func TestAMaliciousServerCostsNoMoreThanALostAnswer(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	endless := func(bytes string) func(io.Writer) {
		return func(w io.Writer) {
			for {
				if _, err := io.WriteString(w, bytes); err != nil {
					return
				}
			}
		}
	}
	drip := func(before, bytes string) func(io.Writer) {
		return func(w io.Writer) {
			_, _ = io.WriteString(w, before)
			for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
				if _, err := io.WriteString(w, bytes); err != nil {
					return
				}
			}
		}
	}
	for name, write := range map[string]func(io.Writer){
		"a flood of 1xx": endless("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
		"a flood of 100": endless("HTTP/1.1 100 Continue\r\n\r\n"),
		"slow 1xx":       drip("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
		"endless headers": func(w io.Writer) {
			_, _ = io.WriteString(w, head)
			endless("X-A: " + strings.Repeat("a", 100) + "\r\n")(w)
		},
		"one endless header":   func(w io.Writer) { _, _ = io.WriteString(w, head+"X: "); endless(strings.Repeat("a", 1000))(w) },
		"slow headers":         drip(head, "X-A: a\r\n"),
		"an endless body":      func(w io.Writer) { _, _ = io.WriteString(w, head+"\r\n"); endless(strings.Repeat(" ", 1000))(w) },
		"a slow body":          drip(head+"\r\n", " "),
		"slow, nearly a token": drip(head+"\r\n"+`{"access_token":"`, "}"),
		"endless chunk headers": func(w io.Writer) {
			_, _ = io.WriteString(w, head+"Transfer-Encoding: chunked\r\n\r\n1;x=")
			endless("aaaa")(w)
		},
		"an endless status": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 "); endless("a")(w) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient()
			c.Timeout = 150 * time.Millisecond
			_, err := c.Exchange(t.Context(), loopback, refresh(speak(t, false, write)))
			if e := failure(t, err); e.Class != exchange.Transient || !e.Lost {
				t.Errorf("%+v", e)
			}
		})
	}
}
