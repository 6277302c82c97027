package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

func refuse(status int, body string, r Refusal) *exchange.Error {
	r.Sent = append(r.Sent, redact.New(canary))
	return newClient().Refused(Answer{Status: status, Header: boxed(http.Header{}),
		Body: redact.New(body)}, r)
}

func TestEveryRefusalHasItsClass(t *testing.T) {
	t.Parallel()
	const (
		goaUnauthorized = `{"name":"unauthorized","id":"Kp3x9Qa1","message":"access token is invalid ` + canaryOther + `","temporary":false,"timeout":false,"fault":false}`
		goaBad          = `{"name":"bad_request","id":"Kp3x9Qa1","message":"` + canaryOther +
			`","temporary":false,"timeout":false,"fault":false}`
		okta = `{"errorCode":"E0000011","errorSummary":"Invalid token provided ` +
			canaryOther + `"}`
		list = `{"errors":[{"status":401,"code":"auth-unauthorized","title":"` +
			canaryOther + `"}]}`
		html = ` <html><head><title>` + canaryOther + `</title></head></html>`
	)
	rfc := func(code string) string {
		return `{"error":"` + code + `","error_description":"` + canaryOther + `"}`
	}
	refresh, password, client, call := Refusal{Kind: RefreshGrant}, Refusal{Kind: PasswordGrant},
		Refusal{Kind: ClientGrant}, Refusal{Kind: Call}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		asked  Refusal
		class  exchange.Class
		code   string
	}{
		{"dead refresh token", 400, rfc("invalid_grant"), refresh, exchange.GrantDead, "invalid_grant"},
		{"dead refresh token, 401", 401, rfc("invalid_grant"), refresh, exchange.GrantDead, "invalid_grant"},
		{"dead refresh token, 500", 500, rfc("invalid_grant"), refresh, exchange.GrantDead, "invalid_grant"},
		{"wrong password before Keycloak 26.6", 401, rfc("invalid_grant"), password,
			exchange.CredentialDead, "invalid_grant"},
		{"wrong password since", 400, rfc("invalid_grant"), password, exchange.CredentialDead,
			"invalid_grant"},
		{"invalid_grant for a client", 400, rfc("invalid_grant"), client, exchange.CredentialDead,
			"invalid_grant"},
		{"invalid_client", 401, rfc("invalid_client"), refresh, exchange.CredentialDead, "invalid_client"},
		{"invalid_client, 400", 400, rfc("invalid_client"), client, exchange.CredentialDead,
			"invalid_client"},
		{"unauthorized_client", 400, rfc("unauthorized_client"), password, exchange.CredentialDead,
			"unauthorized_client"},
		{"invalid_request", 400, rfc("invalid_request"), refresh, exchange.GrantDead, "invalid_request"},
		{"invalid_request, 401", 401, rfc("invalid_request"), password, exchange.CredentialDead,
			"invalid_request"},
		{"unsupported_grant_type", 400, rfc("unsupported_grant_type"), password,
			exchange.Misconfigured, "unsupported_grant_type"},
		{"invalid_scope", 400, rfc("invalid_scope"), client, exchange.Misconfigured, "invalid_scope"},
		{"invalid_target", 400, rfc("invalid_target"), client, exchange.Misconfigured, "invalid_target"},
		{"realm disabled", 403, rfc("access_denied"), password, exchange.Misconfigured, "access_denied"},
		{"server_error", 400, rfc("server_error"), refresh, exchange.Transient, "server_error"},
		{"temporarily_unavailable", 400, rfc("temporarily_unavailable"), refresh,
			exchange.Transient, "temporarily_unavailable"},
		{"unknown code, 400", 400, rfc("weird_code"), refresh, exchange.GrantDead, "weird_code"},

		{"Goa 401 on refresh", 401, goaUnauthorized, refresh, exchange.GrantDead, "unauthorized"},
		{"Goa 401 on client_credentials", 401, goaUnauthorized, client, exchange.CredentialDead,
			"unauthorized"},
		{"Goa 401 on a call", 401, goaUnauthorized, call, exchange.Misconfigured, "unauthorized"},
		{"Goa 400 on refresh", 400, goaBad, Refusal{Kind: RefreshGrant, DeadOn400: true},
			exchange.GrantDead, "bad_request"},
		{"Goa 400 on client_credentials", 400, goaBad, Refusal{Kind: ClientGrant, DeadOn400: true},
			exchange.CredentialDead, "bad_request"},
		{"Goa 400 elsewhere", 400, goaBad, refresh, exchange.GrantDead, "bad_request"},
		{"Goa 403 on client_credentials", 403, `{"name":"forbidden","message":"x"}`, client,
			exchange.CredentialDead, "forbidden"},
		{"Goa 403 on refresh", 403, `{"name":"forbidden","message":"x"}`, refresh,
			exchange.Misconfigured, "forbidden"},
		{"Goa throttled", 429, `{"name":"too_many_requests","temporary":true}`, refresh,
			exchange.Throttled, "too_many_requests"},
		{"Goa throttled by name", 400, `{"name":"too_many_requests","temporary":true}`, refresh,
			exchange.Throttled, "too_many_requests"},
		{"Goa temporary", 401, `{"name":"unauthorized","temporary":true}`, refresh,
			exchange.Transient, "unauthorized"},
		{"Goa timeout", 400, `{"name":"bad_request","timeout":true}`, refresh, exchange.Transient,
			"bad_request"},
		{"Goa internal_error", 500, `{"name":"internal_error","temporary":true}`, refresh,
			exchange.Transient, "internal_error"},
		{"Goa bad_gateway", 502, `{"name":"bad_gateway"}`, refresh, exchange.Transient, "bad_gateway"},

		{"Okta", 401, okta, client, exchange.CredentialDead, "E0000011"},
		{"Okta, summary only", 401, `{"errorSummary":"` + canaryOther + `"}`, refresh,
			exchange.GrantDead, ""},
		{"a list", 401, list, refresh, exchange.GrantDead, "auth-unauthorized"},
		{"an empty list", 401, `{"errors":[]}`, refresh, exchange.GrantDead, ""},
		{"statusMessage", 401, `{"statusMessage":"` + canaryOther + `"}`, password,
			exchange.CredentialDead, ""},
		{"text", 401, "Unauthorized " + canaryOther, refresh, exchange.GrantDead, ""},
		{"text on password", 401, "Unauthorized", password, exchange.CredentialDead, ""},
		{"nothing", 401, "", refresh, exchange.GrantDead, ""},
		{"a page, 401", 401, html, refresh, exchange.GrantDead, ""},
		{"a page, 404", 404, html, refresh, exchange.Misconfigured, ""},
		{"a page, 503", 503, html, refresh, exchange.Transient, ""},
		{"a page, 429", 429, html, refresh, exchange.Throttled, ""},

		{"408", 408, "", refresh, exchange.Transient, ""},
		{"500", 500, canaryOther, refresh, exchange.Transient, ""},
		{"502", 502, "", refresh, exchange.Transient, ""},
		{"503", 503, "", refresh, exchange.Transient, ""},
		{"504", 504, "", refresh, exchange.Transient, ""},
		{"301", 301, "", refresh, exchange.Misconfigured, ""},
		{"302", 302, html, password, exchange.Misconfigured, ""},
		{"404", 404, "Not Found", refresh, exchange.Misconfigured, ""},
		{"405", 405, "", refresh, exchange.Misconfigured, ""},
		{"415", 415, "", refresh, exchange.Misconfigured, ""},
		{"422", 422, "", refresh, exchange.GrantDead, ""},
		{"400 without a word", 400, "", refresh, exchange.GrantDead, ""},

		{"a code that is what was sent", 400, `{"error":"` + canary + `"}`, refresh, exchange.GrantDead, ""},
		{"a code that has what was sent", 400, `{"error":"no_` + canary + `"}`, refresh,
			exchange.GrantDead, ""},
		{"a code that is a token", 400, `{"error":"` + canaryOther + `"}`, refresh, exchange.GrantDead, ""},
		{"a code that is a sentence", 400, `{"error":"` + canaryOther + ` is wrong"}`, refresh,
			exchange.GrantDead, ""},
		{"a code that is a number", 400, `{"error":400}`, refresh, exchange.GrantDead, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.asked.Doing = "trying"
			e := refuse(tt.status, tt.body, tt.asked)
			if e.Class != tt.class || e.Code != tt.code || e.Lost || e.Status != tt.status ||
				e.Doing != "trying" {
				t.Errorf("%+v, want %s %q", e, tt.class, tt.code)
			}
			leaks(t, e)
		})
	}
}

