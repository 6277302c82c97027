package providers

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/oauth"
	"evertoken/internal/presets"
	"evertoken/internal/strictjson"
)

// newPreset returns an oauth2 provider with the settings of a preset.
func newPreset(preset presets.Preset, c connection.Connection, o Options) (
	exchange.Provider, error,
) {
	b := newBase(c, o)
	rest, variables, member, problem := preset.Own(c.Settings)
	if problem != "" {
		return nil, b.wrong(member, problem)
	}
	written, err := json.Marshal(rest)
	if err != nil {
		return nil, b.wrong("", "is not a JSON object")
	}
	var s oauth2Settings
	if member, problem := strictjson.Decode(written, &s); problem != "" {
		if own := slices.Sorted(maps.Keys(preset.Variables)); len(own) > 0 &&
			strings.Contains(problem, "not known") {
			problem += "; and this provider's own: " + strings.Join(own, ", ")
		}
		return nil, b.wrong(member, problem)
	}
	settings, member, problem := preset.Complete(rest, variables)
	if problem != "" {
		return nil, b.wrong(member, problem)
	}
	if s.TokenURL == nil && s.Issuer == nil {
		// Allow only the preset's own endpoint: its hosts serve much else where others
		// could read what is sent, such as GitLab's /api/v4/projects/ID/trigger/pipeline.
		b.destinations.Vendor = hosts.Must(preset.Hosts...)
	}
	p, err := openOAuth2(b, settings)
	if err != nil {
		return nil, err
	}
	p.refreshTokensKept = preset.RefreshTokens == "reusable"
	p.refusals, p.atOnce = preset.Refusals, preset.AtOnce
	return p, nil
}

// meant reclassifies a refusal by what its code means at this provider.
func (p *oauth2) meant(e *exchange.Error, kind oauth.Kind) {
	for _, r := range p.refusals {
		if r.Code != e.Code || r.Refresh && kind != oauth.RefreshGrant {
			continue
		}
		e.Class, e.Unsure = exchange.Class(r.Class), false
		if r.Hint != "" {
			e.Hint = r.Hint
		}
		return
	}
}
