package oauth

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// jwt returns a token with the given claims and an arbitrary signature.
func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + ".c2ln"
}

func at(d time.Duration) int64 { return testNow.Add(d).Unix() }

var compareIssued = []cmp.Option{
	cmp.Comparer(func(a, b redact.Secret) bool { return a.Reveal() == b.Reveal() }),
	cmpopts.EquateEmpty(),
}

// parse reads a 2xx body as the answer to a refresh.
func parse(body string) (exchange.Issued, error) {
	return newClient().issued(Answer{Status: http.StatusOK, Body: redact.New(body)},
		Request{Kind: RefreshGrant, DefaultLife: 30 * time.Minute,
			Scope: "asked"}, "trying", []redact.Secret{redact.New(canary)}, testNow)
}

const (
	hintUnread  = "The token's lifetime in the answer cannot be read: Evertoken assumes 30m0s."
	hintBare    = "The token's expiry in the answer has no time zone: Evertoken reads it as UTC. If applications find expired tokens, raise min_remaining."
	hintMillis  = "The token's lifetime in the answer is in milliseconds: Evertoken reads it as milliseconds, and you need to do nothing."
	hintUntold  = "The answer does not state the token's lifetime: Evertoken assumes 30m0s."
	hintFromJWT = "The answer does not state the token's lifetime: Evertoken takes it from the token itself, and you need to do nothing."
	hintEarlier = "The token itself expires earlier than the answer says: Evertoken uses the earlier time, and you need to do nothing."
	hintOther   = "The token itself states an expiry that is not plausible: Evertoken uses the answer's, and you need to do nothing."
	hintClock   = "The provider's clock and the function's differ by more than 5 minutes, or the token was issued earlier. If applications find expired tokens, raise min_remaining."
	hintDate    = `The answer's "expires_in" is a date, not a number of seconds: Evertoken reads it as a date, and you need to do nothing.`
	hintEmpty   = `The answer's "refresh_token" is empty: Evertoken keeps the one that it sent.`
)

func TestALifetimeIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	hour, half := time.Hour, 30*time.Minute
	for _, tt := range []struct {
		name, members string // after "access_token"
		access        string
		want          time.Duration
		hints         []string
	}{
		{name: "a number", members: `"expires_in":3600`, want: hour},
		{name: "quoted", members: `"expires_in":"3600"`, want: hour},
		{name: "quoted with spaces", members: `"expires_in":" 3600 "`, want: hour},
		{name: "a float", members: `"expires_in":3599.5`, want: hour - 500*time.Millisecond},
		{name: "an exponent", members: `"expires_in":3.6e3`, want: hour},
		{name: "absent", members: `"x":1`, want: half, hints: []string{hintUntold}},
		{name: "null", members: `"expires_in":null`, want: half, hints: []string{hintUntold}},
		{name: "no number", members: `"expires_in":"soon"`, want: half, hints: []string{hintUnread}},
		{name: "not a number", members: `"expires_in":"NaN"`, want: half, hints: []string{hintUnread}},
		{name: "an object", members: `"expires_in":{"seconds":3}`, want: half, hints: []string{hintUnread}},
		{name: "epoch seconds", members: fmt.Sprintf(`"expires_in":%d`, at(hour)), want: hour, hints: []string{hintDate}},
		{name: "epoch milliseconds", members: fmt.Sprintf(`"expires_in":%d`, at(hour)*1000), want: hour, hints: []string{hintDate}},
		{name: "quoted epoch milliseconds", members: fmt.Sprintf(`"expires_in":"%d"`, at(hour)*1000), want: hour, hints: []string{hintDate}},
		{name: "expires_at in seconds", members: fmt.Sprintf(`"expires_at":%d`, at(hour)), want: hour},
		{name: "expires_at in milliseconds", members: fmt.Sprintf(`"expires_at":%d`, at(hour)*1000), want: hour},
		{name: "expires_at as RFC 3339", members: `"expires_at":"2026-11-21T18:00:00+01:00"`, want: hour},
		{name: "expires_at and expires_in", members: fmt.Sprintf(`"expires_in":1800,"expires_at":%d`, at(hour)), want: half},
		{name: "expires_at and null", members: fmt.Sprintf(`"expires_in":null,"expires_at":%d`, at(hour)), want: hour},
		{name: "unreadable expires_at", members: `"expires_at":"tomorrow"`, want: half, hints: []string{hintUnread}},
		{name: "Zoho's two", members: `"expires_in":3600000,"expires_in_sec":3600`, want: hour},
		{name: "Zoho's two, the other way", members: `"expires_in_sec":3600,"expires_in":3600000`, want: hour},
		{name: "milliseconds that could be seconds", members: `"expires_in":3600000`, want: hour, hints: []string{hintMillis}},
		{name: "eight hours in milliseconds", members: `"expires_in":"28800000"`, want: 8 * hour, hints: []string{hintMillis}},
		{name: "Adobe's milliseconds", members: `"expires_in":86399998`, want: 24*hour - 2*time.Millisecond, hints: []string{hintMillis}},
		{name: "a year in milliseconds", members: `"expires_in":31536000000`, want: 365 * 24 * hour, hints: []string{hintMillis}},
		{name: "sixty days are days", members: `"expires_in":5184000`, want: 60 * 24 * hour},
		{name: "fifty days are days", members: `"expires_in":4320000`, want: 50 * 24 * hour},
		{name: "a year is a year", members: `"expires_in":31536000`, want: 365 * 24 * hour},
		{name: "expiresIn", members: `"expiresIn":3600`, want: hour},
		{name: "ExpiresIn, quoted", members: `"ExpiresIn":"3600"`, want: hour},
		{name: "access_token_expires_in", members: `"access_token_expires_in":3600`, want: hour},
		{name: "Facebook's expires", members: `"expires":5183999`, want: 5183999 * time.Second},
		{name: "Microsoft's expires_on", members: fmt.Sprintf(`"expires_on":"%d"`, at(hour)), want: hour},
		{name: "expires_in and expires_on", members: fmt.Sprintf(`"expires_on":"%d","expires_in":"1800"`, at(hour)), want: half},
		{name: "Google's duration", members: `"expires_in":"3600s"`, want: hour},
		{name: "an ISO duration", members: `"expires_in":"PT1H"`, want: hour},
		{name: "expires_at without a zone", members: `"expires_at":"2026-11-21T17:00:00"`, want: hour, hints: []string{hintBare}},
		{name: "expires_at with a blank", members: `"expires_at":"2026-11-21 17:00:00"`, want: hour, hints: []string{hintBare}},
		{name: "expires_at in parts of a second", members: `"expires_at":"2026-11-21T17:00:00.1234567"`, want: hour + 123456700*time.Nanosecond, hints: []string{hintBare}},
		{name: "expires_at in another zone, and issued_at", members: `"issued_at":"2026-11-21T18:00:00","expires_at":"2026-11-21T19:00:00"`, want: hour},
		{name: "expires_at in a zone of its own", members: `"expires_at":"2026-11-21T09:00:00"`, want: half, hints: []string{hintUnread}},
		{name: "expires_at of an offset without a colon", members: `"expires_at":"2026-11-21T18:00:00.000+0100"`, want: hour},
		{name: "expires_at UTC by name", members: `"expires_at":"2026-11-21 17:00:00 UTC"`, want: hour},
		{name: "ASP.NET's .expires", members: `".issued":"Sat, 21 Nov 2026 16:00:00 GMT",".expires":"Sat, 21 Nov 2026 17:00:00 GMT"`, want: hour},
		{name: "zero, and a JWT that tells", members: `"expires_in":0`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(hour))), want: hour, hints: []string{hintFromJWT}},
		{name: "in words", members: `"expires_in":"3600 seconds"`, want: hour},
		{name: "a date that is sooner than the seconds", members: fmt.Sprintf(`"expires_in":3600,"expires_at":%d`, at(half)), want: half, hints: []string{"The answer states two expiry times of the token: Evertoken uses the earlier one, and you need to do nothing."}},
		{name: "a date that is later than the seconds", members: fmt.Sprintf(`"expires_in":1800,"expires_at":%d`, at(hour)), want: half},
		{name: "a date without a zone, and seconds", members: `"expires_in":3600,"expires_at":"2026-11-21T16:30:00"`, want: hour},
		{name: "the least", members: `"expires_in":30`, want: 30 * time.Second},
		{name: "the most", members: `"expires_in":34560000`, want: 400 * 24 * hour},

		{name: "JWT agrees", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, at(hour), at(0))), want: hour},
		{name: "JWT ends a little earlier", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(hour-time.Second))), want: hour - time.Second},
		{name: "JWT ends earlier", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(half))), want: half, hints: []string{hintEarlier}},
		{name: "JWT ends later", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(2*hour))), want: hour},
		{name: "JWT with a float", members: `"x":1`, access: jwt(fmt.Sprintf(`{"exp":%d.5}`, at(hour))), want: hour, hints: []string{hintFromJWT}},
		{name: "only JWT", members: `"expires_in":0`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(hour))), want: hour, hints: []string{hintFromJWT}},
		{name: "JWT is over", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, at(-hour), at(-2*hour))), want: hour, hints: []string{hintClock, hintOther}},
		{name: "only JWT, over", members: `"x":1`, access: jwt(fmt.Sprintf(`{"exp":%d}`, at(-hour))), want: half, hints: []string{hintUntold}},
		{name: "their clock is ahead", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, at(hour+6*time.Minute), at(6*time.Minute))), want: hour, hints: []string{hintClock}},
		{name: "their clock is ahead a little", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, at(hour+4*time.Minute), at(4*time.Minute))), want: hour},
		{name: "their clock is behind", members: `"expires_in":3600`, access: jwt(fmt.Sprintf(`{"exp":%d,"iat":%d}`, at(hour-6*time.Minute), at(-6*time.Minute))), want: hour - 6*time.Minute, hints: []string{hintClock, hintEarlier}},
		{name: "JWT without times", members: `"expires_in":3600`, access: jwt(`{"sub":"x"}`), want: hour},
		{name: "JWT of another kind", members: `"expires_in":3600`, access: "a.b.c.d.e", want: hour},
		{name: "JWT of no base64", members: `"expires_in":3600`, access: "a.!.c", want: hour},
		{name: "JWT of no JSON", members: `"expires_in":3600`, access: "a.e30x.c", want: hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.access == "" {
				tt.access = "opaque"
			}
			got, err := parse(`{"access_token":"` + tt.access + `",` + tt.members + `}`)
			if err != nil {
				t.Fatal(err)
			}
			if life := got.ExpiresAt.Sub(testNow); life != tt.want || !got.IssuedAt.Equal(testNow) {
				t.Errorf("life = %s, issued at %s; want %s", life, got.IssuedAt, tt.want)
			}
			if diff := cmp.Diff(tt.hints, got.Hints, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnAbsurdLifetimeIsRefused(t *testing.T) {
	t.Parallel()
	for _, members := range []string{
		`"expires_in":1e18`, `"expires_in":1e300`, `"expires_in":"99999999999999999999"`,
		`"expires_at":"2126-01-01T00:00:00Z"`,
	} {
		_, err := parse(`{"access_token":"` + canary + `","refresh_token":"r",` + members + `}`)
		e := failure(t, err)
		if e.Class != exchange.Misconfigured ||
			e.Problem != "the token's lifetime is not plausible" || e.Lost || !e.Unusable {
			t.Errorf("%s: %+v", members, e)
		}
		leaks(t, err)
	}
}

// A token at its end is requested again: it is never published for an hour, and the other
// members of its answer are kept.
func TestATokenAtItsEndIsNotPublished(t *testing.T) {
	t.Parallel()
	for _, members := range []string{
		`"expires_in":0`, `"expires_in":"0"`, `"expires_in":-1`, `"expires_in":29`, `"expires_in":0.001`, `"expires_in":11`,
		fmt.Sprintf(`"expires_in":0,"expires_at":%d`, at(time.Hour)), fmt.Sprintf(`"expires_in":%d`,
			at(-time.Hour)),
		fmt.Sprintf(`"expires_in":%d`,
			at(-time.Hour)*1000), `"expires_at":1`, `"expires_at":"2020-01-01T00:00:00Z"`,
	} {
		kept, err := parse(`{"access_token":"` + canary +
			`","refresh_token":"rt","refresh_expires_in":60,` + members + `}`)
		e := failure(t, err)
		if e.Class != exchange.Transient ||
			e.Problem != "the provider gave a token that expires at once" || !e.Unusable || e.Unsure {
			t.Errorf("%s: %+v", members, e)
		}
		if kept.RefreshToken.Reveal() != "rt" ||
			!kept.RefreshExpiresAt.Equal(testNow.Add(time.Minute)) || !kept.AccessToken.IsZero() {
			t.Errorf("%s: kept %q until %s", members, kept.RefreshToken.Reveal(), kept.RefreshExpiresAt)
		}
		leaks(t, err)
	}
	ask := func(r Request, body string) (exchange.Issued, error) {
		return newClient().issued(Answer{Status: 200, Body: redact.New(body)}, r, "trying", nil, testNow)
	}
	_, err := ask(Request{Kind: ClientGrant, ClientAuth: "none"}, `{"access_token":"a","expires_in":5}`)
	if e := failure(t, err); e.Unusable || e.Lost || !strings.Contains(e.Hint, "settings.token_life") {
		t.Errorf("to ask again costs nothing: %+v", e)
	}
	got, err := ask(Request{Life: 2 * time.Hour}, `{"access_token":"a","expires_in":0}`)
	if err != nil || !got.ExpiresAt.Equal(testNow.Add(2*time.Hour)) || len(got.Hints) != 0 {
		t.Errorf("with a life in the settings: %v until %s, %q", err, got.ExpiresAt, got.Hints)
	}
}

// The operator's setting counts if the provider states no plausible lifetime.
func TestTheSettingsLifetimeCountsWhereTheAnswerHasNone(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]time.Duration{
		`"x":1`: 15 * time.Minute, `"expires_in":1800`: 30 * time.Minute, `"expires_in":1e18`: 15 * time.Minute, `"expires_in":"soon"`: 15 * time.Minute,
	} {
		got, err := newClient().issued(Answer{Status: 200,
			Body: redact.New(`{"access_token":"a","refresh_token":"r",` + members + `}`)},
			Request{Life: 15 * time.Minute, RefreshLife: 24 * time.Hour,
				DefaultLife: time.Hour}, "trying", nil, testNow)
		if err != nil || got.ExpiresAt.Sub(testNow) != want || len(got.Hints) != 0 ||
			got.RefreshExpiresAt.Sub(testNow) != 24*time.Hour {
			t.Errorf("%s: %v, %s, refresh %s, hints %q", members, err, got.ExpiresAt, got.RefreshExpiresAt, got.Hints)
		}
	}
}

// Seconds count from when the request was sent: a slow answer's token is older
// than the answer.
func TestALifetimeCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	sent := testNow.Add(-15 * time.Second)
	got, err := newClient().issued(Answer{Status: 200,
		Body: redact.New(`{"access_token":"a","expires_in":600,"refresh_token":"r","refresh_expires_in":900}`)},
		Request{Kind: RefreshGrant}, "trying", nil, sent)
	if err != nil || !got.IssuedAt.Equal(sent) || got.ExpiresAt.Sub(sent) != 10*time.Minute ||
		got.RefreshExpiresAt.Sub(sent) != 15*time.Minute {
		t.Errorf("%v: issued %s, until %s and %s", err, got.IssuedAt, got.ExpiresAt, got.RefreshExpiresAt)
	}
}

