package providers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// flexnetNameProblem says what is wrong with a token name, to which "-a" and "-b" are
// appended; "" if nothing. The rules are those of TokenBasedAuthTokenAttributes.htm: 5 to
// 25 characters, none of * < > + $ ? . ^ | % ] and no four backslashes in a row. Evertoken
// also rejects slashes and spaces, which cause trouble in a path.
func flexnetNameProblem(name string) string {
	switch {
	case name == "":
		return "is missing"
	case len([]rune(name)) < 3 || len([]rune(name)) > 23:
		return `must have 3 to 23 characters: Evertoken appends "-a" or "-b", and FlexNet accepts 5 to 25`
	case strings.ContainsAny(name, `*<>+$?.^|%]/`), strings.Contains(name, `\\\\`),
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return `must not contain any of * < > + $ ? . ^ | % ] / or a space, and no four backslashes in a row`
	}
	return ""
}

// flexnetExpiryText writes an expiry for FlexNet in days, hours and minutes only: M means
// months and m minutes there, and the guide and Redocly disagree on the letter for years.
func flexnetExpiryText(d time.Duration) string {
	minutes := int64(d / time.Minute)
	var parts []string
	for _, unit := range []struct {
		minutes int64
		letter  string
	}{{24 * 60, "d"}, {60, "h"}, {1, "m"}} {
		if n := minutes / unit.minutes; n > 0 {
			parts = append(parts, strconv.FormatInt(n, 10)+unit.letter)
			minutes %= unit.minutes
		}
	}
	return strings.Join(parts, " ")
}

// flexnetObject is FlexNet's description of a token. Unknown members are ignored.
type flexnetObject struct {
	TokenName  string        `json:"tokenName"`
	TokenValue string        `json:"tokenValue"`
	Issued     flexnetMillis `json:"tokenIssueMillis"`
	Expires    flexnetMillis `json:"tokenExpiryMillis"`
}

// flexnetMillis is milliseconds since the Unix epoch, as a number or in quotes;
// anything else is the zero time.
type flexnetMillis time.Time

// UnmarshalJSON never fails: it treats a time that it cannot read as missing.
func (m *flexnetMillis) UnmarshalJSON(b []byte) error {
	millis, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	const year9999 = 253402300799999
	if err == nil && millis > 0 && millis <= year9999 {
		*m = flexnetMillis(time.UnixMilli(millis).UTC())
	}
	return nil
}

// flexnetOther is the name that applications do not use.
type flexnetOther struct {
	name    string
	listed  bool // a live token has it
	expires time.Time
	// unused is set if certainly no application has a value of this name.
	unused bool
}

// other finds the name under which to make a value.
//
// The name in use is the one that FlexNet gives for the published value. If FlexNet does
// not give it (the value has expired, or is masked for lack of permission), other takes the
// token that was issued last for the one in use. If neither token exists, the first name is
// free.
func (s *flexnetSession) other(ctx context.Context, published redact.Secret) (flexnetOther, error) {
	live, certain, err := s.live(ctx, published)
	if err != nil {
		return flexnetOther{}, err
	}
	listed, err := s.list(ctx)
	if err != nil {
		return flexnetOther{}, err
	}
	if live == "" && len(listed) > 0 {
		live = slices.MaxFunc(listed, func(a, b flexnetObject) int {
			return cmp.Or(time.Time(a.Issued).Compare(time.Time(b.Issued)),
				time.Time(a.Expires).Compare(time.Time(b.Expires)))
		}).TokenName
	}
	o := flexnetOther{name: s.names[0], unused: certain}
	if live == s.names[0] {
		o.name = s.names[1]
	}
	for _, object := range listed {
		if object.TokenName == o.name {
			o.listed, o.expires = true, time.Time(object.Expires)
		}
	}
	return o, nil
}

// live returns the name of the published value, empty if FlexNet does not give it. certain
// reports whether that is certain: an empty name is certain if the value no longer exists.
func (s *flexnetSession) live(ctx context.Context, published redact.Secret) (
	name string, certain bool, err error) {
	if published.IsZero() {
		return "", true, nil
	}
	object, err := s.verify(ctx, published)
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		switch {
		case e.Class == exchange.Throttled || e.Class == exchange.Transient ||
			e.Status == http.StatusUnauthorized:
			return "", false, err
		case e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound:
			return "", true, nil // what an unknown value gets is not documented
		}
		return "", false, nil // the list says more, or fails with the reason
	}
	if slices.Contains(s.names[:], object.TokenName) {
		return object.TokenName, true, nil
	}
	return "", false, nil
}

