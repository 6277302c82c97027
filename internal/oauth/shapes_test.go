package oauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/redact"
)

// Answers of other shapes: as the settings say, or where the meaning is clear.
func TestAnswersOfOtherShapesAreRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body  string
		names AnswerNames
	}{
		"camel case":           {`{"accessToken":"at","refreshToken":"rt","expiresIn":3600}`, AnswerNames{}},
		"capitals":             {`{"AccessToken":"at","RefreshToken":"rt","ExpiresIn":"3600"}`, AnswerNames{}},
		"body":                 {`{"status":0,"body":{"access_token":"at","refresh_token":"rt","expires_in":3600}}`, AnswerNames{}},
		"data":                 {`{"code":0,"message":"success","data":{"access_token":"at","refresh_token":"rt","access_token_expire_in":3600}}`, AnswerNames{}},
		"a wrapper, and above": {`{"refresh_token":"rt","expires_in":3600,"token":{"access_token":"at"}}`, AnswerNames{}},
		"by the settings":      {`{"auth":{"jwt":"at","ttl_s":3600},"renewal":"rt"}`, AnswerNames{"auth.jwt", "renewal", "auth.ttl_s"}},
		"the settings alone":   {`{"access_token":"other","refresh_token":"other","t":"at","r":"rt","e":3600}`, AnswerNames{"t", "r", "e"}},
		"next to the token":    {`{"t":{"key":"at","refresh_token":"rt","expires_in":3600},"expires_in":5}`, AnswerNames{AccessToken: "t.key"}},
		"a dot in a name":      {`{"a.b":"at","refresh_token":"rt","expires_in":3600}`, AnswerNames{AccessToken: "a.b"}},
	} {
		got, err := newClient().issued(Answer{Status: 200, Body: redact.New(tt.body)},
			Request{Kind: RefreshGrant, Answer: tt.names}, "trying", nil, testNow)
		if err != nil || got.AccessToken.Reveal() != "at" || got.RefreshToken.Reveal() != "rt" ||
			got.ExpiresAt.Sub(testNow) != time.Hour || len(got.Hints) != 0 {
			t.Errorf("%s: %v: %q, %q until %s, %q", name, err, got.AccessToken.Reveal(),
				got.RefreshToken.Reveal(), got.ExpiresAt, got.Hints)
		}
	}
	kept, err := newClient().issued(Answer{Status: 200,
		Body: redact.New(`{"session":"x","authed_user":{"access_token":"no"},"refresh_token":"rt"}`)},
		Request{Kind: RefreshGrant, ClientAuth: "none"}, "trying", nil, testNow)
	e := failure(t, err)
	if e.Problem != `the answer has no "access_token"; it has session, authed_user, refresh_token` || !strings.Contains(e.Hint, "settings.answer") || kept.RefreshToken.Reveal() != "rt" {
		t.Errorf("%+v, kept %q", e, kept.RefreshToken.Reveal())
	}
}

func TestOnlyATokenTypeForABearerHeaderIsAccepted(t *testing.T) {
	t.Parallel()
	for kind, ok := range map[string]bool{
		`"Bearer"`: true, `"bearer"`: true, `"BEARER "`: true, `"BearerToken"`: true, `"bearer_token"`: true, `"bot"`: true, `"user"`: true, `null`: true, `""`: true,
		`7`: true, `"JWT"`: true, `"Session"`: true, `"mac"`: false, `"DPoP"`: false, `"N_A"`: false, `"pop"`: false, `"urn:ietf:params:oauth:token-type:saml2"`: false,
	} {
		got, err := newClient().issued(Answer{Status: 200,
			Body: redact.New(`{"access_token":"at","expires_in":60,"token_type":` + kind + `}`)},
			Request{TokenTypes: []string{"session"}}, "trying", nil, testNow)
		if (err == nil) != ok || ok && got.TokenType != "Bearer" {
			t.Errorf("%s: %v, %q", kind, err, got.TokenType)
		}
	}
}

