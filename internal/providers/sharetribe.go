package providers

import (
	"context"
	"errors"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/strictjson"
)

const (
	// Marketplace tokens: https://www.sharetribe.com/api-reference/authentication.html
	sharetribeMarketURL = "https://flex-api.sharetribe.com/v1/auth/token"
	// Integration tokens; the marketplace host for them is deprecated since
	// 2020: sharetribe/flex-integration-sdk-js, CHANGELOG.md, v1.4.0.
	sharetribeIntegURL = "https://flex-integ-api.sharetribe.com/v1/auth/token"
	// "Access tokens expire in 1 hours by default": a maintainer in
	// https://github.com/sharetribe/flex-sdk-js/issues/36
	sharetribeLife = time.Hour
	// The Integration API limits simultaneous requests
	// (https://sharetribe.com/docs/concepts/rate-limiting), and Sharetribe's own SDK makes
	// at most ten (sharetribe/flex-integration-sdk-js, v1.9.0). The documentation does not
	// say whether requests for tokens count.
	sharetribeAtOnce = 10
)

// sharetribeAccess is one kind of access: its grant, its scope (as the SDKs
// send it: sharetribe/flex-sdk-js and flex-integration-sdk-js,
// src/interceptors) and the members its grant sends.
type sharetribeAccess struct {
	url, scope string
	grant      exchange.Grant
	traits     exchange.Traits
}

var sharetribeAccesses = map[string]sharetribeAccess{
	// The answer contains a refresh token, contrary to RFC 6749 section 4.4.3:
	// https://www.sharetribe.com/docs/concepts/authentication-api/
	"integration": {
		url: sharetribeIntegURL, scope: "integ",
		grant: exchange.Grant{Type: "client_credentials",
			Members: []string{credential.ClientID, credential.ClientSecret}},
		// A lost answer needs no replay: the secret opens a new session.
		traits: exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, AtOnce: sharetribeAtOnce},
	},
	"anonymous": {
		url: sharetribeMarketURL, scope: "public-read",
		grant: exchange.Grant{Type: "client_credentials", Members: []string{credential.ClientID}},
	},
	"user": {
		url: sharetribeMarketURL, scope: "user",
		grant:  sharetribePassword,
		traits: exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true},
	},
	"trusted": {
		url: sharetribeMarketURL, scope: "user",
		grant:  sharetribePassword,
		traits: exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true},
	},
}

var sharetribePassword = exchange.Grant{Type: "password", Password: true,
	Members: []string{credential.ClientID, credential.Username, credential.Password}}

// sharetribe is the Authentication API. The documentation does not say whether a refresh
// ends the refresh token; the SDKs' own fakes do so (src/fake/token_store.js).
type sharetribe struct {
	base
	access sharetribeAccess
}

// sharetribeTrusted adds the second request.
type sharetribeTrusted struct{ *sharetribe }

type sharetribeSettings struct {
	Access       *string             `json:"access"`
	AuthURL      *string             `json:"auth_url"`
	SessionMax   strictjson.Duration `json:"session_max"`
	RemintBefore strictjson.Duration `json:"remint_before"`
}

func newSharetribe(c connection.Connection, o Options) (exchange.Provider, error) {
	p := &sharetribe{base: newBase(c, o)}
	var s sharetribeSettings
	if err := p.decode(c.Settings, &s); err != nil {
		return nil, err
	}
	name := "integration"
	if s.Access != nil {
		name = *s.Access
	}
	var ok bool
	if p.access, ok = sharetribeAccesses[name]; !ok {
		return nil, p.wrong("access", "must be integration, anonymous, user or trusted")
	}
	if s.AuthURL != nil {
		var err error
		if p.access.url, err = p.endpoint("auth_url", *s.AuthURL); err != nil {
			return nil, err
		}
	}
	if p.access.traits.Session == exchange.NoSession && (s.SessionMax != 0 || s.RemintBefore != 0) {
		return nil, p.wrong("session_max", "has no meaning for anonymous access, "+
			"which has no session")
	}
	var err error
	p.access.traits.SessionMax, p.access.traits.RemintBefore, err = p.window(s.SessionMax, s.RemintBefore)
	if err != nil {
		return nil, err
	}
	if name == "trusted" {
		return &sharetribeTrusted{p}, nil
	}
	return p, nil
}

