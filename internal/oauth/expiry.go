package oauth

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"evertoken/internal/lazyregexp"
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

// The names, folded, by which answers tell a token's life, the surest first.
// Zoho's expires_in_sec stands beside an expires_in in milliseconds
// (https://www.zoho.com/accounts/protocol/oauth/web-apps/authorization.html);
// Apiax prints expires_at where Keycloak sends expires_in; Facebook has
// expires; Microsoft's first endpoint expires_on; ASP.NET .expires.
var lifeNames = []string{
	"expiresinsec", "expiresinsecs", "expiresinseconds", "expiresinminutes", "expiresinmins",
	"expiresin", "accesstokenexpiresin", "tokenexpiresin", "expirein", "accesstokenexpirein",
	"expiresinms", "expiresat", "expireson", "expires", "expirestime", "expirationtime",
	"expirationdate", "expiration", "expirydate", "expiry", "expiretime", "expireat",
	"expiredat", "accesstokenexpiresat", "accesstokenexpireson", "accesstokenexpiration",
	"accesstokenexpirationtime", "accesstokenexpiretime", "accesstokenexpiry", "tokenexpiresat",
	"tokenexpiration", "validuntil", "validto", "validfor", "lifetime", "ttl", "exp",
}

// life is what all the readings of a token's lifetime come to.
type life struct {
	ends   time.Time
	over   bool // a token at its end
	absurd bool
	hints  []string
}

// stated is what an answer itself says of an end.
type stated struct {
	ends time.Time
	told bool // there was something that could be read
	odd  bool // there was something that could not be read
	hint string
}

// lifetime reads how long a token lives: what the answer says, else the token's
// own exp, else what the operator says, else the default. The token's exp,
// where it has one, cuts a longer statement short.
func (g *reading) lifetime(holder members, access string) life {
	r := g.request
	fallback := r.Life
	if fallback == 0 {
		fallback = max(r.DefaultLife, 0)
	}
	if fallback == 0 {
		fallback = defaultLife
	}
	var l life
	said := g.stated(holder)
	if said.hint != "" {
		l.hints = append(l.hints, said.hint)
	}
	own, isJWT := readClaims(access)
	usable := isJWT && believable(own.expires, g.now)
	if isJWT && !own.issued.IsZero() && own.issued.Sub(g.now).Abs() > clockOff {
		l.hints = append(l.hints, "The provider's clock and the function's differ by more than 5 "+
			"minutes, or the token was issued earlier.")
	}
	left := said.ends.Sub(g.now)
	switch {
	case said.told && left < minLife && usable && said.ends.Sub(g.from) <= 0: // a 0 that means nothing
		l.ends = own.expires
		l.hints = append(l.hints, "The answer does not state the token's lifetime: Evertoken "+
			"takes it from the token itself.")
	case said.told && left < minLife && r.Life > 0:
		l.ends = g.from.Add(r.Life)
	case said.told && left < minLife:
		l.over = true
	case said.told && left > maxLife && r.Life > 0:
		l.ends = g.from.Add(r.Life)
	case said.told && left > maxLife:
		l.absurd = true
	case !said.told && usable:
		l.ends = own.expires
		l.hints = append(l.hints, "The answer does not state the token's lifetime: Evertoken "+
			"takes it from the token itself.")
	case !said.told:
		l.ends = g.from.Add(fallback)
		if r.Life == 0 {
			l.hints = append(l.hints, g.untold(said, fallback))
		}
	case usable && own.expires.Before(said.ends):
		l.ends = own.expires
		if said.ends.Sub(own.expires) > differs {
			l.hints = append(l.hints, "The token itself expires earlier than the answer says: "+
				"Evertoken uses the earlier time.")
		}
	default:
		l.ends = said.ends
		if isJWT && !own.expires.IsZero() && !usable {
			// Not taken: by our clock such a token is over or as good as
			// eternal, and the answer's own figure does not hang on clocks.
			l.hints = append(l.hints, "The token itself states an expiry that is not plausible: "+
				"Evertoken uses the answer's.")
		}
	}
	if !l.over && !l.absurd && !believable(l.ends, g.now) {
		l.over = l.ends.Sub(g.now) < minLife
		l.absurd = !l.over
	}
	return l
}

