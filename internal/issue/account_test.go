package issue_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// A message names a secret of the function's own account by its name, in whichever form
// it was declared, and another account's by its ARN, which commands need.
func TestSecretsOfAnotherAccountAreNamedByTheirARN(t *testing.T) {
	t.Parallel()
	const own, foreign = "123456789012", "210987654321"
	arn := func(account, name string) string {
		return "arn:aws:secretsmanager:us-east-1:" + account + ":secret:" + name + "-AbCdEf"
	}
	for account, want := range map[string]string{own: "crm", foreign: arn(foreign, "crm")} {
		w := fakeworld.New(t)
		w.Declare("x", map[string]any{"provider": "apiax", "credential": arn(account, "crm")})
		w.AWS.CreateSecret("evertoken/x/session", nil, nil)
		w.AWS.CreateSecret("evertoken/x/token", nil, nil)
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{
			InvokedFunctionArn: "arn:aws:lambda:us-east-1:" + own + ":function:issue",
		})
		report, err := w.Runner().Run(ctx, issue.Event{})
		if err != nil {
			t.Fatal(err)
		}
		e := fakeworld.Entry(report, "x")
		told := e.Reason + " " + e.Hint
		if e.Outcome != "failed" || !strings.Contains(told, "secret "+want+" does not exist") ||
			account == own && strings.Contains(told, own) {
			t.Errorf("%+v", e)
		}
	}
}
