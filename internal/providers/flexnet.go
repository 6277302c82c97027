package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// flexnet is the access-token-controller of FlexNet Operations: named tokens with an
// expiry, managed as JSON by a user with HTTP Basic. It does not use OAuth. The guide
// documents its rules,
// https://docs.revenera.com/fno_CURRENT/webservicesintegration/Content/helplibrary/ (the
// pages TokenBasedAuth…), and so does its OpenAPI rendering,
// https://fnoapi.redocly.app/apis/rest/accesstokencontroller ("Redocly" below).
type flexnet struct {
	base
	baseURL               string
	names                 [2]string
	tokenType             string
	username, description string
	expiry                time.Duration
}

type flexnetSettings struct {
	BaseURL     string               `json:"base_url"`
	TokenName   string               `json:"token_name"`
	TokenType   *string              `json:"token_type"`
	Username    string               `json:"username"`
	Description *string              `json:"description"`
	Expiry      *strictjson.Duration `json:"expiry"`
}

const (
	flexnetNormal       = "NORMAL"
	flexnetImpersonated = "IMPERSONATED"

	flexnetExpiry    = 24 * time.Hour
	flexnetMinExpiry = time.Minute // TokenBasedAuthTokenAttributes.htm
	flexnetMaxExpiry = 400 * 24 * time.Hour
)

func newFlexNet(c connection.Connection, o Options) (exchange.Provider, error) {
	p := &flexnet{base: newBase(c, o), tokenType: flexnetNormal, expiry: flexnetExpiry,
		description: "Kept by Evertoken"}
	var s flexnetSettings
	if err := p.decode(c.Settings, &s); err != nil {
		return nil, err
	}
	if s.BaseURL == "" {
		return nil, p.wrong("base_url", "is missing: write "+
			"https://<siteID>.flexnetoperations.com, followed by /flexnet on some sites")
	}
	var err error
	if p.baseURL, err = p.base.baseURL("base_url", s.BaseURL); err != nil {
		return nil, err
	}
	if strings.Contains(p.baseURL, "/uar") {
		return nil, p.wrong("base_url", "must not include /uar, which Evertoken appends")
	}
	if problem := flexnetNameProblem(s.TokenName); problem != "" {
		return nil, p.wrong("token_name", problem)
	}
	p.names = [2]string{s.TokenName + "-a", s.TokenName + "-b"}
	p.username = s.Username
	if s.Description != nil {
		p.description = *s.Description
	}
	if s.TokenType != nil {
		p.tokenType = *s.TokenType
	}
	switch {
	case p.tokenType != flexnetNormal && p.tokenType != flexnetImpersonated:
		return nil, p.wrong("token_type", "must be NORMAL or IMPERSONATED")
	case p.tokenType == flexnetImpersonated && p.username == "":
		return nil, p.wrong("username", "is missing: an IMPERSONATED token needs the user that "+
			"it acts for")
	case p.tokenType == flexnetImpersonated && p.description == "":
		return nil, p.wrong("description", "is empty: an IMPERSONATED token needs one")
	}
	if s.Expiry != nil {
		p.expiry = time.Duration(*s.Expiry)
	}
	if p.expiry < flexnetMinExpiry || p.expiry > flexnetMaxExpiry || p.expiry%time.Minute != 0 {
		return nil, p.wrong("expiry", "must be whole minutes, from 1m to 400d")
	}
	return p, nil
}

// Host returns the host of the token controller.
func (p *flexnet) Host() string { return hostOf(p.baseURL) }

// Allowed implements [exchange.Provider].
func (p *flexnet) Allowed(c credential.Credential) error { return p.allowed(c, p.baseURL) }

// Traits implements [exchange.Provider]: there is no session, and nothing is single-use. If
// the answer with a new value is lost, the next exchange replaces the value.
func (p *flexnet) Traits() exchange.Traits { return exchange.Traits{} }

func (p *flexnet) Grants(c credential.Credential) ([]exchange.Grant, error) {
	g := exchange.Grant{Type: "token", Members: []string{credential.Username, credential.Password},
		Password: true}
	if err := c.Require("flexnet", g.Members...); err != nil {
		return nil, err
	}
	return []exchange.Grant{g}, nil
}

