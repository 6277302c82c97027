package template

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/providers"
)

func loadConnection(t *testing.T) node {
	t.Helper()
	value, err := parseYAML(read(t, "connection.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return node{t, "connection.yaml", value}
}

// connectionStack is connection.yaml with parameters, as nodes by logical id.
func connectionStack(t *testing.T, parameters map[string]string) map[string]node {
	t.Helper()
	given := map[string]string{"Name": "flexera-prod", "Provider": "flexera", "Settings": `{"zone":"eu"}`}
	maps.Copy(given, parameters)
	resources, _ := resolved(t, loadConnection(t), "one", given)
	out := map[string]node{}
	for id, value := range resources {
		out[id] = node{t, id, value}
	}
	return out
}

// declared is the stack's declaration as the functions parse it.
func declared(t *testing.T, stack map[string]node) connection.Connection {
	t.Helper()
	p := stack["Declaration"].get("Properties")
	check(t, "the declaration's type", "String", p.get("Type").text())
	got := connection.Load([]connection.Parameter{{Name: p.get("Name").text(), Value: p.get("Value").text()}},
		connection.Rules{Path: "/evertoken/connections/", ParameterPrefix: "/evertoken/", Region: "eu-central-1"})
	if len(got) != 1 || got[0].Err != nil {
		t.Fatalf("the declaration: %+v", got)
	}
	if _, err := providers.New(got[0].Connection, providers.Options{}); err != nil {
		t.Fatalf("the settings: %v", err)
	}
	return got[0].Connection
}

// TestAConnectionsStackCreatesWhatItDeclares: a stack creates exactly the secrets that
// its declaration names.
func TestAConnectionsStackCreatesWhatItDeclares(t *testing.T) {
	t.Parallel()
	key := "arn:aws:kms:eu-central-1:123456789012:key/1a2b"
	for _, test := range []struct {
		name       string
		parameters map[string]string
		secrets    map[string]string // :: logical id → name
	}{
		{"with the defaults", nil, map[string]string{"Credential": "credential", "Session": "session", "Token": "token"}},
		{"without a session", map[string]string{"KeepsSession": "false"}, map[string]string{"Credential": "credential", "Token": "token"}},
		{"in a parameter", map[string]string{"PublishIn": "parameter", "KmsKeyArn": key, "MinRemaining": "2m"},
			map[string]string{"Credential": "credential", "Session": "session"}},
		{"with a plain copy", map[string]string{"PlainCopy": "true", "KmsKeyArn": key},
			map[string]string{"Credential": "credential", "Session": "session", "Token": "token",
				"PlainToken": "copy"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stack := connectionStack(t, test.parameters)
			c := declared(t, stack)
			got := map[string]string{}
			for id, r := range stack {
				if r.get("Type").text() != "AWS::SecretsManager::Secret" {
					continue
				}
				p := r.get("Properties")
				got[id] = strings.TrimPrefix(p.get("Name").text(), "evertoken/flexera-prod/")
				for _, policy := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
					check(t, id+" "+policy, "Retain", r.get(policy).text())
				}
				for _, member := range []string{"SecretString", "GenerateSecretString"} {
					if slices.Contains(p.members(), member) {
						t.Errorf("%s has a %s: a value in a stack would overwrite one that was stored", id, member)
					}
				}
				check(t, id+"'s key", test.parameters["KmsKeyArn"] != "", slices.Contains(p.members(), "KmsKeyId"))
				check(t, id+"'s tag",
					[]any{map[string]any{"Key": "evertoken:parameter",
						"Value": "/evertoken/connections/flexera-prod"}},
					p.get("Tags").value)
			}
			check(t, "the secrets", test.secrets, got)
			check(t, "the declared credential", "evertoken/flexera-prod/credential", c.Credential)
			if test.secrets["Token"] != "" {
				check(t, "the declared token", "evertoken/flexera-prod/token", c.Token)
			} else {
				check(t, "the declared parameter", []string{"/evertoken/tokens/flexera-prod", key, "2m0s"},
					[]string{c.TokenParameter, c.TokenParameterKey, c.MinRemaining.Round(time.Second).String()})
			}
			if test.secrets["PlainToken"] != "" {
				check(t, "the declared copy", "evertoken/flexera-prod/copy", c.PlainCopy)
			}
		})
	}
}

// TestARotationScheduleStartsNoRotation: a stack has no schedule unless one is requested,
// and a new schedule begins no rotation.
func TestARotationScheduleStartsNoRotation(t *testing.T) {
	t.Parallel()
	for id, r := range connectionStack(t, nil) {
		if r.get("Type").text() == "AWS::SecretsManager::RotationSchedule" {
			t.Errorf("%s is in a stack without a rotation", id)
		}
	}
	stack := connectionStack(t, map[string]string{
		"RotateFunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:rotate",
		"RotateCredential":  "rate(30 days)", "RotateSession": "cron(0 3 * * ? *)", "RotateToken": "rate(4 hours)",
	})
	for id, want := range map[string][]string{
		"CredentialRotation": {"<Credential>", "rate(30 days)"}, "SessionRotation": {"<Session>", "cron(0 3 * * ? *)"},
		"TokenRotation": {"<Token>", "rate(4 hours)"},
	} {
		p := stack[id].get("Properties")
		check(t, id, want, []string{p.get("SecretId").text(), p.get("RotationRules", "ScheduleExpression").text()})
		check(t, id+" begins at once", "false", p.get("RotateImmediatelyOnUpdate").text())
	}
}

// TestAConnectionsReaderReadsTheTokenAlone: a reader reads the token and nothing else.
func TestAConnectionsReaderReadsTheTokenAlone(t *testing.T) {
	t.Parallel()
	resources := func(stack map[string]node) (out []any) {
		for _, s := range stack["ReaderPolicy"].get("Properties", "PolicyDocument", "Statement").list() {
			out = append(out, s.get("Resource").value)
		}
		return out
	}
	nokey := "arn:aws:kms:eu-central-1:123456789012:key/none"
	check(t, "of a secret", []any{"<Token>", nokey}, resources(connectionStack(t, nil)))
	check(t, "with a copy", []any{[]any{"<Token>", "<PlainToken>"}, nokey},
		resources(connectionStack(t, map[string]string{"PlainCopy": "true"})))
	check(t, "of a parameter",
		[]any{"arn:aws:ssm:eu-central-1:123456789012:parameter/evertoken/tokens/flexera-prod", nokey},
		resources(connectionStack(t, map[string]string{"PublishIn": "parameter"})))

	stack := connectionStack(t, map[string]string{
		"ReaderArn": "arn:aws:iam::111122223333:role/reader", "GuardedBy": "arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b"})
	reader := stack["TokenPolicy"].get("Properties", "ResourcePolicy", "Statement").list()[0]
	check(t, "another account's reader", "arn:aws:iam::111122223333:role/reader",
		reader.get("Principal", "AWS").text())
	for _, id := range []string{"CredentialPolicy", "SessionPolicy"} {
		guard := stack[id].get("Properties", "ResourcePolicy", "Statement").list()[0]
		check(t, id, "Deny", guard.get("Effect").text())
		check(t, id+" spares", []any{"arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/b"},
			guard.get("Condition", "ArnNotEquals", "aws:PrincipalArn").value)
	}
	for _, id := range []string{"TokenPolicy", "CredentialPolicy", "SessionPolicy"} {
		if _, there := connectionStack(t, nil)[id]; there {
			t.Errorf("%s is in a stack without one", id)
		}
	}
}
