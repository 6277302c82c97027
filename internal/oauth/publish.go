package oauth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// secretMembers are folded names of members that contain a secret or a token of another
// kind. Evertoken never publishes them.
var secretMembers = []string{
	"accesstoken", "refreshtoken", "idtoken", "clientsecret", "password", "assertion",
	"clientassertion", "registrationaccesstoken", "privatekey", "secret", "apikey", "devicecode",
	"code", "authorizationcode", "token", "signature",
}

// publish copies the members that the connection asks to publish.
func (g *reading) publish(out *exchange.Issued) {
	for _, path := range g.request.Publish {
		name := path[strings.LastIndex(path, ".")+1:]
		value, ok := scalar(g.body.path(path))
		switch {
		case !ok:
			out.Hints = append(out.Hints, fmt.Sprintf("settings.publish names %q, where the "+
				"answer has no text or number.", path))
		case secretive(name), value != "" && g.holdsSecret(value):
			out.Hints = append(out.Hints, fmt.Sprintf("settings.publish names %q, which holds a "+
				"secret in the answer: Evertoken does not publish it.", path))
		default:
			if out.Publish == nil {
				out.Publish = map[string]string{}
			}
			out.Publish[path] = value
		}
	}
}

// secretive reports whether a member of an answer must never be published because of its
// name.
func secretive(name string) bool {
	folded := fold(name)
	return slices.Contains(secretMembers, folded) || strings.HasSuffix(folded, "token") ||
		strings.HasSuffix(folded, "secret") ||
		strings.HasSuffix(folded, "password")
}

// holdsSecret reports whether a value repeats a token of this answer, or a secret that was
// sent. The client id is not a secret.
func (g *reading) holdsSecret(value string) bool {
	secrets := []redact.Secret{g.kept.RefreshToken}
	for _, s := range g.sent {
		if !s.Equal(g.request.ClientID) {
			secrets = append(secrets, s)
		}
	}
	return slices.ContainsFunc(secrets, func(s redact.Secret) bool {
		return !s.IsZero() && strings.Contains(value, s.Reveal())
	})
}

// handsBack reports whether an access token is in fact a secret that was sent to obtain it,
// or, if the settings name the access token's member, the refresh token. A token that was
// exchanged for another may come back: the API accepts it anyway.
func (g *reading) handsBack(access string) bool {
	token := redact.New(access)
	if token.Equal(g.request.ClientSecret) ||
		g.request.Answer.AccessToken != "" && token.Equal(g.kept.RefreshToken) {
		return true
	}
	for name, values := range g.request.Form {
		exchanged := strings.HasSuffix(name, "token") && name != "refresh_token"
		secret := !exchanged && !public[name] && name != "client_id"
		if secret && slices.ContainsFunc(values, token.Equal) {
			return true
		}
	}
	for _, value := range g.request.Headers {
		if token.Equal(value) {
			return true
		}
	}
	return false
}

// scalar returns a string, number or boolean as text.
func scalar(value json.RawMessage) (string, bool) {
	if s, ok := text(value); ok {
		return s, true
	}
	var n json.Number
	if json.Unmarshal(value, &n) == nil && n != "" {
		return n.String(), true
	}
	var b bool
	if json.Unmarshal(value, &b) == nil && len(value) > 0 && string(value) != "null" {
		return strconv.FormatBool(b), true
	}
	return "", false
}
