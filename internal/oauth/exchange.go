package oauth

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// Auth is how a client authenticates at the token endpoint.
type Auth int

const (
	// AuthNone sends the client id, if there is one, and no secret: a public
	// client (RFC 6749 section 3.2.1), or one whose assertion is in the form.
	AuthNone Auth = iota
	// AuthBody is client_secret_post: id and secret in the form.
	AuthBody
	// AuthBasic is client_secret_basic: id and secret by HTTP Basic.
	AuthBasic
)

// Kind says what a refusal is about.
type Kind int

const (
	// ClientGrant sends the client's own credentials.
	ClientGrant Kind = iota
	// PasswordGrant sends a password, whose refusal may be a lockout.
	PasswordGrant
	// RefreshGrant sends a refresh token.
	RefreshGrant
	// Call is no grant: it sends an access token to an API.
	Call
)

// Request is one request for a token.
type Request struct {
	TokenURL string
	// Form holds the grant's parameters. The client's own are added.
	Form                   url.Values
	Auth                   Auth
	ClientID, ClientSecret redact.Secret
	Kind                   Kind
	// DefaultLife is the token's life where neither the answer nor the token
	// tells; 0 means an hour.
	DefaultLife time.Duration
	// Scope is what was asked for: an answer without a scope grants just that
	// (RFC 6749 section 5.1).
	Scope string
	// DeadOn400 is set where the provider refuses a credential with a 400 that
	// names no code of RFC 6749.
	DeadOn400 bool
}

// Exchange sends the request, once, and reads the answer. Its error is an
// [*exchange.Error].
func (c *Client) Exchange(ctx context.Context, r Request) (exchange.Issued, error) {
	doing := Doing(r.Form.Get("grant_type")+" grant", r.TokenURL)
	request, sent, err := r.build(ctx, doing)
	if err != nil {
		return exchange.Issued{}, err
	}
	answer, err := c.Do(ctx, request, doing)
	if err != nil {
		return exchange.Issued{}, err
	}
	if !answer.OK() {
		return exchange.Issued{}, c.Refused(answer, Refusal{Doing: doing, Kind: r.Kind, DeadOn400: r.DeadOn400, Sent: sent})
	}
	return c.issued(answer, r, doing, sent)
}

// build makes the HTTP request, and lists the secrets it carries.
func (r Request) build(ctx context.Context, doing string) (*http.Request, []redact.Secret, error) {
	form := maps.Clone(r.Form)
	var sent []redact.Secret
	for name := range form {
		if !public[name] {
			sent = append(sent, redact.New(form.Get(name)))
		}
	}
	sent = append(sent, r.ClientID, r.ClientSecret)
	if r.Auth != AuthBasic && !r.ClientID.IsZero() {
		form.Set("client_id", r.ClientID.Reveal())
	}
	if r.Auth == AuthBody {
		form.Set("client_secret", r.ClientSecret.Reveal())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.TokenURL, strings.NewReader(form.Encode()))
	if err != nil { // quotes the URL
		return nil, nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Problem: "the URL cannot be used"}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.Auth == AuthBasic {
		// Form-encoded first: RFC 6749 section 2.3.1.
		request.SetBasicAuth(url.QueryEscape(r.ClientID.Reveal()), url.QueryEscape(r.ClientSecret.Reveal()))
	}
	return request, sent, nil
}

// public are the parameters whose values are no secrets, so that an error code
// equal to one is no leak.
var public = map[string]bool{"grant_type": true, "scope": true, "audience": true, "resource": true, "client_assertion_type": true}

// echoes reports whether a provider's text repeats part of what was sent.
func echoes(text string, sent []redact.Secret) bool {
	return text != "" && slices.ContainsFunc(sent, func(s redact.Secret) bool {
		v := s.Reveal()
		return v != "" && (strings.Contains(text, v) || len(text) >= 4 && strings.Contains(v, text))
	})
}
