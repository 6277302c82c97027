package oauth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"net/textproto"
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

// Kind says what a request sends, and so what a refusal is about.
type Kind int

const (
	// ClientGrant sends the client's own credentials.
	ClientGrant Kind = iota
	// PasswordGrant sends a password, whose refusal may be a lockout.
	PasswordGrant
	// RefreshGrant sends a refresh token.
	RefreshGrant
	// Call is not a grant: it sends an access token to an API.
	Call
)

// Request is one request for a token.
type Request struct {
	TokenURL string
	// Form contains the grant's parameters, each with one value or several. The client's
	// own parameters are added.
	Form redact.Values
	// JSON sends the parameters as a JSON object of strings instead of a form, as Atlassian
	// and Notion require. A parameter with several values becomes a list.
	JSON bool
	// Headers are additional headers. They cannot replace those that frame the request,
	// such as Content-Type and Host, nor Authorization if the client authenticates by
	// Basic.
	Headers map[string]redact.Secret

	Auth                   Auth
	ClientID, ClientSecret redact.Secret
	// PlainBasic omits the form encoding of id and secret that RFC 6749 section 2.3.1
	// requires for HTTP Basic, for servers that expect them unencoded (RFC 7617).
	PlainBasic bool
	// Certificate authenticates the client by mutual TLS (RFC 8705).
	Certificate redact.Box[tls.Certificate]
	// ClientAuth is the connection's setting client_auth, for hints; empty if the provider
	// has no such setting.
	ClientAuth string

	Kind Kind
	// DeadOn400 is set if the provider refuses a credential with a 400 that contains no
	// code of RFC 6749.
	DeadOn400 bool

	// Scope is the token's scope if the answer names none; set it only for a provider that
	// can grant only one. By RFC 6749 section 5.1 an answer without a scope grants what was
	// asked for, but servers silently drop scopes that they do not know, so a scope that
	// was only asked for may not have been granted.
	Scope string

	// Answer says where the members are if not where RFC 6749 puts them.
	Answer AnswerNames
	// Publish are further members of the answer to publish, as paths with dots.
	Publish []string
	// TokenTypes are token types that this provider's tokens have although they are sent as
	// bearer tokens. Bearer and its known synonyms need not be listed.
	TokenTypes []string
	// Life is the token's life by the operator's setting, used if the provider states none;
	// 0 if not set.
	Life time.Duration
	// RefreshLife is the same for a refresh token that is not used.
	RefreshLife time.Duration
	// DefaultLife is the token's life if neither the provider nor a setting states one; 0
	// means an hour. A hint says that it was used.
	DefaultLife time.Duration
}

// AnswerNames say where an answer has its members, as paths such as "data.accessToken". An
// empty one means RFC 6749's name at the top level.
type AnswerNames struct {
	AccessToken, RefreshToken, ExpiresIn string
}

// build returns the HTTP request and the secrets that it carries.
func (r Request) build(ctx context.Context, doing string) (*http.Request, []redact.Secret, error) {
	parameters := r.Form.Reveal()
	var sent []redact.Secret
	for name, values := range r.Form {
		if !public[name] {
			sent = append(sent, values...)
		}
	}
	sent = append(sent, r.ClientID, r.ClientSecret)
	if r.Auth != AuthBasic && !r.ClientID.IsZero() {
		parameters.Set("client_id", r.ClientID.Reveal())
	}
	if r.Auth == AuthBody {
		parameters.Set("client_secret", r.ClientSecret.Reveal())
	}
	contentType, body := "application/x-www-form-urlencoded", parameters.Encode()
	if r.JSON {
		contentType, body = "application/json", jsonBody(parameters)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.TokenURL,
		strings.NewReader(body))
	if err != nil { // quotes the URL
		return nil, nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if !r.mayHeader(name, r.Headers[name].Reveal()) {
			return nil, nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
				Problem: "a header in the settings cannot be sent: " + printableHeader(name),
				Hint: "Correct settings.headers: a header needs a name of letters, " +
					"digits and hyphens that is not one of HTTP's own, " +
					"and a value without a line break."}
		}
		request.Header.Set(name, r.Headers[name].Reveal())
		sent = append(sent, r.Headers[name])
	}
	request.Header.Set("Content-Type", contentType)
	if r.Auth == AuthBasic {
		id, secret := r.ClientID.Reveal(), r.ClientSecret.Reveal()
		if !r.PlainBasic {
			id, secret = basicEncode(id), basicEncode(secret)
		}
		request.SetBasicAuth(id, secret)
	}
	return request, sent, nil
}

// basicEncode is the form encoding of RFC 6749 section 2.3.1, with %20 for a space: a
// server that decodes forms accepts %20 and +, but one that only decodes percent signs
// would take + literally.
func basicEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// jsonBody writes parameters as a JSON object.
func jsonBody(parameters url.Values) string {
	object := make(map[string]any, len(parameters))
	for name, values := range parameters {
		object[name] = values
		if len(values) == 1 {
			object[name] = values[0]
		}
	}
	b, err := json.Marshal(object)
	if err != nil {
		panic("marshaling strings cannot fail")
	}
	return string(b)
}

// ownHeaders are the headers that the request and its transport set. Some of them could
// split one request into two (RFC 9112 section 11.2).
var ownHeaders = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true,
	"Expect": true, "Host": true, "Keep-Alive": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true,
}

// mayHeader reports whether a header from the settings may be sent.
func (r Request) mayHeader(name, value string) bool {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "" || strings.ContainsFunc(name,
		func(c rune) bool { return !strings.ContainsRune(headerLetters, c) }):
		return false
	case ownHeaders[canonical], canonical == "Authorization" && r.Auth == AuthBasic:
		return false
	}
	return !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// headerLetters are the characters that header names consist of in practice.
const headerLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// printableHeader makes a header's name safe for a log line.
func printableHeader(name string) string {
	return exchange.Code(name)
}

// public are the parameters whose values are not secret: an error code that equals one
// leaks nothing.
var public = map[string]bool{
	"grant_type": true, "scope": true, "audience": true, "resource": true,
	"client_assertion_type": true, "requested_token_type": true, "subject_token_type": true,
	"actor_token_type": true,
}

// echoes reports whether a provider's text repeats part of what was sent.
func echoes(text string, sent []redact.Secret) bool {
	return text != "" && slices.ContainsFunc(sent, func(s redact.Secret) bool {
		v := s.Reveal()
		return v != "" && (strings.Contains(text, v) || len(text) >= 4 && strings.Contains(v, text))
	})
}
