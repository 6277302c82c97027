package template

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// roles are the roles by their owners, and the policies attached to them.
var roles = map[string]struct {
	role   string
	beside []string
}{
	"IssueFunction":  {"IssueFunctionRole", nil},
	"RotateFunction": {"RotateFunctionRole", []string{"RotateWrites"}},
	"Heartbeat":      {"HeartbeatRole", nil},
}

// statement is one of a policy, with the template's defaults filled in.
type statement struct {
	sid, effect string
	given       string // the template's condition under which it exists; empty for always
	actions     []string
	resources   []string
	conditions  map[string]map[string][]string // by operator and key
}

// statementsOf are those of a role, conditional ones too.
func statementsOf(t *testing.T, id string) []statement {
	t.Helper()
	resources := load(t).get("Resources")
	var out []statement
	policies := resources.get(roles[id].role, "Properties", "Policies").list()
	for _, p := range policies {
		given := ""
		if slices.Contains(p.members(), "Fn::If") {
			parts := p.get("Fn::If").list()
			if len(parts) != 3 {
				t.Fatalf("%s has an If without three parts", p.path)
			}
			given, p = parts[0].text(), parts[1]
		}
		out = append(out, readStatements(p.get("PolicyDocument"), given)...)
	}
	for _, name := range roles[id].beside {
		check(t, name+" is of", map[string]any{"Ref": roles[id].role},
			resources.get(name, "Properties", "RoleName").value)
		out = append(out, readStatements(resources.get(name, "Properties", "PolicyDocument"), "")...)
	}
	return out
}

func readStatements(document node, given string) []statement {
	var out []statement
	for _, n := range document.get("Statement").list() {
		s := statement{
			sid: n.get("Sid").text(), effect: n.get("Effect").text(), given: given,
			actions: n.get("Action").texts(), resources: n.get("Resource").texts(), conditions: map[string]map[string][]string{},
		}
		if slices.Contains(n.members(), "Condition") {
			for _, operator := range n.get("Condition").members() {
				keys := map[string][]string{}
				for _, key := range n.get("Condition", operator).members() {
					keys[key] = n.get("Condition", operator, key).texts()
				}
				s.conditions[operator] = keys
			}
		}
		out = append(out, s)
	}
	return out
}

func (n node) list() []node {
	n.t.Helper()
	list, ok := n.value.([]any)
	if !ok {
		n.t.Fatalf("%s is no list", n.path)
	}
	var out []node
	for i, one := range list {
		out = append(out, node{n.t, fmt.Sprintf("%s[%d]", n.path, i), one})
	}
	return out
}

// texts is a text or a list of texts, intrinsic functions filled in.
func (n node) texts() []string {
	n.t.Helper()
	if _, ok := n.value.([]any); !ok {
		return []string{n.filled()}
	}
	var out []string
	for _, one := range n.list() {
		out = append(out, one.filled())
	}
	return out
}

// filled is a text with the template's defaults and the pseudo parameters in it.
func (n node) filled() string {
	n.t.Helper()
	if text, ok := n.value.(string); ok {
		return text
	}
	switch n.members()[0] {
	case "Ref":
		return value(n.t, n.get("Ref").text())
	case "Fn::GetAtt":
		return n.get("Fn::GetAtt").list()[0].text() + ".Arn"
	case "Fn::Sub":
		text := n.get("Fn::Sub").text()
		for {
			before, rest, found := strings.Cut(text, "${")
			if !found {
				return text
			}
			name, after, _ := strings.Cut(rest, "}")
			text = before + value(n.t, name) + after
		}
	}
	n.t.Fatalf("%s is no text", n.path)
	return ""
}

const account = "123456789012"

// value is that of a parameter or a pseudo parameter.
func value(t *testing.T, name string) string {
	t.Helper()
	switch name {
	case "AWS::Partition":
		return "aws"
	case "AWS::Region":
		return "eu-central-1"
	case "AWS::AccountId":
		return account
	case "AWS::URLSuffix":
		return "amazonaws.com"
	case "KmsKeyArn", "RescueKeyArn", "LogsKeyArn":
		return "the value of " + name
	}
	return load(t).get("Parameters", name, "Default").text()
}

// request is one that a role makes.
type request struct {
	action, resource string
	context          map[string]string
}

// allows evaluates a request as IAM does, as far as the template's policies need
// it: an explicit denial, then any permission, then nothing. given are the
// template's conditions that hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func allows(t *testing.T, statements []statement, r request, given ...string) bool {
	t.Helper()
	allowed := false
	for _, s := range statements {
		if s.given != "" && !slices.Contains(given, s.given) || !s.matches(t, r) {
			continue
		}
		if s.effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s statement) matches(t *testing.T, r request) bool {
	t.Helper()
	like := func(patterns []string, text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return wild(p, text) })
	}
	if !slices.Contains(s.actions, r.action) || !like(s.resources, r.resource) {
		return false
	}
	for operator, keys := range s.conditions {
		for key, wanted := range keys {
			got, there := r.context[key]
			switch operator {
			case "StringEquals", "ArnEquals":
				if !there || !slices.Contains(wanted, got) {
					return false
				}
			case "ForAnyValue:StringLike", "ArnLike":
				if !there || !like(wanted, got) {
					return false
				}
			default:
				t.Fatalf("%s has the operator %s, which this check does not know", s.sid, operator)
			}
		}
	}
	return true
}

// wild matches IAM's wildcards: * is any text, slashes too, ? one character.
func wild(pattern, text string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(text, "/", slash))
	return err == nil && ok
}
