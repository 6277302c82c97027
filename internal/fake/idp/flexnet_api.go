package fakeidp

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decode reads a JSON request body.
func (n *FlexNet) decode(c *call, into any) *reply {
	if mediaType(c.r.Header.Get("Content-Type")) != "application/json" {
		out := n.refuse(http.StatusUnsupportedMediaType, "Content type not supported")
		return &out
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		out := n.badRequest("Malformed JSON request", string(c.body))
		return &out
	}
	return nil
}

func (n *FlexNet) create(c *call) reply {
	var in struct {
		TokenName, TokenDescription, TokenType, ExpiryStr, Username string
	}
	if refused := n.decode(c, &in); refused != nil {
		return *refused
	}
	if problem := nameProblem(in.TokenName); problem != "" {
		return n.badRequest(problem, in.TokenName)
	}
	expires, problem := n.expiry(in.ExpiryStr)
	if problem != "" {
		return n.badRequest(problem, in.ExpiryStr)
	}
	u := n.user(c)
	// The OpenAPI rendering requires username for both types, the guide for
	// IMPERSONATED only.
	switch {
	case in.TokenType != "NORMAL" && in.TokenType != "IMPERSONATED":
		return n.badRequest("tokenType must be NORMAL or IMPERSONATED", in.TokenType)
	case in.Username == "":
		return n.badRequest("username is mandatory")
	case in.TokenType == "IMPERSONATED" && in.TokenDescription == "":
		return n.badRequest("tokenDescription is mandatory for IMPERSONATED tokens")
	case in.TokenType == "IMPERSONATED" && !u.manages():
		return n.refuse(http.StatusForbidden, "User does not have permission to create impersonated tokens")
	case n.users[in.Username] == nil:
		return n.badRequest("Unknown user", in.Username)
	}
	if t := n.tokens[in.TokenName]; t != nil && n.alive(t) {
		return n.refuse(n.opts.NameTakenStatus, "A token with this name exists", in.TokenName)
	}
	t := &flexnetToken{
		name: in.TokenName, description: in.TokenDescription, kind: in.TokenType, expiryStr: in.ExpiryStr,
		username: in.Username, creator: u.name, issued: c.now, expires: expires, value: n.newValue(),
	}
	n.tokens[t.name] = t
	return successful(n.opts.CreateStatus, t.objectWithValue())
}

// verify is POST token/verification. The answer to an unknown or expired value is not
// documented.
func (n *FlexNet) verify(c *call) reply {
	var in struct{ AccessToken string }
	if refused := n.decode(c, &in); refused != nil {
		return *refused
	}
	t := n.byValue(in.AccessToken)
	if t == nil {
		return n.badRequest("Invalid access token", in.AccessToken)
	}
	return successful(http.StatusOK, t.seenBy(n.user(c)))
}

// managed is the token that the path names, if the caller may change it: its
// creator or another privileged user.
func (n *FlexNet) managed(c *call) (*flexnetToken, *reply) {
	t := n.tokens[c.vars[0]]
	u := n.user(c)
	var out reply
	switch {
	case t == nil:
		out = n.refuse(http.StatusNotFound, "Token not found", c.vars[0])
	case t.creator != u.name && !u.manages():
		out = n.refuse(http.StatusForbidden, "User does not have permission for this token")
	default:
		return t, nil
	}
	return nil, &out
}

// rotate changes the value and nothing else ("a token's value is changed, but no other
// properties", the OpenAPI rendering): the expiry stays. No overlap is mentioned, so the
// old value dies at once. The answer to an expired token is not documented.
func (n *FlexNet) rotate(c *call) reply {
	t, refused := n.managed(c)
	switch {
	case refused != nil:
		return *refused
	case !n.alive(t):
		return n.badRequest("Token is expired", t.name)
	}
	t.value = n.newValue()
	return successful(http.StatusOK, t.objectWithValue())
}

func (n *FlexNet) details(c *call) reply {
	t, refused := n.managed(c)
	if refused != nil {
		return *refused
	}
	return successful(http.StatusOK, t.object())
}

// update changes a live token. Whether a new expiryStr counts from now or from
// the issue is not documented; here from now.
func (n *FlexNet) update(c *call) reply {
	t, refused := n.managed(c)
	if refused != nil {
		return *refused
	}
	var in struct{ TokenName, TokenDescription, ExpiryStr *string }
	if refused := n.decode(c, &in); refused != nil {
		return *refused
	}
	if !n.alive(t) {
		return n.badRequest("Token is expired", t.name)
	}
	changed := *t
	if in.ExpiryStr != nil {
		expires, problem := n.expiry(*in.ExpiryStr)
		if problem != "" {
			return n.badRequest(problem, *in.ExpiryStr)
		}
		changed.expiryStr, changed.expires = *in.ExpiryStr, expires
	}
	if in.TokenDescription != nil {
		changed.description = *in.TokenDescription
	}
	if in.TokenName != nil && *in.TokenName != t.name {
		if problem := nameProblem(*in.TokenName); problem != "" {
			return n.badRequest(problem, *in.TokenName)
		}
		if other := n.tokens[*in.TokenName]; other != nil && n.alive(other) {
			return n.refuse(n.opts.NameTakenStatus, "A token with this name exists", *in.TokenName)
		}
		changed.name = *in.TokenName
	}
	delete(n.tokens, t.name)
	n.tokens[changed.name] = &changed
	return noContent()
}

// remove deletes a token, which only its creator may.
func (n *FlexNet) remove(c *call) reply {
	t, refused := n.managed(c)
	switch {
	case refused != nil:
		return *refused
	case t.creator != n.user(c).name:
		return n.refuse(http.StatusForbidden, "Only the creator can delete a token")
	}
	delete(n.tokens, t.name)
	return noContent()
}

