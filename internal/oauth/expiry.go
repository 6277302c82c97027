package oauth

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"evertoken/internal/lazyregexp"
)

// The bounds of a plausible lifetime. Outside them Evertoken has misread the answer, and a
// wrong expiry either spends refresh tokens needlessly or never renews.
const (
	minLife = 30 * time.Second
	maxLife = 400 * 24 * time.Hour

	defaultLife = time.Hour

	// tenYears in seconds: more than that is no duration but a date, which the
	// Apiax page calls a "JAVA_TIMESTAMP"
	// (https://docs.apiax.io/hc/en-gb/articles/4402382856337-Retrieving-an-API-Access-Token).
	tenYears = 10 * 365 * 24 * 3600.0

	// differs is how far apart two statements of one expiry may be.
	differs = time.Minute
	// clockOff is how far a token's iat may be from Evertoken's clock.
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

// life is the lifetime that follows from all statements about a token.
type life struct {
	ends   time.Time
	over   bool // the token has expired or is about to
	absurd bool
	hints  []string
}

// stated is what an answer itself says about a token's end.
type stated struct {
	ends time.Time
	told bool // a statement could be read
	odd  bool // a statement could not be read
	hint string
}

// lifetime returns how long a token lives: as the answer says, else by the token's own exp,
// else by the operator's setting, else the default. The token's exp shortens a longer
// statement.
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
			"minutes, or the token was issued earlier. If applications find expired tokens, "+
			"raise min_remaining.")
	}
	left := said.ends.Sub(g.now)
	switch {
	case said.told && left < minLife && usable && said.ends.Sub(g.from) <= 0: // a 0 that says nothing
		l.ends = own.expires
		l.hints = append(l.hints, hintFromToken)
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
		l.hints = append(l.hints, hintFromToken)
	case !said.told:
		l.ends = g.from.Add(fallback)
		if r.Life == 0 {
			l.hints = append(l.hints, g.untold(said, fallback))
		}
	case usable && own.expires.Before(said.ends):
		l.ends = own.expires
		if said.ends.Sub(own.expires) > differs {
			l.hints = append(l.hints, "The token itself expires earlier than the answer says: "+
				"Evertoken uses the earlier time, and you need to do nothing.")
		}
	default:
		l.ends = said.ends
		if isJWT && !own.expires.IsZero() && !usable {
			// Ignore exp: by Evertoken's clock such a token has expired or lives almost
			// forever, while a figure in seconds does not depend on clocks.
			l.hints = append(l.hints, "The token itself states an expiry that is not plausible: "+
				"Evertoken uses the answer's, and you need to do nothing.")
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
	what := "The answer does not state the token's lifetime"
	if said.odd {
		what = "The token's lifetime in the answer cannot be read"
	}
	return fmt.Sprintf("%s: Evertoken assumes %s.", what, fallback) +
		g.ifSettings(" If the provider documents another lifetime, set settings.token_life to it.")
}

// stated returns what the answer says about the token's end.
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

// earlier returns the end that a date gives, if it is sooner than the end in seconds: a
// server that returns a cached token may state its whole life in seconds.
func (g *reading) earlier(s stated, m members) stated {
	for _, name := range dateNames {
		value, ok := m.folded(name)
		if !ok {
			continue
		}
		date := g.read(m, value, name)
		sooner := s.ends.Sub(date.ends) > differs
		if date.told && date.hint == "" && believable(date.ends, g.now) && sooner {
			date.hint = "The answer states two expiry times of the token: " +
				"Evertoken uses the earlier one, and you need to do nothing."
			return date
		}
	}
	return s
}

// dateNames are the names in lifeNames whose value is a date.
var dateNames = []string{
	"expiresat", "expireson", "accesstokenexpiresat", "validuntil", "expirationtime",
	"expiretime",
}

// read reads one statement of an end. name is its folded name.
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
	// The date has no zone. If the answer also has the time of issue in the same form, the
	// difference is the life in any zone.
	for _, name := range []string{"issuedat", "issued", "createdat", "created"} {
		if raw, ok := beside.folded(name); ok {
			t, _ := text(raw)
			if issued, zoned, ok := parseDate(t); ok && !zoned && issued.Before(ends) {
				return stated{told: true, ends: g.from.Add(ends.Sub(issued))}
			}
		}
	}
	if !believable(ends, g.now) {
		return stated{odd: true} // probably a date in another zone
	}
	return stated{told: true, ends: ends, hint: "The token's expiry in the answer has no time " +
		"zone: Evertoken reads it as UTC. If applications find expired tokens, " +
		"raise min_remaining."}
}

