package oauth

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// members are those of a JSON object, each read on its own: RFC 6749 section
// 5.1 has unknown ones ignored, and a wrong type in one that is not needed must
// not cost the token.
type members map[string]json.RawMessage

// object reads a JSON object whatever the content type says: vendors send
// "application/vnd.goa.error" and worse. It is nil if the body is none.
func object(body redact.Secret) members {
	var m members
	if json.Unmarshal([]byte(body.Reveal()), &m) != nil {
		return nil
	}
	return m
}

// text is a member's string, trimmed, and whether the member is one.
func (m members) text(name string) (string, bool) {
	var s *string
	if json.Unmarshal(m[name], &s) != nil || s == nil {
		return "", false
	}
	return strings.TrimSpace(*s), true
}

// yes reports whether a member is true.
func (m members) yes(name string) bool {
	var b bool
	return json.Unmarshal(m[name], &b) == nil && b
}

// into decodes a member and reports whether it fits.
func (m members) into(name string, v any) bool { return json.Unmarshal(m[name], v) == nil }

// issued reads a 2xx answer: RFC 6749 section 5.1, with what servers make of
// it. Where it cannot be used the request was carried out all the same, so that
// the error says Lost; a refresh token that came with it is returned beside the
// error.
func (c *Client) issued(a Answer, r Request, doing string, sent []redact.Secret) (exchange.Issued, error) {
	now := c.now()
	kept := exchange.Issued{IssuedAt: now} // a refresh token is good although the token beside it is not
	unusable := func(problem, hint string) (exchange.Issued, error) {
		return kept, &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Status: a.Status,
			Lost: true, Problem: problem, Hint: hint}
	}
	m := object(a.Body)
	if m == nil {
		switch {
		case html(a.Body):
			return unusable("the answer is an HTML page", hintHTML)
		case brokenOff(a.Body):
			return exchange.Issued{}, &exchange.Error{Class: exchange.Transient, Doing: doing, Status: a.Status, Lost: true,
				Problem: "the answer broke off"}
		}
		return unusable("the answer is not a JSON object", hintHTML)
	}
	refreshToken(m, now, &kept)
	access, ok := m.text("access_token")
	if !ok || access == "" {
		// Some servers report an error with status 200; GitHub does:
		// https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
		if _, isError := m.text("error"); isError {
			return exchange.Issued{}, c.Refused(a, Refusal{Doing: doing, Kind: r.Kind, DeadOn400: r.DeadOn400, Sent: sent})
		}
		return unusable(`the answer has no "access_token"`, "Check that the URL is the provider's token endpoint.")
	}
	if !visible(access) {
		return unusable(`the answer's "access_token" has characters that no header can carry`, "")
	}
	// RFC 6749 section 7.1: an unknown type must not be used. Compared without
	// regard to case (section 5.1); Sharetribe and Keycloak say "bearer".
	if kind, told := m.text("token_type"); told && kind != "" && !strings.EqualFold(kind, "Bearer") {
		return unusable(`the answer's "token_type" is not Bearer`, "Evertoken keeps bearer tokens only (RFC 6750).")
	}
	life := lifetime(m, access, now, r.DefaultLife)
	if life.absurd {
		return unusable("the token's lifetime is absurd", "A token must live at least 30 seconds and at most 400 days; the answer says otherwise in every reading.")
	}
	out := exchange.Issued{
		AccessToken: redact.New(access), TokenType: "Bearer",
		IssuedAt: now, ExpiresAt: life.ends, Scope: r.Scope, Hints: life.hints,
	}
	if scope, told := m.text("scope"); told && scope != "" {
		out.Scope = scope
	}
	refreshToken(m, now, &out)
	return out, nil
}

// refreshToken reads what the answer says of a refresh token.
func refreshToken(m members, now time.Time, out *exchange.Issued) {
	value, told := m.text("refresh_token")
	switch {
	case told && value == "":
		out.Hints = append(out.Hints, `The answer's "refresh_token" is empty: the one sent is kept.`)
		return
	case !told:
		return
	}
	out.RefreshToken = redact.New(value)
	// refresh_expires_in is Keycloak's, refresh_token_expires_in GitHub's
	// (https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens).
	// Keycloak's 0 means that there is no limit to tell, not that it is over:
	// https://github.com/keycloak/keycloak/issues/8919.
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in"} {
		if s, ok := number(m[name]); ok && s > 0 {
			if ends, ok := refreshEnd(s, now); ok {
				out.RefreshExpiresAt = ends
				return
			}
		}
	}
	// Not told by the answer: the token's own claim, unverified, is better than
	// nothing. It only ever makes a refresh come earlier.
	if claims, ok := readClaims(value); ok && claims.expires.After(now) {
		out.RefreshExpiresAt = claims.expires
	}
}

// visible reports whether a token keeps to RFC 6749 appendix A.12, without the
// space, which would end it in a header.
func visible(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// brokenOff reports whether a body is the beginning of a JSON value: something
// between ended a whole HTTP answer too early.
func brokenOff(body redact.Secret) bool {
	var v json.RawMessage
	return errors.Is(json.NewDecoder(strings.NewReader(body.Reveal())).Decode(&v), io.ErrUnexpectedEOF)
}

// html reports whether a body is a page, whatever its content type says.
func html(body redact.Secret) bool {
	return strings.HasPrefix(strings.TrimSpace(body.Reveal()), "<")
}
