package fakeidp

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// clientCredentials is RFC 6749 section 4.4: for confidential clients only.
func (o *OAuth2) clientCredentials(c *call, client *OAuth2Client) reply {
	if client.Auth == NoClientAuth {
		return o.refuse("unauthorized_client", "the grant is for confidential clients")
	}
	return o.open(c, client, "", o.opts.RefreshOnClientCredentials)
}

// password is RFC 6749 section 4.3.
func (o *OAuth2) password(c *call, client *OAuth2Client) reply {
	for _, name := range []string{"username", "password"} {
		if c.param(name) == "" {
			return o.refuse("invalid_request", name+" is missing")
		}
	}
	want, ok := o.users[c.param("username")]
	if !ok || want != c.param("password") {
		if o.opts.InvalidRequest {
			return o.refuse("invalid_request", "Invalid credentials given.", c.param("username"), c.param("password"))
		}
		return o.refuse("invalid_grant", "wrong user name or password", c.param("username"), c.param("password"))
	}
	return o.open(c, client, c.param("username"), slices.Contains(client.Grants, "refresh_token"))
}

// open starts a token family for a subject, "" meaning the client itself.
func (o *OAuth2) open(c *call, client *OAuth2Client, subject string, withRefresh bool) reply {
	scope := c.param("scope")
	if subject == "" {
		subject = client.ID
	}
	if client.Scopes != nil {
		if !within(scope, strings.Join(client.Scopes, " ")) && o.opts.IgnoreUnknownScope {
			scope = ""
		}
		if !within(scope, strings.Join(client.Scopes, " ")) {
			return o.refuse("invalid_scope", "scope not allowed", scope)
		}
		scope = orDefault(scope, strings.Join(client.Scopes, " "))
	}
	return o.answer(c, &tokenFamily{client: client.ID, subject: subject, scope: scope}, scope, withRefresh)
}

// within reports whether every scope of one list is in the other.
func within(list, of string) bool {
	have := spaceSet(of)
	for v := range spaceSet(list) {
		if !have[v] {
			return false
		}
	}
	return true
}

// refreshGrant is RFC 6749 section 6. A spent token that is sent again ends its family
// (RFC 9700 section 4.14.2).
func (o *OAuth2) refreshGrant(c *call, client *OAuth2Client) reply {
	value := c.param("refresh_token")
	if value == "" {
		return o.refuse("invalid_request", "refresh_token is missing")
	}
	t := o.tokens.usable(value, c.now)
	if again := o.tokens[value]; t == nil && again != nil && again.used && !again.family.dead &&
		c.now.Sub(again.usedAt) < o.opts.ReuseGrace {
		t = again
	}
	if t == nil || t.family.client != client.ID {
		// A token sent by another client says nothing about its owner.
		if known := o.tokens[value]; known != nil && known.family.client == client.ID && !o.opts.ReuseRefusedOnly {
			if o.tokens.replayed(value) && o.opts.ReuseEndsAccess {
				known.family.endAccess()
			}
		}
		return o.refuse("invalid_grant", "the refresh token is invalid, expired, revoked or used", value)
	}
	scope := orDefault(c.param("scope"), t.family.scope)
	if !within(scope, t.family.scope) {
		return o.refuse("invalid_scope", "scope exceeds the one granted", scope)
	}
	if o.opts.EndAccessOnRefresh {
		t.family.endAccess()
	}
	if o.opts.KeepRefreshTokens {
		return o.answer(c, t.family, scope, false)
	}
	if !t.used {
		t.used, t.usedAt = true, c.now
	}
	return o.answer(c, t.family, scope, true)
}

// answer issues tokens. The refresh token keeps the family's scope, even where
// the access token has less (RFC 6749 section 6).
func (o *OAuth2) answer(c *call, f *tokenFamily, scope string, withRefresh bool) reply {
	issue := OAuth2Issue{
		Time: c.now, ClientID: f.client, Subject: f.subject, Grant: c.param("grant_type"), Scope: scope,
		Audience: c.form["audience"], Resource: c.form["resource"], AccessExpires: c.now.Add(o.opts.AccessLife),
	}
	issue.AccessToken = o.s.mint(ProviderOAuth2, "access")
	access := &accessToken{
		provider: ProviderOAuth2, subject: f.subject, realm: f.client, scope: scope, expires: issue.AccessExpires,
	}
	o.s.access[issue.AccessToken] = access
	f.access = append(f.access, access)
	out := map[string]any{"access_token": issue.AccessToken}
	o.putExpiry(out, c.now)
	if !o.opts.OmitTokenType {
		out["token_type"] = o.opts.TokenType
	}
	if scope != "" && !o.opts.OmitScope && !o.opts.IgnoreUnknownScope {
		out["scope"] = scope
	}
	if withRefresh {
		issue.RefreshExpires = c.now.Add(o.opts.RefreshLife)
		issue.RefreshToken = o.tokens.add(o.s.mint(ProviderOAuth2, "refresh"), f, issue.RefreshExpires)
		out["refresh_token"] = issue.RefreshToken
		if o.opts.RefreshExpiresIn {
			out["refresh_expires_in"] = seconds(o.opts.RefreshLife)
		}
	}
	maps.Copy(out, o.opts.Extra)
	o.issued = append(o.issued, issue)
	if client := o.clients[f.client]; client != nil {
		maps.Copy(out, client.Extra)
		if client.Nested {
			out = nested(out)
		}
	}
	return tokenReply(out)
}

// putExpiry states the access token's life in the configured format.
func (o *OAuth2) putExpiry(out map[string]any, now time.Time) {
	life := o.opts.AccessLife
	end := now.Add(life)
	switch o.opts.Expiry {
	case ExpiryNumber:
		out["expires_in"] = seconds(life)
	case ExpiryString:
		out["expires_in"] = itoa(int(seconds(life)))
	case ExpiryFloat:
		out["expires_in"] = life.Seconds() + 0.5
	case ExpiryEpochMillis:
		out["expires_in"] = end.UnixMilli()
	case ExpiresAtSeconds:
		out["expires_at"] = end.Unix()
	case ExpiresAtMillis:
		out["expires_at"] = end.UnixMilli()
	case ExpiresAtRFC3339:
		out["expires_at"] = end.Format(time.RFC3339)
	}
}
