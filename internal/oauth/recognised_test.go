package oauth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// Evertoken recognizes a refusal anywhere in a body, in the forms that servers send.
func TestRefusalsAreRecognizedAnywhereInABody(t *testing.T) {
	t.Parallel()
	const (
		token, client, password = exchange.GrantDead, exchange.CredentialDead, exchange.CredentialDead
		later, passing, wrong   = exchange.Throttled, exchange.Transient, exchange.Misconfigured
	)
	for _, tt := range []struct {
		kind   Kind
		status int
		body   string
		class  exchange.Class
	}{
		{RefreshGrant, 400, `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}`, token},
		{RefreshGrant, 401, `{"reason":"Invalid Token!","error":"invalid_request"}`, token},
		{RefreshGrant, 401, `{"error":"invalid_request","error_description":"The refresh token is invalid.","hint":"Token has been revoked"}`, token},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"session not found"}`, token},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"Refresh token has expired"}`, token},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"Missing refresh token"}`, wrong},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"Missing form parameter: grant_type"}`, wrong},
		{RefreshGrant, 400, `{"error":"unsupported_grant_type","error_description":"Invalid grant type"}`, wrong},
		{RefreshGrant, 200, `{"ok":false,"error":"invalid_refresh_token"}`, token},
		{RefreshGrant, 200, `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`, token},
		{RefreshGrant, 200, `error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.`, token},
		{RefreshGrant, 200, `{"error":"invalid_code"}`, token},
		{RefreshGrant, 400, `{"status":400,"message":"Invalid refresh token"}`, token},
		{RefreshGrant, 400, `{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}`, token},
		{RefreshGrant, 400, `{"error":"invalid_grant: Token is expired or invalid."}`, token},
		{RefreshGrant, 400, `{"error":"invalid_grant Token expired"}`, token},
		{RefreshGrant, 400, `{"error":{"code":"INVALID_GRANT","message":"x"}}`, token},
		{RefreshGrant, 400, `{"error":{"type":"invalid_grant","message":"x"}}`, token},
		{RefreshGrant, 400, `{"error":{"error":"invalid_grant"}}`, token},
		{RefreshGrant, 400, `{"error":{"message":"Refresh Token has been revoked","status":"INVALID_ARGUMENT","code":400}}`, token},
		{RefreshGrant, 400, `{"Error":"Invalid_Grant","Error_Description":"x"}`, token},
		{RefreshGrant, 400, `{"ErrorCode":"invalid_request","Error":"Refresh Token expired"}`, token},
		{RefreshGrant, 401, `{"fault":{"faultstring":"Invalid Refresh Token","detail":{"errorcode":"keymanagement.service.invalid_refresh_token"}}}`, token},
		{RefreshGrant, 400, `{"minorErrorCode":"invalid_grant","message":"Invalid refresh token"}`, token},
		{RefreshGrant, 200, `{"status":503,"error":"Invalid Params: invalid refresh_token","body":{}}`, token},
		{RefreshGrant, 200, `{"status":401,"body":{},"error":"XRequestID: Not provided invalid_token"}`, token},
		{RefreshGrant, 200, `{"data":{"error_code":10010,"description":"Refresh token is expired"},"message":"error"}`, token},
		{RefreshGrant, 200, `{"code":20037,"msg":"refresh token has expired"}`, token},
		{RefreshGrant, 200, `{"errcode":42002,"errmsg":"refresh_token expired"}`, token},
		{RefreshGrant, 400, "\ufeff" + `{"error":"invalid_grant"}`, token},
		{RefreshGrant, 400, `"{\"error\":\"invalid_grant\"}"`, token},
		{RefreshGrant, 400, `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`, token},
		{RefreshGrant, 400, `{"errors":["refresh token is invalid"]}`, token},
		{RefreshGrant, 400, `{"errors":{"refresh_token":["is invalid"]},"message":"The given refresh token was not found"}`, token},
		{RefreshGrant, 400, `{"code":400,"error_code":"refresh_token_already_used","msg":"Invalid Refresh Token: Already Used"}`, token},
		{RefreshGrant, 400, `<OAuth><error_code>invalid_grant</error_code><error_description>x</error_description></OAuth>`, token},
		{RefreshGrant, 400, `{"error":"urn:example:oauth:error:invalid_grant"}`, token},
		{RefreshGrant, 400, `{"code":"oauth.v2.InvalidRefreshToken"}`, token},
		{RefreshGrant, 400, `invalid_grant`, token},
		{RefreshGrant, 400, `Refresh token is not valid any more: it has expired`, token},
		{RefreshGrant, 403, `{"error":"access_denied","error_description":"Unknown or invalid refresh token."}`, token},
		{RefreshGrant, 404, `{"error":"not_found","message":"refresh token does not exist"}`, token},
		{RefreshGrant, 401, `{"error":"unauthorized_client","error_description":"Old refresh token used."}`, token},
		{RefreshGrant, 403, `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`, token},
		{RefreshGrant, 400, `{"error":"unauthorized_client"}`, token},
		{RefreshGrant, 401, `<html>Unauthorized</html>`, token},
		{RefreshGrant, 200, `{"error":"invalid_grant","access_token":"a","expires_in":3600}`, token},
		{RefreshGrant, 400, `{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity."}`, token},

		{RefreshGrant, 400, `{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid: x. Visit"}],"success":false}`, token},
		{RefreshGrant, 400, `{"error":{"message":"Error validating access token: Session has expired on Sunday","type":"OAuthException","code":190,"error_subcode":463}}`, token},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"Value passed for the token was invalid."}`, token},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"This request requires an active refresh_token"}`, token},
		{RefreshGrant, 400, `{"error_description":"The request has an invalid grant parameter : refresh_token","error":"invalid_grant"}`, token},
		{RefreshGrant, 400, `{"hint":"Token has been revoked","title":"x","type":"https://example.com/errors/OAuthProblemJson","status":400,"detail":"x"}`, token},
		{RefreshGrant, 400, `{"__type":"NotAuthorizedException","message":"Refresh Token has been revoked"}`, token},
		{RefreshGrant, 400, `{"error":{"code":400,"message":"TOKEN_EXPIRED","status":"INVALID_ARGUMENT"}}`, token},
		{RefreshGrant, 400, `{"status":{"error":true,"code":400,"type":"bad request","message":"refresh token is invalid"}}`, token},
		{RefreshGrant, 400, `{"code":"InvalidParameter.RefreshToken","message":"x"}`, token},
		{RefreshGrant, 400, `{"errorCode":"BXNIM0408E","errorMessage":"Provided refresh_token is expired","context":{}}`, token},
		{RefreshGrant, 400, `{"developerMessage":"The refresh token has expired or is invalid","errorCode":"AUTH-004"}`, token},
		{RefreshGrant, 400, `{"error":"invalid_grant","error_description":"expired_or_invalid_refresh_token","error_code":"KOE322"}`, token},
		{RefreshGrant, 401, `{"error_description":"access_denied","error":"server_error"}`, token},
		{RefreshGrant, 400, `eyJlcnJvciI6ImludmFsaWRfZ3JhbnQifQ==`, token},
		{ClientGrant, 400, `{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found.","context":{}}`, client},
		{ClientGrant, 400, `{"status":400,"message":"invalid client"}`, client},
		{ClientGrant, 403, `{"status":403,"message":"invalid client secret"}`, client},
		{ClientGrant, 400, `{"message":"The application was not found"}`, client},
		{ClientGrant, 401, `{"error":"unauthorized","error_description":"Bad credentials"}`, client},
		{PasswordGrant, 401, `{"error_description":"access_denied","error":"server_error"}`, password},
		{PasswordGrant, 400, `{"error":"internal_error"}`, password},
		{RefreshGrant, 400, `{"error":"server_error"}`, passing},
		{RefreshGrant, 400, `{"message":"The server is under maintenance"}`, passing},
		{RefreshGrant, 403, `{"error":{"errors":[{"reason":"userRateLimitExceeded"}],"code":403}}`, later},
		{RefreshGrant, 400, `{"code":99991400,"msg":"request trigger frequency limit"}`, later},

		{RefreshGrant, 401, `{"error":"deleted_client","error_description":"The OAuth client was deleted."}`, client},
		{RefreshGrant, 401, `{"error":"invalid_client","error_description":"The OAuth client was not found."}`, client},
		{RefreshGrant, 401, `{"error":"invalid_client","error_description":"Client authentication failed (unknown client, no client authentication included)"}`, client},
		{ClientGrant, 401, `{"error":"access_denied","error_description":"Unauthorized"}`, client},
		{ClientGrant, 401, `<?xml version="1.0"?><error><code>unauthorized</code></error>`, client},
		{ClientGrant, 200, `{"error":"incorrect_client_credentials"}`, client},
		{ClientGrant, 200, `{"ok":false,"error":"bad_client_secret"}`, client},
		{ClientGrant, 400, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}`, client},
		{ClientGrant, 403, `{"error":"forbidden"}`, client},

		{PasswordGrant, 401, `{"error":"access_denied","error_description":"Unauthorized"}`, password},
		{PasswordGrant, 401, `<?xml version='1.0'?><error><code>unauthorized</code></error>`, password},
		{PasswordGrant, 401, `<html>Unauthorized</html>`, password},
		{PasswordGrant, 403, `<html>Forbidden</html>`, password},
		{PasswordGrant, 403, `{"error":"invalid_grant","error_description":"Wrong email or password."}`, password},
		{PasswordGrant, 400, `{"error":"invalid_request","error_description":"Bad credentials"}`, password},
		{PasswordGrant, 400, `{"error":"invalid_request"}`, password},
		{PasswordGrant, 400, `{"error":"weird"}`, password},
		{PasswordGrant, 422, `{"message":"Invalid credentials, please try again later."}`, password},
		{PasswordGrant, 403, `{"message":"Your account has been temporarily locked. Try again in 30 minutes."}`, password},
		{PasswordGrant, 400, `{"error":{"message":"INVALID_PASSWORD","code":400}}`, password},
		{PasswordGrant, 200, `{"success":false,"message":"Invalid username or password"}`, password},
		{PasswordGrant, 409, ``, password},

		{RefreshGrant, 400, `{"error":"unknown_error","error_description":"retry your request"}`, passing},
		{RefreshGrant, 400, `{"error":"invalid_grant","error_description":"The refresh token is already being processed"}`, passing},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"Please try again later."}`, passing},
		{RefreshGrant, 400, `{"message":"Service temporarily overloaded, please try again"}`, passing},
		{RefreshGrant, 425, ``, passing},
		{RefreshGrant, 403, `<html>Access denied by the firewall</html>`, passing},
		{PasswordGrant, 403, `{"error":"access_denied","error_description":"There are too many sessions"}`, passing},
		{PasswordGrant, 401, `{"error":"invalid_grant","error_description":"User session limit exceeded"}`, passing},

		{RefreshGrant, 400, `{"error":"access_denied","error_description":"Rate limit exceeded: access_token not expired"}`, later},
		{RefreshGrant, 400, `{"error":"Access Denied","error_description":"You have made too many requests continuously. Please try again after some time.","status":"failure"}`, later},
		{RefreshGrant, 400, `{"error":"invalid_grant","error_description":"login rate exceeded"}`, later},
		{RefreshGrant, 400, `{"error":"slow_down"}`, later},
		{RefreshGrant, 401, `{"error":"too_early","message":"token refresh too early"}`, later},
		{RefreshGrant, 403, `{"status":"error","category":"RATE_LIMITS","message":"x"}`, later},
		{RefreshGrant, 200, `{"status":601,"error":"Too Many Requests"}`, later},
		{RefreshGrant, 503, `{"error":"too_many_requests"}`, later},
		{ClientGrant, 403, `<html>Rate Limit Exceeded</html>`, later},
		{ClientGrant, 403, `error code: 1015`, later},
		{PasswordGrant, 403, `{"error":"access_denied","error_description":"Too many requests"}`, later},

		{PasswordGrant, 404, `{"error":"Realm does not exist"}`, wrong},
		{PasswordGrant, 400, `{"error":"unsupported_grant_type"}`, wrong},
		{PasswordGrant, 403, `{"error":"access_denied","error_description":"Realm not enabled"}`, wrong},
	} {
		a := Answer{Status: tt.status, Header: boxed(http.Header{}), Body: redact.New(tt.body)}
		_, err := newClient().issued(a, Request{Kind: tt.kind}, "trying", nil, testNow)
		if !a.OK() {
			err = newClient().Refused(Answer{Status: tt.status, Header: boxed(http.Header{}),
				Body: redact.New(decodeText([]byte(tt.body)))}, Refusal{Kind: tt.kind})
		}
		e := failure(t, err)
		unsure := strings.Contains(tt.body, "firewall") || tt.kind == RefreshGrant && tt.class == wrong
		if e.Class != tt.class || e.Unsure != unsure || e.Lost || e.Unusable {
			t.Errorf("kind %d, %d %s:\n%+v, want %s", tt.kind, tt.status, tt.body, e, tt.class)
		}
	}
}