// details returns FlexNet's description of the token with a name.
func (s *flexnetSession) details(ctx context.Context, name string) (flexnetOther, error) {
	raw, err := s.call(ctx, http.MethodGet, "/token/"+url.PathEscape(name), nil,
		"reading a token's details")
	if err != nil {
		return flexnetOther{}, err
	}
	var object flexnetObject
	if json.Unmarshal(raw, &object) != nil || time.Time(object.Expires).IsZero() {
		return flexnetOther{}, &exchange.Error{Class: exchange.Misconfigured,
			Doing:   oauth.Doing("reading a token's details", s.baseURL),
			Problem: "the answer says nothing about the token"}
	}
	return flexnetOther{name: name, expires: time.Time(object.Expires)}, nil
}

// verify returns the description of the token with a value.
// TokenBasedAuthManTokensVerify.htm: the answer masks the details for a user without
// permission.
func (s *flexnetSession) verify(ctx context.Context, value redact.Secret) (flexnetObject, error) {
	const what = "verifying a token"
	raw, err := s.call(ctx, http.MethodPost, "/token/verification", struct {
		AccessToken string `json:"accessToken"`
	}{value.Reveal()}, what)
	if err != nil {
		return flexnetObject{}, err
	}
	var object flexnetObject
	if json.Unmarshal(raw, &object) != nil {
		return flexnetObject{}, &exchange.Error{Class: exchange.Misconfigured,
			Doing:   oauth.Doing(what, s.baseURL),
			Problem: "the answer says nothing about the token"}
	}
	return object, nil
}

const (
	flexnetPage  = 100
	flexnetPages = 20 // 2000 live tokens of one user are a fault of their own
)

// list returns the live tokens that have one of the two names.
func (s *flexnetSession) list(ctx context.Context) ([]flexnetObject, error) {
	const what = "listing the tokens"
	user := s.username
	if user == "" {
		user = s.credential.Get(credential.Username).Reveal()
	}
	var ours []flexnetObject
	for page := range flexnetPages {
		// The guide spells pagesize, Redocly (gettokensforuserusingget_1) pageSize. A page
		// may therefore be shorter than requested, so only an empty page ends the list.
		query := "?page=" + strconv.Itoa(page) + "&pageSize=" + strconv.Itoa(flexnetPage) +
			"&username=" + url.QueryEscape(user)
		raw, err := s.call(ctx, http.MethodGet, "/tokens"+query, nil, what)
		if err != nil {
			return nil, err
		}
		var objects []flexnetObject
		if len(raw) > 0 && json.Unmarshal(raw, &objects) != nil {
			return nil, &exchange.Error{Class: exchange.Misconfigured, Doing: oauth.Doing(what, s.baseURL),
				Problem: "the answer is not a list", Hint: flexnetPathHint}
		}
		for _, object := range objects {
			if slices.Contains(s.names[:], object.TokenName) {
				ours = append(ours, object)
			}
		}
		if len(objects) == 0 || len(ours) >= len(s.names) {
			break
		}
	}
	return ours, nil
}

// issued reads the answer of a create or a rotation. Only these answers contain the value.
func (s *flexnetSession) issued(raw json.RawMessage, what string) (exchange.Issued, error) {
	unusable := func(problem string) (exchange.Issued, error) {
		return exchange.Issued{}, &exchange.Error{Class: exchange.Misconfigured,
			Doing: oauth.Doing(what, s.baseURL), Lost: true, Problem: problem}
	}
	var object flexnetObject
	if json.Unmarshal(raw, &object) != nil {
		return unusable("the answer has no token")
	}
	value := strings.TrimSpace(object.TokenValue)
	// "A hexadecimal string with an rna_ prefix" (TokenBasedAuthKeyInfo.htm). The guide's
	// own sample is not hexadecimal, so only the prefix is checked.
	rest, ok := strings.CutPrefix(value, "rna_")
	if !ok || rest == "" || strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return unusable(`the answer's "tokenValue" is missing or has no rna_ prefix`)
	}
	now := s.now()
	out := exchange.Issued{AccessToken: redact.New(value), TokenType: "Bearer", IssuedAt: now,
		ExpiresAt: time.Time(object.Expires)}
	if out.ExpiresAt.IsZero() {
		out.ExpiresAt = now.Add(s.expiry)
		out.Hints = append(out.Hints, fmt.Sprintf("The answer does not state the token's expiry: "+
			"Evertoken assumes the %s that it asked for.", flexnetExpiryText(s.expiry)))
	}
	if life := out.ExpiresAt.Sub(now); life < 30*time.Second || life > flexnetMaxExpiry {
		return unusable("the token's lifetime is not plausible")
	}
	return out, nil
}
