package oauth

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/redact"
)

// reading is a 2xx answer that is being read.
type reading struct {
	request Request
	doing   string
	status  int
	sent    []redact.Secret
	now     time.Time // when the answer was read
	from    time.Time // when the request was sent: seconds in the answer count from here
	body    body
	kept    exchange.Issued // a refresh token, valid even if the access token is not
}

// issued reads a 2xx answer, as RFC 6749 section 5.1 defines it and in the variants that
// servers send. The provider has granted a token even if Evertoken cannot use it, so the
// error says so, and Issued contains the refresh token that came with it.
func (c *Client) issued(a Answer, r Request, doing string, sent []redact.Secret,
	from time.Time) (exchange.Issued, error) {
	g := &reading{request: r, doing: doing, status: a.Status, sent: sent, now: c.now(), from: from,
		body: parseBody(a.Body.Reveal())}
	g.kept.IssuedAt = from
	holder, access, found := g.accessToken()
	g.keepRefreshToken(holder)
	if x := c.saysNo(a, g, found); x != nil {
		x.Unusable = !g.kept.RefreshToken.IsZero()
		return g.kept, x
	}
	switch {
	case brokenOff(g.body.text):
		return g.brokeOff()
	case g.body.form == formPage:
		return g.unusable("the answer is an HTML page", hintHTML, true)
	case found && g.body.form == formObject:
		return g.token(holder, access)
	case g.body.form != formObject:
		return g.unusable("the answer is not a JSON object", hintHTML, true)
	}
	return g.unusable(`the answer has no "access_token"`+g.names(),
		"Check that the URL is the provider's token endpoint."+
			g.ifSettings(" If it is, set settings.answer to the place of the token in "+
				"the answer."), false)
}

// saysNo returns the error that a 2xx answer reports, or nil: GitHub, Slack, Zoho and
// Withings answer this way. An error takes precedence over a token in the same answer.
func (c *Client) saysNo(a Answer, g *reading, found bool) *exchange.Error {
	if g.body.form == formPage || g.body.form == formBroken {
		return nil
	}
	said := g.body.said()
	says := said.status != 0 || said.oddCode || lookUp(said).known || saysDead(said.texts, true)
	if !said.denies && (found || !says) {
		return nil
	}
	return c.refused(a, said, g.request.refusal(g.doing, g.sent))
}

// brokeOff returns the error for an answer that is cut off.
func (g *reading) brokeOff() (exchange.Issued, error) {
	kept := !g.kept.RefreshToken.IsZero()
	return g.kept, &exchange.Error{Class: exchange.Transient, Doing: g.doing, Status: g.status,
		Lost: !kept, Unusable: kept, Problem: "the answer broke off"}
}

// unusable returns the error for a grant that cannot be published. blind is set if not even
// the answer's members could be read, so that its refresh token is lost.
func (g *reading) unusable(problem, hint string, blind bool) (exchange.Issued, error) {
	return g.kept, &exchange.Error{Class: exchange.Misconfigured, Doing: g.doing, Status: g.status,
		Unusable: true,
		Lost:     blind && g.kept.RefreshToken.IsZero(), Problem: problem, Hint: hint}
}

// wrappers are the folded names in which servers wrap what RFC 6749 has at the top level:
// Withings uses body, TikTok and Douyin data, Cognito AuthenticationResult, other servers
// the rest.
var wrappers = []string{
	"data", "body", "result", "response", "payload", "content", "token", "tokens", "d", "auth",
	"session", "authentication", "authenticationresult", "credentials", "oauth", "output",
}

// places returns the objects that may contain an answer's members: the top level, then the
// wrappers.
func (b body) places() []members {
	out := []members{b.members}
	for _, name := range wrappers {
		if value, ok := b.folded(name); ok {
			if inner := object(value); inner != nil {
				out = append(out, inner)
			}
		}
	}
	return out
}

// unknown returns the other objects of an answer whose known places contain no refresh
// token, for example Slack's authed_user or a gateway's own wrapper.
func (g *reading) unknown() (out []members) {
	for _, m := range g.body.places() {
		if _, ok := m.folded("refreshtoken"); ok {
			return nil
		}
	}
	for level := []members{g.body.members}; len(level) > 0 && len(out) < maxPlaces; {
		var below []members
		for _, m := range level {
			for _, one := range m {
				if inner := object(one.value); len(inner) > 0 {
					below = append(below, inner)
				}
			}
		}
		out, level = append(out, below...), below
	}
	return out
}