// Unknown words, pages, redirects and missing paths are unsure; a 4xx to a password never
// is.
func TestARefusalOfUnclearMeaningIsUnsure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind   Kind
		status int
		body   string
		class  exchange.Class
		unsure bool
	}{
		{RefreshGrant, 400, `{"error":"weird_code"}`, exchange.GrantDead, true},
		{RefreshGrant, 400, ``, exchange.GrantDead, true},
		{RefreshGrant, 422, `{"message":"x"}`, exchange.GrantDead, true},
		{RefreshGrant, 200, `{"error":"weird_code"}`, exchange.GrantDead, true},
		{RefreshGrant, 200, `{"ok":false}`, exchange.GrantDead, true},
		{RefreshGrant, 400, `{"error":"invalid_request"}`, exchange.GrantDead, true},
		{RefreshGrant, 400, `{"error":"invalid_request","error_description":"The request is missing a required parameter, includes an unsupported parameter value, or is otherwise malformed."}`, exchange.GrantDead, true},
		{RefreshGrant, 403, `{"error":"access_denied"}`, exchange.GrantDead, true},
		{RefreshGrant, 415, ``, exchange.Misconfigured, true},
		{RefreshGrant, 404, `<html>`, exchange.Misconfigured, true},
		{RefreshGrant, 302, ``, exchange.Misconfigured, true},
		{RefreshGrant, 400, `<html>`, exchange.Misconfigured, true},
		{RefreshGrant, 403, `<html>`, exchange.Transient, true},
		{RefreshGrant, 401, ``, exchange.GrantDead, false},
		{RefreshGrant, 403, `{"error":"invalid_scope"}`, exchange.Misconfigured, true},
		{ClientGrant, 400, `{"error":"invalid_scope"}`, exchange.Misconfigured, false},
		{RefreshGrant, 500, ``, exchange.Transient, false},
		{ClientGrant, 400, `{"error":"weird_code"}`, exchange.Misconfigured, true},
		{ClientGrant, 401, ``, exchange.CredentialDead, false},
		{PasswordGrant, 400, `{"error":"weird_code"}`, exchange.CredentialDead, false},
		{PasswordGrant, 404, `<html>`, exchange.Misconfigured, false},
		{PasswordGrant, 500, ``, exchange.Transient, true},
		{PasswordGrant, 503, `{"error":"server_error"}`, exchange.Transient, true},
		{PasswordGrant, 302, ``, exchange.Misconfigured, true},
	} {
		a := Answer{Status: tt.status, Header: boxed(http.Header{}), Body: redact.New(tt.body)}
		_, err := newClient().issued(a, Request{Kind: tt.kind}, "trying", nil, testNow)
		if !a.OK() {
			err = newClient().Refused(a, Refusal{Kind: tt.kind})
		}
		if e := failure(t, err); e.Class != tt.class || e.Unsure != tt.unsure {
			t.Errorf("kind %d, %d %s: %+v, want %s, unsure %t", tt.kind, tt.status, tt.body, e, tt.class, tt.unsure)
		}
	}
}

