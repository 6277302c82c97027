package oauth

const (
	hintHTML = "Something other than a token endpoint answered: " +
		"check the URL, and any proxy or firewall on the way to it."
	hintDeletedClient = "The provider no longer knows the client, or has disabled it: " +
		"register or enable the client, and store its credential. " +
		"A new refresh token for this client does not help."
	hintDeadToken = "The refresh token is expired, revoked or already used: " +
		"log in again at the provider and store the new refresh token."
	hintReused = "The refresh token was used before: something else uses it too, " +
		"or an answer was lost. Log in again, store the new refresh token, " +
		"and let nothing else use it."
	hintSessionEnded = "The user's session has ended. " + logInAgain
	hintOlder        = "The refresh token is an older one, or all tokens were revoked by a " +
		"not-before date. " + logInAgain
	logInAgain  = "Log in again at the provider and store the new refresh token."
	storeNew    = "Store the new refresh token."
	hintExpired = "The refresh token has expired: it was not used in time, " +
		"or its session has reached its end. " + logInAgain
	hintUnused       = "The refresh token has expired: it was not used in time. " + logInAgain
	hintFactor       = "The user must log in again: the provider wants a second factor. " + storeNew
	hintConsent      = "The user's consent to this client is gone: it must be given again. " + logInAgain
	hintUserDisabled = "The user is disabled: enable the user at the provider, " +
		"or store the credential of another user."
	hintLocked = "The user name or the password is wrong, or the user is locked: " +
		"unlock the user at the provider before you try again."
	hintAssertionTime = "The provider finds the assertion's times wrong: its clock and the " +
		"function's clock differ, or it accepts only assertions of another lifetime. " +
		"Set settings.assertion_life to the lifetime that the provider documents."
	hintAudience = "The provider wants another audience in the assertion: " +
		"set settings.assertion_audience to the issuer or to the token endpoint, " +
		"as the provider's documentation says."
	hintSessions = "The user has as many sessions as the provider allows: " +
		"end some there, or raise the limit. The password is not refused."
	hintTooEarly = "The provider gives no new token this long before the old one expires. " +
		"Evertoken asks again closer to that time, and you need to do nothing."
	hintMissing = "The request lacks a parameter, or has one that the provider does not know: " +
		"check the settings against the provider's documentation."
	hintRefused = "The provider refuses the refresh token for this client: it is expired, " +
		"revoked or already used. Log in again and store the new one. " +
		"Only if that is refused too, check that the client may use the refresh_token grant."
	hintGrant = "The provider refuses what the credential holds: " +
		"check that each member is whole and belongs to this provider. " +
		"For an assertion, also check its subject, its audience, and that its key is registered."
	hintNoSuchGrant = "The provider does not support this grant: " +
		"check the URL and the settings, above all settings.grant."
	hintScope = "The provider does not grant the scope: check the settings, above all " +
		"settings.scope, or have the user or an administrator consent to it."
	hintUnknown = "The provider refuses the request with a code that Evertoken does not know: " +
		"look it up in the provider's documentation."
	hintGrantNotAllowed = "The client may not use this grant: allow the grant at the provider, " +
		"or set settings.grant to one that the client may use."
	hintBasic = "The provider wants the client's id and secret by HTTP Basic: " +
		"set settings.client_auth to client_secret_basic."
	hintAddress = "The provider does not accept requests from the functions' address: " +
		"give the functions a fixed address (docs/providers.md), and add it to the provider's list."
	hintDPoP = "The provider wants tokens bound to a key (DPoP), which Evertoken does " +
		"not support: switch DPoP off for this client."
	hintWall = "Something in front of the token endpoint, such as a firewall, " +
		"blocks the request: check which addresses may call the provider."
)

// clientHint says what to check after the provider refused the client, given the setting
// that says how the client authenticates.
func clientHint(r Refusal) string {
	const general = "The provider refuses the client: check the client id, its secret or key, " +
		"and that this grant is allowed for it."
	switch r.ClientAuth {
	case "":
		return general
	case "private_key_jwt":
		return "The provider refuses the client: check client_id, private_key and key_id, " +
			"and that the key is registered for this client. " +
			"settings.client_auth is private_key_jwt: " +
			"the method registered for the client must be the same. " +
			"Some servers want their issuer as the assertion's audience: " +
			"settings.assertion_audience sets it."
	case "client_secret_basic":
		if r.encoded {
			return "The provider refuses the client: check client_id and client_secret. " +
				"settings.client_auth is client_secret_basic, and the secret or id has " +
				"characters that are form-encoded in its header, which some servers do not " +
				"decode: set settings.client_auth to client_secret_basic_raw or client_secret_post."
		}
		return "The provider refuses the client: check client_id and client_secret. " +
			"settings.client_auth is client_secret_basic: " +
			"if another method is registered for the client, set that, " +
			"most likely client_secret_post."
	case "client_secret_post":
		return "The provider refuses the client: check client_id and client_secret. " +
			"settings.client_auth is client_secret_post: " +
			"if another method is registered for the client, set that, " +
			"most likely client_secret_basic."
	case "none":
		return "The provider refuses the client: check client_id. settings.client_auth is none: " +
			"if the client has a secret, store it and set settings.client_auth to " +
			"client_secret_post or client_secret_basic."
	}
	return "The provider refuses the client: check the client id, its secret, " +
		"key or certificate. settings.client_auth is " + r.ClientAuth +
		": the method registered for the client must be the same."
}
