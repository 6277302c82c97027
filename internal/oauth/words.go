package oauth

import (
	"slices"

	"evertoken/internal/lazyregexp"
)

// meaning is the subject of a refusal's word.
type meaning int

const (
	// meansNothing: the text only improves the hint.
	meansNothing meaning = iota
	// meansGrant: what the grant sent, of any kind.
	meansGrant
	// meansToken: the refresh token, or the provider's session behind it.
	meansToken
	// meansClient: the client.
	meansClient
	// meansPassword: the user or the password.
	meansPassword
	// meansThrottled: the provider asks for fewer or later requests.
	meansThrottled
	// meansPassing: a temporary fault.
	meansPassing
	// meansSettings: only a change of the connection helps.
	meansSettings
)

// codeWord is an error code, in the form of [word].
type codeWord struct {
	code   string
	means  meaning
	hint   string // empty for the hint of the meaning
	source string
}

// textWord is part of an error's text, in the form of [plain]. Texts are matched but never
// passed on, because they may repeat what was sent.
type textWord struct {
	part   string
	means  meaning
	hint   string
	source string
}

// codeWords are the known error codes, one per line, each with the source that reports it.
var codeWords = []codeWord{
	{"invalid_grant", meansGrant, "", "RFC 6749 section 5.2"},

	{"bad_refresh_token", meansToken, "",
		"GitHub's documentation; HubSpot: HGData/mk-node-hubspot#64"},
	{"invalid_refresh_token", meansToken, "", "Slack: slackapi/python-slack-sdk#1242"},
	{"expired_refresh_token", meansToken, "", "Webex, Basecamp's Launchpad"},
	{"refresh_token_expired", meansToken, "", "SmartThings, Procore"},
	{"refresh_token_invalid", meansToken, "", "Lark's errors 20026, 20037"},
	{"refresh_token_revoked", meansToken, "", "Lark's error 20064"},
	{"refresh_token_reused", meansToken, hintReused, "Ory, Auth0's log types"},
	{"refresh_token_not_found", meansToken, "", "supabase/auth, errorcode.go"},
	{"refresh_token_already_used", meansToken, hintReused, "supabase/auth, errorcode.go"},
	{"session_not_found", meansToken, "", "supabase/auth, errorcode.go"},
	{"session_expired", meansToken, hintSessionEnded, "supabase/auth, errorcode.go"},
	{"invalid_session", meansToken, hintSessionEnded, "Salesforce: INVALID_SESSION_ID"},
	{"invalid_session_id", meansToken, hintSessionEnded, "Salesforce's API errors"},
	{"invalid_code", meansToken, "", "Zoho: schmorrison/Zoho#18"},
	{"invalid_token", meansToken, "", "RFC 6750 section 3.1, answered by token endpoints too"},
	{"expired_token", meansToken, "", "RFC 8628 section 3.5"},
	{"token_expired", meansToken, "", "Slack's oauth.v2.access"},
	{"token_revoked", meansToken, "", "Slack's oauth.v2.access"},
	{"token_inactive", meansToken, "", "Hydra: token_inactive"},
	{"token_not_found", meansToken, "", "django-oauth-toolkit's forks"},
	{"inactive_token", meansToken, "", "Fosite: ErrInactiveToken"},
	{"bad_token", meansToken, "", "Entra's suberror"},
	{"invalid_rapt", meansToken,
		"The user must log in again: the organisation limits the length of Google sessions. " +
			storeNew + " To end this, have the administrator exempt the app from that limit.",
		"Google's error_subtype"},
	{"invalid_access_token", meansToken, "", "TikTok, Lark"},
	{"access_token_revoked", meansToken, "", "Xero, Square"},
	{"account_inactive", meansToken,
		"The user or the workspace is disabled: have it enabled. " + logInAgain,
		"Slack's oauth.v2.access"},
	{"consent_required", meansToken, hintConsent, "Entra, OpenID Connect Core section 3.1.2.6"},
	{"interaction_required", meansToken,
		"The user must log in again: the provider wants a second factor or a new consent. " +
			storeNew,
		"Entra, OpenID Connect Core section 3.1.2.6"},
	{"login_required", meansToken, "The user must log in again. " + storeNew,
		"OpenID Connect Core section 3.1.2.6"},
	{"admin_policy_enforced", meansToken,
		"The organisation's policy bars this client: its administrator must allow it.", "Google"},
	{"inactive_user", meansToken, hintUserDisabled, "Salesforce"},
	{"inactive_org", meansToken,
		"The organisation is disabled: ask its administrator, or the provider, to enable it.",
		"Salesforce"},
	{"oauth_app_blocked", meansToken,
		"An administrator has blocked the app: unblock it, then log in again.", "Salesforce"},
	{"mfa_required", meansPassword,
		"The provider wants a second factor, which no function can give: take the factor off " +
			"this user, or use another grant.",
		"Auth0"},
	{"e0000011", meansToken, "", "Okta's error codes"},

	{"invalid_client", meansClient, "", "RFC 6749 section 5.2"},
	{"unauthorized_client", meansClient, "", "RFC 6749 section 5.2"},
	{"deleted_client", meansClient, hintDeletedClient, "Google"},
	{"disabled_client", meansClient, hintDeletedClient, "Google"},
	{"client_disabled", meansClient, hintDeletedClient, "ForgeRock, Curity"},
	{"client_not_found", meansClient, hintDeletedClient, "UAA and its forks"},
	{"unknown_client", meansClient, hintDeletedClient, "Connect2id"},
	{"invalid_client_id", meansClient, "", "Slack's oauth.v2.access; Salesforce"},
	{"invalid_client_secret", meansClient, "", "Zoho"},
	{"bad_client_secret", meansClient, "", "Slack's oauth.v2.access"},
	{"bad_client_credentials", meansClient, "", "Withings, old Spring"},
	{"invalid_client_credentials", meansClient, "", "Salesforce: invalid_client_credentials"},
	{"incorrect_client_credentials", meansClient, "", "GitHub's documentation"},
	{"application_suspended", meansClient, hintDeletedClient, "GitHub's documentation"},
	{"app_disabled", meansClient, hintDeletedClient, "Atlassian, Shopify"},
	{"wrong_client", meansClient, "", "Bitrix24: WRONG_CLIENT"},
	{"app_not_installed", meansClient,
		"The app is no longer installed in the account: install it again there, and store what " +
			"that yields.",
		"Shopify, Slack"},
	{"e0000004", meansClient, "", "Okta's error codes: authentication failed"},

	{"invalid_user_credentials", meansPassword, "", "Keycloak's event"},
	{"invalid_credentials", meansPassword, "", "League's OAuth 2 server; Laravel Passport"},
	{"bad_credentials", meansPassword, "", "Spring Security"},
	{"invalid_login", meansPassword, "", "Salesforce's SOAP login"},
	{"invalid_password", meansPassword, "", "Firebase: INVALID_PASSWORD"},
	{"invalid_login_credentials", meansPassword, "", "Firebase: INVALID_LOGIN_CREDENTIALS"},
	{"wrong_password", meansPassword, "", "hand-made servers"},
	{"invalid_user_password", meansPassword, "", "Auth0"},
	{"authentication_failed", meansPassword, "", "hand-made servers"},
	{"account_locked", meansPassword, hintLocked, "UAA, ForgeRock"},
	{"user_locked", meansPassword, hintLocked, "hand-made servers"},
	{"too_many_attempts", meansPassword, hintLocked, "Auth0: the user is blocked"},
	{"account_disabled", meansPassword, hintUserDisabled, "Keycloak's event"},
	{"user_disabled", meansPassword, hintUserDisabled, "Firebase: USER_DISABLED"},
	{"user_not_found", meansPassword, "", "Firebase: USER_NOT_FOUND"},

	{"too_many_requests", meansThrottled, "", "RFC 6585 section 4 as a word; Goa"},
	{"rate_limited", meansThrottled, "", "Slack, Notion"},
	{"ratelimited", meansThrottled, "", "Slack"},
	{"rate_limit", meansThrottled, "", "Spotify's and others' type"},
	{"rate_limit_exceeded", meansThrottled, "", "Google, HubSpot: RATE_LIMIT"},
	{"rate_limits", meansThrottled, "", "HubSpot's category RATE_LIMITS"},
	{"slow_down", meansThrottled, "", "RFC 8628 section 3.5"},
	{"throttled", meansThrottled, "", "django-rest-framework"},
	{"quota_exceeded", meansThrottled, "", "Google's reasons"},
	{"resource_exhausted", meansThrottled, "", "Google's status"},
	{"request_limit_exceeded", meansThrottled, "", "Salesforce: REQUEST_LIMIT_EXCEEDED"},
	{"over_limit", meansThrottled, "", "OpenStack Keystone"},
	{"rate_limit_reached", meansThrottled, "", "hand-made servers"},
	{"e0000047", meansThrottled, "", "Okta's error codes: rate limit"},

	{"server_error", meansPassing, "", "RFC 6749 section 4.1.2.1"},
	{"temporarily_unavailable", meansPassing, "", "RFC 6749 section 4.1.2.1"},
	{"unknown_error", meansPassing, "", "Salesforce: 'retry your request'"},
	{"internal_error", meansPassing, "", "Slack, Goa"},
	{"internal_server_error", meansPassing, "", "hand-made servers"},
	{"fatal_error", meansPassing, "", "Slack"},
	{"service_unavailable", meansPassing, "", "Slack"},
	{"unavailable", meansPassing, "", "Google's status"},
	{"bad_gateway", meansPassing, "", "Goa"},
	{"lock_timeout", meansPassing, "", "Xero, NetSuite"},
	{"concurrent_request", meansPassing, "", "Zoom, Procore"},
	{"try_again", meansPassing, "", "hand-made servers"},
	{"try_again_later", meansPassing, "", "hand-made servers"},
	{"request_timeout", meansPassing, "", "hand-made servers"},
	{"request_already_being_processed", meansPassing, "", "Intuit"},

	{"invalid_request", meansSettings, hintMissing, "RFC 6749 section 5.2"},
	{"unsupported_grant_type", meansSettings, hintNoSuchGrant, "RFC 6749 section 5.2"},
	{"invalid_grant_type", meansSettings, hintNoSuchGrant, "Slack's oauth.v2.access"},
	{"invalid_scope", meansSettings, hintScope, "RFC 6749 section 5.2"},
	{"bad_scope", meansSettings, hintScope, "Zoho"},
	{"insufficient_scope", meansSettings, hintScope, "RFC 6750 section 3.1"},
	{"invalid_target", meansSettings,
		"The provider does not know the resource or audience: check the settings, above all " +
			"settings.resource and settings.audience.",
		"RFC 8707 section 2"},
	{"invalid_resource", meansSettings,
		"The provider does not know the resource: check the settings, above all settings.resource.",
		"Entra"},
	{"access_denied", meansSettings,
		"The provider denies access: check that the client, the user and the realm are enabled.",
		"RFC 6749 section 4.1.2.1; Keycloak for a disabled realm"},
	{"forbidden", meansSettings,
		"The provider forbids this: check the rights of the user or client, and which addresses " +
			"may use it.",
		"RFC 9110 section 15.5.4 as a word; Goa"},
	{"invalid_dpop_proof", meansSettings, hintDPoP, "RFC 9449 section 5"},
	{"use_dpop_nonce", meansSettings, hintDPoP, "RFC 9449 section 8"},
	{"invalid_redirect_uri", meansSettings,
		"The provider wants the redirect_uri of the login: set it in settings.extra.",
		"Slack, Zoho"},
	{"redirect_uri_mismatch", meansSettings,
		"The provider wants the redirect_uri of the login: set it in settings.extra.",
		"Google, GitHub"},
}

