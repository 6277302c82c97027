package oauth

import (
	"slices"

	"evertoken/internal/lazyregexp"
)

// meaning is what a refusal's word is about.
type meaning int

const (
	// meansNothing is a text that only makes the hint better.
	meansNothing meaning = iota
	// meansGrant is what was sent for the grant, whatever that is.
	meansGrant
	// meansToken is the refresh token, or the session behind it.
	meansToken
	// meansClient is the client.
	meansClient
	// meansPassword is the user, or the password.
	meansPassword
	// meansThrottled asks for fewer requests, or later ones.
	meansThrottled
	// meansPassing is a fault that goes by itself.
	meansPassing
	// meansSettings is something that only a change of the connection mends.
	meansSettings
)

// codeWord is an error code, in the form of [word].
type codeWord struct {
	code   string
	means  meaning
	hint   string // empty: that of its meaning
	source string
}

// textWord is a part of an error's text, in the form of [plain]. Texts are
// matched, never passed on: they may repeat what was sent.
type textWord struct {
	part   string
	means  meaning
	hint   string
	source string
}

// The words of refusal. One more report is one more line.
var codeWords = []codeWord{
	{"invalid_grant", meansGrant, "", "RFC 6749 section 5.2"},

	{"bad_refresh_token", meansToken, "", "GitHub's documentation; HubSpot: HGData/mk-node-hubspot#64"},
	{"invalid_refresh_token", meansToken, "", "Slack: slackapi/python-slack-sdk#1242"},
	{"expired_refresh_token", meansToken, "", "Webex, Basecamp's Launchpad"},
	{"refresh_token_expired", meansToken, "", "SmartThings, Procore"},
	{"refresh_token_invalid", meansToken, "", "Lark's errors 20026, 20037"},
	{"refresh_token_revoked", meansToken, "", "Lark's error 20064"},
	{"refresh_token_reused", meansToken, "The refresh token was used before: something else uses it too, or an answer was lost.", "Ory, Auth0's log types"},
	{"refresh_token_not_found", meansToken, "", "supabase/auth, errorcode.go"},
	{"refresh_token_already_used", meansToken, "The refresh token was used before: something else uses it too, or an answer was lost.", "supabase/auth, errorcode.go"},
	{"session_not_found", meansToken, "", "supabase/auth, errorcode.go"},
	{"session_expired", meansToken, "The user's session has ended.", "supabase/auth, errorcode.go"},
	{"invalid_session", meansToken, "The user's session has ended.", "Salesforce: INVALID_SESSION_ID"},
	{"invalid_session_id", meansToken, "The user's session has ended.", "Salesforce's API errors"},
	{"invalid_code", meansToken, "", "Zoho: schmorrison/Zoho#18"},
	{"invalid_token", meansToken, "", "RFC 6750 section 3.1, answered by token endpoints too"},
	{"expired_token", meansToken, "", "RFC 8628 section 3.5"},
	{"token_expired", meansToken, "", "Slack's oauth.v2.access"},
	{"token_revoked", meansToken, "", "Slack's oauth.v2.access"},
	{"token_inactive", meansToken, "", "Hydra: token_inactive"},
	{"token_not_found", meansToken, "", "django-oauth-toolkit's forks"},
	{"inactive_token", meansToken, "", "Fosite: ErrInactiveToken"},
	{"bad_token", meansToken, "", "Entra's suberror"},
	{"invalid_rapt", meansToken, "The user must log in again: the organisation limits the length of Google sessions.", "Google's error_subtype"},
	{"invalid_access_token", meansToken, "", "TikTok, Lark"},
	{"access_token_revoked", meansToken, "", "Xero, Square"},
	{"account_inactive", meansToken, "The user or the workspace is disabled.", "Slack's oauth.v2.access"},
	{"consent_required", meansToken, "The user's consent to this client is gone: it must be given again.", "Entra, OpenID Connect Core section 3.1.2.6"},
	{"interaction_required", meansToken, "The user must log in again: the provider wants a second factor or a new consent.", "Entra, OpenID Connect Core section 3.1.2.6"},
	{"login_required", meansToken, "The user must log in again.", "OpenID Connect Core section 3.1.2.6"},
	{"mfa_required", meansPassword, "The provider wants a second factor, which no function can give: take the factor off this user, or use another grant.", "Auth0"},
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
	{"app_not_installed", meansClient, "The app is no longer installed in the account: install it again there, and store what that yields.", "Shopify, Slack"},
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
	{"account_disabled", meansPassword, "The user is disabled.", "Keycloak's event"},
	{"user_disabled", meansPassword, "The user is disabled.", "Firebase: USER_DISABLED"},
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
	{"unsupported_grant_type", meansSettings, "The provider does not have this grant: check the URL and the settings.", "RFC 6749 section 5.2"},
	{"invalid_grant_type", meansSettings, "The provider does not have this grant: check the URL and the settings.", "Slack's oauth.v2.access"},
	{"invalid_scope", meansSettings, "The provider does not grant the scope: check the settings, or the consent of the user.", "RFC 6749 section 5.2"},
	{"bad_scope", meansSettings, "The provider does not grant the scope: check the settings.", "Zoho"},
	{"insufficient_scope", meansSettings, "The provider does not grant the scope: check the settings.", "RFC 6750 section 3.1"},
	{"invalid_target", meansSettings, "The provider does not know the resource or audience: check the settings.", "RFC 8707 section 2"},
	{"invalid_resource", meansSettings, "The provider does not know the resource: check the settings.", "Entra"},
	{"access_denied", meansSettings, "The provider denies access: check that the client, the user and the realm are enabled.", "RFC 6749 section 4.1.2.1; Keycloak for a disabled realm"},
	{"forbidden", meansSettings, "The provider forbids this: check the rights of the user or client, and from which addresses it may be used.", "RFC 9110 section 15.5.4 as a word; Goa"},
	{"invalid_redirect_uri", meansSettings, "The provider wants the redirect_uri of the login: set it in settings.extra.", "Slack, Zoho"},
	{"redirect_uri_mismatch", meansSettings, "The provider wants the redirect_uri of the login: set it in settings.extra.", "Google, GitHub"},
}

