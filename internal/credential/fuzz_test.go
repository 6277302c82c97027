package credential_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// fault matches the text of strictjson.Fault: its words, and a position.
const fault = `[a-z ,:]*byte \d+[A-Za-z0-9 ,:\-\\"]*`

// ownWords are the only words that an error may have: any other text in it came from the
// document.
var ownWords = regexp.MustCompile(`^the (credential|session|token)('s "(client_id|client_secret|refresh_token|username|password|private_key|key_id|` +
	`access_token|token_type|authorization|expires_at|issued_at|renew_after|scope|provider|connection|api_url|` +
	`started_at|refreshed_at|opened_by|opened_by_seed|opening_at|nonce|needs_person_at|look_after|ends_at|opening_with)")? ` +
	`(is empty|is missing|is there twice: remove one of the two|holds a NUL character, which no provider accepts: store it again as plain text, in UTF-8|is not a JSON object(: ` + fault + `)?|is not a JSON string: write it in quotes|has a date that does not exist|` +
	`has the wrong type. Only Evertoken writes this document(: store {} in its place to have a new session opened)?)$`)

func checkWords(t *testing.T, err error) {
	t.Helper()
	if !ownWords.MatchString(err.Error()) {
		t.Fatalf("the error may hold what is in the document: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"client_id":" a ","client_secret":"b","password":" p ","note":[1,{"x":null}]}`,
		`{"refresh_token":7}`, `{"client_id":"CANARY-12345678`, ``, `null`, `[]`, `{"a":1e400}`,
		`{"client_secret":"\ud800"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		c, err := credential.Parse(redact.New(document))
		if err != nil {
			checkWords(t, err)
			return
		}
		again, err := credential.Parse(c.Encode())
		if err != nil {
			t.Fatalf("what was encoded does not parse: %v", err)
		}
		if !again.Encode().Equal(c.Encode()) {
			t.Fatal("a second round changed the document")
		}
		for _, name := range []string{credential.ClientID, credential.Password, credential.PrivateKey} {
			if !again.Get(name).Equal(c.Get(name)) {
				t.Fatalf("%s changed", name)
			}
		}
		if again.Fingerprint(credential.ClientID,
			credential.ClientSecret) != c.Fingerprint(credential.ClientID,
			credential.ClientSecret) {
			t.Fatal("the fingerprint changed")
		}
	})
}

func FuzzParseSession(f *testing.F) {
	for _, seed := range []string{
		`{"refresh_token":"rt","started_at":"2026-11-21T16:00:00.5+01:00"}`,
		`{"started_at":"9999-12-31T23:59:59-01:00"}`, `{"started_at":"0001-01-01T00:00:00.5Z"}`,
		`{"opening_at":"0000-01-01T00:00:00Z"}`,
		`{"started_at":"CANARY-12345678"}`, `{"expires_at":12345678901234}`, `{}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		s, err := credential.ParseSession(redact.New(document))
		if err != nil {
			checkWords(t, err)
			return
		}
		again, err := credential.ParseSession(s.Encode())
		if err != nil {
			t.Fatalf("what was encoded does not parse: %v", err)
		}
		if diff := cmp.Diff(s, again, secretText); diff != "" {
			t.Fatalf("a round changed the session (-before +after):\n%s", diff)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"at","token_type":"Bearer","expires_at":"2026-11-21T17:00:00Z","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00.9Z","scope":"s","look_after":"2026-11-21T16:35:00.9Z","instance_url":"x","SCOPE":"b","n":null}`,
		`{"access_token":"at","expires_at":"9999-12-31T23:59:59-01:00"}`,
		`{"access_token":"at","expires_at":"0001-01-01T00:00:00.5Z"}`,
		`{"access_token":["CANARY-12345678"]}`, `{"access_token":"CANARY-12345678"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		token, err := credential.ParseToken(redact.New(document))
		if err != nil {
			checkWords(t, err)
			return
		}
		for _, inParameter := range []bool{false, true} {
			again, err := credential.ParseToken(token.Encode(inParameter))
			if err != nil {
				t.Fatalf("what was encoded does not parse: %v", err)
			}
			if diff := cmp.Diff(token, again, secretText); diff != "" {
				t.Fatalf("a round changed the token (-before +after):\n%s", diff)
			}
		}
	})
}
