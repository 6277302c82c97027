package oauth

import (
	"encoding/base64"
	"strings"
	"time"
)

// claims are what a JWT states about itself (RFC 7519 section 4.1). Evertoken does not
// verify the signature: the token came over TLS from its issuer, and Evertoken is not its
// audience.
type claims struct {
	expires, issued time.Time
	scope           string
}

// readClaims reads the claims of a signed JWT in compact form. ok is false for an opaque or
// encrypted token.
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

// epoch returns a member in seconds since the Unix epoch, or the zero time.
func (m members) epoch(name string) time.Time {
	s, ok := number(m.get(name))
	if !ok || s <= 0 || s > latestEpoch {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
