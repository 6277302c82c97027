package providers

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/presets"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// oauth2 is any RFC 6749 authorization server, as the settings describe it.
type oauth2 struct {
	base
	discovery discovery // finds the token endpoint
	grant     string    // one of the constants, or the server's own name
	auth      string
	mutualTLS bool              // RFC 8705, whatever auth is
	names     map[string]string // :: standard member → the credential's own name

	scope                        string
	audience, resource           []string
	extra, headers               map[string]source
	json                         bool
	assertion                    assertionSettings
	publish, types               []string
	answer                       answerSettings
	life, refreshLife            time.Duration
	sessionMax, remintOut        time.Duration
	reuseGrace                   time.Duration
	renewLate, refreshTokensKept bool
	atOnce                       int // a preset's; 0 for the default
	refusals                     []presets.Refusal
}

// The client authentication methods of RFC 7591 section 2, OpenID Connect Core section 9
// and RFC 8705 section 2, and two of Evertoken's own.
const (
	authPost       = "client_secret_post"
	authBasic      = "client_secret_basic"
	authPlainBasic = "client_secret_basic_raw" // RFC 7617 without RFC 6749's form encoding
	authKey        = "private_key_jwt"
	authTLS        = "tls_client_auth"
	authSelfTLS    = "self_signed_tls_client_auth"
	authPublic     = "none"
	// authAssertion is not a value of the setting: the grant's own assertion also
	// authenticates the client (RFC 7523 section 3.1).
	authAssertion = ""
)

var authMethods = []string{
	authPost, authBasic, authPlainBasic, authKey, authTLS, authSelfTLS, authPublic,
}

const (
	grantClient   = "client_credentials"
	grantRefresh  = "refresh_token"
	grantPassword = "password"
	grantJWT      = "jwt_bearer"
	grantExchange = "token_exchange"
)

var grants = []string{grantClient, grantRefresh, grantPassword, grantJWT, grantExchange}

// grantTypes are the grants that have another name in the request: RFC 7523 section 2.1 and
// RFC 8693 section 2.1.
var grantTypes = map[string]string{
	grantJWT:      "urn:ietf:params:oauth:grant-type:jwt-bearer",
	grantExchange: "urn:ietf:params:oauth:grant-type:token-exchange",
}

// interactive are grants that need a person for every token.
var interactive = map[string]bool{
	"authorization_code": true, "implicit": true, "device_code": true,
	"urn:ietf:params:oauth:grant-type:device_code": true, "urn:openid:params:grant-type:ciba": true,
}

