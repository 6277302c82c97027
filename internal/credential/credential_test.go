package credential_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

const canary = "canary-4d1f"

func parse(t *testing.T, document string) credential.Credential {
	t.Helper()
	c, err := credential.Parse(redact.New(document))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

func TestMembersAreTrimmedAndPasswordsAreNot(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, member, document, want string }{
		{"token with newline", credential.RefreshToken, `{"refresh_token":"abc\n"}`, "abc"},
		{"secret with blanks", credential.ClientSecret, `{"client_secret":" \t s e \r\n"}`, "s e"},
		{"id", credential.ClientID, `{"client_id":" id "}`, "id"},
		{"username", credential.Username, `{"username":" user "}`, "user"},
		{"key id", credential.KeyID, `{"key_id":"\u00a0kid"}`, "kid"},
		{"private key", credential.PrivateKey, `{"private_key":"-----BEGIN\nx\n"}`, "-----BEGIN\nx"},
		{"a byte order mark before a token", credential.RefreshToken,
			`{"refresh_token":"\ufeffabc\r\n"}`, "abc"},
		{"password is never trimmed", credential.Password, `{"password":" p w \n"}`, " p w \n"},
		{"password of blanks", credential.Password, `{"password":"  "}`, "  "},
		{"null is absent", credential.ClientID, `{"client_id":null}`, ""},
		{"blank is empty", credential.ClientID, `{"client_id":"  "}`, ""},
		{"HTML characters stay", credential.ClientSecret, `{"client_secret":"<&>"}`, "<&>"},
		{"a byte order mark", credential.ClientID, "\ufeff{\"client_id\":\"id\"}", "id"},
		{"JSON in a JSON string", credential.ClientID, `"{\"client_id\":\"id\"}"`, "id"},
		{"JSON in a JSON string, twice", credential.ClientID, `"\"{\\\"client_id\\\":\\\"id\\\"}\""`, "id"},
		{"a byte order mark in a JSON string", credential.ClientID,
			"\ufeff\"{\\\"client_id\\\":\\\"id\\\"}\"\n", "id"},
		{"a JSON Web Key as an object", credential.PrivateKey, `{"private_key":{"kty":"EC"}}`,
			`{"kty":"EC"}`},
		{"surrounding space of the document", credential.ClientID, " \n{\"client_id\":\"id\"}\n ", "id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, tt.document)
			if got := c.Get(tt.member).Reveal(); got != tt.want {
				t.Errorf("Get(%s) = %q, want %q", tt.member, got, tt.want)
			}
			if got := c.Has(tt.member); got != (tt.want != "") {
				t.Errorf("Has(%s) = %t", tt.member, got)
			}
		})
	}
}

func TestAnUnreadableCredentialIsRefusedWithoutItsValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, document, member, problem string }{
		{"empty", "", "", "is empty"},
		{"blank", " \n\t", "", "is empty"},
		{"not JSON", canary, "", "is not a JSON object"},
		{"cut off", `{"refresh_token":"` + canary, "",
			"is not a JSON object: it ends too early, at byte 29: a quote or a closing bracket is missing"},
		{"a trailing comma", `{"username":"` + canary + `",}`, "",
			"is not a JSON object: byte 26 is a comma with nothing after it: remove it"},
		{"a raw line break", "{\"username\":\"" + canary + "\n\"}", "",
			"is not a JSON object: byte 25 is a raw line break inside a string: write it \\n"},
		{"a member twice", `{"username":"a","username":"` + canary + `"}`, "username",
			"is there twice: remove one of the two"},
		{"text in a JSON string", `"\"` + canary + `\""`, "", "is not a JSON object"},
		{"two documents", `{"username":"` + canary + `"}{}`, "",
			"is not a JSON object: byte 27 follows the end of the document: store only one document"},
		{"a string", `"` + canary + `"`, "", "is not a JSON object"},
		{"a list", `["` + canary + `"]`, "", "is not a JSON object"},
		{"null", `null`, "", "is not a JSON object"},
		{"NUL in a secret", `{"client_secret":"` + canary + `\u0000"}`, "client_secret",
			"holds a NUL character, which no provider accepts: store it again as plain text, in UTF-8"},
		{"number as id", `{"client_id":12}`, "client_id", "is not a JSON string: write it in quotes"},
		{"bool as password", `{"password":true}`, "password", "is not a JSON string: write it in quotes"},
		{"object as token", `{"refresh_token":{"value":"` + canary + `"}}`, "refresh_token",
			"is not a JSON string: write it in quotes"},
		{"list as key", `{"private_key":["` + canary + `"]}`, "private_key",
			"is not a JSON string: write it in quotes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.Parse(redact.New(tt.document))
			var got *credential.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v is no *credential.Error", err)
			}
			want := &credential.Error{Document: "credential", Member: tt.member, Problem: tt.problem}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
}

