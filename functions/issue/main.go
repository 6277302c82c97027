// The function issue renews every token that is due. EventBridge Scheduler wakes
// it every few minutes; an operator may invoke it by hand. See [issue.Event] for
// what it takes and [issue.Report] for what it answers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"evertoken/internal/issue"
	"evertoken/internal/telemetry"
	"evertoken/internal/wiring"
)

func main() {
	parts, err := wiring.FromEnvironment(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runner := parts.Runner(telemetry.NewMetrics(os.Stdout, lambdacontext.FunctionName, time.Now))
	lambda.Start(func(ctx context.Context, event json.RawMessage) (issue.Report, error) {
		e, err := issue.ParseEvent(event)
		if err != nil {
			return issue.Report{}, err
		}
		return runner.Run(ctx, e)
	})
}
