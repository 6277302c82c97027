package oauth

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The bounds of a believable lifetime. Outside them a reading is wrong, and a
// wrong expiry either burns refresh tokens or never renews.
const (
	minLife = 30 * time.Second
	maxLife = 400 * 24 * time.Hour

	defaultLife = time.Hour

	// tenYears in seconds: more than that is no duration but a date, which the
	// Apiax page calls a "JAVA_TIMESTAMP"
	// (https://docs.apiax.io/hc/en-gb/articles/4402382856337-Retrieving-an-API-Access-Token).
	tenYears = 10 * 365 * 24 * 3600.0

	// differs is how far two statements of one expiry may be apart.
	differs = time.Minute
	// clockOff is how far a token's iat may be from our clock.
	clockOff = 5 * time.Minute
)

// life is what all the readings of a token's lifetime come to.
type life struct {
	ends   time.Time
	absurd bool
	hints  []string
}

// lifetime reads how long a token lives: expires_in, else expires_at, else the
// token's own exp, else the default. The token's exp, where it has one, cuts a
// longer statement short.
func lifetime(m members, access string, now time.Time, fallback time.Duration) life {
	if fallback == 0 {
		fallback = defaultLife
	}
	var l life
	var told bool
	l.ends, told, l.absurd = stated(m, now, &l.hints)
	if l.absurd {
		return l
	}
	own, ok := readClaims(access)
	if ok && !own.issued.IsZero() && own.issued.Sub(now).Abs() > clockOff {
		l.hints = append(l.hints, "The provider's clock and ours are more than 5 minutes apart, or the token was issued earlier.")
	}
	usable := ok && believable(own.expires, now)
	switch {
	case !told && usable:
		l.ends = own.expires
		l.hints = append(l.hints, "The answer does not tell the token's lifetime: taken from the token itself.")
	case !told:
		l.ends = now.Add(fallback)
		l.hints = append(l.hints, fmt.Sprintf("The answer does not tell the token's lifetime: taken to be %s.", fallback))
	case usable && own.expires.Before(l.ends):
		if l.ends.Sub(own.expires) > differs {
			l.hints = append(l.hints, "The token itself ends earlier than the answer says: the earlier end is taken.")
		}
		l.ends = own.expires
	case ok && !own.expires.IsZero() && !usable:
		// Not taken: by our clock such a token is over or as good as eternal,
		// and the answer's own figure does not hang on clocks.
		l.hints = append(l.hints, "The token itself states another end than the answer, one that cannot be: the answer's is taken.")
	}
	return l
}

// stated is what the answer itself says of the token's end.
func stated(m members, now time.Time, hints *[]string) (ends time.Time, told, absurd bool) {
	if raw, there := m["expires_in"]; there && string(raw) != "null" {
		s, ok := number(raw)
		if !ok || s <= 0 {
			return time.Time{}, false, false
		}
		if s <= tenYears {
			ends = now.Add(seconds(s))
			return ends, true, !believable(ends, now)
		}
		if ends, ok = date(s, now); !ok {
			return time.Time{}, false, true
		}
		*hints = append(*hints, `The answer's "expires_in" is a date, not a number of seconds, and is read as such.`)
		return ends, true, false
	}
	// Apiax prints expires_at where Keycloak sends expires_in (same page).
	if raw, there := m["expires_at"]; there {
		if s, ok := number(raw); ok && s > 0 {
			ends, ok = date(s, now)
			return ends, true, !ok
		}
		if t, ok := m.text("expires_at"); ok && t != "" {
			parsed, err := time.Parse(time.RFC3339, t)
			if err == nil {
				return parsed.UTC(), true, !believable(parsed, now)
			}
		}
	}
	return time.Time{}, false, false
}

// refreshEnd is when a refresh token ends, from seconds or a date. Refresh
// tokens may live for many years, so there is no upper bound but that of dates.
func refreshEnd(s float64, now time.Time) (time.Time, bool) {
	if s <= tenYears {
		return now.Add(seconds(s)), true
	}
	for _, t := range epochs(s) {
		if t.After(now) && t.Sub(now) <= seconds(tenYears) {
			return t, true
		}
	}
	return time.Time{}, false
}

// date reads a number as seconds, else as milliseconds since the Unix epoch.
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
	for _, v := range []float64{s, s / 1000} {
		if v <= latestEpoch {
			out = append(out, time.UnixMilli(int64(v*1000)).UTC())
		}
	}
	return out
}

func believable(ends, now time.Time) bool {
	left := ends.Sub(now)
	return left >= minLife && left <= maxLife
}

// seconds is a duration of at most ten years.
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