// Texts are looked for in this order.
var textWords = []textWord{
	// Passing, and said so that nothing else can be meant.
	{"too many requests", meansThrottled, "", "Zoho: 'You have made too many requests continuously'"},
	{"too many calls", meansThrottled, "", "Lark, WeChat"},
	{"rate limit", meansThrottled, "", "Exact Online, Cloudflare, GitHub"},
	{"ratelimit", meansThrottled, "", "hand-made servers"},
	{"rate exceeded", meansThrottled, "", "Salesforce: 'login rate exceeded'; AWS"},
	{"request limit", meansThrottled, "", "Salesforce"},
	{"throttl", meansThrottled, "", "django-rest-framework: 'Request was throttled'"},
	{"quota exceeded", meansThrottled, "", "Google"},
	{"slow down", meansThrottled, "", "RFC 8628"},
	{"too frequent", meansThrottled, "", "Lark, Douyin"},
	{"frequency limit", meansThrottled, "", "Lark: 'request trigger frequency limit'"},
	{"too soon", meansThrottled, hintTooEarly, "hand-made servers"},
	{"please wait", meansThrottled, "", "hand-made servers"},
	{"too early", meansThrottled, hintTooEarly, "Exact Online"},
	{"token not expired", meansThrottled, hintTooEarly, "Exact Online: 'access_token not expired'"},
	{"not yet expired", meansThrottled, hintTooEarly, "hand-made servers"},
	{"has not expired", meansThrottled, hintTooEarly, "hand-made servers"},
	{"token is still valid", meansThrottled, hintTooEarly, "hand-made servers"},
	{"error 1015", meansThrottled, "", "Cloudflare's page: you are being rate limited"},
	{"error code 1015", meansThrottled, "", "Cloudflare's text"},
	{"already being processed", meansPassing, "", "Intuit, Xero"},
	{"already in progress", meansPassing, "", "hand-made servers"},
	{"currently being processed", meansPassing, "", "hand-made servers"},
	{"being used by another", meansPassing, "", "Procore"},
	{"concurrent request", meansPassing, "", "Zoom"},
	{"too many sessions", meansPassing, hintSessions, "Keycloak: 'There are too many sessions'"},
	{"session limit", meansPassing, hintSessions, "Keycloak's user session limits"},
	{"sessions limit", meansPassing, hintSessions, "hand-made servers"},
	{"number of sessions", meansPassing, hintSessions, "Oracle, SAP: 'maximum number of sessions'"},
	{"concurrent sessions", meansPassing, hintSessions, "hand-made servers"},
	{"retry your request", meansPassing, "", "Salesforce: unknown_error"},
	{"deadlock", meansPassing, "", "laravel/passport, doorkeeper"},

	// Keycloak's, services/src/main/java/org/keycloak/protocol/oidc:
	// grants/RefreshTokenGrantType.java, TokenManager.java,
	// grants/ResourceOwnerPasswordCredentialsGrantType.java.
	{"token is not active", meansToken, "The refresh token has expired: it was not used in time, or its session has reached its end.", "Keycloak"},
	{"refresh token expired", meansToken, "The refresh token has expired: it was not used in time, or its session has reached its end.", "Keycloak"},
	{"offline session not active", meansToken, "The user's offline session has ended: by logout, by time or by a restart of the server.", "Keycloak"},
	{"offline user session not found", meansToken, "The user's offline session has ended: by logout, by time or by a restart of the server.", "Keycloak"},
	{"session not active", meansToken, "The user's session has ended: by logout, by time or by a restart of the server.", "Keycloak"},
	{"session doesn t have required client", meansToken, "The session no longer knows this client: a refresh token was used twice or revoked.", "Keycloak"},
	{"stale token", meansToken, "The refresh token is an older one, or all tokens were revoked by a not-before date.", "Keycloak"},
	{"stale refresh token", meansToken, "The refresh token is an older one, or all tokens were revoked by a not-before date.", "Keycloak"},
	{"refresh token reuse exceeded", meansToken, "The refresh token was used before: something else uses it too, or an answer was lost.", "Keycloak"},
	{"user disabled", meansPassword, "The user is disabled.", "Keycloak"},
	{"account disabled", meansPassword, "The user is disabled.", "Keycloak"},
	{"account is not fully set up", meansPassword, "The user must do something first: change the password, set up a second factor or accept terms. Log in as that user.", "Keycloak"},
	{"invalid user credentials", meansPassword, "The user name or the password is wrong, or the user is locked for a while: a locked user gets the same answer.", "Keycloak"},
	{"token client and authorized client don t match", meansToken, "The refresh token belongs to another client: check client_id.", "Keycloak"},
	{"unmatching clients", meansToken, "The refresh token belongs to another client: check client_id.", "Keycloak"},
	{"refresh token issued before", meansToken, "The user's session was opened anew after this refresh token.", "Keycloak"},
	{"refresh toked issued before", meansToken, "The user's session was opened anew after this refresh token.", "Keycloak"},
	{"not allowed for direct access grants", meansSettings, "The password grant is switched off for this client: the provider must allow direct access grants.", "Keycloak"},
	{"no longer has requested consent", meansToken, "The user's consent to this client is gone: it must be given again.", "Keycloak"},
	{"client requires user consent", meansSettings, "This client asks users for consent, which the password grant cannot give.", "Keycloak"},
	{"https required", meansSettings, "The realm wants https.", "Keycloak"},
	{"realm not enabled", meansSettings, "The realm is disabled.", "Keycloak"},
	{"realm does not exist", meansSettings, "There is no such realm: check the URL.", "Keycloak"},
	{"missing parameter", meansSettings, hintMissing, "Keycloak: 'Missing parameter: username'"},
	{"missing required", meansSettings, hintMissing, "Hydra, Authlib, Zoom"},
	{"required parameter", meansSettings, hintMissing, "Salesforce, Google"},
	{"parameter is missing", meansSettings, hintMissing, "League: 'The request is missing a required parameter'"},
	{"missing form parameter", meansSettings, "The provider misses a parameter, or does not read this form of request: check the settings.", "Keycloak"},
	{"requires an active refresh token", meansToken, hintDeadToken, "Shopify: 'This request requires an active refresh_token'"},
	{"invalid refresh token", meansToken, "The refresh token is expired, revoked or already used; or, with Keycloak, it is not one of this realm.", "Keycloak, Spring, SAP Commerce, Twitch"},
	// https://github.com/okta/okta-react-native/issues/109
	{"the refresh token is invalid or expired", meansToken, "", "Okta"},

	// Entra's: learn.microsoft.com/entra/identity-platform/reference-error-codes.
	{"aadsts7000215", meansClient, "The client's secret is wrong: store its value, not its id.", "Entra"},
	{"aadsts7000222", meansClient, "The client's secret has expired: make a new one and store it.", "Entra"},
	{"aadsts700016", meansClient, "There is no such application in this tenant: check client_id and the tenant in the URL.", "Entra"},
	{"aadsts700027", meansClient, "The provider does not know the certificate or the signature of the assertion: store the certificate in the credential's member certificate, and register it.", "Entra"},
	{"aadsts700024", meansClient, hintAssertionTime, "Entra"},
	{"aadsts7000112", meansClient, hintDeletedClient, "Entra"},
	{"aadsts700082", meansToken, "The refresh token has expired: it was not used in time.", "Entra"},
	{"aadsts70008", meansToken, "The refresh token has expired: it was not used in time.", "Entra"},
	{"aadsts700084", meansToken, "The refresh token has expired: those of single-page apps live 24 hours.", "Entra"},
	{"aadsts50173", meansToken, "The refresh token was revoked: the user's password was changed or reset.", "Entra"},
	{"aadsts50078", meansToken, "The user must log in again: the second factor is due.", "Entra"},
	{"aadsts50076", meansToken, "The user must log in again: the provider wants a second factor.", "Entra"},
	{"aadsts50079", meansToken, "The user must log in again: the provider wants a second factor.", "Entra"},
	{"aadsts65001", meansToken, "The user or an administrator must consent to the application.", "Entra"},
	{"aadsts50126", meansPassword, "", "Entra"},
	{"aadsts50053", meansPassword, hintLocked, "Entra"},
	{"aadsts50055", meansPassword, "The user's password has expired: set a new one and store it.", "Entra"},
	{"aadsts50057", meansPassword, "The user is disabled.", "Entra"},
	{"aadsts90002", meansSettings, "There is no such tenant: check the URL.", "Entra"},

	// Assertions.
	{"assertion is expired", meansNothing, hintAssertionTime, "Fosite, Spring, Authlib"},
	{"assertion has expired", meansNothing, hintAssertionTime, "Fosite, Spring, Authlib"},
	{"assertion expired", meansNothing, hintAssertionTime, "hand-made servers"},
	{"expired assertion", meansNothing, hintAssertionTime, "Box, hand-made servers"},
	{"assertion is not within its valid time range", meansNothing, hintAssertionTime, "Entra's text"},
	{"short lived token", meansNothing, hintAssertionTime, "Google: 'Token must be a short-lived token (60 minutes)'"},
	{"exp claim", meansNothing, hintAssertionTime, "Box, Okta: 'Please check the exp claim'"},
	{"iat claim", meansNothing, hintAssertionTime, "Box, Okta"},
	{"audience", meansNothing, hintAudience, "Hydra, Okta: 'claim aud'; Spring"},
	{"aud claim", meansNothing, hintAudience, "Hydra, Okta, Box"},
	{"claim aud", meansNothing, hintAudience, "Hydra, Okta, Box"},
	{"invalid jwt signature", meansNothing, "The signature of the assertion does not fit: the private_key is another than the one registered, or key_id names another.", "Google"},
	{"user hasn t approved this consumer", meansNothing, "The user must approve the app first: log in once by its authorisation page, or let an administrator approve it for users.", "Salesforce"},
	{"user hasn t approved", meansNothing, "The user must approve the app first: log in once by its authorisation page, or let an administrator approve it for users.", "Salesforce"},
	{"authentication failure", meansPassword, "The user name, the password or its security token is wrong, or the user is locked: a locked user gets the same answer.", "Salesforce"},

	// The client, in words.
	{"client was deleted", meansClient, hintDeletedClient, "Google: 'The OAuth client was deleted.'"},
	{"client was not found", meansClient, hintDeletedClient, "Google: 'The OAuth client was not found.'"},
	{"client not found", meansClient, hintDeletedClient, "hand-made servers"},
	{"client is disabled", meansClient, hintDeletedClient, "hand-made servers"},
	{"client disabled", meansClient, hintDeletedClient, "hand-made servers"},
	{"no client with requested id", meansClient, hintDeletedClient, "UAA, Spring"},
	{"supports client authentication method", meansClient, "The provider has another method registered for this client than settings.client_auth says: set settings.client_auth to that one.", "Hydra"},
	{"invalid client", meansClient, "", "Keycloak: 'Invalid client or Invalid client credentials'"},
	{"client authentication failed", meansClient, "", "RFC 6749 section 5.2's words; Hydra, League"},
	{"bad client credentials", meansClient, "", "Spring"},
	{"client credentials are invalid", meansClient, "", "Nylas, FrontApp"},
	{"client secret is expired", meansClient, "The client's secret has expired: make a new one and store it.", "hand-made servers"},
	{"client secret has expired", meansClient, "The client's secret has expired: make a new one and store it.", "hand-made servers"},
	{"incorrect client", meansClient, "", "GitHub"},

	// The user, in words.
	{"invalid username or password", meansPassword, "", "hand-made servers"},
	{"invalid user name or password", meansPassword, "", "hand-made servers"},
	{"invalid credentials", meansPassword, "", "django-oauth-toolkit: 'Invalid credentials given.'"},
	{"bad credentials", meansPassword, "", "Spring"},
	{"wrong email or password", meansPassword, "", "Auth0"},
	{"incorrect password", meansPassword, "", "hand-made servers"},
	{"credentials are incorrect", meansPassword, "", "League: 'The user credentials were incorrect.'"},
	{"credentials were incorrect", meansPassword, "", "League"},
	{"password has expired", meansPassword, "The user's password has expired: set a new one and store it.", "Okta, hand-made servers"},
	{" locked", meansPassword, hintLocked, "UAA, ForgeRock, IdentityServer"},
	{"too many failed", meansPassword, hintLocked, "hand-made servers"},
	{"too many attempts", meansPassword, hintLocked, "hand-made servers"},
}

