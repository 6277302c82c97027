package oauth

const (
	hintHTML          = "Something other than a token endpoint answered: check the URL, and what stands between."
	hintDeletedClient = "The provider no longer knows the client, or has disabled it: register a client, or enable it, and store its credential. " +
		"A new refresh token for this client does not help."
	hintDeadToken     = "The refresh token is expired, revoked or already used."
	hintLocked        = "The user name or the password is wrong, or the user is locked: unlock the user at the provider before a new try."
	hintAssertionTime = "The provider finds the assertion's times wrong: its clock and that of the function differ, " +
		"or it takes only assertions of another length (settings.assertion_life)."
	hintAudience = "The provider wants another audience in the assertion: set settings.assertion_audience, " +
		"to the issuer or to the token endpoint as the provider's documentation says."
	hintSessions = "The user has as many sessions as the provider allows: end some there, or raise the limit. The password is not refused."
	hintTooEarly = "The provider gives no new token so long before the old one ends: Evertoken asks again nearer to its end."
	hintMissing  = "The provider misses a parameter or does not know one: check the settings."
	hintRefused  = "The provider refuses the refresh token for this client: it is expired, revoked or already used. Log in anew and store the new one. " +
		"Only if that is refused too, check that the client may use the refresh_token grant."
	hintGrant           = "The provider refuses what the credential grants by: check what is stored, and where an assertion is sent its subject, audience and key."
	hintUnknown         = "The provider refuses this in words that Evertoken does not know: look the code up in the provider's documentation."
	hintGrantNotAllowed = "The client may not use this grant: allow it at the provider, or set settings.grant to one that is allowed."
	hintBasic           = "The provider wants the client's id and secret by HTTP Basic: set settings.client_auth to client_secret_basic."
	hintAddress         = "The provider does not admit the address that the functions call from: give them a fixed one (docs/providers.md), and list it there."
	hintDPoP            = "The provider wants tokens bound to a key (DPoP), which Evertoken does not do: switch that off for this client."
	hintWall            = "Something before the token endpoint blocks the request, such as a firewall or a limit: check from which addresses the provider may be called."
)

// clientHint says what to check where the provider refuses the client, by the
// setting that says how the client authenticates.
func clientHint(r Refusal) string {
	const general = "The provider refuses the client: check the client id, its secret or key, and that this grant is allowed for it."
	switch r.ClientAuth {
	case "":
		return general
	case "private_key_jwt":
		return "The provider refuses the client: check client_id, private_key and key_id, and that the key is registered for this client. " +
			"settings.client_auth is private_key_jwt: the method registered for the client must be the same. " +
			"Some servers want their issuer as the assertion's audience: settings.assertion_audience sets it."
	case "client_secret_basic":
		if r.encoded {
			return "The provider refuses the client: check client_id and client_secret. settings.client_auth is client_secret_basic, " +
				"and the secret or id has characters that are form-encoded in its header, which some servers do not decode: " +
				"set settings.client_auth to client_secret_basic_raw or client_secret_post."
		}
		return "The provider refuses the client: check client_id and client_secret. settings.client_auth is client_secret_basic: " +
			"if another method is registered for the client, set that, most likely client_secret_post."
	case "client_secret_post":
		return "The provider refuses the client: check client_id and client_secret. settings.client_auth is client_secret_post: " +
			"if another method is registered for the client, set that, most likely client_secret_basic."
	case "none":
		return "The provider refuses the client: check client_id. settings.client_auth is none: " +
			"if the client has a secret, store it and set settings.client_auth to client_secret_post or client_secret_basic."
	}
	return "The provider refuses the client: check the client id, its secret, key or certificate. settings.client_auth is " + r.ClientAuth +
		": the method registered for the client must be the same."
}
