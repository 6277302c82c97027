package providers

import (
	"maps"
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// get returns one of the standard members of a credential, whatever name the credential
// uses for it. It is trimmed unless it is the password.
func (p *oauth2) get(c credential.Credential, standard string) redact.Secret {
	value := c.Get(p.named(standard))
	if standard == credential.Password {
		return value
	}
	return value.Trim()
}

// request builds the request of an exchange at the token endpoint.
func (p *oauth2) request(r exchange.Request, endpoint string) (oauth.Request, error) {
	c := r.Credential
	out := oauth.Request{
		TokenURL: endpoint, Form: redact.Values{}, JSON: p.json, Headers: map[string]redact.Secret{},
		ClientAuth: p.auth, PlainBasic: p.auth == authPlainBasic,
		Answer: oauth.AnswerNames{AccessToken: p.answer.AccessToken, RefreshToken: p.answer.RefreshToken,
			ExpiresIn: p.answer.ExpiresIn},
		Publish: p.publish, TokenTypes: p.types, Life: p.life, RefreshLife: p.refreshLife,
	}
	p.addParameters(out.Form, r)
	for name, s := range p.headers {
		out.Headers[name] = redact.New(p.value(s, c))
	}
	if p.mutualTLS {
		key, err := p.key(c)
		if err != nil {
			return oauth.Request{}, err
		}
		out.Certificate = key.TLS()
	}
	switch {
	case r.Grant.FromSession():
		out.Kind = oauth.RefreshGrant
		out.Form.Set("grant_type", grantRefresh)
		out.Form.Set("refresh_token", r.RefreshToken.Reveal())
	case p.grant == grantRefresh:
		out.Kind = oauth.RefreshGrant
		out.Form.Set("grant_type", grantRefresh)
		out.Form.Set("refresh_token", p.get(c, credential.RefreshToken).Reveal())
	case p.grant == grantPassword:
		out.Kind = oauth.PasswordGrant
		out.Form.Set("grant_type", grantPassword)
		out.Form.Set("username", p.get(c, credential.Username).Reveal())
		out.Form.Set("password", p.get(c, credential.Password).Reveal())
	case p.grant == grantJWT:
		assertion, err := p.sign(c, p.grantClaims(c, endpoint))
		if err != nil {
			return oauth.Request{}, err
		}
		out.Form.Set("grant_type", grantTypes[grantJWT])
		out.Form.Set("assertion", assertion.Reveal())
	case p.grant == grantExchange:
		p.exchangeTokens(out.Form, c)
	default:
		out.Form.Set("grant_type", p.grant)
		if r.Grant.Password {
			out.Kind = oauth.PasswordGrant
		}
	}
	return out, p.authenticate(&out, c)
}

// addParameters adds the scope and the additional parameters in the settings.
func (p *oauth2) addParameters(form redact.Values, r exchange.Request) {
	// RFC 8693 section 2.1 and RFC 8707 section 2 allow both to be repeated.
	for name, values := range map[string][]string{"audience": p.audience, "resource": p.resource} {
		for _, value := range values {
			form.Add(name, value)
		}
	}
	for name, s := range p.extra {
		if s.member == "" {
			form.Set(name, s.text)
		} else if !r.Grant.FromSession() || !fromCredential[name] {
			form.Set(name, p.value(s, r.Credential))
		}
	}
	// RFC 6749 section 6: a refresh without a scope keeps the granted one, which may be
	// less than Evertoken asked for. Only if the operator stores the refresh token does the
	// setting describe the refresh itself.
	if p.scope != "" && !p.assertion.scope && (p.grant == grantRefresh || !r.Grant.FromSession()) {
		form.Set("scope", p.scope)
	}
}

// sentOnRefresh returns the members that extra and headers also send with the session's
// refresh token. It omits those that open a session.
func (p *oauth2) sentOnRefresh() []string {
	var out []string
	for name, s := range p.extra {
		if s.member != "" && !fromCredential[name] {
			out = append(out, s.member)
		}
	}
	for _, s := range p.headers {
		if s.member != "" {
			out = append(out, s.member)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// value returns the value of a parameter or header. A password is sent as stored,
// everything else without surrounding white space.
func (p *oauth2) value(s source, c credential.Credential) string {
	switch {
	case s.member == "":
		return s.text
	case p.purpose(s.member) == credential.Password:
		return c.Get(s.member).Reveal()
	}
	return c.Get(s.member).Trim().Reveal()
}

// forReaders renames what is published to the last part of its path, because the token
// document is flat. It drops values that contain a secret: a refresh token, or a member of
// the credential that is secret by its purpose, by the parameter that sends it, or by its
// name. A host or an id that the credential also contains is not a secret.
func (p *oauth2) forReaders(out *exchange.Issued, r exchange.Request) {
	secrets := []redact.Secret{r.RefreshToken, out.RefreshToken, out.AccessToken}
	for _, name := range r.Credential.Names() {
		if p.purpose(name) != "" || secretName(name) || slices.Contains(p.fromMembers(), name) {
			secrets = append(secrets, r.Credential.Get(name).Trim())
		}
	}
	all := out.Publish
	out.Publish = nil
	for _, path := range slices.Sorted(maps.Keys(all)) {
		value := all[path]
		if slices.ContainsFunc(secrets, func(s redact.Secret) bool {
			return !s.IsZero() && strings.Contains(value, s.Reveal())
		}) {
			out.Hints = append(out.Hints, "The answer's "+path+" holds what the credential holds "+
				"too: it is not published, although settings.publish names it.")
			continue
		}
		if out.Publish == nil {
			out.Publish = map[string]string{}
		}
		out.Publish[path[strings.LastIndexByte(path, '.')+1:]] = value
	}
}

// tokenType is the type of an access token in RFC 8693 section 3.
const tokenType = "urn:ietf:params:oauth:token-type:access_token"

// exchangeTokens adds the parameters of RFC 8693 section 2.1. The tokens have the types in
// extra, or access_token.
func (p *oauth2) exchangeTokens(form redact.Values, c credential.Credential) {
	form.Set("grant_type", grantTypes[grantExchange])
	for _, member := range []string{credential.SubjectToken, credential.ActorToken} {
		if value := p.get(c, member); !value.IsZero() {
			form.Set(member, value.Reveal())
			if !form.Has(member + "_type") {
				form.Set(member+"_type", tokenType)
			}
		}
	}
}

// authenticate adds the client's authentication.
func (p *oauth2) authenticate(request *oauth.Request, c credential.Credential) error {
	if p.auth == authAssertion {
		return nil
	}
	request.ClientID, request.ClientSecret = p.get(c, credential.ClientID), p.get(c, credential.ClientSecret)
	switch p.auth {
	case authPost:
		request.Auth = oauth.AuthBody
	case authBasic, authPlainBasic:
		request.Auth = oauth.AuthBasic
	case authKey:
		assertion, err := p.sign(c, p.clientClaims(c, request.TokenURL))
		if err != nil {
			return err
		}
		request.Form.Set("client_assertion_type", assertionType)
		request.Form.Set("client_assertion", assertion.Reveal())
	}
	return nil
}