// What passes, in words that also stand behind a refused password: they count
// where a password was not sent, and after everything else.
var passingTexts = []string{"try again later", "please try again", "try again after", "try again in", "please retry", "retry later",
	"temporarily", "timed out", "timeout", "unavailable", "internal server error", "internal error", "maintenance", "overloaded", "is busy",
	"limit exceeded", "limit reached"}

// vagueCodes say that something went wrong. With a 401, or to a password, they
// may mean any refusal: ServiceNow answers a wrong password with 401
// server_error.
var vagueCodes = map[string]bool{"server_error": true, "unknown_error": true, "internal_error": true, "internal_server_error": true, "fatal_error": true}

// A refresh token that is dead in words: it is named with what is wrong with
// it, in either order.
var (
	deadRefreshToken = lazyregexp.New(`\brefresh tokens?\b.{0,60}?\b(` + deadWords + `)\b|\b(` + deadWords + `)\b.{0,30}?\brefresh tokens?\b`)
	deadToken        = lazyregexp.New(`\b(token|session|grant|authorization|login|consent|installation|connection)\b.{0,24}?\b(` + deadWords + `)\b|` +
		`\b(` + deadWords + `)\b (\w+ ){0,2}?(token|session|grant)\b`)
	// Not a token but how it is asked for.
	notDeadToken = lazyregexp.New(`\bgrant type|\b(missing|required|must be (given|provided|present|set))\b|\b(header|endpoint|assertion|audience|signature)\b`)
)