// A hint fits the grant and the code, and names the current setting.
func TestAHintFitsTheGrantAndTheCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refusal Refusal
		body    string
		want    []string
		not     string
	}{
		{Refusal{Kind: RefreshGrant}, `{"error":"deleted_client"}`, []string{"no longer knows the client", "does not help"}, "expired"},
		{Refusal{Kind: RefreshGrant}, `{"error":"invalid_client","error_description":"The OAuth client was deleted."}`, []string{"no longer knows the client"}, "expired"},
		{Refusal{Kind: RefreshGrant}, `{"error":"unauthorized_client"}`, []string{"Log in again"}, "secret"},
		{Refusal{Kind: RefreshGrant}, `{"error":"invalid_grant","error_description":"Invalid refresh token: x"}`, []string{"expired, revoked or already used"}, "keys were replaced"},
		{Refusal{ClientAuth: "client_secret_post"}, `{"error":"invalid_client"}`, []string{"settings.client_auth is client_secret_post", "client_secret_basic"}, "assertion"},
		{Refusal{ClientAuth: "client_secret_basic"}, `{"error":"invalid_client"}`, []string{"settings.client_auth is client_secret_basic", "client_secret_post"}, "raw"},
		{Refusal{ClientAuth: "client_secret_basic", encoded: true}, `{"error":"invalid_client"}`, []string{"client_secret_basic_raw", "form-encoded"}, "assertion"},
		{Refusal{ClientAuth: "private_key_jwt"}, `{"error":"invalid_client"}`, []string{"settings.client_auth is private_key_jwt", "settings.assertion_audience"}, "client_secret"},
		{Refusal{ClientAuth: "private_key_jwt"}, `{"error":"invalid_client","error_description":"Client authentication failed. The audience claim does not match."}`, []string{"settings.assertion_audience"}, "key_id"},
		{Refusal{ClientAuth: "private_key_jwt"}, `{"error":"invalid_client","error_description":"The client_assertion has expired"}`, []string{"clock"}, "key_id"},
		{Refusal{ClientAuth: "tls_client_auth"}, `{"error":"invalid_client"}`, []string{"settings.client_auth is tls_client_auth", "certificate"}, ""},
		{Refusal{ClientAuth: "none"}, `{"error":"invalid_client"}`, []string{"settings.client_auth is none"}, ""},
		{Refusal{ClientAuth: "client_secret_post"}, `{"error":"invalid_client","error_description":"Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method). The OAuth 2.0 Client supports client authentication method 'client_secret_basic', but method 'client_secret_post' was requested."}`, []string{"set settings.client_auth to that one"}, "no longer knows"},
		{Refusal{ClientAuth: "client_secret_post"}, `{"error":"invalid_client","error_description":"Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."}`, []string{"settings.client_auth is client_secret_post"}, "no longer knows"},
		{Refusal{ClientAuth: "none"}, `{"error":"invalid_request","error_description":"Requested audience 'x' has not been whitelisted by the OAuth 2.0 Client."}`, []string{"check the settings"}, "assertion"},
		{Refusal{}, `{"error":"invalid_client"}`, []string{"check the client id"}, "settings"},
		{Refusal{Kind: ClientGrant}, `{"error":"invalid_grant","error_description":"JWT assertion expired"}`, []string{"clock"}, "secret"},
		{Refusal{Kind: PasswordGrant}, `{"error":"invalid_grant","error_description":"Account is not fully set up"}`, []string{"Log in as that user"}, "wrong"},
		{Refusal{Kind: ClientGrant}, `{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}`, []string{"has expired"}, "client_auth"},
	} {
		e := newClient().Refused(Answer{Status: 400, Header: boxed(http.Header{}),
			Body: redact.New(tt.body)}, tt.refusal)
		for _, part := range tt.want {
			if !strings.Contains(e.Hint, part) {
				t.Errorf("%s: hint %q, want %q in it", tt.body, e.Hint, part)
			}
		}
		if tt.not != "" && strings.Contains(e.Hint, tt.not) {
			t.Errorf("%s: hint %q leads astray", tt.body, e.Hint)
		}
		if !strings.HasSuffix(e.Hint, ".") {
			t.Errorf("%s: hint %q is no sentence", tt.body, e.Hint)
		}
	}
}