// Exchange makes a new value under the one of the two names that applications do not use,
// so that their token works until it expires. It deletes the old token of that name
// immediately before it creates the new one, never earlier.
func (p *flexnet) Exchange(ctx context.Context, r exchange.Request) (exchange.Issued, error) {
	if _, err := p.Grants(r.Credential); err != nil {
		return exchange.Issued{}, err
	}
	s := &flexnetSession{flexnet: p, credential: r.Credential}
	other, err := s.other(ctx, r.Published)
	if err != nil {
		return exchange.Issued{}, err
	}
	if other.listed {
		return s.replace(ctx, other)
	}
	out, err := s.create(ctx, other.name)
	if !taken(err) {
		return out, err
	}
	// The list contains only live tokens, and only those of the user name as FlexNet writes
	// it. Whether an expired token keeps its name is not documented. So ask for that very
	// name, and do not touch it if applications may have its value.
	found, detailsErr := s.details(ctx, other.name)
	switch {
	case detailsErr != nil:
		return exchange.Issued{}, err
	case !other.unused && p.now().Before(found.expires):
		if e, ok := errors.AsType[*exchange.Error](err); ok {
			e.Hint = "A token of this name exists, and FlexNet does not say whether an " +
				"application uses it: give the user the permission to see it, or delete it by hand."
		}
		return exchange.Issued{}, err
	}
	return s.replace(ctx, found)
}

// replace makes a new value under a name whose token no application has.
func (s *flexnetSession) replace(ctx context.Context, o flexnetOther) (exchange.Issued, error) {
	// The token has nearly its whole life left, so its create succeeded and the answer was
	// lost. A rotation at FlexNet gives it a new value and keeps the expiry ("a token's
	// value is changed, but no other properties": Redocly, rotatetokenusingpost_1). Up to a
	// tenth of the life may have passed since.
	if o.expires.Sub(s.now()) >= s.expiry-s.expiry/10 {
		return s.rotate(ctx, o.name)
	}
	if err := s.remove(ctx, o.name); err != nil {
		return exchange.Issued{}, err
	}
	return s.create(ctx, o.name)
}

// taken reports whether a refusal may mean that the name is in use. The status for that is
// not documented.
func taken(err error) bool {
	e, ok := errors.AsType[*exchange.Error](err)
	return ok && (e.Status == http.StatusConflict || e.Status == http.StatusBadRequest ||
		e.Status == http.StatusUnprocessableEntity)
}

// Prove implements [exchange.Prover]: it asks the controller to verify the token. The user
// authenticates the call, since no page says that the controller accepts a bearer token.
func (p *flexnet) Prove(ctx context.Context, c credential.Credential, access redact.Secret) error {
	if _, err := p.Grants(c); err != nil {
		return err
	}
	s := &flexnetSession{flexnet: p, credential: c}
	_, err := s.verify(ctx, access)
	return err
}

// flexnetSession makes calls as one user.
type flexnetSession struct {
	*flexnet
	credential credential.Credential
}

// call sends one request and returns the answer's responseObject.
func (s *flexnetSession) call(ctx context.Context, method, path string, body any,
	what string) (json.RawMessage, error) {
	doing := oauth.Doing(what, s.baseURL)
	var payload bytes.Buffer
	if body != nil {
		e := json.NewEncoder(&payload)
		e.SetEscapeHTML(false)
		if err := e.Encode(body); err != nil {
			return nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
				Problem: "the request cannot be written"}
		}
	}
	content := bytes.TrimSuffix(payload.Bytes(), []byte("\n"))
	r, err := http.NewRequestWithContext(ctx, method, s.baseURL+"/uar/v1"+path,
		bytes.NewReader(content))
	if err != nil { // quotes the URL
		return nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	// Providing__Credentials.htm: base64 of user:password. In UTF-8, and not
	// form-encoded: this is no OAuth. A user name may be user##domain.
	r.SetBasicAuth(s.credential.Get(credential.Username).Reveal(),
		s.credential.Get(credential.Password).Reveal())
	a, err := s.client.Do(ctx, s.policy(s.credential), r, doing)
	if err != nil {
		return nil, err
	}
	return s.object(a, doing)
}

