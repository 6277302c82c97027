package template

import (
	"testing"
)

const (
	secretARN    = "arn:aws:secretsmanager:eu-central-1:" + account + ":secret:"
	parameterARN = "arn:aws:ssm:eu-central-1:" + account + ":parameter"
	getValue     = "secretsmanager:GetSecretValue"
	putValue     = "secretsmanager:PutSecretValue"
	moveLabel    = "secretsmanager:UpdateSecretVersionStage"
	stage        = "secretsmanager:VersionStage"
	rotatedBy    = "secretsmanager:resource/AllowRotationLambdaArn"
	viaService   = "kms:ViaService"
)

// TestEachRoleMayDoItsWorkAndNoMore checks what each role must be able to do, and similar
// requests that IAM must refuse to it.
func TestEachRoleMayDoItsWorkAndNoMore(t *testing.T) {
	t.Parallel()
	credential, session, token, plain := secretARN+"evertoken/a/credential-AbCdEf", secretARN+"evertoken/a/session-AbCdEf",
		secretARN+"evertoken/a/token-AbCdEf", secretARN+"evertoken/a/copy-AbCdEf"
	label := func(name string) map[string]string { return map[string]string{stage: name} }
	ours, theirs := map[string]string{rotatedBy: "RotateFunction.Arn"}, map[string]string{rotatedBy: "another function"}
	both := func(label string, function map[string]string) map[string]string {
		return map[string]string{stage: label, rotatedBy: function[rotatedBy]}
	}
	for _, test := range []struct {
		what, role string
		request    request
		given      string
		want       bool
	}{
		{"read a credential", "IssueFunction", request{getValue, credential, nil}, "", true},
		{"read another owner's secret", "IssueFunction", request{getValue, secretARN + "payroll-AbCdEf", nil}, "", false},
		{"read a secret whose name only begins alike", "IssueFunction", request{getValue, secretARN + "evertoken2/a-AbCdEf", nil}, "", false},
		{"write a credential", "IssueFunction", request{putValue, credential, nil}, "", false},
		{"write a credential under its own rotation", "IssueFunction", request{putValue, credential, ours}, "", false},
		{"write a session", "IssueFunction", request{putValue, session, nil}, "", true},
		{"write a token", "IssueFunction", request{putValue, token, nil}, "", true},
		{"write a plain copy", "IssueFunction", request{putValue, plain, nil}, "", true},
		{"write another secret under the prefix", "IssueFunction", request{putValue, secretARN + "evertoken/a/other-AbCdEf", nil}, "", false},
		{"label a refused credential", "IssueFunction", request{moveLabel, credential, label("EVERTOKEN_REJECTED_20261125_password_0123abcd")}, "", true},
		{"change which credential is current", "IssueFunction", request{moveLabel, credential, label("AWSCURRENT")}, "", false},
		{"move an operator's label", "IssueFunction", request{moveLabel, credential, label("MINE")}, "", false},
		{"move a label without a name", "IssueFunction", request{moveLabel, credential, nil}, "", false},
		{"claim a session", "IssueFunction", request{moveLabel, session, label("EVERTOKEN_EXCHANGE")}, "", true},
		{"bring back a session", "IssueFunction", request{moveLabel, session, label("AWSCURRENT")}, "", true},
		{"begin a rotation of a session", "IssueFunction", request{moveLabel, session, label("AWSPENDING")}, "", false},
		{"label a token", "IssueFunction", request{moveLabel, token, label("EVERTOKEN_EXCHANGE")}, "", false},
		{"change which token is current without a value", "IssueFunction", request{moveLabel, token, label("AWSCURRENT")}, "", false},
		{"list the connections", "IssueFunction", request{"ssm:GetParametersByPath", parameterARN + "/evertoken/connections/", nil}, "", true},
		{"write a connection", "IssueFunction", request{"ssm:PutParameter", parameterARN + "/evertoken/connections/a", nil}, "", false},
		{"delete a connection", "IssueFunction", request{"ssm:DeleteParameter", parameterARN + "/evertoken/connections/a", nil}, "", false},
		{"publish a parameter", "IssueFunction", request{"ssm:PutParameter", parameterARN + "/evertoken/tokens/a", nil}, "", true},
		{"write another parameter", "IssueFunction", request{"ssm:PutParameter", parameterARN + "/evertoken/a", nil}, "", false},
		{"delete a published parameter", "IssueFunction", request{"ssm:DeleteParameter", parameterARN + "/evertoken/tokens/a", nil}, "", false},
		{"rescue a session", "IssueFunction", request{"ssm:PutParameter", parameterARN + "/evertoken/rescue/a", nil}, "", true},
		{"forget a rescued session", "IssueFunction", request{"ssm:DeleteParameter", parameterARN + "/evertoken/rescue/a", nil}, "", true},
		{"use the key through Secrets Manager", "IssueFunction", request{"kms:Decrypt", "the value of KmsKeyArn", map[string]string{viaService: "secretsmanager.eu-central-1.amazonaws.com"}}, "HasKmsKey", true},
		{"use the key directly", "IssueFunction", request{"kms:Decrypt", "the value of KmsKeyArn", nil}, "HasKmsKey", false},
		{"use the key through another service", "IssueFunction", request{"kms:Decrypt", "the value of KmsKeyArn", map[string]string{viaService: "s3.eu-central-1.amazonaws.com"}}, "HasKmsKey", false},
		{"use the rescue key for secrets", "IssueFunction", request{"kms:Decrypt", "the value of RescueKeyArn", map[string]string{viaService: "secretsmanager.eu-central-1.amazonaws.com"}}, "HasRescueKey", false},
		{"use the rescue key for parameters", "IssueFunction", request{"kms:GenerateDataKey", "the value of RescueKeyArn", map[string]string{viaService: "ssm.eu-central-1.amazonaws.com"}}, "HasRescueKey", true},
		{"use a key that is not set", "IssueFunction", request{"kms:Decrypt", "the value of RescueKeyArn", map[string]string{viaService: "ssm.eu-central-1.amazonaws.com"}}, "", false},
		{"write its own log", "IssueFunction", request{"logs:PutLogEvents", "IssueLogs.Arn", nil}, "", true},
		{"write another log", "IssueFunction", request{"logs:PutLogEvents", "RotateLogs.Arn", nil}, "", false},
		{"make a network interface from code", "IssueFunction", request{"ec2:CreateNetworkInterface", "*", map[string]string{"lambda:SourceFunctionArn": "arn:aws:lambda:eu-central-1:" + account + ":function:evertoken"}}, "HasVpc", false},
		{"have Lambda make a network interface", "IssueFunction", request{"ec2:CreateNetworkInterface", "*", nil}, "HasVpc", true},
		{"have a network interface without a VPC", "IssueFunction", request{"ec2:CreateNetworkInterface", "*", nil}, "", false},

		{"store a new client of a credential that it rotates", "RotateFunction", request{putValue, credential, ours}, "", true},
		{"store a client of a credential that another function rotates", "RotateFunction", request{putValue, credential, theirs}, "", false},
		{"store a client of a credential without rotation", "RotateFunction", request{putValue, credential, nil}, "", false},
		{"promote a credential that it rotates", "RotateFunction", request{moveLabel, credential, both("AWSCURRENT", ours)}, "", true},
		{"promote a credential that another function rotates", "RotateFunction", request{moveLabel, credential, both("AWSCURRENT", theirs)}, "", false},
		{"promote a credential without rotation", "RotateFunction", request{moveLabel, credential, label("AWSCURRENT")}, "", false},
		{"give a rotation of a credential up", "RotateFunction", request{moveLabel, credential, both("AWSPENDING", ours)}, "", true},
		{"label a refused credential without rotation", "RotateFunction", request{moveLabel, credential, label("EVERTOKEN_REJECTED_20261125_password_0123abcd")}, "", true},
		{"store a token that it rotates", "RotateFunction", request{putValue, token, ours}, "", true},
		{"store a token that it does not rotate", "RotateFunction", request{putValue, token, nil}, "", false},
		{"promote a token that it does not rotate", "RotateFunction", request{moveLabel, token, label("AWSCURRENT")}, "", false},
		{"store a session that has no rotation", "RotateFunction", request{putValue, session, nil}, "", true},
		{"write another secret under the prefix that it rotates", "RotateFunction", request{putValue, secretARN + "evertoken/a/other-AbCdEf", ours}, "", false},
		{"write another owner's secret that it rotates", "RotateFunction", request{putValue, secretARN + "payroll/credential-AbCdEf", ours}, "", false},
		{"read a connection", "RotateFunction", request{"ssm:GetParameter", parameterARN + "/evertoken/connections/a", nil}, "", true},
		{"read a published parameter", "RotateFunction", request{"ssm:GetParameter", parameterARN + "/evertoken/tokens/a", nil}, "", false},
		{"rescue a session", "RotateFunction", request{"ssm:PutParameter", parameterARN + "/evertoken/rescue/a", nil}, "", true},

		{"wake issue", "Heartbeat", request{"lambda:InvokeFunction", "IssueFunction.Arn", nil}, "", true},
		{"wake rotate", "Heartbeat", request{"lambda:InvokeFunction", "RotateFunction.Arn", nil}, "", false},
	} {
		var given []string
		if test.given != "" {
			given = append(given, test.given)
		}
		if got := allows(t, statementsOf(t, test.role), test.request, given...); got != test.want {
			t.Errorf("%s may %s: %v, want %v", test.role, test.what, got, test.want)
		}
	}
}