func TestEveryMemberOfAnAnswerIsRead(t *testing.T) {
	t.Parallel()
	hour := testNow.Add(time.Hour)
	issued := func(change func(*exchange.Issued)) exchange.Issued {
		out := exchange.Issued{AccessToken: redact.New("at"), TokenType: "Bearer",
			IssuedAt: testNow, ExpiresAt: hour, Scope: "asked"}
		if change != nil {
			change(&out)
		}
		return out
	}
	refreshed := func(life time.Duration) func(*exchange.Issued) {
		return func(i *exchange.Issued) {
			i.RefreshToken = redact.New("rt")
			if life != 0 {
				i.RefreshExpiresAt = testNow.Add(life)
			}
		}
	}
	scoped := jwt(`{"scp":["x","y"]}`)
	refreshJWT := jwt(fmt.Sprintf(`{"exp":%d}`, at(48*time.Hour)))
	for _, tt := range []struct {
		name, body string
		want       exchange.Issued
	}{
		{"the least", `{"access_token":"at","expires_in":3600}`, issued(nil)},
		{"a lower-case type", `{"access_token":"at","expires_in":3600,"token_type":"bearer"}`, issued(nil)},
		{"an empty type", `{"access_token":"at","expires_in":3600,"token_type":""}`, issued(nil)},
		{"white space", " {\"access_token\":\" at\\n\",\"expires_in\":3600}\n", issued(nil)},
		{"its own scope", `{"access_token":"at","expires_in":3600,"scope":"a b"}`, issued(func(i *exchange.Issued) { i.Scope = "a b" })},
		{"the scope of a JWT", `{"access_token":"` + scoped + `","expires_in":3600}`, issued(func(i *exchange.Issued) { i.AccessToken = redact.New(scoped) })},
		{"an empty scope", `{"access_token":"at","expires_in":3600,"scope":""}`, issued(nil)},
		{"a scope that is a list", `{"access_token":"at","expires_in":3600,"scope":["a","b"]}`, issued(func(i *exchange.Issued) { i.Scope = "a b" })},
		{"unknown members of any type", `{"access_token":"at","expires_in":3600,"not-before-policy":0,"session_state":null,"x":[{}]}`, issued(nil)},
		{"a member spelled otherwise", `{"access_token":"at","expires_in":3600,"Refresh_Token":"rt"}`, issued(refreshed(0))},
		{"a refresh token", `{"access_token":"at","expires_in":3600,"refresh_token":"rt"}`, issued(refreshed(0))},
		{"no refresh token: null", `{"access_token":"at","expires_in":3600,"refresh_token":null}`, issued(nil)},
		{"an empty refresh token", `{"access_token":"at","expires_in":3600,"refresh_token":""}`, issued(func(i *exchange.Issued) { i.Hints = []string{hintEmpty} })},
		{"a refresh end", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":1209600}`, issued(refreshed(14 * 24 * time.Hour))},
		{"a quoted refresh end", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":"1800"}`, issued(refreshed(30 * time.Minute))},
		{"GitHub's refresh end", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_token_expires_in":15897600}`, issued(refreshed(15897600 * time.Second))},
		{"a refresh end of 0", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":0}`, issued(refreshed(0))},
		{"a refresh end below 0", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":-5}`, issued(refreshed(0))},
		{"a refresh end that is a date", fmt.Sprintf(`{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":%d}`, at(48*time.Hour)*1000), issued(refreshed(48 * time.Hour))},
		{"a refresh end in the past", fmt.Sprintf(`{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":%d}`, at(-time.Hour)), issued(refreshed(0))},
		{"a refresh end beyond time", `{"access_token":"at","expires_in":3600,"refresh_token":"rt","refresh_expires_in":1e30}`, issued(refreshed(0))},
		{"a refresh end without a refresh token", `{"access_token":"at","expires_in":3600,"refresh_expires_in":1800}`, issued(nil)},
		{"a refresh token that tells",
			`{"access_token":"at","expires_in":3600,"refresh_token":"` + refreshJWT + `","refresh_expires_in":0}`, issued(func(i *exchange.Issued) {
				i.RefreshToken, i.RefreshExpiresAt = redact.New(refreshJWT), testNow.Add(48*time.Hour)
			})},
		{"a refresh token that tells otherwise",
			`{"access_token":"at","expires_in":3600,"refresh_token":"` + refreshJWT + `","refresh_expires_in":60}`, issued(func(i *exchange.Issued) {
				i.RefreshToken, i.RefreshExpiresAt = redact.New(refreshJWT), testNow.Add(time.Minute)
			})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, compareIssued...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUnusableAnswerIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, problem string }{
		{"nothing", ``, "the answer is not a JSON object"},
		{"a page", "\n<!DOCTYPE html><title>" + canaryOther + `</title>`, "the answer is an HTML page"},
		{"text", canaryOther, "the answer is not a JSON object"},
		{"a form of something else", "token=" + canaryOther + "&expires=3600", "the answer is not a JSON object"},
		{"a list", `[]`, "the answer is not a JSON object"},
		{"null", `null`, "the answer is not a JSON object"},
		{"two objects", `{"access_token":"a"}{"access_token":"` + canaryOther + `"}`, "the answer is not a JSON object"},
		{"no token", `{"token":"` + canaryOther + `"}`, `the answer has no "access_token"; it has token`},
		{"an empty token", `{"access_token":" ","x":"` + canaryOther + `"}`, `the answer has no "access_token"; it has x`},
		{"a token that is a number", `{"access_token":12345}`, `the answer has no "access_token"`},
		{"a token with a line break", `{"access_token":"` + canaryOther + `\r\nX: y","expires_in":60}`, `the answer's "access_token" has characters that no header can carry`},
		{"a token with a space", `{"access_token":"a b","expires_in":60}`, `the answer's "access_token" has characters that no header can carry`},
		{"another type", `{"access_token":"a","expires_in":60,"token_type":"` + canaryOther + `"}`, `the answer's "token_type" is not Bearer`},
		{"DPoP", `{"access_token":"a","expires_in":60,"token_type":"DPoP"}`, `the answer's "token_type" is not Bearer`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(tt.body)
			e := failure(t, err)
			if e.Class != exchange.Misconfigured || e.Problem != tt.problem || !e.Unusable ||
				e.Lost != strings.HasPrefix(tt.problem, "the answer is ") {
				t.Errorf("%+v", e)
			}
			leaks(t, err)
		})
	}
}

func TestACutOffAnswerIsReported(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{`, `{"access_token":"` + canaryOther, `{"access_token":"` + canaryOther + `"`, `[{"x":1}`} {
		_, err := parse(body)
		if e := failure(t, err); e.Class != exchange.Transient || !e.Lost || e.Problem != "the answer broke off" {
			t.Errorf("%s: %+v", body, e)
		}
		leaks(t, err)
	}
}

func TestAnErrorWithStatus200IsARefusal(t *testing.T) {
	t.Parallel()
	_, err := parse(`{"error":"invalid_grant","error_description":"` + canaryOther + `"}`)
	if e := failure(t, err); e.Class != exchange.GrantDead || e.Code != "invalid_grant" || e.Lost {
		t.Errorf("%+v", e)
	}
	leaks(t, err)
}

func FuzzTokenResponse(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"eyJraWQiOiJ4In0.eyJzdWIiOiJ1LTEyMyJ9.c2ln","expires_in":3600,"refresh_token":"rt","token_type":"Bearer"}`,
		`{"access_token":"a","expires_in":"3600"}`,
		`{"access_token":"a","expires_at":1790000000000,"refresh_expires_in":0,"refresh_token":""}`,
		`{"error":"invalid_grant"}`, `<html>`, `null`, ``,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parse(body)
		if err != nil {
			e := failure(t, err)
			if !slices.Contains([]exchange.Class{exchange.Throttled, exchange.Transient, exchange.GrantDead, exchange.CredentialDead, exchange.Misconfigured}, e.Class) {
				t.Errorf("class %q", e.Class)
			}
			return
		}
		if got.AccessToken.IsZero() || !visible(got.AccessToken.Reveal()) || got.TokenType != "Bearer" {
			t.Error("an unusable token was accepted")
		}
		if !believable(got.ExpiresAt, testNow) {
			t.Errorf("unbelievable end %s", got.ExpiresAt)
		}
		if !got.RefreshExpiresAt.IsZero() && (got.RefreshToken.IsZero() || !got.RefreshExpiresAt.After(testNow)) {
			t.Errorf("refresh end %s", got.RefreshExpiresAt)
		}
	})
}

func FuzzExpiry(f *testing.F) {
	for _, s := range []string{"3600", `"3600"`, "0", "-1", "1e400", "1790000000", "1790000000000", `"NaN"`, `"2026-11-21T18:00:00Z"`, "3599.999", "null", "9223372036854775807"} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, in, atMember, exp string) {
		m := members{{"expires_in", []byte(in)}, {"expires_at", []byte(atMember)}}
		if strings.ContainsAny(in, "{") {
			m = m[1:]
		}
		g := &reading{now: testNow, from: testNow}
		l := g.lifetime(m, jwt(`{"exp":`+exp+`}`))
		if !l.absurd && !l.over && !believable(l.ends, testNow) {
			t.Errorf("unbelievable end %s", l.ends)
		}
	})
}
