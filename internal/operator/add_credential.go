package operator

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// getItOf says where a provider's credential comes from; may be empty.
func getItOf(provider string) string {
	o, err := findOffer(provider)
	if err != nil {
		return ""
	}
	return o.getIt
}

// visible are the members that may be seen as they are typed.
var visible = []string{credential.ClientID, credential.Username, credential.KeyID, "client_email",
	"private_key_id"}

// askCredential asks for a credential's members, without echo where they are
// secret.
func (a *app) askCredential(w way, getIt string) (credential.Credential, error) {
	p, err := a.prompter()
	if err != nil {
		return credential.Credential{}, usage("Give --credential FILE, or - for standard input.",
			"there is no terminal to ask for the credential on")
	}
	if getIt != "" {
		p.errorf("%s\n", getIt)
	}
	members := w.members
	if len(members) == 0 {
		answer, err := p.line("Members of the credential, separated by blanks, " +
			"such as client_id client_secret: ")
		if err != nil {
			return credential.Credential{}, err
		}
		members = strings.Fields(answer)
	}
	var doc credential.Credential
	for _, m := range members {
		var value redact.Secret
		switch {
		case m == credential.PrivateKey:
			value, err = p.fromFile(m)
		case slices.Contains(visible, m):
			var text string
			text, err = p.line(m + ": ")
			value = redact.New(text)
		default:
			value, err = p.secret(m + " (not shown): ")
		}
		if err != nil {
			return doc, err
		}
		if m != credential.Password {
			value = value.Trim()
		}
		if value.IsZero() {
			return doc, usage("Run this again and give it.",
				"the credential's %s is missing: nothing was changed", m)
		}
		doc = doc.With(m, value)
	}
	return doc, nil
}

// fromFile asks for the name of a file that holds a member of several lines.
func (p *prompter) fromFile(member string) (redact.Secret, error) {
	name, err := p.line(member + ", a file (PEM or JWK): ")
	if err != nil {
		return redact.Secret{}, err
	}
	text, err := os.ReadFile(strings.TrimSpace(name))
	if err != nil {
		return redact.Secret{}, usage("Check the file's name and your rights to it, then run this again.",
			"the file of the %s cannot be read", member)
	}
	return redact.New(string(text)), nil
}

// formOf shows a credential's document without its values.
func formOf(w way, hosts []string) string {
	members := map[string]string{}
	for _, m := range w.members {
		members[m] = "…"
	}
	if len(members) == 0 {
		members["…"] = "…"
	}
	if len(hosts) > 0 {
		members[credential.Hosts] = strings.Join(hosts, ",")
	}
	return string(encoded(members))
}

// hostsOf are the hosts that a connection's requests go to: those of the URLs in its
// settings, the token endpoint's, and for Flexera the login's and the API's.
func hostsOf(c connection.Connection, endpoint string) []string {
	var out []string
	add := func(host string) {
		if host != "" && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	add(endpoint)
	var settings map[string]json.RawMessage
	if json.Unmarshal(c.Settings, &settings) == nil {
		for _, name := range []string{
			"login_url", "api_url", "token_url", "issuer", "base_url", "auth_url",
		} {
			var raw string
			if json.Unmarshal(settings[name], &raw) != nil {
				continue
			}
			if u, err := url.Parse(raw); err == nil {
				add(u.Host)
			}
		}
	}
	if zone, ok := strings.CutPrefix(endpoint, "login.flexera."); ok {
		add("api.flexera." + zone)
	}
	return out
}
