package supply

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheTestsNamedInTheSecurityPageExist: every test that docs/security.md names exists.
func TestTheTestsNamedInTheSecurityPageExist(t *testing.T) {
	t.Parallel()
	text := page(t, "docs/security.md")
	named := regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9]+)`").FindAllStringSubmatch(text, -1)
	if len(named) < 25 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no tests: %v", m[1], err)
			continue
		}
		found := slices.ContainsFunc(files, func(file string) bool {
			content, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(content), "\nfunc "+m[2]+"(t *testing.T) {")
		})
		if !found {
			t.Errorf("docs/security.md names %s of %s, which does not exist", m[2], m[1])
		}
	}
	if loose := regexp.MustCompile("`Test[A-Za-z0-9]+`").FindString(text); loose != "" {
		t.Errorf("%s is named without its package", loose)
	}
	for _, name := range regexp.MustCompile("`(verify/[a-z./]+\\.sh|\\.github/[a-z./]+)`").FindAllStringSubmatch(text, -1) {
		page(t, name[1])
	}
}

// TestTheParametersNamedInTheSecurityPageExist: the command for a regulated account names
// parameters of the template, and the template has the outputs that the patterns need.
func TestTheParametersNamedInTheSecurityPageExist(t *testing.T) {
	t.Parallel()
	text, template := page(t, "docs/security.md"), page(t, "template.yaml")
	_, command, _ := strings.Cut(text, "sam deploy --parameter-overrides")
	command, _, _ = strings.Cut(command, "```")
	named := regexp.MustCompile(`([A-Z][A-Za-z]+)=`).FindAllStringSubmatch(command, -1)
	if len(named) < 9 {
		t.Errorf("only %d parameters are named", len(named))
	}
	for _, m := range named {
		if !strings.Contains(template, "\n  "+m[1]+":\n    Type: ") {
			t.Errorf("the template has no parameter %s", m[1])
		}
	}
	for _, output := range []string{"IssueFunctionRoleArn", "RotateFunctionRoleArn"} {
		if !strings.Contains(text, output) || !strings.Contains(template, "\n  "+output+":\n    Description: ") {
			t.Errorf("the output %s is not in both", output)
		}
	}
}

// deployment is the role in which CloudFormation acts for a person.
const deployment = "deployment"