// object extracts the responseObject from an answer's envelope.
func (s *flexnetSession) object(a oauth.Answer, doing string) (json.RawMessage, error) {
	if !a.OK() {
		return nil, s.refused(a, doing)
	}
	// The guide documents 200, 201 and 204, each for some calls.
	if a.Body.IsZero() {
		return nil, nil
	}
	var envelope struct {
		ResponseObject json.RawMessage `json:"responseObject"`
	}
	if json.Unmarshal([]byte(a.Body.Reveal()), &envelope) != nil {
		return nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Status: a.Status,
			Problem: "the answer is not JSON", Hint: flexnetPathHint}
	}
	return envelope.ResponseObject, nil
}

// flexnetPathHint exists because the guide has two base paths: TokenBasedAuthKeyInfo.htm
// without /flexnet and TokenBasedAuthManTokensGetCount.htm with it.
const flexnetPathHint = "Check the end of settings.base_url: " +
	"some sites need /flexnet there, others do not."

// refused classifies an error answer. Its body is not documented.
func (s *flexnetSession) refused(a oauth.Answer, doing string) *exchange.Error {
	e := s.client.Refused(a, oauth.Refusal{Doing: doing, Kind: oauth.PasswordGrant,
		Sent: []redact.Secret{s.credential.Get(credential.Username),
			s.credential.Get(credential.Password)}})
	page := strings.HasPrefix(strings.TrimSpace(a.Body.Reveal()), "<")
	switch {
	case e.Class == exchange.Throttled || e.Class == exchange.Transient:
	case a.Status == http.StatusUnauthorized: // the body may be the server's own HTML page
		e.Class = exchange.CredentialDead
		e.Hint = "The user name or the password is wrong, or the user is locked: " +
			"unlock the user in FlexNet Operations before you try again."
	case a.Status == http.StatusForbidden:
		e.Class = exchange.Misconfigured
		e.Hint = "The user may not do this: give the user the permission in FlexNet Operations."
		if s.tokenType == flexnetImpersonated {
			// https://docs.revenera.com/fno_CURRENT/webservicesintegration/Content/helplibrary/TokenBasedAuthKeyInfo.htm
			e.Hint = `The user needs the permission "Create Impersonated Token" and one of ` +
				`"View and Manage Users", "View and Manage Customer Users", ` +
				`"View and Manage Partner Users".`
		}
	case a.Status == http.StatusNotFound, a.Status >= 300 && a.Status <= 399, page:
		e.Class = exchange.Misconfigured
		e.Hint = flexnetPathHint
	default:
		e.Class = exchange.Misconfigured
		e.Hint = "Check settings.token_name, username, description and expiry, " +
			"and the user's permissions."
	}
	return e
}

// create makes a token. Its fields: TokenBasedAuthManTokensCreate.htm. Redocly
// (createtokenusingpost_1) requires username for both types, and the guide ignores it for
// NORMAL, so it is always sent.
func (s *flexnetSession) create(ctx context.Context, name string) (exchange.Issued, error) {
	user := s.username
	if user == "" {
		user = s.credential.Get(credential.Username).Reveal()
	}
	object, err := s.call(ctx, http.MethodPost, "/token", struct {
		TokenName   string `json:"tokenName"`
		Description string `json:"tokenDescription,omitempty"`
		TokenType   string `json:"tokenType"`
		ExpiryStr   string `json:"expiryStr"`
		Username    string `json:"username"`
	}{name, s.description, s.tokenType, flexnetExpiryText(s.expiry), user}, "creating a token")
	if err != nil {
		return exchange.Issued{}, err
	}
	return s.issued(object, "creating a token")
}

func (s *flexnetSession) rotate(ctx context.Context, name string) (exchange.Issued, error) {
	object, err := s.call(ctx, http.MethodPost, "/token/"+url.PathEscape(name)+"/rotation", nil,
		"rotating a token")
	if err != nil {
		return exchange.Issued{}, err
	}
	return s.issued(object, "rotating a token")
}

// remove deletes a token. A token that is already gone is not an error.
func (s *flexnetSession) remove(ctx context.Context, name string) error {
	_, err := s.call(ctx, http.MethodDelete, "/token/"+url.PathEscape(name), nil, "deleting a token")
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		switch e.Status {
		case http.StatusNotFound:
			return nil
		case http.StatusForbidden: // TokenBasedAuthManTokensDelete.htm
			e.Hint = "Only its creator may delete a token: " +
				"delete it by hand, or store the creator's credential."
		}
	}
	return err
}
