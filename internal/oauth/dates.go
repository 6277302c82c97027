package oauth

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// date reads a number as seconds since the Unix epoch, or as milliseconds, microseconds or
// nanoseconds if seconds are not plausible.
func date(s float64, now time.Time) (time.Time, bool) {
	for _, t := range epochs(s) {
		if believable(t, now) {
			return t, true
		}
	}
	return time.Time{}, false
}

// latestEpoch is 9999-12-31: beyond it RFC 3339 cannot write a date.
const latestEpoch = 253402300799

func epochs(s float64) []time.Time {
	var out []time.Time
	for _, v := range []float64{s, s / 1e3, s / 1e6, s / 1e9} {
		if v <= latestEpoch {
			out = append(out, time.UnixMilli(int64(v*1000)).UTC())
		}
	}
	return out
}

// The formats in which answers write dates: RFC 3339, variants of ISO 8601, RFC 9110's
// (ASP.NET's .expires), and dates without a zone.
var (
	zonedDates = []string{
		time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05Z0700", "2006-01-02T15:04Z07:00",
		"2006-01-02 15:04:05Z07", time.UnixDate, time.RubyDate, "Mon, 02-Jan-2006 15:04:05 MST",
		time.RFC1123, time.RFC1123Z, time.RFC850, "2006-01-02 15:04:05 MST",
	}
	bareDates = []string{
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
		"20060102T150405", "20060102150405", "2006/01/02 15:04:05", "1/2/2006 3:04:05 PM",
	}
)

// parseDate reads a date. zoned reports whether it has a zone; a date without one is read
// as UTC. The name of a zone other than UTC or GMT does not count, because its offset is
// unknown.
func parseDate(s string) (t time.Time, zoned, ok bool) {
	s = strings.TrimSpace(s)
	for _, layout := range zonedDates {
		if t, err := time.Parse(layout, s); err == nil {
			name, offset := t.Zone()
			return t.UTC(), offset != 0 || name == "" || name == "UTC" || name == "GMT" || name == "Z", true
		}
	}
	for _, layout := range bareDates {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), false, true
		}
	}
	return time.Time{}, false, false
}

func believable(ends, now time.Time) bool {
	left := ends.Sub(now)
	return left >= minLife && left <= maxLife
}

// seconds converts seconds to a duration. It is meant for at most ten years.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// number reads a JSON number, or one in quotes as Flexera's page prints it
// (https://developer.flexera.com/docs/page/authentication).
func number(raw json.RawMessage) (float64, bool) {
	s := strings.TrimSpace(string(raw))
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		s = strings.TrimSpace(quoted)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}
