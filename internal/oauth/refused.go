package oauth

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/redact"
)

// Refusal is what [Client.Refused] must know about a request to classify its refusal.
type Refusal struct {
	Doing string
	Kind  Kind
	// DeadOn400 is as in [Request].
	DeadOn400 bool
	// Sent are the secrets that the request carried. Evertoken shows no code that repeats
	// one.
	Sent []redact.Secret
	// ClientAuth is as in [Request].
	ClientAuth string

	encoded bool // HTTP Basic carried characters that had to be encoded
}

// maxRetryAfter limits the pause that a provider may ask for: a mistake in a header must
// not let a token expire.
const maxRetryAfter = time.Hour

// Refused classifies an answer that is not a success. Words take precedence over the
// status: Keycloak answers the same failure with 401 before version 26.6 and with 400 since
// (https://github.com/keycloak/keycloak/pull/46528). Lost is never set, because the server
// answered.
func (c *Client) Refused(a Answer, r Refusal) *exchange.Error {
	b := parseBody(a.Body.Reveal())
	s := b.said()
	if len(s.codes) == 0 {
		if header := a.headers(); len(header) > 0 {
			s.challenge(header.Values("WWW-Authenticate"))
		}
	}
	return c.refused(a, s, r)
}

func (c *Client) refused(a Answer, s said, r Refusal) *exchange.Error {
	e := &exchange.Error{Doing: r.Doing, Status: a.Status, RetryAfter: c.retryAfter(a.headers()),
		Code: s.shown(r.Sent), Problem: s.form}
	if e.RetryAfter == 0 {
		e.RetryAfter = s.retryAfter
	}
	status := a.Status
	if a.OK() { // use the status in the body, if there is one
		status = s.status
		if words := lookUp(s).known || saysDead(s.texts, true); status == 0 || status >= 500 && words {
			status = http.StatusBadRequest // Withings says 503 where it means 400
		}
	}
	v := judge(status, s, r)
	e.Class, e.Hint, e.Unsure = v.class, v.hint, v.unsure
	return e
}

// verdict is the classification of a refusal.
type verdict struct {
	class  exchange.Class
	hint   string
	unsure bool
}

// judge maps a refusal to one of the closed list of classes. The order of its cases
// matters.
//
// These refusals are sure: a word in the table, a 401, and any 4xx to a password. These are
// unsure (exchange.Error.Unsure): a word about the settings in answer to a refresh token, a
// page, a redirect, a path that does not exist, and unknown words.
func judge(status int, s said, r Refusal) verdict {
	found := lookUp(s)
	if status == http.StatusTooManyRequests &&
		(!r.password() || !found.byCode || found.means != meansPassword) {
		return verdict{class: exchange.Throttled}
	}
	switch {
	case found.means == meansThrottled:
		return verdict{class: exchange.Throttled, hint: found.hint}
	case found.means == meansPassing && vagueCodes[found.code] &&
		(status == http.StatusUnauthorized || status < 500 && r.password()):
		return byStatus(status, s, r)
	case found.means == meansPassing && (status < 500 || !r.password()):
		return verdict{class: exchange.Transient, hint: found.hint}
	case s.temporary, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return verdict{class: exchange.Transient}
	case status >= 500 && !found.byCode:
		return verdict{class: exchange.Transient, unsure: r.password()}
	}
	if v, ok := byWord(status, s, r, found); ok {
		return v
	}
	if r.Kind == ClientGrant && slices.ContainsFunc(s.texts, deadClient().MatchString) {
		return dead(r)
	}
	if r.password() && status < 500 && slices.ContainsFunc(s.texts, deadUser().MatchString) {
		return dead(r)
	}
	if !r.password() && slices.ContainsFunc(s.texts, containsAny(passingTexts)) {
		return verdict{class: exchange.Transient}
	}
	return byStatus(status, s, r)
}

func (r Refusal) password() bool { return r.Kind == PasswordGrant }