// deadClient is a client, or what it authenticates by, that is refused in words.
var deadClient = lazyregexp.New(`\b(api ?key|client( id| secret)?|secret|credentials?|application|app|service account|consumer( key)?|certificate)\b.{0,40}?\b(` +
	deadWords + `)\b|\b(` + deadWords + `)\b (\w+ ){0,2}?(api ?key|client|secret|credentials?|application|service account|consumer|certificate)\b`)

const deadWords = `invalid|incorrect|expired?|expires|revoked|not valid|not found|unknown|unrecogni[sz]ed|no longer|already used|already been used|` +
	`used already|been used|reused?|bad|malformed|inactive|not active|blacklisted|denylisted|blocked|consumed|rejected|refused|wrong|rotated|stale|old|` +
	`does not exist|doesn t exist|do not exist|not exist|ended|terminated|deleted|removed|mismatch|not match|don t match|unable to find|unable to verify|` +
	`cannot be (found|verified|used)|could not be (found|verified|validated|decoded|decrypted)|failed|has been used|not recogni[sz]ed|not authorized|no such`

var codesByWord = func() map[string]codeWord {
	out := map[string]codeWord{}
	for _, w := range codeWords {
		out[w.code] = w
	}
	return out
}()

// saysDead reports whether a text says that a refresh token is dead; surely
// where it names the refresh token itself.
func saysDead(texts []string, surely bool) bool {
	return slices.ContainsFunc(texts, func(s string) bool {
		if deadRefreshToken().MatchString(s) {
			return true
		}
		return !surely && deadToken().MatchString(s) && !notDeadToken().MatchString(s)
	})
}