// flexnetFilter selects tokens; empty members select all.
type flexnetFilter struct {
	TokenCreator, Username, TokenName, TokenType string
	// Times in milliseconds since the Unix epoch, as the answers have them; the
	// guide does not give their form in a search.
	ExpiresBefore, ExpiresLaterThan, IssuedBefore int64
}

func (f flexnetFilter) fits(t *flexnetToken) bool {
	return (f.TokenCreator == "" || f.TokenCreator == t.creator) &&
		(f.Username == "" || f.Username == t.username) &&
		(f.TokenName == "" || f.TokenName == t.name) &&
		(f.TokenType == "" || f.TokenType == t.kind) &&
		(f.ExpiresBefore == 0 || t.expires.UnixMilli() < f.ExpiresBefore) &&
		(f.ExpiresLaterThan == 0 || t.expires.UnixMilli() > f.ExpiresLaterThan) &&
		(f.IssuedBefore == 0 || t.issued.UnixMilli() < f.IssuedBefore)
}

// find returns the live tokens that fit, by name. Other users' tokens need permission;
// without it the answer is the documented 400.
func (n *FlexNet) find(c *call, f flexnetFilter) ([]*flexnetToken, *reply) {
	u := n.user(c)
	own := f.TokenCreator == u.name || f.Username == u.name
	if f == (flexnetFilter{}) || !own && !u.manages() {
		out := n.badRequest("User does not have permission to view these tokens")
		return nil, &out
	}
	found := []*flexnetToken{}
	for _, t := range n.tokens {
		if n.alive(t) && f.fits(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *flexnetToken) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// queryFilter reads username or tokenCreator, of which one is required.
func queryFilter(q url.Values) flexnetFilter {
	return flexnetFilter{Username: q.Get("username"), TokenCreator: q.Get("tokenCreator")}
}

func (n *FlexNet) count(c *call) reply {
	found, refused := n.find(c, queryFilter(c.r.URL.Query()))
	if refused != nil {
		return *refused
	}
	return successful(http.StatusOK, len(found))
}

func (n *FlexNet) list(c *call) reply {
	q := c.r.URL.Query()
	found, refused := n.find(c, queryFilter(q))
	if refused != nil {
		return *refused
	}
	size := q.Get("pageSize")
	if size == "" {
		size = q.Get("pagesize") // the guide's spelling
	}
	page, err1 := strconv.Atoi(orDefault(q.Get("page"), "0"))
	pageSize, err2 := strconv.Atoi(orDefault(size, "25"))
	if err1 != nil || err2 != nil {
		return n.badRequest("page and pageSize must be integers")
	}
	return n.page(c, found, page, pageSize)
}

func (n *FlexNet) search(c *call) reply {
	var in struct {
		flexnetFilter
		Page, PageSize *int
	}
	if refused := n.decode(c, &in); refused != nil {
		return *refused
	}
	if in.Page == nil || in.PageSize == nil {
		return n.badRequest("page and pageSize are required")
	}
	found, refused := n.find(c, in.flexnetFilter)
	if refused != nil {
		return *refused
	}
	return n.page(c, found, *in.Page, *in.PageSize)
}

// page answers one page, counted from 0, of what was found.
func (n *FlexNet) page(c *call, found []*flexnetToken, page, size int) reply {
	if page < 0 || size < 1 || size > 1000 || page > 1_000_000 {
		return n.badRequest("page must be at least 0, pageSize from 1 to 1000")
	}
	from := min(page*size, len(found))
	list := []map[string]any{}
	for _, t := range found[from:min(from+size, len(found))] {
		list = append(list, t.seenBy(n.user(c)))
	}
	return successful(http.StatusOK, list)
}

func orDefault(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

// nameProblem says what is wrong with a token name, "" if nothing. The rules
// are those of the guide's attributes page.
func nameProblem(name string) string {
	const forbidden = `*<>+$?.^|%]`
	switch {
	case len([]rune(name)) < 5 || len([]rune(name)) > 25:
		return "tokenName must have 5 to 25 characters"
	case strings.ContainsAny(name, forbidden), strings.Contains(name, `\\\\`):
		return "tokenName has characters that are not allowed"
	}
	return ""
}

// expiry reads an expiryStr, such as "4M 3d 9h 6m", as a point in time. It is
// case sensitive: M are months, m minutes. Years are Y in the guide and y in
// the OpenAPI rendering; here only the guide's.
func (n *FlexNet) expiry(s string) (time.Time, string) {
	const problem = "expiryStr must have parts such as 4M 3d 9h 6m, each unit once, a minute at least"
	now := n.s.now()
	at, seen := now, ""
	for part := range strings.SplitSeq(s, " ") {
		if len(part) < 2 {
			return time.Time{}, problem
		}
		unit := part[len(part)-1:]
		count, err := strconv.ParseUint(part[:len(part)-1], 10, 16)
		if err != nil || strings.Contains(seen, unit) {
			return time.Time{}, problem
		}
		seen += unit
		switch v := int(count); unit {
		case "Y":
			at = at.AddDate(v, 0, 0)
		case "M":
			at = at.AddDate(0, v, 0)
		case "d":
			at = at.AddDate(0, 0, v)
		case "h":
			at = at.Add(time.Duration(v) * time.Hour)
		case "m":
			at = at.Add(time.Duration(v) * time.Minute)
		default:
			return time.Time{}, problem
		}
	}
	if at.Before(now.Add(time.Minute)) {
		return time.Time{}, problem
	}
	if n.opts.MaxLife > 0 && at.After(now.Add(n.opts.MaxLife)) {
		return time.Time{}, "expiryStr is longer than allowed"
	}
	return at, ""
}
