package connection

import (
	"encoding/json"
	"time"

	"evertoken/internal/strictjson"
)

// Probe is a harmless call with the published token, with which Evertoken detects that the
// token was revoked.
type Probe struct {
	// Every is the period: Evertoken makes the call once per period, and renews a revoked
	// token at most once per period.
	Every time.Duration
	// URL is the URL of the GET request; empty for the provider's own call.
	URL string
}

// The limits of Probe.Every. A secret accepts one version in 15 minutes, so Evertoken
// cannot renew a token more often. A probe less often than once a day would detect nothing
// in time.
const (
	leastProbe = 15 * time.Minute
	mostProbe  = 24 * time.Hour
)

// parseProbe reads the member "probe". Its error is an [*Error].
func parseProbe(name string, declared json.RawMessage) (Probe, error) {
	if len(declared) == 0 || string(declared) == "null" {
		return Probe{}, nil
	}
	var w struct {
		Every strictjson.Duration `json:"every"`
		URL   *string             `json:"url"`
	}
	if member, problem := strictjson.Decode(declared, &w); problem != "" {
		if member != "" {
			member = "." + member
		}
		return Probe{}, &Error{name, "probe" + member, problem}
	}
	p := Probe{Every: time.Duration(w.Every)}
	switch {
	case p.Every == 0:
		return Probe{}, &Error{name, "probe.every", "is missing: say how often, such as 15m"}
	case p.Every < leastProbe || p.Every > mostProbe:
		return Probe{}, &Error{name, "probe.every", "must be from 15m to 24h"}
	case w.URL != nil && *w.URL == "":
		return Probe{}, &Error{name, "probe.url", "is empty: name a URL, or leave it out to use " +
			"the provider's own call"}
	case w.URL != nil:
		p.URL = *w.URL
	}
	return p, nil
}
