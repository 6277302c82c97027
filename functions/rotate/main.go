// The function rotate serves Secrets Manager's rotation: it is what an operator
// names in a rotation schedule. See package rotate for what each step does.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/renew"
	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

func main() {
	rotator, err := wire(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(rotator.Handle)
}

func wire(ctx context.Context) (*rotate.Rotator, error) {
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
	return &rotate.Rotator{
		Config: c, Secrets: store, Parameters: parameters, Log: log, Now: time.Now, Sleep: secrets.Sleep,
		Engine: renew.Engine{
			Secrets: store, Parameters: parameters, Now: time.Now, Sleep: secrets.Sleep, Log: log,
			Every: c.Every, RescuePrefix: c.ParameterPrefix + "rescue/",
		},
		Provider: func(c connection.Connection) (renew.Provider, error) { return providers.New(c, options) },
	}, nil
}