// passingTexts say that a fault is temporary. Servers also send them with a refused
// password, so they count only if no password was sent, and after everything else.
var passingTexts = []string{
	"try again later", "please try again", "try again after", "try again in", "please retry",
	"retry later", "temporarily", "timed out", "timeout", "unavailable", "internal server error",
	"internal error", "maintenance", "overloaded", "is busy", "upstream connect error",
	"upstream request", "limit exceeded", "limit reached",
}

// vagueCodes say that something went wrong. With a 401, or to a password, they
// may mean any refusal: ServiceNow answers a wrong password with 401
// server_error.
var vagueCodes = map[string]bool{
	"server_error": true, "unknown_error": true, "internal_error": true,
	"internal_server_error": true, "fatal_error": true,
}

// These match texts that say that a refresh token is dead: the token and what is wrong with
// it, in either order.
var (
	deadRefreshToken = lazyregexp.New(`\brefresh tokens?\b.{0,60}?\b(` + deadWords + `)\b|\b(` +
		deadWords + `)\b.{0,30}?\brefresh tokens?\b`)
	deadToken = lazyregexp.New(
		`\b(token|session|grant|authorization|login|consent|installation|connection)\b` +
			`.{0,24}?\b(` + deadWords + `)\b|` +
			`\b(` + deadWords + `)\b (\w+ ){0,2}?(token|session|grant)\b`)
	// The text is about the form of the request, not the token.
	notDeadToken = lazyregexp.New(`\bgrant type|` +
		`\b(missing|required|must be (given|provided|present|set))\b|` +
		`\b(header|endpoint|assertion|audience|signature)\b`)
)

