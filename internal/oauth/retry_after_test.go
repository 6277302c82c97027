package oauth

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzRetryAfter holds for every header: the wait is within its bounds, it is nothing
// where the header is neither seconds nor a date, and an earlier time never gives a
// longer wait than a later one.
func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"", "30", " 30 ", "-5", "+7", "1e3", "0x10",
		"9223372036854775807", "99999999999999999999", "soon",
		"Sat, 21 Nov 2026 16:02:00 GMT", "Saturday, 21-Nov-26 16:02:00 GMT",
		"Sat Nov 21 16:02:00 2026", "Sat, 21 Nov 0000 16:02:00 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(header, 429, int64(0))
	}
	f.Add("Sat, 21 Nov 2026 16:02:00 GMT", 503, int64(119))
	f.Add("60", 503, int64(1<<40))
	f.Fuzz(func(t *testing.T, header string, status int, later int64) {
		wait := func(now time.Time) time.Duration {
			c := &Client{Now: func() time.Time { return now }}
			return c.Refused(Answer{Status: status,
				Header: boxed(http.Header{"Retry-After": {header}})}, Refusal{}).RetryAfter
		}
		at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
		got := wait(at)
		if got < 0 || got > maxRetryAfter {
			t.Errorf("%q: %s", header, got)
		}
		value := strings.TrimSpace(header)
		_, notSeconds := strconv.ParseInt(value, 10, 64)
		_, notDate := http.ParseTime(value)
		if notSeconds != nil && notDate != nil && got != 0 {
			t.Errorf("%q is neither seconds nor a date, and %s are waited", header, got)
		}
		// Within what a time.Duration can hold.
		afterwards := wait(at.Add(time.Duration(max(later, 0)) % (1 << 40)))
		switch {
		case notSeconds == nil && afterwards != got:
			t.Errorf("%q: seconds depend on the clock: %s, then %s", header, got, afterwards)
		case afterwards > got:
			t.Errorf("%q: %s, and later %s", header, got, afterwards)
		}
	})
}