func TestAnErrorNamesTheDocumentAndTheMember(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`the credential's "client_id" is missing`: &credential.Error{Document: "credential",
			Member: "client_id", Problem: "is missing"},
		`the session is empty`: &credential.Error{Document: "session",
			Problem: "is empty"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
}

func TestAMissingMemberIsNamedWithTheGrantThatNeedsIt(t *testing.T) {
	t.Parallel()
	c := parse(t, `{"client_id":"id","client_secret":"","username":" "}`)
	got := c.Missing(credential.ClientID, credential.ClientSecret, credential.Username, credential.Password)
	if diff := cmp.Diff([]string{"client_secret", "username", "password"}, got); diff != "" {
		t.Errorf("Missing (-want +got):\n%s", diff)
	}
	if err := c.Require("the grant", credential.ClientID); err != nil {
		t.Errorf("Require of existing members: %v", err)
	}
	err := c.Require("the password grant", credential.ClientID, credential.Username, credential.Password)
	want := `the credential's "username" is missing or empty: the password grant needs client_id and username and password`
	if err == nil || err.Error() != want {
		t.Errorf("Require = %v, want %s", err, want)
	}
}

func TestAChangedCredentialKeepsItsUnknownMembers(t *testing.T) {
	t.Parallel()
	c := parse(t, `{"note":{"by":["us",1.50]},"client_id":"id","client_secret":"old","z":null}`)
	changed := c.With(credential.ClientSecret, redact.New("new<&>"))
	want := `{"client_id":"id","client_secret":"new\u003c\u0026\u003e","note":{"by":["us",1.50]},"z":null}`
	if got := changed.Encode().Reveal(); got != want {
		t.Errorf("Encode = %s\nwant     %s", got, want)
	}
	if got := parse(t, changed.Encode().Reveal()).Get(credential.ClientSecret).Reveal(); got != "new<&>" {
		t.Errorf("read again: %q", got)
	}
	if got := c.Get(credential.ClientSecret).Reveal(); got != "old" {
		t.Errorf("With changed the original to %q", got)
	}
	var none credential.Credential
	if got := none.With(credential.ClientID, redact.New("x")).Encode().Reveal(); got != `{"client_id":"x"}` {
		t.Errorf("With on the zero Credential = %s", got)
	}
}

// The sums were made with printf 'name\0value\0…' | sha256sum.
func TestAFingerprintCoversExactlyTheNamedMembers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, document string
		members        []string
		want           string
	}{
		{
			"client", `{"client_id":"id-1","client_secret":"s3cret"}`, []string{"client_id", "client_secret"},
			"c97142ea03b443c208f96a9a99edd009c615bae2468cb2dadeebdcab8cab693a",
		},
		{
			"the order asked in does not count", `{"client_secret":"s3cret","client_id":"id-1"}`,
			[]string{"client_secret", "client_id"},
			"c97142ea03b443c208f96a9a99edd009c615bae2468cb2dadeebdcab8cab693a",
		},
		{
			"other members do not count", `{"client_id":"id-1","client_secret":"s3cret","username":"u"}`, []string{"client_id", "client_secret"},
			"c97142ea03b443c208f96a9a99edd009c615bae2468cb2dadeebdcab8cab693a",
		},
		{
			"as sent: an id trimmed, a password whole", `{"username":" u ","password":" p\n"}`,
			[]string{"username", "password"},
			"e85c9aeef67c170154185ded5a68d99dc6f6304b28e91f3640dd3cc241e4e91f",
		},
		{
			"names are part of it", `{"client_id":"u","client_secret":" p\n"}`,
			[]string{"client_id", "password"},
			"3b8495d3e8d5ea4a8a49bf5a8b5b3b943ece008891ff9671618e8d33b814c04b",
		},
		{"a seed", `{"refresh_token":"rt\n"}`, []string{"refresh_token"},
			"81afa7417885600bd19eb7aed317e68e1cacb1c29b8cad264515c3194a3692ff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, tt.document).Fingerprint(tt.members...); got != tt.want {
				t.Errorf("Fingerprint = %s, want %s", got, tt.want)
			}
		})
	}
}

// A setting can name any member, with dots for one within an object. A member of the
// document itself has precedence over one within an object.
func TestASettingCanNameAnyMember(t *testing.T) {
	t.Parallel()
	c, err := credential.Parse(redact.New(`{"client_id":" i ","api_key":" k ","n":1,"a.b":"above","a":{"b":"within","c":{"d":"deep","client_id":"x"}},"l":["x"],"z":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"client_id": "i", "api_key": " k ", "n": "",
		"a.b": "above", "a.c.d": "deep",
		"a.c.client_id": "x", "a": "", "l": "", "z": ""} {
		if got := c.Get(name).Reveal(); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(c.Names(), " "); got != "a.b a.c.client_id a.c.d api_key client_id" {
		t.Errorf("names %s", got)
	}
}