// event is EventBridge's event for a call that CloudTrail recorded, with the members that
// the patterns use.
func event(t *testing.T, service, name, role, request, more string) any {
	t.Helper()
	identity := `{"type":"IAMUser","userName":"eve"}`
	if role != "" {
		identity = `{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/` + role + `"}}}`
	}
	if role == deployment {
		identity = `{"type":"AssumedRole","invokedBy":"cloudformation.amazonaws.com"}`
	}
	var out any
	text := `{"source":"aws.` + service + `","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"` + name +
		`","requestParameters":` + request + `,"userIdentity":` + identity + more + `}}`
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheDetectionPatternsMatchTheirEvents matches the patterns of docs/security.md with
// events.
func TestTheDetectionPatternsMatchTheirEvents(t *testing.T) {
	t.Parallel()
	patterns := map[string]any{}
	for _, m := range regexp.MustCompile("(?s)```json detection=([a-z]+)\n(.*?)```").FindAllStringSubmatch(page(t, "docs/security.md"), -1) {
		var p any
		if err := json.Unmarshal([]byte(m[2]), &p); err != nil {
			t.Fatalf("the pattern %s: %v", m[1], err)
		}
		patterns[m[1]] = p
	}
	const (
		ours       = "evertoken-issue"
		arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
		credential = `{"secretId":"` + arn + `evertoken/a/credential-AbCdEf"}`
	)
	used := map[string]bool{}
	for _, test := range []struct {
		pattern, what                        string
		service, name, role, request, detail string
		want                                 bool
	}{
		{"connection", "written", "ssm", "PutParameter", "admin", `{"name":"/evertoken/connections/a"}`, "", true},
		{"connection", "deleted with others", "ssm", "DeleteParameters", "admin", `{"names":["/x","/evertoken/connections/a"]}`, "", true},
		{"connection", "read", "ssm", "GetParameter", "admin", `{"name":"/evertoken/connections/a"}`, "", false},
		{"connection", "another parameter", "ssm", "PutParameter", ours, `{"name":"/evertoken/tokens/a"}`, "", false},
		{"read", "by another role", "secretsmanager", "GetSecretValue", "admin", credential, "", true},
		{"read", "by a user", "secretsmanager", "GetSecretValue", "", `{"secretId":"evertoken/a/credential"}`, "", true},
		{"read", "a session", "secretsmanager", "GetSecretValue", "admin", `{"secretId":"evertoken/a/session"}`, "", true},
		{"read", "in a batch", "secretsmanager", "BatchGetSecretValue", "admin", `{"secretIdList":["x","evertoken/a/credential"]}`, "", true},
		{"read", "by issue", "secretsmanager", "GetSecretValue", ours, credential, "", false},
		{"read", "by rotate", "secretsmanager", "GetSecretValue", "evertoken-rotate", credential, "", false},
		{"read", "a token", "secretsmanager", "GetSecretValue", "app", `{"secretId":"evertoken/a/token"}`, "", false},
		{"change", "a label moved", "secretsmanager", "UpdateSecretVersionStage", "admin", credential, "", true},
		{"change", "a policy by a user", "secretsmanager", "PutResourcePolicy", "", credential, "", true},
		{"change", "a token written by issue", "secretsmanager", "PutSecretValue", ours, `{"secretId":"evertoken/a/token"}`, "", false},
		{"change", "another secret", "secretsmanager", "PutSecretValue", "admin", `{"secretId":"payroll"}`, "", false},
		{"refused", "a call of issue", "s3", "ListBuckets", ours, `{}`, `,"errorCode":"AccessDenied"`, true},
		{"refused", "a call of rotate", "secretsmanager", "GetSecretValue", "evertoken-rotate", credential, `,"errorCode":"AccessDeniedException"`, true},
		{"refused", "another error", "secretsmanager", "GetSecretValue", ours, credential, `,"errorCode":"ResourceNotFoundException"`, false},
		{"refused", "somebody else's", "s3", "ListBuckets", "admin", `{}`, `,"errorCode":"AccessDenied"`, false},
		{"function", "code", "lambda", "UpdateFunctionCode20150331v2", "admin", `{"functionName":"evertoken-IssueFunction-x"}`, "", true},
		{"function", "a deployment", "lambda", "UpdateFunctionCode20150331v2", deployment, `{"functionName":"evertoken-IssueFunction-x"}`, "", false},
		{"function", "another function", "lambda", "UpdateFunctionCode20150331v2", "admin", `{"functionName":"payroll"}`, "", false},
	} {
		used[test.pattern] = true
		if got := matches(t, patterns[test.pattern], event(t, test.service, test.name, test.role, test.request, test.detail)); got != test.want {
			t.Errorf("%s, %s: %v, want %v", test.pattern, test.what, got, test.want)
		}
	}
	for name := range patterns {
		if !used[name] {
			t.Errorf("no event is matched with the pattern %s", name)
		}
	}
}

// matches evaluates a pattern as EventBridge does, as far as these need it:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func matches(t *testing.T, pattern, event any) bool {
	t.Helper()
	members, ok := pattern.(map[string]any)
	if !ok {
		return leaf(t, pattern, event)
	}
	got, _ := event.(map[string]any) // none where the event has no such member
	for name, want := range members {
		if name == "$or" {
			choices, _ := want.([]any)
			if !slices.ContainsFunc(choices, func(c any) bool { return matches(t, c, event) }) {
				return false
			}
			continue
		}
		if list, ok := got[name].([]any); ok {
			if !slices.ContainsFunc(list, func(one any) bool { return matches(t, want, one) }) {
				return false
			}
			continue
		}
		if !matches(t, want, got[name]) {
			return false
		}
	}
	return true
}

// leaf matches one value with a pattern's list of allowed ones; nil is a member that the
// event does not have.
func leaf(t *testing.T, pattern, value any) bool {
	t.Helper()
	wanted, ok := pattern.([]any)
	if !ok {
		t.Fatalf("a pattern ends in %v, which is no list", pattern)
	}
	text, there := value.(string)
	return slices.ContainsFunc(wanted, func(one any) bool {
		operator, ok := one.(map[string]any)
		if !ok {
			return there && one == text
		}
		for name, operand := range operator {
			argument, _ := operand.(string)
			switch name {
			case "exists":
				return operand == there
			case "prefix":
				return there && strings.HasPrefix(text, argument)
			case "anything-but":
				excluded, _ := operand.([]any)
				return there && !slices.Contains(excluded, any(text))
			case "wildcard":
				re := "^" + strings.ReplaceAll(regexp.QuoteMeta(argument), `\*`, ".*") + "$"
				return there && regexp.MustCompile(re).MatchString(text)
			}
			t.Fatalf("%s is an unknown operator", name)
		}
		return false
	})
}