// maxPlaces limits how many objects of an answer are searched for its tokens.
const maxPlaces = 64

// accessToken finds the access token and the object that contains it.
func (g *reading) accessToken() (holder members, token string, found bool) {
	if path := g.request.Answer.AccessToken; path != "" {
		holder = g.body.members
		if i := strings.LastIndex(path, "."); i >= 0 {
			holder = object(g.body.path(path[:i]))
		}
		token, _ = text(g.body.path(path))
		return holder, token, token != ""
	}
	for _, holder = range append(g.body.places(), g.unknown()...) {
		if token, _ = text(holder.get("access_token")); token != "" {
			return holder, token, true
		}
		if value, ok := holder.folded("accesstoken"); ok {
			if token, _ = text(value); token != "" {
				return holder, token, true
			}
		}
	}
	return nil, "", false
}

// token reads an access token and the members next to it.
func (g *reading) token(holder members, access string) (exchange.Issued, error) {
	if scheme, token, ok := strings.Cut(access, " "); ok && strings.EqualFold(scheme, "bearer") {
		access = strings.TrimSpace(token) // the server puts the scheme in front of the token
	}
	if !visible(access) {
		return g.unusable(`the answer's "access_token" has characters that no header can carry`,
			"Check that the URL is the provider's token endpoint."+
				g.ifSettings(" If it is, settings.answer must name the place of the access token "+
					"in the answer."), false)
	}
	if g.handsBack(access) {
		return g.unusable(`the answer's "access_token" is a secret that was sent, `+
			`or its refresh token`,
			"Applications read this value, and must not get a secret."+
				g.ifSettings(" Correct settings.answer: it must name the place of the access "+
					"token in the answer."), false)
	}
	if kind, told := holder.folded("tokentype"); told && !g.bearer(kind) {
		return g.unusable(`the answer's "token_type" is not Bearer`,
			"Evertoken supports bearer tokens only (RFC 6750)."+
				g.ifSettings(" If this provider's APIs take its tokens as bearer tokens, "+
					"name the type in settings.token_types."), false)
	}
	life := g.lifetime(holder, access)
	switch {
	case life.over:
		// Asking again costs nothing if no refresh token was spent.
		spends := g.request.Kind == RefreshGrant || !g.kept.RefreshToken.IsZero()
		return g.kept, &exchange.Error{Class: exchange.Transient, Doing: g.doing, Status: g.status,
			Unusable: spends, Problem: "the provider gave a token that expires at once",
			Hint: hintAtItsEnd + g.ifSettings(" If 0 means that the provider's tokens do not "+
				"expire, set settings.token_life.")}
	case life.absurd:
		return g.unusable("the token's lifetime is not plausible",
			"A token must live at least 30 seconds and at most 400 days; "+
				"the answer says otherwise in every reading."+
				g.ifSettings(" If the provider documents the lifetime, set settings.token_life to it."),
			false)
	}
	out := g.kept
	out.AccessToken, out.TokenType, out.ExpiresAt = redact.New(access), "Bearer", life.ends
	out.Hints = append(life.hints, out.Hints...)
	out.Scope = g.scope(holder, access)
	g.publish(&out)
	return out, nil
}

const hintAtItsEnd = "The provider returns the same token until it expires: " +
	"Evertoken asks again after that, and you need to do nothing."

// ifSettings returns a hint about settings that exist only for oauth2 and its presets, or
// "" for other providers. Those connections always have a client authentication.
func (g *reading) ifSettings(hint string) string {
	if g.request.ClientAuth == "" {
		return ""
	}
	return hint
}

// bearerTypes are folded token types that are sent as bearer tokens: RFC 6750's, Apigee's
// BearerToken, Slack's bot and user, and names of the token's format. A client must not use
// a token of an unknown type (RFC 6749 section 7.1).
var bearerTypes = map[string]bool{
	"": true, "bearer": true, "bearertoken": true, "bot": true, "user": true, "jwt": true,
	"urnietfparamsoauthtokentypeaccesstoken": true, "urnietfparamsoauthtokentypejwt": true,
}