var secondsInWords = strings.NewReplacer(" ", "", "seconds", "s", "secs", "s", "sec", "s")

func (g *reading) untold(said stated, fallback time.Duration) string {
	if said.odd {
		return fmt.Sprintf("The token's lifetime in the answer cannot be read: Evertoken "+
			"assumes %s.", fallback) +
			g.ifSettings(" If it is another, set settings.token_life.")
	}
	return fmt.Sprintf("The answer does not state the token's lifetime: Evertoken "+
		"assumes %s.", fallback)
}

// stated finds what the answer says of the token's end.
func (g *reading) stated(holder members) stated {
	if path := g.request.Answer.ExpiresIn; path != "" {
		return g.read(holder, g.body.path(path), "")
	}
	var odd stated
	for _, m := range []members{holder, g.body.members} {
		for _, name := range lifeNames {
			value, ok := m.folded(name)
			if !ok {
				continue
			}
			s := g.read(m, value, name)
			if s.told {
				return g.earlier(s, m)
			}
			odd.odd = odd.odd || s.odd
		}
	}
	return odd
}

// earlier is the end as a date beside the seconds, where that is sooner: a
// server that hands out a cached token may tell its whole life in seconds.
func (g *reading) earlier(s stated, m members) stated {
	for _, name := range dateNames {
		value, ok := m.folded(name)
		if !ok {
			continue
		}
		date := g.read(m, value, name)
		if date.told && date.hint == "" && believable(date.ends, g.now) && s.ends.Sub(date.ends) > differs {
			date.hint = "The answer states two expiry times of the token: Evertoken uses the " +
				"earlier one."
			return date
		}
	}
	return s
}

// dateNames are those of lifeNames whose value is a date.
var dateNames = []string{
	"expiresat", "expireson", "accesstokenexpiresat", "validuntil", "expirationtime",
	"expiretime",
}

// read reads one statement of an end, under a folded name.
func (g *reading) read(beside members, value json.RawMessage, name string) stated {
	s, ok := text(value)
	if digits := strings.Trim(string(value), `"`); compactDate(digits) {
		s, ok = digits, true
	} else if n, isNumber := number(value); isNumber {
		return g.readNumber(n, name)
	} else if ms := dotNetDate().FindStringSubmatch(s); ms != nil {
		n, _ := number(json.RawMessage(ms[1]))
		return g.readNumber(n, name)
	}
	switch {
	case len(value) == 0 || string(value) == "null" || ok && s == "":
		return stated{}
	case !ok:
		return stated{odd: true}
	}
	// "3600s", "PT1H"
	if d, err := time.ParseDuration(
		secondsInWords.Replace(strings.TrimPrefix(strings.ToLower(s), "pt"))); err == nil {
		return stated{told: true, ends: g.from.Add(d)}
	}
	ends, zoned, ok := parseDate(s)
	if !ok {
		return stated{odd: true}
	}
	if zoned {
		return stated{told: true, ends: ends}
	}
	// Without a zone: where the time of issue stands beside it, written alike,
	// the difference is the life whatever the zone.
	for _, name := range []string{"issuedat", "issued", "createdat", "created"} {
		if raw, ok := beside.folded(name); ok {
			t, _ := text(raw)
			if issued, zoned, ok := parseDate(t); ok && !zoned && issued.Before(ends) {
				return stated{told: true, ends: g.from.Add(ends.Sub(issued))}
			}
		}
	}
	if !believable(ends, g.now) {
		return stated{odd: true} // another zone, most likely
	}
	return stated{told: true, ends: ends, hint: "The token's expiry in the answer has no time " +
		"zone: Evertoken reads it as UTC."}
}

// dotNetDate is how ASP.NET's JavaScriptSerializer writes a date: the digits are
// milliseconds, and a zone behind them is for display alone.
var dotNetDate = lazyregexp.New(`^\\?/Date\((\d{1,16})([+-]\d{4})?\)\\?/$`)

// compactDate reports a date of fourteen digits, which would be no number of
// seconds and no instant of this age.
func compactDate(s string) bool {
	if len(s) != 14 || !strings.HasPrefix(s, "20") {
		return false
	}
	_, err := time.Parse("20060102150405", s)
	return err == nil
}

