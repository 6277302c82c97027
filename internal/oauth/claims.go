package oauth

import (
	"encoding/base64"
	"strings"
	"time"
)

// claims are what a JWT states of itself (RFC 7519 section 4.1). Nothing is
// verified: the token came over TLS from its issuer, and is not for us.
type claims struct {
	expires, issued time.Time
	scope           string
}

// readClaims reads a token's claims, if it is a signed JWT in compact form. An
// opaque or encrypted token has none to read.
func readClaims(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	m := object(payload)
	if m == nil {
		return claims{}, false
	}
	c := claims{expires: m.epoch("exp"), issued: m.epoch("iat"), scope: words(m.get("scope"))}
	if c.scope == "" {
		c.scope = words(m.get("scp"))
	}
	return c, true
}

// epoch is a member in seconds since the Unix epoch, or the zero time.
func (m members) epoch(name string) time.Time {
	s, ok := number(m.get(name))
	if !ok || s <= 0 || s > latestEpoch {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
