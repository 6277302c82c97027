package providers

import (
	"context"
	"net/url"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// oauth2 is any RFC 6749 authorization server, as far as the settings tell.
type oauth2 struct {
	base
	discovery             discovery // tells the token endpoint
	grant, auth           string
	scope                 string
	parameters            url.Values // audience, resource and extra
	sessionMax, remintOut time.Duration
}

type oauth2Settings struct {
	TokenURL     *string             `json:"token_url"`
	Issuer       *string             `json:"issuer"`
	Grant        string              `json:"grant"`
	ClientAuth   *string             `json:"client_auth"`
	Scope        string              `json:"scope"`
	Audience     string              `json:"audience"`
	Resource     string              `json:"resource"`
	Extra        map[string]string   `json:"extra"`
	SessionMax   strictjson.Duration `json:"session_max"`
	RemintBefore strictjson.Duration `json:"remint_before"`
}

// The client authentication methods of RFC 7591 section 2, and OpenID Connect
// Core section 9 for private_key_jwt.
const (
	authPost   = "client_secret_post"
	authBasic  = "client_secret_basic"
	authKey    = "private_key_jwt"
	authPublic = "none"
)

const (
	grantClient   = "client_credentials"
	grantRefresh  = "refresh_token"
	grantPassword = "password"
)

func newOAuth2(c connection.Connection, o Options) (Provider, error) {
	p := &oauth2{base: newBase(c, o), auth: authPost}
	var s oauth2Settings
	if err := p.decode(c.Settings, &s); err != nil {
		return nil, err
	}
	if s.ClientAuth != nil {
		p.auth = *s.ClientAuth
	}
	p.grant, p.scope = s.Grant, s.Scope
	switch {
	case p.grant != grantClient && p.grant != grantRefresh && p.grant != grantPassword:
		return nil, p.wrong("grant", "must be client_credentials, refresh_token or password")
	case p.auth != authPost && p.auth != authBasic && p.auth != authKey && p.auth != authPublic:
		return nil, p.wrong("client_auth", "must be client_secret_post, client_secret_basic, private_key_jwt or none")
	case p.grant == grantClient && p.auth == authPublic:
		return nil, p.wrong("client_auth", "cannot be none for client_credentials: that grant is for confidential clients only (RFC 6749 section 4.4)")
	case p.grant == grantClient && (s.SessionMax != 0 || s.RemintBefore != 0):
		return nil, p.wrong("session_max", "has no meaning for client_credentials, which has no session")
	}
	if err := p.locate(s); err != nil {
		return nil, err
	}
	if err := p.extraMembers(s.Extra); err != nil {
		return nil, err
	}
	p.parameters = url.Values{}
	for name, value := range s.Extra {
		p.parameters.Set(name, value)
	}
	if s.Audience != "" {
		p.parameters.Set("audience", s.Audience)
	}
	if s.Resource != "" {
		p.parameters.Set("resource", s.Resource) // RFC 8707 section 2
	}
	var err error
	p.sessionMax, p.remintOut, err = p.window(s.SessionMax, s.RemintBefore)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// locate takes the token endpoint, or the issuer that tells it.
func (p *oauth2) locate(s oauth2Settings) (err error) {
	switch {
	case s.TokenURL != nil && s.Issuer != nil:
		return p.wrong("issuer", "stands beside \"token_url\": give one of the two")
	case s.TokenURL != nil:
		p.discovery.endpoint, err = p.endpoint("token_url", *s.TokenURL)
		return err
	case s.Issuer != nil:
		// RFC 8414 section 2: an issuer has no query and no fragment.
		if _, err = p.baseURL("issuer", *s.Issuer); err != nil {
			return err
		}
		p.discovery.issuer = *s.Issuer
		return nil
	}
	return p.wrong("token_url", "is missing: give it, or \"issuer\"")
}

// Host is the host of the token endpoint, or of the issuer that tells it.
func (p *oauth2) Host() string {
	p.discovery.mu.Lock()
	defer p.discovery.mu.Unlock()
	if p.discovery.endpoint != "" {
		return hostOf(p.discovery.endpoint)
	}
	return hostOf(p.discovery.issuer)
}

func (p *oauth2) Traits() exchange.Traits {
	if p.grant == grantClient {
		return exchange.Traits{}
	}
	// RFC 6749 section 6: the server may kill a refresh token as it is used.
	return exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true,
		SessionMax: p.sessionMax, RemintBefore: p.remintOut}
}

func (p *oauth2) Grants(c credential.Credential) ([]exchange.Grant, error) {
	members, err := p.clientMembers(c)
	if err != nil {
		return nil, err
	}
	g := exchange.Grant{Type: p.grant, Members: members}
	switch p.grant {
	case grantRefresh:
		g.Seed = true
		g.Members = append(g.Members, credential.RefreshToken)
	case grantPassword:
		g.Password = true
		g.Members = append(g.Members, credential.Username, credential.Password)
	}
	if err := c.Require("the "+p.grant+" grant", g.Members...); err != nil {
		return nil, err
	}
	return []exchange.Grant{g}, nil
}

// clientMembers are the members by which the client authenticates.
func (p *oauth2) clientMembers(c credential.Credential) ([]string, error) {
	var members []string
	switch p.auth {
	case authPost, authBasic:
		members = []string{credential.ClientID, credential.ClientSecret}
	case authKey:
		members = []string{credential.ClientID, credential.PrivateKey}
		if c.Has(credential.KeyID) {
			members = append(members, credential.KeyID)
		}
	case authPublic:
		// RFC 6749 section 3.2.1: a public client "MAY" name itself.
		if c.Has(credential.ClientID) {
			members = []string{credential.ClientID}
		}
	}
	if err := c.Require(p.auth, members...); err != nil {
		return nil, err
	}
	if p.auth == authKey {
		if _, err := assertionKey(c); err != nil {
			return nil, err
		}
	}
	return members, nil
}

func (p *oauth2) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	if err := p.ready(r); err != nil {
		return exchange.Issued{}, err
	}
	endpoint, err := p.tokenURL(ctx)
	if err != nil {
		return exchange.Issued{}, err
	}
	request := p.request(r)
	request.TokenURL = endpoint
	if err := p.authenticate(&request, r.Credential); err != nil {
		return exchange.Issued{}, err
	}
	out, err := p.client.Exchange(ctx, request)
	if err != nil {
		return out, err
	}
	if p.grant == grantClient && !out.RefreshToken.IsZero() {
		// RFC 6749 section 4.4.3: it should not be there, and the client's
		// secret is all that is needed.
		out.RefreshToken, out.RefreshExpiresAt = redact.Secret{}, time.Time{}
		out.Hints = append(out.Hints, "The provider returned a refresh token for client_credentials: it is not used.")
	}
	return out, nil
}