// TestOnlyItsServiceMayAssumeARole: who may assume each role, and that every role can
// have a permissions boundary.
func TestOnlyItsServiceMayAssumeARole(t *testing.T) {
	t.Parallel()
	resources := load(t).get("Resources")
	for id, service := range map[string]string{"IssueFunction": "lambda.amazonaws.com", "RotateFunction": "lambda.amazonaws.com", "Heartbeat": "scheduler.amazonaws.com"} {
		properties := resources.get(roles[id].role, "Properties")
		statements := properties.get("AssumeRolePolicyDocument", "Statement").list()
		check(t, id+", statements", 1, len(statements))
		check(t, id+" is trusted to", map[string]any{"Service": service}, statements[0].get("Principal").value)
		check(t, id+"'s boundary",
			map[string]any{"Fn::If": []any{"HasBoundary",
				map[string]any{"Ref": "PermissionsBoundaryArn"}, map[string]any{"Ref": "AWS::NoValue"}}},
			properties.get("PermissionsBoundary").value)
	}
	trust := resources.get("HeartbeatRole", "Properties", "AssumeRolePolicyDocument", "Statement").list()[0]
	check(t, "the schedule's account",
		map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}}, trust.get("Condition", "StringEquals").value)
	check(t, "the schedule's group",
		map[string]any{"aws:SourceArn": map[string]any{"Fn::GetAtt": []any{"HeartbeatGroup",
			"Arn"}}}, trust.get("Condition", "ArnEquals").value)
	heartbeat := resources.get("IssueFunction", "Properties", "Events", "Heartbeat", "Properties")
	check(t, "the heartbeat's group", map[string]any{"Ref": "HeartbeatGroup"}, heartbeat.get("GroupName").value)
	check(t, "the heartbeat's role", map[string]any{"Fn::GetAtt": []any{"HeartbeatRole", "Arn"}},
		heartbeat.get("RoleArn").value)
	for id := range functions(t) {
		check(t, id+"'s role", map[string]any{"Fn::GetAtt": []any{id + "Role", "Arn"}},
			resources.get(id, "Properties", "Role").value)
	}
	check(t, "who invokes rotate", "secretsmanager.amazonaws.com",
		resources.get("RotatePermission", "Properties", "Principal").text())
	check(t, "for which account", map[string]any{"Ref": "AWS::AccountId"},
		resources.get("RotatePermission", "Properties", "SourceAccount").value)
}

// TestEveryRoleIsChecked: these checks cover every role, policy and permission in the
// template.
func TestEveryRoleIsChecked(t *testing.T) {
	t.Parallel()
	known := set{"RotatePermission": true}
	for _, r := range roles {
		known[r.role] = true
		for _, name := range r.beside {
			known[name] = true
		}
	}
	resources := load(t).get("Resources")
	for _, id := range resources.members() {
		switch kind := resources.get(id, "Type").text(); kind {
		case "AWS::IAM::Role", "AWS::IAM::RolePolicy", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Permission":
			if !known[id] {
				t.Errorf("%s (%s) is not checked", id, kind)
			}
		case "AWS::Serverless::Function":
			for _, member := range resources.get(id, "Properties").members() {
				if member == "Policies" {
					t.Errorf("%s has policies outside its role", id)
				}
			}
		}
	}
}
