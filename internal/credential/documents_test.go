package credential_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// secretText lets cmp compare secrets by value.
var secretText = cmp.Comparer(redact.Secret.Equal)

func TestATokenDocumentHasTheDocumentedMembers(t *testing.T) {
	t.Parallel()
	token := credential.Token{
		AccessToken: redact.New("at-1<&>"), TokenType: "Bearer",
		IssuedAt: at("2026-11-21T17:00:00.9+01:00"), RenewAfter: at("2026-11-21T16:35:00Z"),
		ExpiresAt: at("2026-11-21T09:00:00.999-08:00"),
		Scope:     "read write", Provider: "flexera", Connection: "flexera-prod",
		APIURL: "https://api.flexera.com",
	}
	bare := token
	bare.Scope, bare.APIURL = "", ""
	more := bare
	more.NeedsPersonAt, more.LookAfter = at("2027-01-01T00:00:00.9Z"), at("2026-11-21T16:30:00Z")
	more.Publish = map[string]string{"instance_url": "https://x.example.com/?a=1&b=2", "a": "",
		"Expires_At": "never one of our own", "Credential_Version": "neither"}
	more.CredentialVersion = "v-1"
	tests := []struct {
		name        string
		token       credential.Token
		inParameter bool
		want        string
	}{
		{"secret", token, false, `{"access_token":"at-1<&>","token_type":"Bearer","authorization":"Bearer at-1<&>","expires_at":"2026-11-21T17:00:00Z","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00Z","scope":"read write","provider":"flexera","connection":"flexera-prod","api_url":"https://api.flexera.com"}`},
		{"parameter", token, true, `{"access_token":"at-1<&>","token_type":"Bearer","expires_at":"2026-11-21T17:00:00Z","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00Z","scope":"read write","provider":"flexera","connection":"flexera-prod","api_url":"https://api.flexera.com"}`},
		{"scope and api_url unknown", bare, false,
			`{"access_token":"at-1<&>","token_type":"Bearer","authorization":"Bearer at-1<&>","expires_at":"2026-11-21T17:00:00Z","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00Z","provider":"flexera","connection":"flexera-prod"}`},
	}
	tests = append(tests, struct {
		name        string
		token       credential.Token
		inParameter bool
		want        string
	}{"what readers asked for", more, false,
		`{"access_token":"at-1<&>","token_type":"Bearer","authorization":"Bearer at-1<&>","expires_at":"2026-11-21T17:00:00Z","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00Z","provider":"flexera","connection":"flexera-prod","needs_person_at":"2027-01-01T00:00:00Z","look_after":"2026-11-21T16:30:00Z","credential_version":"v-1","a":"","instance_url":"https://x.example.com/?a=1&b=2"}`})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			encoded := tt.token.Encode(tt.inParameter)
			if diff := cmp.Diff(tt.want, encoded.Reveal()); diff != "" {
				t.Errorf("Encode (-want +got):\n%s", diff)
			}
			want := tt.token
			want.IssuedAt, want.ExpiresAt = at("2026-11-21T16:00:00Z"), at("2026-11-21T17:00:00Z")
			want.NeedsPersonAt = want.NeedsPersonAt.Truncate(time.Second)
			if want.Publish != nil {
				want.Publish = map[string]string{"instance_url": want.Publish["instance_url"], "a": ""}
			}
			got, err := credential.ParseToken(encoded)
			if err != nil {
				t.Fatalf("ParseToken: %v", err)
			}
			if diff := cmp.Diff(want, got, secretText); diff != "" {
				t.Errorf("read again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenWithoutAValueOrAnEndIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, document, member string }{
		{"empty", "", ""},
		{"a bare token", canary, ""},
		{"no access_token", `{"expires_at":"2026-11-21T17:00:00Z","scope":"` + canary + `"}`, "access_token"},
		{"empty access_token", `{"access_token":"","expires_at":"2026-11-21T17:00:00Z"}`, "access_token"},
		{"no expires_at", `{"access_token":"` + canary + `"}`, "expires_at"},
		{"access_token of another type", `{"access_token":["` + canary +
			`"],"expires_at":"2026-11-21T17:00:00Z"}`, "access_token"},
		{"expires_at no time", `{"access_token":"x","expires_at":"` + canary + `"}`, ""},
		{"expires_at a number", `{"access_token":"` + canary + `","expires_at":1764000000}`, ""},
		{"a year of five digits in UTC", `{"access_token":"` + canary +
			`","expires_at":"9999-12-31T23:59:59-01:00"}`, ""},
		{"a year before the first in UTC", `{"access_token":"` + canary +
			`","expires_at":"0001-01-01T00:00:00+01:00"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.ParseToken(redact.New(tt.document))
			checkError(t, err, "token", tt.member)
		})
	}
}

// checkError checks that an error names its document and member, and no value.
func checkError(t *testing.T, err error, document, member string) {
	t.Helper()
	var got *credential.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v is no *credential.Error", err)
	}
	if got.Document != document || got.Member != member || got.Problem == "" {
		t.Errorf("error %#v, want one of the %s's %q", got, document, member)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the error holds the value: %v", err)
	}
}

func TestAStoredSessionReadsBackTheSame(t *testing.T) {
	t.Parallel()
	whole := credential.Session{
		RefreshToken: redact.New("rt<&>"), OpenedBy: "ab12",
		StartedAt: at("2026-11-21T16:00:00Z"), RefreshedAt: at("2026-11-21T16:30:00Z"),
		ExpiresAt: at("2026-11-22T16:00:00Z"),
	}
	tests := []struct {
		name    string
		session credential.Session
		want    string
	}{
		{"empty", credential.Session{}, `{}`},
		{"opening", credential.Session{OpeningAt: at("2026-11-21T16:00:00Z")},
			`{"opening_at":"2026-11-21T16:00:00Z"}`},
		{"no stated end", credential.Session{RefreshToken: redact.New("rt"),
			StartedAt: whole.StartedAt, RefreshedAt: whole.RefreshedAt, OpenedBy: "ab"},
			`{"refresh_token":"rt","started_at":"2026-11-21T16:00:00Z","refreshed_at":"2026-11-21T16:30:00Z","opened_by":"ab"}`},
		{"opened by a seed", credential.Session{RefreshToken: whole.RefreshToken, OpenedBy: "ab", OpenedBySeed: "cd"},
			`{"refresh_token":"rt<&>","opened_by":"ab","opened_by_seed":"cd"}`},
		{"whole", whole, `{"refresh_token":"rt<&>","started_at":"2026-11-21T16:00:00Z","refreshed_at":"2026-11-21T16:30:00Z","expires_at":"2026-11-22T16:00:00Z","opened_by":"ab12"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.session.Encode().Reveal()); diff != "" {
				t.Errorf("Encode (-want +got):\n%s", diff)
			}
			for _, encoded := range []redact.Secret{tt.session.Encode(), tt.session.EncodeUnique("nonce-1")} {
				got, err := credential.ParseSession(encoded)
				if err != nil {
					t.Fatalf("ParseSession: %v", err)
				}
				if diff := cmp.Diff(tt.session, got, secretText); diff != "" {
					t.Errorf("read again (-want +got):\n%s", diff)
				}
			}
			if tt.session.EncodeUnique("a").Equal(tt.session.EncodeUnique("b")) {
				t.Error("two nonces gave the same bytes")
			}
		})
	}
}

