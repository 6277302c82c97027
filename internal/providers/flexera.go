package providers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/oauth"
)

// flexeraZones are the zones and the last label of both their hosts:
// flexera-public/unified-openapi, generator/sources/flexera/iam/v1/openapi.json,
// "servers". Users and organizations live in exactly one zone.
var flexeraZones = map[string]string{"nam": "com", "eu": "eu", "apac": "au"}

// flexeraLife: "Access tokens are valid for one hour",
// https://developer.flexera.com/docs/page/authentication.
const flexeraLife = time.Hour

// flexera is Flexera One: a proxy in front of Okta's token endpoint, whose
// shapes are those of flexera-public/unified-openapi,
// generator/sources/flexera/okta_token_service/openapi.json.
type flexera struct {
	base
	zone             string
	tokenURL, apiURL string
	refreshTokenID   string
}

type flexeraSettings struct {
	Zone             string  `json:"zone"`
	OrgID            *int64  `json:"org_id"`
	ServiceAccountID *int64  `json:"service_account_id"`
	RefreshTokenID   string  `json:"refresh_token_id"`
	LoginURL         *string `json:"login_url"`
	APIURL           *string `json:"api_url"`
}

var flexeraIDRE = lazyregexp.New(`^[a-zA-Z0-9]+$`) // of a refresh token, same IAM file

func newFlexera(c connection.Connection, o Options) (exchange.Provider, error) {
	p := &flexera{base: newBase(c, o)}
	var s flexeraSettings
	if err := p.decode(c.Settings, &s); err != nil {
		return nil, err
	}
	label, ok := flexeraZones[s.Zone]
	if !ok {
		return nil, p.wrong("zone", "must be nam, eu or apac: the zone of the user or the "+
			"organization")
	}
	p.zone, p.refreshTokenID = s.Zone, s.RefreshTokenID
	login, err := p.override("login_url", s.LoginURL, "https://login.flexera."+label)
	if err != nil {
		return nil, err
	}
	p.tokenURL = login + "/oidc/token"
	if p.apiURL, err = p.override("api_url", s.APIURL, "https://api.flexera."+label); err != nil {
		return nil, err
	}
	if s.RefreshTokenID != "" && !flexeraIDRE().MatchString(s.RefreshTokenID) {
		return nil, p.wrong("refresh_token_id", "must be a refresh token's id, which has letters "+
			"and digits only, and not the refresh token itself")
	}
	if p.probeURL == "" && c.Probe.Every > 0 {
		p.probeURL = p.apiURL + flexeraProbe
	}
	return p.managed(s)
}

// flexeraProbe is the path that lists the caller's own refresh tokens. The call needs no
// privilege in an organization.
const flexeraProbe = "/iam/v1/refresh-tokens"

// managed adds the rotation of clients if the settings name the service account.
func (p *flexera) managed(s flexeraSettings) (exchange.Provider, error) {
	switch {
	case s.OrgID == nil && s.ServiceAccountID == nil:
		return p, nil
	case s.OrgID == nil:
		return nil, p.wrong("service_account_id", "needs \"org_id\"")
	case s.ServiceAccountID == nil:
		return nil, p.wrong("org_id", "needs \"service_account_id\"")
	case *s.OrgID < 1:
		return nil, p.wrong("org_id", "must be at least 1")
	case *s.ServiceAccountID < 1:
		return nil, p.wrong("service_account_id", "must be at least 1")
	}
	return &flexeraAccount{flexera: p, org: *s.OrgID, account: *s.ServiceAccountID}, nil
}

func (p *flexera) override(member string, set *string, fallback string) (string, error) {
	if set == nil {
		return fallback, nil
	}
	return p.baseURL(member, *set)
}

// Host returns the host of the token endpoint.
func (p *flexera) Host() string { return hostOf(p.tokenURL) }

// Allowed implements [exchange.Provider]. The same rule applies to api_url: it is published
// with the token, and applications send the token there.
func (p *flexera) Allowed(c credential.Credential) error { return p.allowed(c, p.tokenURL, p.apiURL) }

// Traits implements [exchange.Provider]. The token endpoint returns the refresh token that
// it was sent (same file), so a session would help only if Flexera began to issue
// single-use ones.
func (p *flexera) Traits() exchange.Traits {
	return exchange.Traits{Session: exchange.OptionalSession}
}

func (p *flexera) Grants(c credential.Credential) ([]exchange.Grant, error) {
	var out []exchange.Grant
	if c.Has(credential.RefreshToken) {
		out = append(out, exchange.Grant{Type: "refresh_token",
			Members: []string{credential.RefreshToken}, Seed: true, Reusable: true})
	}
	client := exchange.Grant{Type: "client_credentials",
		Members: []string{credential.ClientID, credential.ClientSecret}}
	missing := c.Missing(client.Members...)
	switch {
	case len(missing) == 0:
		return append(out, client), nil
	case len(missing) == 1: // half a pair is a mistake, whatever else is stored
		return nil, c.Require("client_credentials", client.Members...)
	case len(out) == 0:
		return nil, &credential.Error{Document: "credential", Member: credential.RefreshToken,
			Problem: "is missing or empty: flexera needs it, or client_id and client_secret"}
	}
	return out, nil
}

func (p *flexera) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	if err := p.Allowed(r.Credential); err != nil {
		return exchange.Issued{}, err
	}
	// A dead credential may get 400 as well as 401: the file declares both and names no
	// code.
	request := oauth.Request{TokenURL: p.tokenURL, DefaultLife: flexeraLife, DeadOn400: true}
	refresh := r.RefreshToken
	if r.Grant.Seed {
		refresh = r.Credential.Get(credential.RefreshToken)
	}
	if r.Grant.FromSession() || r.Grant.Seed {
		// The refresh token is the only other argument: no client.
		request.Kind = oauth.RefreshGrant
		request.Form = form("grant_type", "refresh_token", "refresh_token", refresh.Reveal())
	} else {
		if err := r.Credential.Require("client_credentials", credential.ClientID,
			credential.ClientSecret); err != nil {
			return exchange.Issued{}, err
		}
		// In the body, as the service account guide and
		// flexera-public/unified-go-client (auth_test.go) send them.
		request.Auth = oauth.AuthBody
		request.ClientID = r.Credential.Get(credential.ClientID)
		request.ClientSecret = r.Credential.Get(credential.ClientSecret)
		request.Form = form("grant_type", "client_credentials")
	}
	out, err := p.client.Exchange(ctx, p.policy(r.Credential), request)
	if err != nil {
		return out, p.hinted(err)
	}
	out.APIURL = p.apiURL
	if request.Kind == oauth.RefreshGrant && p.refreshTokenID != "" {
		p.watch(ctx, r.Credential, &out)
	}
	return out, nil
}

// hinted adds the likely causes to a refusal that looks like bad credentials.
func (p *flexera) hinted(err error) error {
	e, ok := errors.AsType[*exchange.Error](err)
	if !ok {
		return err
	}
	switch {
	case e.Class == exchange.Throttled || e.Class == exchange.Transient:
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusBadRequest:
		// A wrong zone gets a 401: a reader's comment at
		// https://community.flexera.com/s/article/using-a-service-account-with-the-flexera-one-api
		e.Hint += " Or it belongs to another zone: settings.zone is " + p.zone + "."
	case e.Status == http.StatusForbidden:
		// IP access control, the tag text of the IAM file.
		e.Hint = "Check the roles, and the organization's IP allow-list: " +
			"it must contain the functions' address."
	}
	return err
}
