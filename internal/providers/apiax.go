package providers

import (
	"context"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// The defaults are those of Apiax's page:
// https://docs.apiax.io/hc/en-gb/articles/4402382856337-Retrieving-an-API-Access-Token
const (
	apiaxTokenURL = "https://auth.apiax.io/auth/realms/apiax/protocol/openid-connect/token"
	apiaxClientID = "integration-api"
	// "The default expiration time for expires_in is 1800 seconds."
	apiaxLife = 1800 * time.Second
	// "The refresh token can be used 14 days starting after the retrieval of
	// your Access Token with credentials": Keycloak's SSO Session Max, which
	// refreshing does not extend (TokenManager.getExpiration in
	// services/src/main/java/org/keycloak/protocol/oidc).
	apiaxSessionMax   = 14 * 24 * time.Hour
	apiaxRemintBefore = 24 * time.Hour
)

// apiax is a Keycloak realm with a public client.
type apiax struct {
	base
	tokenURL string
	clientID string
	extra    map[string]string
	traits   exchange.Traits
}

type apiaxSettings struct {
	TokenURL     *string              `json:"token_url"`
	ClientID     *string              `json:"client_id"`
	SessionMax   *strictjson.Duration `json:"session_max"`
	RemintBefore *strictjson.Duration `json:"remint_before"`
	Extra        map[string]string    `json:"extra"`
}

func newApiax(c connection.Connection, o Options) (exchange.Provider, error) {
	p := &apiax{base: newBase(c, o), tokenURL: apiaxTokenURL, clientID: apiaxClientID}
	var s apiaxSettings
	if err := p.decode(c.Settings, &s); err != nil {
		return nil, err
	}
	if s.TokenURL != nil {
		var err error
		if p.tokenURL, err = p.endpoint("token_url", *s.TokenURL); err != nil {
			return nil, err
		}
	}
	if s.ClientID != nil {
		if p.clientID = *s.ClientID; p.clientID == "" {
			return nil, p.wrong("client_id", "is empty")
		}
	}
	if err := p.extraMembers(s.Extra); err != nil {
		return nil, err
	}
	p.extra = s.Extra
	limit, before := strictjson.Duration(apiaxSessionMax), strictjson.Duration(apiaxRemintBefore)
	if s.SessionMax != nil {
		limit = *s.SessionMax
		before = min(before, limit/10)
	}
	if s.RemintBefore != nil {
		before = *s.RemintBefore
	}
	sessionMax, remintBefore, err := p.window(limit, before)
	if err != nil {
		return nil, err
	}
	// Keycloak's refresh tokens are single-use if the realm revokes them; no answer shows
	// that switch, and every refresh returns a new one either way (TokenManager.java). A
	// replay works if the realm's "Refresh Token Max Reuse" allows it.
	p.traits = exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true,
		SessionMax: sessionMax, RemintBefore: remintBefore}
	return p, nil
}

// Host returns the host of the token endpoint.
func (p *apiax) Host() string { return hostOf(p.tokenURL) }

// Allowed implements [exchange.Provider].
func (p *apiax) Allowed(c credential.Credential) error { return p.allowed(c, p.tokenURL) }

func (p *apiax) Traits() exchange.Traits { return p.traits }

func (p *apiax) Grants(c credential.Credential) ([]exchange.Grant, error) {
	g := exchange.Grant{Type: "password",
		Members: []string{credential.Username, credential.Password}, Password: true}
	if err := c.Require("apiax", g.Members...); err != nil {
		return nil, err
	}
	return []exchange.Grant{g}, nil
}

func (p *apiax) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	// A public client: no secret, and client_id in the form.
	request := oauth.Request{TokenURL: p.tokenURL, ClientID: redact.New(p.clientID), DefaultLife: apiaxLife}
	if r.Grant.FromSession() {
		request.Kind = oauth.RefreshGrant
		request.Form = form("grant_type", "refresh_token", "refresh_token", r.RefreshToken.Reveal())
	} else {
		if _, err := p.Grants(r.Credential); err != nil {
			return exchange.Issued{}, err
		}
		request.Kind = oauth.PasswordGrant
		request.Form = form("grant_type", "password",
			"username", r.Credential.Get(credential.Username).Reveal(),
			"password", r.Credential.Get(credential.Password).Reveal())
	}
	// The page sends client_assertion_type without an assertion on a refresh. Keycloak
	// never reads it for a public client
	// (services/src/main/java/org/keycloak/authentication/ClientAuthenticationFlow.java),
	// so Evertoken sends it only if the settings say so.
	for name, value := range p.extra {
		request.Form.Set(name, value)
	}
	return p.client.Exchange(ctx, p.policy(r.Credential), request)
}
