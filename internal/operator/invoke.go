package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"evertoken/internal/issue"
)

// event is the event for the function issue; see [issue.Event].
type event struct {
	Connections []string `json:"connections"`
	Force       bool     `json:"force,omitempty"`
	DryRun      bool     `json:"dry_run,omitempty"`
	Candidate   bool     `json:"candidate,omitempty"`
}

func (e event) json() string {
	b, err := json.Marshal(e)
	if err != nil {
		panic("encoding an event cannot fail")
	}
	return string(b)
}

const (
	// invokeLasts is longer than the function's own time-out.
	invokeLasts = 6 * time.Minute
	// busyFor is how long the command waits for a scheduled run to end: Lambda runs
	// one at a time, and refuses a second.
	busyFor  = 5 * time.Minute
	busyWait = 5 * time.Second
)

// invoke runs issue and returns its answer. It waits for a run that is in progress.
func (a *app) invoke(ctx context.Context, s stack, e event) (issue.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, invokeLasts)
	defer cancel()
	payload, function := []byte(e.json()), "the function "+functionName(s.issue)
	var report issue.Report
	for end, told := a.Now().Add(busyFor), false; ; {
		out, err := a.aws.lambda.Invoke(ctx,
			&lambda.InvokeInput{FunctionName: &s.issue, Payload: payload})
		if awsCode(err) == "TooManyRequestsException" && a.Now().Before(end) {
			if !told {
				a.errorf("A run is in progress; waiting until it ends.\n")
				told = true
			}
			if a.Sleep(ctx, busyWait) != nil {
				return report, refused(ctx.Err(), "lambda:InvokeFunction", function)
			}
			continue
		}
		if err != nil {
			return report, refused(err, "lambda:InvokeFunction", function)
		}
		if out.FunctionError != nil {
			return report, a.functionFailed(s.name, out.Payload)
		}
		if json.Unmarshal(out.Payload, &report) != nil {
			return report, &failure{exitAWS,
				errors.New("the function issue gave an answer that this command cannot read"), oldFunction}
		}
		return report, nil
	}
}

const oldFunction = "The functions are of another release: deploy those of this command's release."

// functionName is a function's name from its ARN: no error shows an ARN.
func functionName(arn string) string { return arn[strings.LastIndex(arn, ":")+1:] }

// functionFailed turns an error of the whole run into a failure.
func (a *app) functionFailed(stackName string, payload []byte) error {
	var e struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(payload, &e) != nil {
		e.ErrorMessage = "it gave no reason"
	}
	next := "Its log says more: " + a.cli("logs", "tail", "/aws/lambda/"+stackName+"-issue")
	if e.ErrorType == "InvalidEvent" && strings.Contains(e.ErrorMessage, "is not known here") {
		next = oldFunction
	}
	return &failure{exitAWS, fmt.Errorf("the function issue failed: %s", e.ErrorMessage), next}
}

// outcomeOf is one connection's entry of an answer.
func outcomeOf(r issue.Report, name string) issue.Entry {
	for _, e := range r.Connections {
		if e.Name == name {
			return e
		}
	}
	return issue.Entry{Name: name, Outcome: "failed",
		Reason: "the function's answer does not name it", Hint: oldFunction}
}