func TestSessionTimesAreWholeSecondsInUTC(t *testing.T) {
	t.Parallel()
	s := credential.Session{
		StartedAt: at("2026-11-21T17:00:00.999999999+01:00"),
		ExpiresAt: at("2026-11-21T15:20:00.1-01:00"),
	}
	want := `{"started_at":"2026-11-21T16:00:00Z","expires_at":"2026-11-21T16:20:00Z"}`
	if got := s.Encode().Reveal(); got != want {
		t.Errorf("Encode = %s\nwant     %s", got, want)
	}
}

func TestASessionIsTrimmedAndAWrongOneIsRefused(t *testing.T) {
	t.Parallel()
	got, err := credential.ParseSession(redact.New(`{"refresh_token":" rt\n","opened_by":"x","unknown":1}`))
	if err != nil || got.RefreshToken.Reveal() != "rt" || got.OpenedBy != "x" {
		t.Errorf("ParseSession = %+v, %v", got, err)
	}
	tests := []struct{ name, document, member string }{
		{"empty", " ", ""},
		{"bare refresh token", canary, ""},
		{"refresh_token of another type", `{"refresh_token":7,"opened_by":"` + canary + `"}`,
			"refresh_token"},
		{"started_at no time", `{"started_at":"` + canary + `"}`, ""},
		{"started_at in the year 10000", `{"started_at":"9999-12-31T23:59:59-01:00"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := credential.ParseSession(redact.New(tt.document))
			checkError(t, err, "session", tt.member)
		})
	}
}

func TestASessionTellsWhetherItIsBeingOpened(t *testing.T) {
	t.Parallel()
	now := at("2026-11-21T16:00:00Z")
	for _, tt := range []struct {
		name    string
		session credential.Session
		want    bool
	}{
		{"empty", credential.Session{}, false},
		{"being opened", credential.Session{OpeningAt: now}, true},
		{"opened", credential.Session{OpeningAt: now, RefreshToken: redact.New("rt")}, false},
		{"opened without a refresh token", credential.Session{OpeningAt: now, OpenedBy: "ab"}, false},
	} {
		if got := tt.session.Opening(); got != tt.want {
			t.Errorf("%s: Opening = %t", tt.name, got)
		}
	}
}