var grantRE = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,199}$`)

func newOAuth2(c connection.Connection, o Options) (exchange.Provider, error) {
	return openOAuth2(newBase(c, o), c.Settings)
}

// openOAuth2 reads the settings and rejects unknown ones.
func openOAuth2(b base, settings json.RawMessage) (*oauth2, error) {
	p := &oauth2{base: b}
	var s oauth2Settings
	if err := p.decode(settings, &s); err != nil {
		return nil, err
	}
	for _, check := range []func(oauth2Settings) error{
		p.setGrant, p.setAuth, p.locate, p.setParameters, p.setAssertion, p.setAnswer, p.setLives,
	} {
		if err := check(s); err != nil {
			return nil, err
		}
	}
	p.scope, p.publish, p.types = s.Scope, s.Publish, s.TokenTypes
	return p, nil
}

// setGrant sets the grant. Any name is accepted; if it is almost a known one, the error
// asks whether that was meant.
func (p *oauth2) setGrant(s oauth2Settings) error {
	p.grant = s.Grant
	for short, long := range grantTypes {
		if p.grant == long {
			p.grant = short
		}
	}
	if slices.Contains(grants, p.grant) {
		return nil
	}
	known := strings.Join(grants, ", ") + ", or the provider's own name"
	lower := strings.ToLower(p.grant)
	meant := strictjson.Nearest(lower, grants)
	if slices.Contains(grants, lower) {
		meant = lower
	}
	switch {
	case p.grant == "":
		return p.wrong("grant", "is missing: name one of "+known)
	case p.grant == "client_credential" && s.ClientAuth != nil && *s.ClientAuth == "none":
		return nil // WeChat's grant authenticates no client but has appid and secret
	case interactive[p.grant]:
		return p.wrong("grant",
			"needs a person each time: log in once, store the refresh token that you get, "+
				"and use refresh_token")
	case meant != "":
		return p.wrong("grant", "is nearly "+meant+", but must be exact: name one of "+known)
	case !grantRE().MatchString(p.grant):
		return p.wrong("grant", "must be a grant's name: name one of "+known)
	}
	return nil
}

// setAuth sets the client authentication.
func (p *oauth2) setAuth(s oauth2Settings) error {
	p.auth, p.mutualTLS = authPost, s.MutualTLS
	if p.grant == grantJWT {
		p.auth = authAssertion
	}
	if s.ClientAuth != nil {
		p.auth = *s.ClientAuth
		if !slices.Contains(authMethods, p.auth) {
			return p.wrong("client_auth", "must be one of "+strings.Join(authMethods, ", "))
		}
	}
	if p.grant == grantClient && p.auth == authPublic {
		return p.wrong("client_auth",
			"cannot be none for client_credentials: that grant is for confidential clients only "+
				"(RFC 6749 section 4.4)")
	}
	p.mutualTLS = p.mutualTLS || p.auth == authTLS || p.auth == authSelfTLS
	return p.setNames(s.CredentialMembers)
}

// locate sets the token endpoint, or the issuer whose metadata names it.
func (p *oauth2) locate(s oauth2Settings) (err error) {
	switch {
	case s.TokenURL != nil && s.Issuer != nil:
		return p.wrong("issuer", "is set together with \"token_url\": set only one of the two")
	case s.TokenURL != nil:
		p.discovery.endpoint, err = p.endpoint("token_url", *s.TokenURL)
		return err
	case s.Issuer != nil:
		// RFC 8414 section 2: an issuer has no query and no fragment.
		if _, err = p.baseURL("issuer", *s.Issuer); err != nil {
			return err
		}
		if strings.Contains(*s.Issuer, "/.well-known/") {
			return p.wrong("issuer", "is the URL of the metadata: set the issuer, "+
				"which is the part before /.well-known/")
		}
		p.discovery.issuer = *s.Issuer
		return nil
	}
	return p.wrong("token_url", "is missing: set it, or set \"issuer\"")
}

// setParameters sets what is sent in addition to the grant.
func (p *oauth2) setParameters(s oauth2Settings) (err error) {
	if p.audience, err = p.list("audience", s.Audience); err != nil {
		return err
	}
	if p.resource, err = p.list("resource", s.Resource); err != nil {
		return err
	}
	switch {
	case s.RequestFormat == nil || *s.RequestFormat == "form":
	case *s.RequestFormat == "json":
		p.json = true
	default:
		return p.wrong("request_format", "must be form or json")
	}
	if err := p.setExtra(s.Extra); err != nil {
		return err
	}
	if err := p.setHeaders(s.Headers); err != nil {
		return err
	}
	if !slices.Contains(grants, p.grant) && p.auth == authPublic && len(p.fromMembers()) == 0 {
		return p.wrong("extra", `must send a member of the credential, such as `+
			`{"assertion": {"credential": "<member>"}}: the grant sends nothing else that is stored`)
	}
	return nil
}

// Host returns the host of the token endpoint, or of the issuer whose metadata names it.
func (p *oauth2) Host() string {
	p.discovery.mu.Lock()
	defer p.discovery.mu.Unlock()
	if p.discovery.endpoint != "" {
		return hostOf(p.discovery.endpoint)
	}
	return hostOf(p.discovery.issuer)
}

// session returns whether the connection needs a session, which follows from the grant. A
// key, a client's secret or an API key stays valid and needs none. An assertion or a token
// from another issuer expires, and a password should be sent as rarely as possible.
func (p *oauth2) session() exchange.SessionUse {
	switch p.grant {
	case grantClient, grantJWT:
		return exchange.NoSession
	case grantRefresh, grantPassword:
		return exchange.RequiredSession
	case grantExchange:
		return exchange.OptionalSession
	}
	for name := range p.extra {
		if fromCredential[name] && name != credential.Username {
			return exchange.OptionalSession
		}
	}
	return exchange.NoSession
}

// Allowed implements [exchange.Provider]. It cannot check a token endpoint that only the
// issuer's metadata names; [oauth.Client.Do] checks that one by the same rule.
func (p *oauth2) Allowed(c credential.Credential) error {
	if p.discovery.issuer != "" {
		return p.allowed(c, p.discovery.issuer)
	}
	return p.allowed(c, p.discovery.endpoint)
}

func (p *oauth2) Traits() exchange.Traits {
	t := exchange.Traits{Session: p.session(), RenewLate: p.renewLate, AtOnce: p.atOnce}
	if t.Session == exchange.NoSession {
		return t
	}
	// RFC 6749 section 6: the server may end a refresh token when it is used.
	t.SingleUse, t.Replay = !p.refreshTokensKept, true
	t.SessionMax, t.RemintBefore, t.ReuseGrace = p.sessionMax, p.remintOut, p.reuseGrace
	return t
}

func (p *oauth2) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	if err := p.ready(r); err != nil {
		return exchange.Issued{}, err
	}
	endpoint, err := p.tokenURL(ctx, r.Credential)
	if err != nil {
		return exchange.Issued{}, err
	}
	request, err := p.request(r, endpoint)
	if err != nil {
		return exchange.Issued{}, err
	}
	out, err := p.client.Exchange(ctx, p.policy(r.Credential), request)
	if err != nil {
		if e, ok := errors.AsType[*exchange.Error](err); ok {
			p.meant(e, request.Kind)
		}
		return out, err
	}
	p.forReaders(&out, r)
	if p.session() == exchange.NoSession && !out.RefreshToken.IsZero() {
		// By RFC 6749 section 4.4.3 and RFC 7521 section 4.1 the answer should contain no
		// refresh token, and what is stored is enough.
		out.RefreshToken, out.RefreshExpiresAt = redact.Secret{}, time.Time{}
		out.Hints = append(out.Hints, "The provider returned a refresh "+
			"token for "+p.grant+": Evertoken does not use it.")
	}
	return out, nil
}

// ready checks the credential before anything is sent.
func (p *oauth2) ready(r exchange.Request) error {
	if !r.Grant.FromSession() {
		_, err := p.Grants(r.Credential)
		return err
	}
	if _, err := p.clientMembers(r.Credential); err != nil {
		return err
	}
	return r.Credential.Require("settings.extra or settings.headers", p.sentOnRefresh()...)
}