// bearer reports whether a token_type means a bearer token. A value that is not a string is
// ignored.
func (g *reading) bearer(value json.RawMessage) bool {
	kind, ok := text(value)
	return !ok || bearerTypes[fold(kind)] ||
		slices.ContainsFunc(g.request.TokenTypes,
			func(t string) bool { return strings.EqualFold(strings.TrimSpace(t), kind) })
}

// scope returns the scope that is known to be granted: the answer's, else the token's own
// claim (RFC 9068 section 2.2.3; Okta and Entra use scp), else the one scope that this
// provider grants.
func (g *reading) scope(holder members, access string) string {
	for _, m := range []members{holder, g.body.members} {
		if value, ok := m.folded("scope", "scopes"); ok {
			if s := words(value); s != "" {
				return s
			}
		}
	}
	if g.request.Scope != "" {
		return g.request.Scope
	}
	if c, ok := readClaims(access); ok {
		return c.scope
	}
	return ""
}

// words returns a string, or a list of strings joined by spaces.
func words(value json.RawMessage) string {
	if s, ok := text(value); ok {
		return s
	}
	var l []string
	if json.Unmarshal(value, &l) != nil {
		return ""
	}
	return strings.TrimSpace(strings.Join(l, " "))
}

// keepRefreshToken saves the answer's refresh token and its expiry in g.kept, whatever else
// is wrong with the answer.
func (g *reading) keepRefreshToken(holder members) {
	where, value := g.refreshToken(holder)
	token, told := text(value)
	switch {
	case told && token == "":
		g.kept.Hints = append(g.kept.Hints,
			`The answer's "refresh_token" is empty: Evertoken keeps the one that it sent.`)
		return
	case !told:
		return
	}
	g.kept.RefreshToken = redact.New(token)
	g.kept.RefreshExpiresAt = refreshEnds(where, token, g.from, g.now)
	if g.kept.RefreshExpiresAt.IsZero() && g.request.RefreshLife > 0 {
		g.kept.RefreshExpiresAt = g.from.Add(g.request.RefreshLife)
	}
}

// refreshToken finds the refresh token: where the settings say, else next to the access
// token, else in any place that may contain one.
func (g *reading) refreshToken(holder members) (where members, value json.RawMessage) {
	if path := g.request.Answer.RefreshToken; path != "" {
		where = g.body.members
		if i := strings.LastIndex(path, "."); i >= 0 {
			where = object(g.body.path(path[:i]))
		}
		return where, g.body.path(path)
	}
	for _, where = range slices.Concat([]members{holder}, g.body.places(), g.unknown()) {
		if value = where.get("refresh_token"); value != nil {
			return where, value
		}
		if value, ok := where.folded("refreshtoken"); ok {
			return where, value
		}
	}
	// Evertoken cannot parse the answer, but it may contain the only copy of a refresh
	// token.
	found := refreshTokenRE().FindStringSubmatch(g.body.text)
	if found != nil && g.body.form != formObject {
		if found[1] == "" {
			found[1] = `"` + found[2] + `"`
		}
		return nil, json.RawMessage(found[1])
	}
	return nil, nil
}

var refreshTokenRE = lazyregexp.New(
	`(?i)["']refresh_?token["']\s*:\s*(?:("(?:[^"\\]|\\.)+")|'([^'"\\]+)')`)

// names lists the members of the answer for the error, if their names are plain words.
func (g *reading) names() string {
	var out []string
	for _, m := range g.body.members {
		if m.name != "access_token" && codeRE().MatchString(m.name) && !echoes(m.name, g.sent) &&
			len(out) < 8 {
			out = append(out, m.name)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "; it has " + strings.Join(out, ", ")
}

// visible reports whether a token consists of the characters of RFC 6749 appendix A.12,
// except the space, which would end it in a header.
func visible(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// brokenOff reports whether a body is the beginning of a JSON value: something in between
// cut it off although the HTTP answer is complete.
func brokenOff(content string) bool {
	var v json.RawMessage
	return errors.Is(json.NewDecoder(strings.NewReader(content)).Decode(&v), io.ErrUnexpectedEOF)
}
