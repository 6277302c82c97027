package template

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// service is a type of internal/secrets that calls an AWS service.
type service struct{ prefix, kind, api string }

var services = []service{{"secretsmanager", "Store", "API"}, {"ssm", "Parameters", "ParameterAPI"}}

// keyActions are KMS's for secrets and SecureStrings under a customer managed
// key: Decrypt and GenerateDataKey for both, Encrypt for a standard parameter.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
// https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
var keyActions = []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}

// called are the AWS operations that a function can call: those behind the
// interfaces by which its own package and the core speak to package secrets.
func called(t *testing.T, function string) []string {
	t.Helper()
	wrappers := parsePackage(t, "internal/secrets")
	out := set{}
	for _, folder := range []string{"internal/" + function, "internal/renew"} {
		found := 0
		for name, names := range interfaces(parsePackage(t, folder)) {
			for _, s := range services {
				all := methods(wrappers, s.kind)
				// Both types have a Get; what is called Parameters is the latter.
				if !within(names, all) || (name == "Parameters") != (s.kind == "Parameters") {
					continue
				}
				found++
				for method := range names {
					for operation := range operations(all, method, set{}) {
						out[s.prefix+":"+operation] = true
					}
				}
			}
		}
		if found < len(services) {
			t.Errorf("%s has %d interfaces over package secrets, not one for each service", folder, found)
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// granted are the actions that a function's policies allow.
func granted(f node) []string {
	out := set{}
	for _, s := range f.statements() {
		if s.get("Effect").text() == "Allow" {
			for _, action := range s.get("Action").texts() {
				out[action] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// texts is a text or a list of texts.
func (n node) texts() []string {
	n.t.Helper()
	list, ok := n.value.([]any)
	if !ok {
		return []string{n.text()}
	}
	var out []string
	for _, one := range list {
		out = append(out, node{n.t, n.path, one}.text())
	}
	return out
}

// statements are those of all policies, conditional ones too.
func (n node) statements() []node {
	n.t.Helper()
	policies, ok := n.get("Properties", "Policies").value.([]any)
	if !ok {
		n.t.Fatalf("%s has no list of policies", n.path)
	}
	var out []node
	for _, p := range policies {
		policy := node{n.t, n.path + ".Policies", p}
		if slices.Contains(policy.members(), "Fn::If") {
			choice, ok := policy.get("Fn::If").value.([]any)
			if !ok || len(choice) != 3 {
				n.t.Fatalf("%s has an If without three parts", n.path)
			}
			policy = node{n.t, policy.path, choice[1]}
		}
		list, ok := policy.get("Statement").value.([]any)
		if !ok {
			n.t.Fatalf("%s has a policy without statements", n.path)
		}
		for _, s := range list {
			out = append(out, node{n.t, policy.path, s})
		}
	}
	return out
}

// TestActions: nothing is granted that no code calls, and nothing called that is
// not granted.
func TestActions(t *testing.T) {
	t.Parallel()
	for id, f := range functions(t) {
		want := append(called(t, strings.ToLower(strings.TrimSuffix(id, "Function"))), keyActions...)
		slices.Sort(want)
		check(t, id+", granted (+) and called (-)", want, granted(f))
	}
}

// TestOperations: the interfaces over the SDK have what is called, no more.
func TestOperations(t *testing.T) {
	t.Parallel()
	files := parsePackage(t, "internal/secrets")
	for _, s := range services {
		used := set{}
		all := methods(files, s.kind)
		for name := range all {
			used.add(operations(all, name, set{}))
		}
		check(t, s.api, slices.Sorted(maps.Keys(interfaces(files)[s.api])), slices.Sorted(maps.Keys(used)))
	}
}

// TestStars: Resource "*" stands only where AWS knows no resource, in a
// statement of its own.
func TestStars(t *testing.T) {
	t.Parallel()
	for id, f := range functions(t) {
		for _, s := range f.statements() {
			for _, action := range s.get("Action").texts() {
				if strings.Contains(action, "*") {
					t.Errorf("%s is granted %s", id, action)
				}
			}
			if s.get("Resource").value == "*" {
				check(t, id+`, granted on Resource "*"`, []string{"secretsmanager:BatchGetSecretValue"}, s.get("Action").texts())
			}
		}
	}
}
