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
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/issue"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

func main() {
	runner, err := wire(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(func(ctx context.Context, event json.RawMessage) (issue.Report, error) {
		e, err := issue.ParseEvent(event)
		if err != nil {
			return issue.Report{}, err
		}
		return runner.Run(ctx, e)
	})
}

func wire(ctx context.Context) (*issue.Runner, error) {
	c, err := config.Load(os.Getenv)
	if err != nil {
		return nil, err
	}
	aws, err := secrets.Config(ctx)
	if err != nil {
		return nil, err
	}
	store := secrets.NewStore(secretsmanager.NewFromConfig(aws), secrets.NewLimiter(c.WritesPerSecond, time.Now, secrets.Sleep))
	parameters := secrets.NewParameters(ssm.NewFromConfig(aws))
	log := telemetry.NewLogger()
	options := providers.Options{Client: &oauth.Client{}, Now: time.Now, AllowLoopbackHTTP: c.AllowLoopbackHTTP}
	return &issue.Runner{
		Config: c, Secrets: store, Parameters: parameters, Log: log, Now: time.Now,
		Metrics: telemetry.NewMetrics(os.Stdout, lambdacontext.FunctionName, time.Now),
		Engine: renew.Engine{
			Secrets: store, Parameters: parameters, Now: time.Now, Sleep: secrets.Sleep, Log: log,
			Every: c.Every, RescuePrefix: c.ParameterPrefix + "rescue/",
		},
		Provider: func(c connection.Connection) (renew.Provider, error) { return providers.New(c, options) },
	}, nil
}