// Host returns the host of the token endpoint.
func (p *sharetribe) Host() string { return hostOf(p.access.url) }

// Allowed implements [exchange.Provider].
func (p *sharetribe) Allowed(c credential.Credential) error { return p.allowed(c, p.access.url) }

func (p *sharetribe) Traits() exchange.Traits { return p.access.traits }

func (p *sharetribe) Grants(c credential.Credential) ([]exchange.Grant, error) {
	if err := c.Require("this access to sharetribe", p.access.grant.Members...); err != nil {
		return nil, err
	}
	return []exchange.Grant{p.access.grant}, nil
}

// Grants returns the user's grants: the session's fingerprint covers exactly what the
// user's own grant sends. The credential must also contain the second request's secret.
func (p *sharetribeTrusted) Grants(c credential.Credential) ([]exchange.Grant, error) {
	if err := c.Require("a trusted token", credential.ClientID, credential.ClientSecret); err != nil {
		return nil, err
	}
	return p.sharetribe.Grants(c)
}

func (p *sharetribe) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	c := r.Credential
	if err := c.Require("sharetribe", credential.ClientID); err != nil {
		return exchange.Issued{}, err
	}
	request := oauth.Request{TokenURL: p.access.url, ClientID: c.Get(credential.ClientID),
		DefaultLife: sharetribeLife, Scope: p.access.scope}
	switch {
	case r.Grant.FromSession():
		// Send neither secret nor scope, as both SDKs do
		// (src/interceptors/retry_with_refresh_token.js). If the answer has no scope, the
		// session's scope stays.
		request.Kind = oauth.RefreshGrant
		request.Form = form("grant_type", "refresh_token", "refresh_token", r.RefreshToken.Reveal())
		return p.client.Exchange(ctx, p.policy(c), request)
	case p.access.grant.Password:
		request.Kind = oauth.PasswordGrant
		request.Form = form("grant_type", "password", "scope", p.access.scope,
			"username", c.Get(credential.Username).Reveal(), "password", c.Get(credential.Password).Reveal())
	default:
		request.Form = form("grant_type", "client_credentials", "scope", p.access.scope)
		if p.access.traits.Session != exchange.NoSession {
			request.Auth, request.ClientSecret = oauth.AuthBody, c.Get(credential.ClientSecret)
		}
	}
	if _, err := p.Grants(c); err != nil {
		return exchange.Issued{}, err
	}
	return p.client.Exchange(ctx, p.policy(c), request)
}

// Finish makes the trusted token from the user's access token (sharetribe/flex-sdk-js,
// src/interceptors/fetch_auth_token_from_api.js and src/endpoints). It drops a refresh
// token in the answer, which is not the user's, as Sharetribe's multitenant SDK does.
func (p *sharetribeTrusted) Finish(ctx context.Context, r exchange.Request,
	user exchange.Issued) (exchange.Issued, error) {
	c := r.Credential
	if err := c.Require("a trusted token", credential.ClientID, credential.ClientSecret); err != nil {
		return exchange.Issued{}, err
	}
	const scope = "trusted:user"
	trusted, err := p.client.Exchange(ctx, p.policy(c), oauth.Request{
		TokenURL: p.access.url, Auth: oauth.AuthBody, Kind: oauth.ClientGrant,
		ClientID: c.Get(credential.ClientID), ClientSecret: c.Get(credential.ClientSecret),
		DefaultLife: sharetribeLife, Scope: scope,
		Form: form("grant_type", "token_exchange", "scope", scope, "subject_token",
			user.AccessToken.Reveal()),
	})
	if err != nil {
		if e, ok := errors.AsType[*exchange.Error](err); ok {
			e.Lost = false // nothing single-use was sent
		}
		return exchange.Issued{}, err
	}
	trusted.RefreshToken, trusted.RefreshExpiresAt = user.RefreshToken, user.RefreshExpiresAt
	trusted.Hints = append(user.Hints, trusted.Hints...)
	return trusted, nil
}
