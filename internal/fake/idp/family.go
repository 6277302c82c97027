package fakeidp

import "time"

// refreshToken is one refresh token of a family: all tokens that come from one grant.
type refreshToken struct {
	family  *tokenFamily
	expires time.Time
	used    bool
	usedAt  time.Time // when it was used first
}

// tokenFamily is what the tokens of one grant have in common.
type tokenFamily struct {
	client, subject, scope string
	dead                   bool
	access                 []*accessToken // issued with it
}

// endAccess ends the access tokens of a family.
func (f *tokenFamily) endAccess() {
	for _, access := range f.access {
		access.revoked = true
	}
}

// refreshTokens are the refresh tokens of a provider, by value.
type refreshTokens map[string]*refreshToken

// add registers a token of a family.
func (ts refreshTokens) add(value string, f *tokenFamily, expires time.Time) string {
	ts[value] = &refreshToken{family: f, expires: expires}
	return value
}

// usable returns a token that may be used now, or nil.
func (ts refreshTokens) usable(value string, now time.Time) *refreshToken {
	t := ts[value]
	if t == nil || t.used || t.family.dead || !now.Before(t.expires) {
		return nil
	}
	return t
}

// replayed reports a token that was spent before and ends its family, as RFC 9700 section
// 4.14.2 describes: the server cannot know whether the thief or the owner sent it.
func (ts refreshTokens) replayed(value string) bool {
	t := ts[value]
	if t == nil || !t.used {
		return false
	}
	t.family.dead = true
	return true
}

// live are the values that may be used now.
func (ts refreshTokens) live(now time.Time) []string {
	var out []string
	for v := range ts {
		if ts.usable(v, now) != nil {
			out = append(out, v)
		}
	}
	return out
}