// readNumber reads a number: seconds, milliseconds or a date in either.
func (g *reading) readNumber(s float64, name string) stated {
	if strings.Contains(name, "inmin") {
		s *= 60
	}
	inSeconds := g.from.Add(seconds(min(max(s, -tenYears), tenYears)))
	switch {
	case s <= 0:
		return stated{told: true, ends: g.from}
	case strings.HasSuffix(name, "ms") || s <= tenYears && !strings.Contains(name, "inmin") &&
		milliseconds(s):
		return stated{told: true, ends: g.from.Add(seconds(s / 1000)), hint: hintMilliseconds}
	case s <= tenYears && (strings.Contains(name, "sec") || strings.Contains(name, "inmin")),
		s <= tenYears && inSeconds.Sub(g.now) <= maxLife:
		return stated{told: true, ends: inSeconds}
	}
	if ends, ok := date(s, g.now); ok {
		if name != "" && strings.HasSuffix(name, "in") {
			return stated{told: true, ends: ends,
				hint: `The answer's "expires_in" is a date, not a number of seconds: Evertoken reads it as a date.`}
		}
		return stated{told: true, ends: ends}
	}
	for _, t := range epochs(s) { // a date that is over
		if t.Before(g.now) && t.After(g.now.AddDate(-10, 0, 0)) {
			return stated{told: true, ends: t}
		}
	}
	if ms := s / 1000; ms >= minLife.Seconds() && ms <= maxLife.Seconds() {
		return stated{told: true, ends: g.from.Add(seconds(ms)), hint: hintMilliseconds}
	}
	return stated{told: true, ends: g.from.Add(2 * maxLife)}
}

const hintMilliseconds = `The token's lifetime in the answer is in milliseconds: Evertoken reads it so.`

// milliseconds reports whether a number that could be seconds is milliseconds
// all the same: whole minutes, and in seconds an odd life. Zoho's 3600000 is
// one; 41 days and 16 hours would be odd, and so would be 250 hours, a quarter
// of an hour in milliseconds. From half an hour up it may be short of a half
// hour by what has passed, five seconds at most: Adobe's 86399998. The shorter
// reading does no harm where it is wrong.
func milliseconds(s float64) bool {
	const quarter, half, minute, day, passed = 900_000, 1_800_000, 60_000, 86_400, 5_000
	if math.Mod(s, day) == 0 {
		return false
	}
	return s >= quarter && math.Mod(s, minute) == 0 || s >= half-passed && math.Mod(s, half) >= half-passed
}

// refreshEnds is when a refresh token ends, told by the object it stands in or
// by the token itself; zero if neither tells. refresh_expires_in is Keycloak's,
// refresh_token_expires_in GitHub's
// (https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens),
// x_refresh_token_expires_in Intuit's.
func refreshEnds(beside members, token string, from, now time.Time) time.Time {
	for _, m := range beside {
		name := fold(m.name)
		if !strings.Contains(name, "refresh") || !strings.Contains(name, "expir") {
			continue
		}
		// Keycloak's 0 means that there is no limit to tell, not that it is
		// over: https://github.com/keycloak/keycloak/issues/8919.
		if s, ok := number(m.value); ok && s > 0 {
			if ends, ok := refreshEnd(s, from, now); ok {
				return ends
			}
			continue
		}
		if s, ok := text(m.value); ok {
			if ends, _, ok := parseDate(s); ok && ends.After(now) && ends.Sub(now) <= seconds(tenYears) {
				return ends
			}
		}
	}
	// Not told by the answer: the token's own claim, unverified, is better than
	// nothing. It only ever makes a refresh come earlier.
	if claims, ok := readClaims(token); ok && claims.expires.After(now) {
		return claims.expires
	}
	return time.Time{}
}

// refreshEnd is when a refresh token ends, from seconds or a date. Refresh
// tokens may live for many years, so there is no upper bound but that of dates.
func refreshEnd(s float64, from, now time.Time) (time.Time, bool) {
	if s <= tenYears {
		return from.Add(seconds(s)), true
	}
	for _, t := range epochs(s) {
		if t.After(now) && t.Sub(now) <= seconds(tenYears) {
			return t, true
		}
	}
	return time.Time{}, false
}