// dotNetDate matches how ASP.NET's JavaScriptSerializer writes a date: the digits are
// milliseconds, and the zone after them is for display only.
var dotNetDate = lazyregexp.New(`^\\?/Date\((\d{1,16})([+-]\d{4})?\)\\?/$`)

// compactDate reports whether s is a date of fourteen digits. As a number, it is neither a
// plausible count of seconds nor a plausible instant.
func compactDate(s string) bool {
	if len(s) != 14 || !strings.HasPrefix(s, "20") {
		return false
	}
	_, err := time.Parse("20060102150405", s)
	return err == nil
}

// readNumber reads a number as seconds, as milliseconds, or as a date in either unit.
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
			return stated{told: true, ends: ends, hint: `The answer's "expires_in" is a date, ` +
				`not a number of seconds: Evertoken reads it as a date, and you need to do nothing.`}
		}
		return stated{told: true, ends: ends}
	}
	for _, t := range epochs(s) { // a date in the past
		if t.Before(g.now) && t.After(g.now.AddDate(-10, 0, 0)) {
			return stated{told: true, ends: t}
		}
	}
	if ms := s / 1000; ms >= minLife.Seconds() && ms <= maxLife.Seconds() {
		return stated{told: true, ends: g.from.Add(seconds(ms)), hint: hintMilliseconds}
	}
	return stated{told: true, ends: g.from.Add(2 * maxLife)}
}

const hintMilliseconds = "The token's lifetime in the answer is in milliseconds: " +
	"Evertoken reads it as milliseconds, and you need to do nothing."

const hintFromToken = "The answer does not state the token's lifetime: " +
	"Evertoken takes it from the token itself, and you need to do nothing."

// milliseconds reports whether a number is milliseconds although it could be seconds: it is
// whole minutes in milliseconds, and an odd lifetime in seconds. Zoho's 3600000 is an
// example; as seconds it would be 41 days and 16 hours. 900000, a quarter of an hour in
// milliseconds, would be 250 hours. From half an hour up, a number may be up to five
// seconds short of a multiple of half an hour, because time has passed since the issue:
// Adobe's 86399998. A wrong reading is harmless, because it is the shorter one.
func milliseconds(s float64) bool {
	const quarter, half, minute, day, passed = 900_000, 1_800_000, 60_000, 86_400, 5_000
	if math.Mod(s, day) == 0 {
		return false
	}
	return s >= quarter && math.Mod(s, minute) == 0 ||
		s >= half-passed && math.Mod(s, half) >= half-passed
}

// refreshEnds returns when a refresh token expires, as its object or the token itself says;
// zero if neither does. Keycloak sends refresh_expires_in, GitHub refresh_token_expires_in
// (https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens),
// Intuit x_refresh_token_expires_in.
func refreshEnds(beside members, token string, from, now time.Time) time.Time {
	for _, m := range beside {
		name := fold(m.name)
		if !strings.Contains(name, "refresh") || !strings.Contains(name, "expir") {
			continue
		}
		// Keycloak's 0 means that it states no limit, not that the token has expired:
		// https://github.com/keycloak/keycloak/issues/8919.
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
	// The answer does not say. The token's own claim, although unverified, can only make a
	// refresh come earlier.
	if claims, ok := readClaims(token); ok && claims.expires.After(now) {
		return claims.expires
	}
	return time.Time{}
}

// refreshEnd converts seconds or a date to a refresh token's end. Refresh tokens may live
// for many years, so only the range of dates bounds them.
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