// byWord returns the verdict for a word that Evertoken knows; ok is false if there is none.
func byWord(status int, s said, r Refusal, found finding) (verdict, bool) {
	general := found.code == "invalid_request" || found.code == "access_denied" ||
		found.code == "unauthorized_client" || found.code == "forbidden"
	switch {
	case r.Kind == RefreshGrant && found.means != meansClient && saysDead(s.texts, true),
		r.Kind == RefreshGrant && found.means == meansClient && found.code != "" &&
			saysDead(s.texts, true) && !namesClient(s.texts),
		r.Kind == RefreshGrant && (general || found.means == meansNothing && !found.known) &&
			saysDead(s.texts, false):
		v := dead(r)
		if found.means == meansToken || found.means == meansGrant {
			v.hint = first(found.hint, v.hint)
		}
		return v, true
	case found.means == meansClient && found.code == "unauthorized_client" && found.hint == "" &&
		r.Kind == RefreshGrant:
		// The client obtained this very refresh token, so the provider refuses the token,
		// not the client (Exact Online, Atlassian).
		return verdict{class: exchange.GrantDead, hint: hintRefused}, true
	case found.means == meansClient:
		return verdict{class: exchange.CredentialDead, hint: first(found.hint, clientHint(r))}, true
	case found.means == meansPassword && !found.byCode && !r.password() &&
		slices.ContainsFunc(s.texts, containsAny(passingTexts)):
		return verdict{class: exchange.Transient}, true // locked, but only briefly
	case found.means == meansGrant, found.means == meansToken, found.means == meansPassword:
		v := dead(r)
		if r.Kind == ClientGrant && found.means == meansGrant {
			v.hint = hintGrant
		}
		v.hint = first(found.hint, v.hint)
		return v, true
	case general && r.password() && slices.ContainsFunc(s.texts, deadUser().MatchString):
		return dead(r), true // Azure AD B2C: access_denied
	case general && status == http.StatusUnauthorized:
		return dead(r), true // Auth0 answers a wrong password or secret with 401 access_denied
	case found.means == meansSettings && found.code == "invalid_request" && r.password():
		v := dead(r) // django-oauth-toolkit and others answer a wrong password this way
		v.hint += " Or the request lacks a parameter, or has one that the provider does not " +
			"know: check the settings against the provider's documentation."
		return v, true
	case found.means == meansSettings && found.code == "forbidden":
		return forbidden(r), true
	case general && r.Kind != PasswordGrant && slices.ContainsFunc(s.texts, containsAny(passingTexts)):
		return verdict{class: exchange.Transient}, true
	case r.Kind == RefreshGrant && (found.code == "invalid_request" || found.code == "access_denied"):
		// Providers also say this of dead refresh tokens, and this token has worked before.
		v := dead(r)
		v.unsure = true
		v.hint = found.hint + " Or the refresh token is expired, revoked or already used: " +
			"if it lasts, log in again and store the new one."
		return v, true
	case found.means == meansSettings:
		// This refresh token has worked with these settings, so the refusal may also mean
		// that the token is dead.
		return verdict{class: exchange.Misconfigured, hint: found.hint,
			unsure: r.Kind == RefreshGrant}, true
	}
	return verdict{}, false
}

// namesClient reports whether one of the texts is about the client.
func namesClient(texts []string) bool {
	return slices.ContainsFunc(texts, containsAny([]string{
		"client authentication", "client credentials", "client secret", "client id"}))
}

func containsAny(parts []string) func(string) bool {
	return func(s string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
	}
}

// byStatus returns the verdict if no word is known.
func byStatus(status int, s said, r Refusal) verdict {
	page := s.form == formHTML
	switch {
	case status >= 500:
		return verdict{class: exchange.Transient, unsure: r.password()}
	case status >= 300 && status <= 399:
		return verdict{class: exchange.Misconfigured, unsure: true,
			hint: "The URL answers with a redirect, and Evertoken never sends a credential after " +
				"a redirect: set the URL to the one that the provider documents."}
	case status == http.StatusUnauthorized, status == http.StatusBadRequest && r.DeadOn400:
		return dead(r) // whatever the body says
	case status == http.StatusUnsupportedMediaType && r.ClientAuth != "":
		return verdict{class: exchange.Misconfigured, unsure: !r.password(),
			hint: "The provider does not read this form of request: set settings.request_format " +
				"to json, or remove that setting if it is json already."}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return verdict{class: exchange.Misconfigured, unsure: !r.password(),
			hint: "Check the URL in the connection's settings: there is no such endpoint."}
	case r.password():
		v := dead(r) // any other 4xx: sending the password again may lock the user
		if page {
			v.hint += " " + hintHTML
		}
		return v
	case status == http.StatusForbidden && page:
		return verdict{class: exchange.Transient, hint: hintWall, unsure: true}
	case page:
		return verdict{class: exchange.Misconfigured, hint: hintHTML, unsure: true}
	case status == http.StatusForbidden:
		v := forbidden(r)
		// Without a code, a firewall in front of the provider may have answered.
		v.unsure = r.Kind == RefreshGrant || len(s.codes) == 0
		return v
	case r.Kind == RefreshGrant && (status == http.StatusBadRequest ||
		status == http.StatusConflict || status == http.StatusGone ||
		status == http.StatusUnprocessableEntity):
		v := dead(r)
		v.unsure = true
		v.hint = first(hintUnknown, v.hint) +
			" If it lasts, log in again and store the new refresh token."
		return v
	}
	return verdict{class: exchange.Misconfigured, hint: hintUnknown, unsure: true}
}