// deadUser matches texts that refuse a user or what the user authenticates with.
var deadUser = lazyregexp.New(
	`\b(` + userWords + `)\b.{0,40}?\b(` + deadWords + `)\b|` +
		`\b(` + deadWords + `)\b (\w+ ){0,2}?(` + userWords + `)\b`)

const userWords = `user ?name|user|password|passwd|login|account|credentials?`

// deadClient matches texts that refuse a client or what the client authenticates with.
var deadClient = lazyregexp.New(
	`\b(api ?key|client( id| secret)?|secret|credentials?|application|` +
		`app( ?(id|secret|key))?|service account|developer|consumer( key)?|` +
		`access licen[cs]e|certificate)\b.{0,40}?\b(` + deadWords + `)\b|` +
		`\b(` + deadWords + `)\b (\w+ ){0,2}?(api ?key|client|secret|credentials?|application|` +
		`app ?(id|secret|key)|service account|developer|consumer|access licen[cs]e|certificate)\b`)

const deadWords = `invalid|incorrect|expired?|expires|revoked|not valid|not found|unknown|` +
	`unrecogni[sz]ed|no longer|already used|already been used|used already|been used|reused?|` +
	`bad|malformed|inactive|not active|blacklisted|denylisted|blocked|consumed|rejected|` +
	`refused|wrong|rotated|stale|old|does not exist|doesn t exist|do not exist|not exist|` +
	`ended|terminated|deleted|removed|mismatch|not match|don t match|unable to find|` +
	`unable to verify|cannot be (found|verified|used)|` +
	`could not be (found|verified|validated|decoded|decrypted)|failed|has been used|` +
	`not recogni[sz]ed|not authorized|no such|disabled|suspended|deactivated`

var codesByWord = func() map[string]codeWord {
	out := map[string]codeWord{}
	for _, w := range codeWords {
		out[w.code] = w
	}
	return out
}()

// saysDead reports whether a text says that a refresh token is dead. If surely is set, the
// text must name the refresh token itself.
func saysDead(texts []string, surely bool) bool {
	return slices.ContainsFunc(texts, func(s string) bool {
		if deadRefreshToken().MatchString(s) {
			return true
		}
		return !surely && deadToken().MatchString(s) && !notDeadToken().MatchString(s)
	})
}
