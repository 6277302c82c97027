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

// called are the AWS operations that a function can call: those behind the interfaces by
// which its own package and the core use package secrets.
func called(t *testing.T, function string) []string {
	t.Helper()
	wrappers := parsePackage(t, "internal/secrets")
	out := set{}
	for _, folder := range []string{"internal/" + function, "internal/renew"} {
		found := 0
		for name, names := range interfaces(parsePackage(t, folder)) {
			for _, s := range services {
				all := methods(wrappers, s.kind)
				// Both types have a Get; the one called on a field named Parameters is
				// the latter's.
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

// platform are the actions that Lambda, or a schedule, needs in addition to those that
// the code calls.
var platform = map[string][]string{
	"IssueFunction": {
		"logs:CreateLogStream", "logs:PutLogEvents",
		"xray:PutTelemetryRecords", "xray:PutTraceSegments",
	},
	"RotateFunction": {
		"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
	},
}

// network are Lambda's own for a VPC:
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
var network = []string{
	"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
	"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
}

// granted are the actions that statements allow.
func granted(statements []statement) []string {
	out := set{}
	for _, s := range statements {
		if s.effect == "Allow" {
			for _, action := range s.actions {
				out[action] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// TestEveryActionIsGrantedAndCalled: the template grants exactly the actions that the
// code calls.
func TestEveryActionIsGrantedAndCalled(t *testing.T) {
	t.Parallel()
	for id := range functions(t) {
		want := called(t, strings.ToLower(strings.TrimSuffix(id, "Function")))
		want = append(append(append(want, keyActions...), platform[id]...), network...)
		slices.Sort(want)
		check(t, id+", granted (+) and called (-)", want, granted(statementsOf(t, id)))
	}
	check(t, "the heartbeat's role",
		[]string{"kms:Decrypt", "kms:GenerateDataKey", "lambda:InvokeFunction",
			"sqs:SendMessage"}, granted(statementsOf(t, "Heartbeat")))
}

// TestEveryOperationOfAnInterfaceIsCalled: the interfaces over the SDK have exactly the
// operations that the code calls.
func TestEveryOperationOfAnInterfaceIsCalled(t *testing.T) {
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

// TestAStarIsUsedOnlyWhereAWSKnowsNoResource: Resource "*" is used only where AWS knows
// no resource, in a separate statement, and no action has a star.
func TestAStarIsUsedOnlyWhereAWSKnowsNoResource(t *testing.T) {
	t.Parallel()
	starred := set{}
	for id := range roles {
		for _, s := range statementsOf(t, id) {
			for _, action := range s.actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s is granted %s", id, action)
				}
				if slices.Contains(s.resources, "*") && s.effect == "Allow" {
					starred[action] = true
				}
			}
		}
	}
	want := append([]string{"secretsmanager:BatchGetSecretValue", "xray:PutTelemetryRecords",
		"xray:PutTraceSegments"}, network...)
	slices.Sort(want)
	check(t, `granted on Resource "*"`, want, slices.Sorted(maps.Keys(starred)))
}
