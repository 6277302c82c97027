package oauth

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// Refusal is what is to be known of a request to classify its refusal.
type Refusal struct {
	Doing string
	Kind  Kind
	// DeadOn400 is as in [Request].
	DeadOn400 bool
	// Sent are the secrets that the request carried: a code that repeats one
	// is no code.
	Sent []redact.Secret
}

// maxRetryAfter caps what a provider may ask for: a token must not be lost to a
// clerical error in a header.
const maxRetryAfter = time.Hour

// Refused classifies an answer that is no success. Codes count before the
// status: Keycloak answers the same failure with 401 before version 26.6 and
// with 400 since (https://github.com/keycloak/keycloak/pull/46528). The server
// did answer, so Lost is not set.
func (c *Client) Refused(a Answer, r Refusal) *exchange.Error {
	p := parseProblem(a.Body)
	e := &exchange.Error{Doing: r.Doing, Status: a.Status, RetryAfter: c.retryAfter(a.Header)}
	e.Code, e.Problem = p.shown(r.Sent), p.form
	e.Class, e.Hint = classify(a.Status, p, r)
	if known, ok := descriptionHint(p.description); ok {
		e.Hint = known
	}
	return e
}

// classify follows the closed list of classes; its order matters.
func classify(status int, p problem, r Refusal) (exchange.Class, string) {
	switch {
	case status == http.StatusTooManyRequests, p.code == "too_many_requests":
		return exchange.Throttled, ""
	case p.temporary, status == http.StatusRequestTimeout, status >= 500 && !ours[p.code]:
		return exchange.Transient, ""
	case p.code == "invalid_grant":
		return dead(r.Kind)
	case p.code == "invalid_client", p.code == "unauthorized_client":
		return exchange.CredentialDead, "The provider refuses the client: check the client id, its secret or key, and that this grant is allowed for it."
	case p.code == "server_error", p.code == "temporarily_unavailable":
		return exchange.Transient, ""
	case ours[p.code]:
		return exchange.Misconfigured, misconfiguredHints[p.code]
	case status >= 300 && status <= 399:
		return exchange.Misconfigured, "The URL answers with a redirect, which is never followed with a credential: check the URL."
	case p.form == formHTML:
		return exchange.Misconfigured, hintHTML
	case status == http.StatusUnauthorized, status == http.StatusBadRequest && r.DeadOn400:
		return dead(r.Kind)
	case status == http.StatusForbidden && (r.Kind == ClientGrant || r.Kind == PasswordGrant):
		return exchange.CredentialDead, "The provider knows the credential and forbids its use: check its rights, and from which addresses it may be used."
	case status == http.StatusForbidden:
		return exchange.Misconfigured, "The provider forbids this: check the rights of the user or client, and from which addresses it may be used."
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return exchange.Misconfigured, "Check the URL: there is no such endpoint."
	}
	return exchange.Misconfigured, ""
}

// dead is the class of a refused credential.
func dead(k Kind) (exchange.Class, string) {
	switch k {
	case RefreshGrant:
		return exchange.GrantDead, "The refresh token is expired, revoked or already used."
	case PasswordGrant:
		return exchange.CredentialDead, "The user name or the password is wrong, or the user is locked: a locked user gets the same answer."
	case Call:
		return exchange.Misconfigured, "The API refuses the access token."
	}
	return exchange.CredentialDead, "The provider refuses the client's credential: check the client id and its secret or key."
}

// ours are the codes of RFC 6749 section 5.2 that a status of 5xx does not
// override, and those that only a change of the connection can mend: RFC 8707
// section 2 (invalid_target), RFC 6749 section 4.1.2.1 (access_denied, which
// Keycloak also answers for a disabled realm).
var ours = map[string]bool{
	"invalid_grant": true, "invalid_client": true, "unauthorized_client": true,
	"invalid_request": true, "unsupported_grant_type": true, "invalid_scope": true,
	"invalid_target": true, "access_denied": true,
}

var misconfiguredHints = map[string]string{
	"invalid_request":        "The provider misses a parameter or does not know one: check the settings.",
	"unsupported_grant_type": "The provider does not have this grant: check the URL and the settings.",
	"invalid_scope":          "The provider does not grant the scope: check the settings, or the consent of the user.",
	"invalid_target":         "The provider does not know the resource or audience: check the settings.",
	"access_denied":          "The provider denies access: check that the client, the user and the realm are enabled.",
}

const hintHTML = "Something other than a token endpoint answered: check the URL, and what stands between."

// problem is what an error body says.
type problem struct {
	code        string // as sent
	description string // never shown
	temporary   bool
	form        string // what the body is, where it has no code
}

const (
	formHTML = "the answer is an HTML page"
	formText = "the answer names no error code"
)

// parseProblem reads an error body in the forms that providers send, by its
// content.
func parseProblem(body redact.Secret) problem {
	m := object(body)
	if m == nil {
		if html(body) {
			return problem{form: formHTML}
		}
		return problem{form: formText}
	}
	var p problem
	var ok bool
	// RFC 6749 section 5.2.
	if p.code, ok = m.text("error"); ok {
		p.description, _ = m.text("error_description")
		return p
	}
	// Goa's envelope, of Flexera's OpenAPI files: flexera-public/unified-openapi,
	// generator/sources/flexera/okta_token_service/openapi.json.
	if p.code, ok = m.text("name"); ok {
		p.temporary = m.yes("temporary") || m.yes("timeout")
		return p
	}
	// Okta's own, which may pass through Flexera's proxy:
	// https://developer.okta.com/docs/reference/error-codes/.
	if p.code, ok = m.text("errorCode"); ok {
		return p
	}
	// The form of Sharetribe's other APIs.
	var list []members
	if m.into("errors", &list) && len(list) > 0 {
		if p.code, ok = list[0].text("code"); ok {
			return p
		}
	}
	// {"errorSummary"} alone, FlexNet's {"statusMessage"} and anything else
	// say nothing that could be shown.
	return problem{form: formText}
}

// codeRE is what a code looks like: words, or a letter and a number as Okta's
// E0000011. A token that came back in its place does not.
var codeRE = regexp.MustCompile(`^([A-Za-z]{1,20}([_.-][A-Za-z]{1,20}){0,5}|[A-Z]{1,8}[0-9]{1,8})$`)

// shown is the code if it may be shown.
func (p problem) shown(sent []redact.Secret) string {
	if ours[p.code] {
		return p.code
	}
	if !codeRE.MatchString(p.code) || echoes(p.code, sent) {
		return ""
	}
	return exchange.Code(p.code)
}

// retryAfter reads the header as RFC 9110 section 10.2.3 has it: seconds or a
// date.
func (c *Client) retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(s, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(c.now()), 0), maxRetryAfter)
}
