package fakeidp

import (
	"crypto/x509"
	"encoding/json"
	"net/url"
	"slices"
)

// What some servers demand beyond RFC 6749: other grants, a JSON body, headers, a
// certificate, answers of another shape.

// The names on the wire of RFC 7523 section 2.1, RFC 8693 section 2.1 and RFC
// 7522 section 2.1.
const (
	jwtBearerGrant     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	tokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	saml2BearerGrant   = "urn:ietf:params:oauth:grant-type:saml2-bearer"
)

// AddSubject makes a token or an assertion of another issuer that token exchange and SAML
// bearer accept as the subject.
func (o *OAuth2) AddSubject(subject string) string {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	token := o.s.mint(ProviderOAuth2, "subject")
	o.subjects[token] = subject
	return token
}

// jwtBearer is RFC 7523 section 2.1. The subject is a user that the server
// knows, or the client itself where none is named.
func (o *OAuth2) jwtBearer(c *call, client *OAuth2Client) reply {
	claims, ok := o.verifyAssertion(c, client, c.param("assertion"))
	if _, known := o.users[claims.Subject]; !ok || claims.Subject != "" && !known {
		return o.refuse("invalid_grant", "the assertion is not valid", c.param("assertion"))
	}
	return o.open(c, client, claims.Subject, false)
}

// tokenExchange is RFC 8693 section 2.1.
func (o *OAuth2) tokenExchange(c *call, client *OAuth2Client) reply {
	subject, known := o.subjects[c.param("subject_token")]
	switch {
	case c.param("subject_token") == "" || c.param("subject_token_type") == "":
		return o.refuse("invalid_request", "subject_token and subject_token_type are required")
	case c.form.Has("actor_token") != c.form.Has("actor_token_type"):
		return o.refuse("invalid_request", "actor_token and actor_token_type go together")
	case !known:
		return o.refuse("invalid_request", "the subject token is not valid", c.param("subject_token"))
	}
	return o.open(c, client, subject, slices.Contains(client.Grants, "refresh_token"))
}

// saml2Bearer is RFC 7522 section 2.1.
func (o *OAuth2) saml2Bearer(c *call, client *OAuth2Client) reply {
	subject, known := o.subjects[c.param("assertion")]
	if !known {
		return o.refuse("invalid_grant", "the assertion is not valid", c.param("assertion"))
	}
	return o.open(c, client, subject, slices.Contains(client.Grants, "refresh_token"))
}

// accountCredentials is Zoom's grant of that name:
// https://developers.zoom.us/docs/internal-apps/s2s-oauth/.
func (o *OAuth2) accountCredentials(c *call, client *OAuth2Client) reply {
	if client.Account == "" || c.param("account_id") != client.Account {
		return o.refuse("invalid_request", "account_id is not the client's")
	}
	return o.open(c, client, "", false)
}

// readJSON reads a JSON object of strings and lists of strings as a form.
func (c *call) readJSON() bool {
	var members map[string]any
	if mediaType(c.r.Header.Get("Content-Type")) != "application/json" ||
		json.Unmarshal(c.body, &members) != nil {
		return false
	}
	form := url.Values{}
	for name, value := range members {
		switch v := value.(type) {
		case string:
			form.Set(name, v)
		case []any:
			for _, element := range v {
				text, ok := element.(string)
				if !ok {
					return false
				}
				form.Add(name, text)
			}
		default:
			return false
		}
	}
	c.form, c.json = form, true
	return true
}

// shows reports whether the client of a connection presented this certificate.
func (c *call) shows(certificate *x509.Certificate) bool {
	return c.r.TLS != nil && len(c.r.TLS.PeerCertificates) > 0 && certificate != nil &&
		c.r.TLS.PeerCertificates[0].Equal(certificate)
}

// unmet says what the client's server demands and a request lacks.
func (client *OAuth2Client) unmet(c *call) string {
	if client.JSON != c.json {
		return "the body has the wrong content type"
	}
	for name, value := range client.Headers {
		if c.r.Header.Get(name) != value {
			return "the header " + name + " is missing or wrong"
		}
	}
	return ""
}

// nested is a token answer in the shape of TikTok Shop and its kind:
// https://github.com/openlinker-project/openlinker/issues/2882.
func nested(out map[string]any) map[string]any {
	data := map[string]any{}
	for from, to := range map[string]string{"access_token": "accessToken", "refresh_token": "refreshToken",
		"expires_in": "expiresIn", "shop_id": "shopId"} {
		if value, ok := out[from]; ok {
			data[to] = value
		}
	}
	return map[string]any{"code": 0, "message": "success", "data": data}
}