// forbidden returns the verdict for a 403 that has a body in words.
func forbidden(r Refusal) verdict {
	if r.Kind == ClientGrant || r.Kind == PasswordGrant {
		return verdict{class: exchange.CredentialDead,
			hint: "The provider knows the credential but forbids its use: " +
				"check its rights, and which addresses may use it."}
	}
	return verdict{class: exchange.Misconfigured,
		hint: "The provider forbids this: check the rights of the user or client, " +
			"and which addresses may use it."}
}

// dead returns the verdict for a refused credential.
func dead(r Refusal) verdict {
	switch r.Kind {
	case RefreshGrant:
		return verdict{class: exchange.GrantDead, hint: hintDeadToken}
	case PasswordGrant:
		return verdict{class: exchange.CredentialDead,
			hint: "The user name or the password is wrong, or the user is locked: " +
				"a locked user gets the same answer."}
	case Call:
		return verdict{class: exchange.Misconfigured,
			hint: "The API refuses the access token: check that the URL is of the system that " +
				"issued the token, and that the user or client has the rights for this call."}
	}
	if r.ClientAuth != "" {
		return verdict{class: exchange.CredentialDead, hint: clientHint(r)}
	}
	return verdict{class: exchange.CredentialDead, hint: "The provider refuses the client's " +
		"credential: check the client id and its secret or key."}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// finding is the word that identifies a refusal.
type finding struct {
	known  bool
	byCode bool // by a code of the table, not by a text
	code   string
	means  meaning
	hint   string
}

// lookUp finds the word that identifies a refusal: the first code in the table, with the
// hint of a text that says more; else the first text. A text that says that the refusal is
// temporary takes precedence over any code: Zoho and Exact Online then answer
// access_denied.
func lookUp(s said) finding {
	var f finding
	for _, code := range s.codes {
		w, ok := codesByWord[word(code)]
		if !ok { // Apigee's steps.oauth.v2.invalid_client, urn:example:error:invalid_grant
			w, ok = codesByWord[word(code[strings.LastIndexAny(code, ".:/#")+1:])]
		}
		if ok {
			f = finding{known: true, byCode: true, code: w.code, means: w.means, hint: w.hint}
			break
		}
	}
	for _, w := range textWords {
		has := func(text string) bool { return strings.Contains(" "+text+" ", w.part) }
		if !slices.ContainsFunc(s.texts, has) {
			continue
		}
		passes := w.means == meansThrottled || w.means == meansPassing
		switch {
		case f.means == meansToken && w.means == meansSettings: // "missing or invalid"
		case vagueCodes[f.code] && w.means == meansPassword: // Bad credentials, in a 500
			return finding{known: true, byCode: true, code: w.part, means: w.means, hint: w.hint}
		case passes && f.means != meansPassword, !f.known && w.means != meansNothing:
			return finding{known: true, means: w.means, hint: w.hint, code: f.code,
				byCode: f.byCode && !passes}
		case passes:
		case f.known && w.means == meansNothing && (f.means == meansClient || f.means == meansGrant):
			f.hint = w.hint
			return f
		case f.known && w.means != meansNothing && w.hint != "" && f.means != meansThrottled &&
			f.means != meansPassing:
			f.hint = w.hint
			if f.code == "invalid_request" || f.code == "access_denied" ||
				f.code == "unauthorized_client" && w.means == meansToken {
				f.means, f.code = w.means, "" // the code has many meanings, and the text says which one
			}
			return f
		}
	}
	return f
}

// codeRE matches what a code looks like: words, or letters and a number as in Okta's
// E0000011. It does not match a token that a server returned in place of a code.
var codeRE = lazyregexp.New(`^([A-Za-z]{1,20}([_.-][A-Za-z]{1,20}){0,5}|[A-Z]{1,8}[0-9]{1,8})$`)

// shown returns the first code that may be shown.
func (s said) shown(sent []redact.Secret) string {
	for _, code := range s.codes {
		if w, ok := codesByWord[code]; ok && rfcCode[w.code] {
			return code
		}
		if codeRE().MatchString(code) && !echoes(code, sent) {
			return exchange.Code(code)
		}
	}
	return ""
}

// rfcCode are the codes of RFC 6749, RFC 8707 and RFC 6750. They are shown even if a
// client's name contains one.
var rfcCode = map[string]bool{
	"invalid_grant": true, "invalid_client": true, "unauthorized_client": true,
	"invalid_request": true, "unsupported_grant_type": true, "invalid_scope": true,
	"invalid_target": true, "access_denied": true, "invalid_token": true,
}

// retryAfter reads the header Retry-After, in seconds or as a date (RFC 9110 section
// 10.2.3).
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
