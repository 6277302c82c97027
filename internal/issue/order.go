package issue

import (
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/renew"
)

// compare orders jobs by what is left of the published token's life, least
// first, so that what is urgent is done while there is time; dead and missing
// tokens come last, since those of a provider that does not answer would take
// the time of all others.
func compare(a, b renew.Job, now time.Time) int {
	aEnds, bEnds := tokenEnds(a), tokenEnds(b)
	switch aDead, bDead := !aEnds.After(now), !bEnds.After(now); {
	case aDead && bDead:
		return 0
	case aDead:
		return 1
	case bDead:
		return -1
	}
	return aEnds.Compare(bEnds)
}

// tokenEnds is the end of the published token, zero where none can be read.
func tokenEnds(j renew.Job) time.Time {
	token, err := credential.ParseToken(j.Token.Version.Value)
	if err != nil {
		return time.Time{}
	}
	return token.ExpiresAt
}
