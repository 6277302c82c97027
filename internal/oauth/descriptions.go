package oauth

import "strings"

// descriptions are texts of error_description that tell more than the code.
// They are Keycloak's (services/src/main/java/org/keycloak/protocol/oidc:
// grants/RefreshTokenGrantType.java, TokenManager.java,
// grants/ResourceOwnerPasswordCredentialsGrantType.java), compared by how they
// begin, without regard to case. A description is matched, never passed on: it
// may repeat what was sent.
var descriptions = []struct{ begins, hint string }{
	{"token is not active", "The refresh token has expired: it was not used in time, or its session has reached its end."},
	{"refresh token expired", "The refresh token has expired: it was not used in time, or its session has reached its end."},
	{"session not active", "The user's session has ended: by logout, by time or by a restart of the server."},
	{"offline session not active", "The user's offline session has ended: by logout, by time or by a restart of the server."},
	{"offline user session not found", "The user's offline session has ended: by logout, by time or by a restart of the server."},
	{"client session not active", "The user's session has ended: by logout, by time or by a restart of the server."},
	{"session doesn't have required client", "The session no longer knows this client: a refresh token was used twice or revoked."},
	{"stale", "The refresh token is an older one, or all tokens were revoked by a not-before date."},
	{"maximum allowed refresh token reuse exceeded", "The refresh token was used before: something else uses it too, or an answer was lost."},
	{"user disabled", "The user is disabled."},
	{"account disabled", "The user is disabled."},
	{"account is not fully set up", "The user must do something first: change the password, set up a second factor or accept terms. Log in as that user."},
	{"invalid user credentials", "The user name or the password is wrong, or the user is locked for a while: a locked user gets the same answer."},
	{"invalid refresh token. token client and authorized client don't match", "The refresh token belongs to another client: check client_id."},
	{"unmatching clients", "The refresh token belongs to another client: check client_id."},
	{"invalid refresh token", "The refresh token is not one of this realm: check the URL, or its keys were replaced."},
	{"refresh token issued before", "The user's session was opened anew after this refresh token."},
	{"refresh toked issued before", "The user's session was opened anew after this refresh token."},
	{"client not allowed for direct access grants", "The password grant is switched off for this client: the provider must allow direct access grants."},
	{"client no longer has requested consent", "The user's consent to this client is gone: it must be given again."},
	{"client requires user consent", "This client asks users for consent, which the password grant cannot give."},
	{"https required", "The realm wants https."},
	{"realm not enabled", "The realm is disabled."},
	// https://github.com/okta/okta-react-native/issues/109
	{"the refresh token is invalid or expired", "The refresh token is expired, revoked or already used."},
}

// descriptionHint is the hint for a known error_description.
func descriptionHint(description string) (string, bool) {
	d := strings.ToLower(description)
	for _, known := range descriptions {
		if strings.HasPrefix(d, known.begins) {
			return known.hint, true
		}
	}
	return "", false
}