// A client's name may be part of an error code: the codes of the RFC are shown even then.
func TestAKnownCodeIsShownThoughAClientHasItsName(t *testing.T) {
	t.Parallel()
	e := refuse(401, `{"error":"invalid_client"}`, Refusal{Kind: ClientGrant,
		Sent: []redact.Secret{redact.New("client"), redact.New("invalid_client")}})
	if e.Code != "invalid_client" {
		t.Errorf("code = %q", e.Code)
	}
	e = refuse(400, `{"error":"acme"}`, Refusal{Kind: ClientGrant,
		Sent: []redact.Secret{redact.New("acme-prod")}})
	if e.Code != "" {
		t.Errorf("code = %q, part of what was sent", e.Code)
	}
}

func TestADescriptionExplainsTheRefusal(t *testing.T) {
	t.Parallel()
	for description, part := range map[string]string{
		"Token is not active":                          "expired",
		"Refresh token expired":                        "expired",
		"Session not active":                           "session has ended",
		"Offline session not active":                   "offline session has ended",
		"Offline user session not found":               "offline session has ended",
		"Client session not active":                    "session has ended",
		"Session doesn't have required client":         "used twice",
		"Stale token":                                  "older one",
		"Stale refresh token":                          "older one",
		"Maximum allowed refresh token reuse exceeded": "used before",
		"User disabled":                                "disabled",
		"Account disabled":                             "disabled",
		"Account is not fully set up":                  "must first change the password",
		"Invalid user credentials":                     "locked",
		"Invalid refresh token":                        "with Keycloak, it is not one of this realm",
		"Invalid refresh token. Token client and authorized client don't match": "another client",
		"Unmatching clients": "another client",
		"Refresh token issued before the user session started":   "anew",
		"Refresh toked issued before the user session started":   "anew",
		"Refresh token issued before the client session started": "anew",
		"Client not allowed for direct access grants":            "direct access grants",
		"Client no longer has requested consent from user":       "consent",
		"Client requires user consent":                           "consent",
		"HTTPS required":                                         "https",
		"Realm not enabled":                                      "realm is disabled",
		"The refresh token is invalid or expired.":               "already used",
	} {
		e := refuse(400, `{"error":"invalid_grant","error_description":"`+description+`"}`,
			Refusal{Kind: RefreshGrant})
		if !strings.Contains(e.Hint, part) {
			t.Errorf("%s: hint %q", description, e.Hint)
		}
	}
	e := refuse(400,
		`{"error":"invalid_grant","error_description":"Session not active: `+canaryOther+`"}`, Refusal{Kind: RefreshGrant})
	leaks(t, e)
}

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                              0,
		"30":                            30 * time.Second,
		" 30 ":                          30 * time.Second,
		"0":                             0,
		"-5":                            0,
		"7200":                          time.Hour,
		"9223372036854775807":           time.Hour,
		"99999999999999999999":          0,
		"soon":                          0,
		"Sat, 21 Nov 2026 16:02:00 GMT": 2 * time.Minute,
		"Sat, 21 Nov 2026 15:00:00 GMT": 0,
		"Sun, 22 Nov 2026 16:00:00 GMT": time.Hour,
	} {
		a := Answer{Status: 429, Header: boxed(http.Header{"Retry-After": {header}})}
		if got := newClient().Refused(a, Refusal{}).RetryAfter; got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

var allClasses = []exchange.Class{exchange.Throttled, exchange.Transient, exchange.GrantDead,
	exchange.CredentialDead, exchange.Misconfigured}

// checkRefusal checks what is true of every refusal, for any body.
func checkRefusal(t *testing.T, status int, body string) {
	t.Helper()
	for _, kind := range []Kind{ClientGrant, PasswordGrant, RefreshGrant, Call} {
		e := refuse(status, body, Refusal{Doing: "trying", Kind: kind, DeadOn400: true})
		if !slices.Contains(allClasses, e.Class) {
			t.Errorf("class %q", e.Class)
		}
		if e.Class == exchange.GrantDead && kind != RefreshGrant {
			t.Errorf("a grant is dead that was not sent: %+v", e)
		}
		if e.Code != "" && !codeRE().MatchString(e.Code) {
			t.Errorf("code %q", e.Code)
		}
		if len(e.Code) > 40 || strings.Contains(e.Error(), canary) {
			t.Errorf("error %q", e.Error())
		}
	}
}

func FuzzErrorBody(f *testing.F) {
	f.Add(400, `{"error":"invalid_grant","error_description":"Token is not active"}`)
	f.Add(401, `{"errorCode":"E0000011","errorSummary":"x"}`)
	f.Add(401, `{"errors":[{"code":"unauthorized","title":"x"}]}`)
	f.Add(400, `{"error":"`+canary+`"}`)
	f.Add(200, `<html>`)
	f.Add(302, ``)
	f.Add(503, `{"statusMessage":"x"}`)
	f.Fuzz(checkRefusal)
}

func FuzzGoa(f *testing.F) {
	f.Add("unauthorized", "access token is invalid", false, false, 401)
	f.Add("too_many_requests", canary, true, false, 429)
	f.Add(canary, canary, false, true, 500)
	f.Fuzz(func(t *testing.T, name, message string, temporary, timeout bool, status int) {
		body := goaBody(name, message, temporary, timeout)
		checkRefusal(t, status, body)
		e := refuse(status, body, Refusal{Kind: RefreshGrant})
		if (temporary || timeout) && status != 429 && e.Class != exchange.Transient &&
			e.Class != exchange.Throttled {
			t.Errorf("temporary, but %s", e.Class)
		}
	})
}

// goaBody is an error in Goa's envelope.
func goaBody(name, message string, temporary, timeout bool) string {
	b, err := json.Marshal(map[string]any{"name": name, "id": "Kp3x9Qa1", "message": message,
		"temporary": temporary, "timeout": timeout, "fault": false})
	if err != nil {
		panic(err)
	}
	return string(b)
}