func TestPublishReturnsTheNamedMembersAndNoSecret(t *testing.T) {
	t.Parallel()
	body := `{"access_token":"at","refresh_token":"rt-secret","id_token":"idt","expires_in":3600,"instance_url":"https://a.example.com","n":12345678901234567890,
		"yes":true,"user":{"id":"U1","token":"t"},"sneaky":"x rt-secret y","sent":"s3cr3t!","client":"id","list":[1],"null":null,"signature":"s","mySecret":"x"}`
	got, err := newClient().issued(Answer{Status: 200, Body: redact.New(body)},
		Request{Kind: RefreshGrant, ClientID: redact.New("id"),
			Publish: []string{"instance_url", "n", "yes", "user.id", "client", "id_token", "refresh_token", "user.token", "sneaky", "sent", "signature", "mySecret", "list", "null", "missing"}},
		"trying", []redact.Secret{redact.New("s3cr3t!"), redact.New("id")}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"instance_url": "https://a.example.com", "n": "12345678901234567890",
		"yes": "true", "user.id": "U1", "client": "id"}
	if diff := cmp.Diff(want, got.Publish); diff != "" {
		t.Error(diff)
	}
	hints := strings.Join(got.Hints, "\n")
	if strings.Count(hints, "holds a secret") != 7 ||
		strings.Count(hints, "no text or number") != 3 || strings.Contains(hints, "rt-secret") {
		t.Errorf("hints: %s", hints)
	}
}

// FuzzAnswer holds for every 2xx body: no panic, a refresh token in a complete object is
// never dropped, and an error shows nothing of the body.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{goodBody, "\ufeff" + goodBody, "access_token=a&refresh_token=b",
		`"{\"access_token\":\"a\"}"`, "[" + goodBody + "]",
		`<a><access_token>x</access_token></a>`, `<html>`, `{"data":{"refreshToken":"r"}}`, `{"error":{"code":"x"}}`, `{"errors":[{"code":1}]}`, `Warning {"access_token":"a"}`,
		utf16Text(goodBody, true), "\x1f\x8b", "{", ""} {
		f.Add([]byte(s), "", "")
	}
	f.Add([]byte(`{"a":{"b":"x"}}`), "a.b", "a")
	f.Fuzz(func(t *testing.T, content []byte, access, publish string) {
		inflated, _ := inflate(content, nil, 1<<16)
		text := decodeText(inflated)
		got, err := newClient().issued(Answer{Status: 200, Body: redact.New(text)},
			Request{Kind: RefreshGrant, Answer: AnswerNames{AccessToken: access},
				Publish: []string{publish}}, "trying", nil, testNow)
		var plainly struct {
			RefreshToken string `json:"refresh_token"`
		}
		d := json.NewDecoder(strings.NewReader(text))
		if d.Decode(&plainly) == nil && strings.TrimSpace(plainly.RefreshToken) != "" &&
			!d.More() && got.RefreshToken.IsZero() {
			t.Errorf("a refresh token was thrown away: %s", text)
		}
		if err == nil {
			if got.AccessToken.IsZero() || !visible(got.AccessToken.Reveal()) || !believable(got.ExpiresAt, testNow) {
				t.Errorf("an unusable token was accepted from %s", text)
			}
			return
		}
		e := failure(t, err)
		if !e.Unusable && !got.RefreshToken.IsZero() {
			t.Errorf("a refresh token was returned with %+v", e)
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("access_token=a&expires_in=1")
	f.Add("error=x&error_description=y+z")
	f.Fuzz(func(t *testing.T, content string) {
		m := parseForm(content)
		values, err := url.ParseQuery(content)
		if m != nil && (err != nil || len(m) != len(values)) {
			t.Errorf("%q: %d members, %v", content, len(m), err)
		}
	})
}
