package connection_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
)

const (
	canary = "cAnArY-51f0"
	prefix = "/evertoken/"
)

func TestADeclarationNeedsOnlyItsProvider(t *testing.T) {
	t.Parallel()
	for _, declared := range []string{`{"provider":"apiax"}`,
		`{"provider":"apiax","settings":null,"session":null,"min_remaining":null}`} {
		got, err := connection.Parse("apiax-prod", []byte(declared), prefix)
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		want := connection.Connection{
			Name: "apiax-prod", Provider: "apiax",
			Credential: "evertoken/apiax-prod/credential", Session: "evertoken/apiax-prod/session",
			Token:     "evertoken/apiax-prod/token",
			RenewedBy: connection.ByIssue, Settings: json.RawMessage(`{}`),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse(%s) (-want +got):\n%s", declared, diff)
		}
	}
}

func TestEveryMemberOfADeclarationIsParsed(t *testing.T) {
	t.Parallel()
	got, err := connection.Parse("x", []byte(`{"provider":"flexera","credential":"team/cred","session":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/session-AbCdEf",
		"token_parameter":"/evertoken/tokens/x","token_parameter_key":"alias/mine","plain_copy":"other/copy","min_remaining":"1d12h","renewed_by":"issue","probe":{"every":"1h","url":"https://api.example.com/me"},"settings":{"zone":"eu"}}`), prefix)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	want := connection.Connection{
		Name: "x", Provider: "flexera", Credential: "team/cred", SessionDeclared: true,
		Session:        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/session-AbCdEf",
		TokenParameter: "/evertoken/tokens/x", TokenParameterKey: "alias/mine", PlainCopy: "other/copy",
		Probe:        connection.Probe{Every: time.Hour, URL: "https://api.example.com/me"},
		MinRemaining: 36 * time.Hour, RenewedBy: connection.ByIssue,
		Settings: json.RawMessage(`{"zone":"eu"}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestAWrongDeclarationIsRefusedByMember(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, declared, member, problem string }{
		{"not JSON", canary, "", "is not a JSON object"},
		{"empty", "", "", "is not a JSON object"},
		{"null", "null", "", "is not a JSON object"},
		{"a list", `["` + canary + `"]`, "", "is not a JSON object"},
		{"two objects", `{"provider":"apiax"}{"a":"` + canary + `"}`, "", "is not a JSON object"},
		{"unknown member", `{"provider":"apiax","pasword":"` + canary + `"}`, "pasword",
			"is not known here; the known ones are credential, min_remaining, plain_copy, probe, provider, renewed_by, session, settings, token, token_parameter, token_parameter_key"},
		{"another spelling", `{"Provider":"` + canary + `"}`, "Provider", "is not known here"},
		{"a member with line breaks", `{"provider":"apiax","a\n\u001bb":1}`, "a??b", "is not known here"},
		{"no provider", `{}`, "provider", "is missing"},
		{"empty provider", `{"provider":""}`, "provider", "is missing"},
		{"provider of another type", `{"provider":["` + canary + `"]}`, "provider", "it must be a string"},
		{"credential of another type", `{"provider":"apiax","credential":{"password":"` + canary +
			`"}}`, "credential", "it must be a string"},
		{"plain_copy of another type", `{"provider":"apiax","plain_copy":7}`, "plain_copy",
			"it must be a string"},
		{"empty credential", `{"provider":"apiax","credential":""}`, "credential",
			"must be a secret's name or ARN"},
		{"session with a blank", `{"provider":"apiax","session":"a ` + canary + `"}`, "session",
			"must be a secret's name or ARN"},
		{"token name too long", `{"provider":"apiax","token":"` + strings.Repeat("x", 513) + `"}`,
			"token", "must be a secret's name or ARN"},
		{"ARN of another service", `{"provider":"apiax","token":"arn:aws:ssm:us-east-1:123456789012:parameter/` + canary + `"}`, "token", "must be a secret's name or ARN"},
		{"ARN without account", `{"provider":"apiax","token":"arn:aws:secretsmanager:us-east-1::secret:` + canary + `"}`, "token", "must be a secret's name or ARN"},
		{"both token and parameter", `{"provider":"apiax","token":"a/` + canary +
			`","token_parameter":"/evertoken/t"}`, "token_parameter",
			"declare only one of the two"},
		{"parameter elsewhere", `{"provider":"apiax","token_parameter":"/other/` + canary + `"}`,
			"token_parameter", "beginning with /evertoken/"},
		{"parameter without a slash", `{"provider":"apiax","token_parameter":"` + canary + `"}`,
			"token_parameter", "beginning with /evertoken/"},
		{"parameter ending with a slash", `{"provider":"apiax","token_parameter":"/evertoken/` +
			canary + `/"}`, "token_parameter", "beginning with"},
		{"parameter of 16 levels", `{"provider":"apiax","token_parameter":"/evertoken` +
			strings.Repeat("/a", 15) + `"}`, "token_parameter", "15 levels"},
		{"parameter too long", `{"provider":"apiax","token_parameter":"/evertoken/` +
			strings.Repeat("a", 1001) + `"}`, "token_parameter", "at most 1011"},
		{"parameter among the connections",
			`{"provider":"apiax","token_parameter":"/evertoken/connections/` + canary + `"}`,
			"token_parameter", "Evertoken's own"},
		{"parameter among the rescued",
			`{"provider":"apiax","token_parameter":"/evertoken/rescue/` + canary + `"}`,
			"token_parameter", "Evertoken's own"},
		{"key without parameter", `{"provider":"apiax","token_parameter_key":"` + canary + `"}`,
			"token_parameter_key", `needs "token_parameter"`},
		{"format", `{"provider":"apiax","format":"` + canary + `"}`, "format",
			"is not supported: leave it out. For an application that reads a bare token, name another secret as \"plain_copy\""},
		{"renewed_by", `{"provider":"apiax","renewed_by":"` + canary + `"}`, "renewed_by",
			"must be issue or rotation"},
		{"rotation of a parameter", `{"provider":"apiax","renewed_by":"rotation","token_parameter":"/evertoken/` + canary + `"}`, "renewed_by", "cannot be rotation for a parameter"},
		{"min_remaining no duration", `{"provider":"apiax","min_remaining":"` + canary + `"}`,
			"min_remaining", "must be a duration"},
		{"min_remaining a number", `{"provider":"apiax","min_remaining":600}`, "min_remaining",
			"must be a duration"},
		{"min_remaining negative", `{"provider":"apiax","min_remaining":"-10m"}`, "min_remaining",
			"must be a duration"},
		{"min_remaining zero", `{"provider":"apiax","min_remaining":"0s"}`, "min_remaining",
			"must be more than zero"},
		{"probe a string", `{"provider":"apiax","probe":"` + canary + `"}`, "probe", "is not a JSON object"},
		{"probe with another member", `{"provider":"apiax","probe":{"every":"15m","uri":"` +
			canary + `"}}`, "probe.uri", "is not known here; the known ones are every, url"},
		{"probe without a period", `{"provider":"apiax","probe":{}}`, "probe.every", "is missing"},
		{"probe too often", `{"provider":"apiax","probe":{"every":"14m"}}`, "probe.every", "from 15m to 24h"},
		{"probe too seldom", `{"provider":"apiax","probe":{"every":"25h"}}`, "probe.every",
			"from 15m to 24h"},
		{"probe by a number", `{"provider":"apiax","probe":{"every":15}}`, "probe.every",
			"must be a duration"},
		{"probe of nothing", `{"provider":"apiax","probe":{"every":"15m","url":""}}`, "probe.url",
			"is empty"},
		{"session is the token", `{"provider":"apiax","session":"` + canary + `","token":"` +
			canary + `"}`, "token", `is the same secret as "session"`},
		{"credential is the session, by ARN", `{"provider":"apiax","credential":"` + canary +
			`","session":"arn:aws:secretsmanager:us-east-1:123456789012:secret:` + canary +
			`-AbCdEf"}`, "session", `is the same secret as "credential"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := connection.Parse("good", []byte(tt.declared), prefix)
			checkError(t, err, "good", tt.member, tt.problem)
		})
	}
}

func checkError(t *testing.T, err error, name, member, problem string) {
	t.Helper()
	var got *connection.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v is no *connection.Error", err)
	}
	if got.Connection != name || got.Member != member || !strings.Contains(got.Problem, problem) {
		t.Errorf("error %+v, want connection %q, member %q, problem with %q", got, name, member, problem)
	}
	if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "123456789012") {
		t.Errorf("the error holds a value: %v", err)
	}
}

func TestAConnectionsNameHasAFixedForm(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "0": true, "a-b-9": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "A": false, "a_b": false, "a/b": false, "a.b": false,
		strings.Repeat("a", 64): false, "a\n": false, "ä": false,
	} {
		if got := connection.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t", name, got)
		}
		_, err := connection.Parse(name, []byte(`{"provider":"apiax"}`), prefix)
		if (err == nil) != want {
			t.Errorf("Parse under the name %q: %v", name, err)
		}
	}
	_, err := connection.Parse(canary+"!", []byte(`{"provider":"apiax"}`), prefix)
	checkError(t, err, "", "", "up to 62 letters, digits and hyphens")
}

func TestASecretsNameAndRegionAreThoseOfItsARN(t *testing.T) {
	t.Parallel()
	tests := []struct{ id, name, region string }{
		{"evertoken/a/token", "evertoken/a/token", ""},
		{"a-AbCdEf", "a-AbCdEf", ""},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b-AbCdEf", "a/b", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-secret-AbCdEf", "a-secret", "eu-west-1"},
		{"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a-AbCdEf", "a", "us-gov-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:ab", "ab", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:crm-secret", "crm-secret", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:crm-secret-AbCdEf", "crm-secret", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:crm-secre7", "crm", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:evertoken/a/session-abcdef",
			"evertoken/a/session", "eu-west-1"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:evertoken/a/api-secret",
			"evertoken/a/api-secret", "eu-west-1"},
	}
	for _, tt := range tests {
		if got := connection.SecretName(tt.id); got != tt.name {
			t.Errorf("SecretName(%q) = %q, want %q", tt.id, got, tt.name)
		}
		if got := connection.Region(tt.id); got != tt.region {
			t.Errorf("Region(%q) = %q, want %q", tt.id, got, tt.region)
		}
	}
}
