package exchange_test

import (
	"strings"
	"testing"

	"evertoken/internal/exchange"
)

func TestAnErrorTellsWhatWasDoneAndTheAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  exchange.Error
		want string
	}{
		{exchange.Error{Doing: "refresh_token grant at login.example.com", Status: 400,
			Code: "invalid_grant", Class: exchange.GrantDead, Hint: "a hint"},
			"refresh_token grant at login.example.com: HTTP 400: invalid_grant"},
		{exchange.Error{Doing: "password grant at login.example.com", Problem: "no answer",
			Lost: true}, "password grant at login.example.com: no answer"},
		{exchange.Error{Doing: "password grant at login.example.com", Status: 200,
			Problem: "the answer is not JSON"},
			"password grant at login.example.com: HTTP 200: the answer is not JSON"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error() = %q, want %q", got, tt.want)
		}
	}
}

func TestAnErrorCodeIsCutToHarmlessCharacters(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"invalid_grant":                        "invalid_grant",
		"AADSTS50126: a b":                     "AADSTS50126ab",
		"a\n\x1b[31m/+=\"é":                    "a31m",
		"urn:x.y-z":                            "urnx.y-z",
		"":                                     "",
		strings.Repeat("é", 50) + "ok":         "ok",
		strings.Repeat("ab", 30):               strings.Repeat("ab", 20),
		strings.Repeat("é", 10) + "0123456789": "0123456789",
	} {
		if got := exchange.Code(in); got != want {
			t.Errorf("Code(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestASeedIsNotTheSessions(t *testing.T) {
	t.Parallel()
	if !exchange.Refresh.FromSession() {
		t.Error("the refresh grant sends the session's refresh token")
	}
	if (exchange.Grant{Type: "refresh_token", Members: []string{"refresh_token"}, Seed: true}).FromSession() {
		t.Error("a seed is the credential's")
	}
}
