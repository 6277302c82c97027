package simulate

import (
	"strings"
	"time"
	"unicode"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// wrongPassword begins every password that never worked.
const wrongPassword = fakeidp.Canary + "-wrong"

// read is what an application gets when it reads a connection's token. The times are zero
// where the document does not have them.
type read struct {
	access              string
	expires, renewAfter time.Time
}

// published reads a connection's token wherever it is published; ok is false if there is none.
func published(w *fakeworld.World, name string) (token read, ok bool) {
	text := ""
	if p, found := w.AWS.Parameter(tokenParameter(name)); found {
		text = p.Value
	} else if v, found := w.AWS.Secret("evertoken/" + name + "/token").Labelled(secrets.Current); found && v.HasValue {
		text = v.Value
	}
	if text == "" {
		return read{}, false
	}
	t, err := credential.ParseToken(redact.New(text))
	return read{t.AccessToken.Reveal(), t.ExpiresAt, t.RenewAfter}, err == nil
}

func tokenParameter(name string) string { return "/evertoken/tokens/" + name }

// leaked names what a text has and must not have, or is empty. A secret of the fakes is
// known by the marker in all of them.
func leaked(text string) string {
	for _, bad := range []struct{ mark, what string }{
		{fakeidp.Canary, "a secret"}, {"arn:aws", "an ARN"}, {"forged=line\n", "a forged line"},
		{`\u00`, "an escaped control character"}, {`\r`, "an escaped line end"}, {`\u2028`, "an escaped line separator"},
	} {
		if strings.Contains(text, bad.mark) {
			return bad.what
		}
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c != '\n' && (unicode.IsControl(c) || c == '\u2028' || c == '\u2029') }) {
		return "a control character"
	}
	return ""
}

func labelsOf(secret fakeaws.SecretState) []string {
	var out []string
	for _, v := range secret.Versions {
		out = append(out, v.Labels...)
	}
	return out
}
