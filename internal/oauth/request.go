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
	// Form holds the grant's parameters, one value or several to a name. The
	// client's own are added.
	Form redact.Values
	// JSON sends the parameters as a JSON object of strings instead of a form,
	// as Atlassian and Notion want it. A parameter of several values is a list.
	JSON bool
	// Headers are sent too. They cannot replace those that make the request:
	// Authorization where the client authenticates by Basic, Content-Type,
	// Host and their like.
	Headers map[string]redact.Secret

	Auth                   Auth
	ClientID, ClientSecret redact.Secret
	// PlainBasic leaves out the form encoding of id and secret that RFC 6749
	// section 2.3.1 demands for HTTP Basic, for servers that take both as they
	// are (RFC 7617).
	PlainBasic bool
	// Certificate authenticates the client by mutual TLS (RFC 8705).
	Certificate redact.Box[tls.Certificate]
	// ClientAuth is the value of the connection's setting client_auth, for
	// hints; empty where the provider has no such setting.
	ClientAuth string

	Kind Kind
	// DeadOn400 is set where the provider refuses a credential with a 400 that
	// names no code of RFC 6749.
	DeadOn400 bool

	// Scope is the scope of the token where the answer tells none, for a
	// provider where only one can be granted. An answer without a scope grants
	// what was asked for by RFC 6749 section 5.1, but servers leave out a scope
	// that they do not know without a word: what was only asked for is not
	// known to be granted.
	Scope string

	// Answer says where the members stand if not where RFC 6749 has them.
	Answer AnswerNames
	// Publish are further members of the answer that readers need, as dotted
	// paths.
	Publish []string
	// TokenTypes are token types that are sent as bearer tokens, beside Bearer
	// and those that are known to mean it.
	TokenTypes []string
	// Life is what the operator says that a token lives where the provider does
	// not tell; 0 if nothing was said.
	Life time.Duration
	// RefreshLife is Life for the refresh token, unused.
	RefreshLife time.Duration
	// DefaultLife is the token's life where nobody tells; 0 means an hour. A
	// hint says that it was taken.
	DefaultLife time.Duration
}

// AnswerNames say where an answer has its members, as dotted paths such as
// "data.accessToken". An empty one is RFC 6749's name at the top.
type AnswerNames struct {
	AccessToken, RefreshToken, ExpiresIn string
}

// build makes the HTTP request, and lists the secrets it carries.
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
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.TokenURL, strings.NewReader(body))
	if err != nil { // quotes the URL
		return nil, nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if !r.mayHeader(name, r.Headers[name].Reveal()) {
			return nil, nil, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
				Problem: "a header in the settings cannot be sent: " + printableHeader(name),
				Hint: "Correct settings.headers: a header needs a name of letters, digits and " +
					"hyphens that is not one of HTTP's own, " +
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

// basicEncode is the form encoding of RFC 6749 section 2.3.1, with %20 for a
// blank: a server that decodes forms reads both %20 and +, one that only
// decodes percent signs would take + for itself.
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

// ownHeaders are those that the request and its transport set, by which one
// request could be made two (RFC 9112 section 11.2).
var ownHeaders = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true,
	"Expect": true,
	"Host":   true, "Keep-Alive": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// mayHeader reports whether a header of the settings may be sent.
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

// headerLetters are what the names of headers are made of in practice.
const headerLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// printableHeader keeps a header's name fit for a log line.
func printableHeader(name string) string {
	return exchange.Code(name)
}

// public are the parameters whose values are no secrets, so that an error code
// equal to one is no leak.
var public = map[string]bool{
	"grant_type": true, "scope": true, "audience": true, "resource": true, "client_assertion_type": true,
	"requested_token_type": true, "subject_token_type": true, "actor_token_type": true,
}

// echoes reports whether a provider's text repeats part of what was sent.
func echoes(text string, sent []redact.Secret) bool {
	return text != "" && slices.ContainsFunc(sent, func(s redact.Secret) bool {
		v := s.Reveal()
		return v != "" && (strings.Contains(text, v) || len(text) >= 4 && strings.Contains(v, text))
	})
}