// ready checks the credential before anything is sent.
func (p *oauth2) ready(r exchange.Request) error {
	if r.Grant.FromSession() {
		_, err := p.clientMembers(r.Credential)
		return err
	}
	_, err := p.Grants(r.Credential)
	return err
}

// request makes the grant's part of the request.
func (p *oauth2) request(r exchange.Request) oauth.Request {
	out := oauth.Request{Form: url.Values{}, ClientAuth: p.auth}
	for name, values := range p.parameters {
		out.Form[name] = values
	}
	// RFC 6749 section 6: a refresh without a scope keeps the one granted,
	// which may be less than was asked for. Only where the operator brings the
	// refresh token is the setting a wish about the refresh itself.
	if p.scope != "" && (p.grant == grantRefresh || !r.Grant.FromSession()) {
		out.Form.Set("scope", p.scope)
	}
	switch {
	case r.Grant.FromSession():
		out.Kind = oauth.RefreshGrant
		out.Form.Set("grant_type", grantRefresh)
		out.Form.Set("refresh_token", r.RefreshToken.Reveal())
	case p.grant == grantRefresh:
		out.Kind = oauth.RefreshGrant
		out.Form.Set("grant_type", grantRefresh)
		out.Form.Set("refresh_token", r.Credential.Get(credential.RefreshToken).Reveal())
	case p.grant == grantPassword:
		out.Kind = oauth.PasswordGrant
		out.Form.Set("grant_type", grantPassword)
		out.Form.Set("username", r.Credential.Get(credential.Username).Reveal())
		out.Form.Set("password", r.Credential.Get(credential.Password).Reveal())
	default:
		out.Form.Set("grant_type", grantClient)
	}
	return out
}

// authenticate adds the client's part.
func (p *oauth2) authenticate(request *oauth.Request, c credential.Credential) error {
	request.ClientID, request.ClientSecret = c.Get(credential.ClientID), c.Get(credential.ClientSecret)
	switch p.auth {
	case authPost:
		request.Auth = oauth.AuthBody
	case authBasic:
		request.Auth = oauth.AuthBasic
	case authKey:
		assertion, err := clientAssertion(c, request.TokenURL, p.now())
		if err != nil {
			return err
		}
		request.Form.Set("client_assertion_type", assertionType)
		request.Form.Set("client_assertion", assertion.Reveal())
	}
	return nil
}