// A refusal may be in the header alone, and its body may ask to wait.
func TestRefusalsInHeadersAreRecognized(t *testing.T) {
	t.Parallel()
	h := http.Header{"Www-Authenticate": {`Basic realm="x"`,
		`Bearer realm="y", error="invalid_grant", error_description="Session not active"`}}
	e := newClient().Refused(Answer{Status: 400, Header: boxed(h)}, Refusal{Kind: RefreshGrant})
	if e.Class != exchange.GrantDead || e.Code != "invalid_grant" || e.Unsure ||
		!strings.Contains(e.Hint, "session has ended") {
		t.Errorf("%+v", e)
	}
	h = http.Header{"Www-Authenticate": {`Bearer error="` + canary + `"`}}
	e = newClient().Refused(Answer{Status: 401, Header: boxed(h)},
		Refusal{Kind: RefreshGrant, Sent: []redact.Secret{redact.New(canary)}})
	if e.Class != exchange.GrantDead || e.Code != "" {
		t.Errorf("%+v", e)
	}
	for body, want := range map[string]time.Duration{
		`{"error":"rate_limited","retry_after":30}`: 30 * time.Second, `{"error":"rate_limited","retryAfter":"1.5"}`: 1500 * time.Millisecond,
		`{"error":"rate_limited","retry_after":1e9}`: time.Hour, `{"error":"rate_limited","retry_after":-1}`: 0,
	} {
		if e := newClient().Refused(Answer{Status: 429, Header: boxed(http.Header{}), Body: redact.New(body)}, Refusal{}); e.RetryAfter != want {
			t.Errorf("%s: %s", body, e.RetryAfter)
		}
	}
}

// The table has each word once, in the form in which it is matched, with its source, and
// every hint consists of whole sentences.
func TestEveryRecognizedWordHasItsSource(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range codeWords {
		if seen[w.code] || word(w.code) != w.code || w.source == "" || w.means == meansNothing {
			t.Errorf("code %+v", w)
		}
		if w.hint != "" && !strings.HasSuffix(w.hint, ".") {
			t.Errorf("%s: hint %q", w.code, w.hint)
		}
		seen[w.code] = true
	}
	for _, w := range textWords {
		if seen[w.part] || plain(w.part) != strings.TrimSpace(w.part) || w.source == "" {
			t.Errorf("text %+v: %q", w, plain(w.part))
		}
		if w.hint != "" && !strings.HasSuffix(w.hint, ".") {
			t.Errorf("%s: hint %q", w.part, w.hint)
		}
		seen[w.part] = true
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"BAD_REFRESH_TOKEN", "invalidGrant", "Rate limit exceeded: access_token not expired", " ÄÖ-ü ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := plain(s)
		if plain(once) != once || strings.Contains(once, "  ") || strings.TrimSpace(once) != once {
			t.Errorf("%q: %q, then %q", s, once, plain(once))
		}
	})
}
