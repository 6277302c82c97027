// Package wiring puts the parts together: it is the one place that knows which
// part is given to which. The functions wire what [FromEnvironment] finds, tests
// the same over fakes.
package wiring

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/issue"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/renew"
	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

// Parts are what a run or a rotation is made of.
type Parts struct {
	Config     config.Config
	Secrets    *secrets.Store
	Parameters *secrets.Parameters
	// Paces are those that both keep to; nil for none.
	Paces *secrets.Paces
	// Calls counts the calls to AWS; nil for not at all.
	Calls *telemetry.Calls
	// OAuth sends the exchanges.
	OAuth *oauth.Client
	Log   *slog.Logger
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
}

// FromEnvironment returns the parts as a function has them in Lambda: the
// settings and AWS as the environment says, the real clock, logs on standard
// output.
func FromEnvironment(ctx context.Context) (Parts, error) {
	c, err := config.Load(os.Getenv)
	if err != nil {
		return Parts{}, err
	}
	sdk, err := secrets.Config(ctx)
	if err != nil {
		return Parts{}, err
	}
	calls := telemetry.NewCalls(sdk.HTTPClient)
	sdk.HTTPClient = calls
	log := telemetry.NewLogger()
	paces := secrets.NewPaces(c.WritesPerSecond, time.Now, secrets.Sleep)
	return Parts{
		Config:     c,
		Secrets:    secrets.NewStore(secretsmanager.NewFromConfig(sdk), paces),
		Parameters: secrets.NewParameters(ssm.NewFromConfig(sdk)).Paced(paces),
		Paces:      paces,
		Calls:      calls,
		OAuth:      &oauth.Client{Observe: telemetry.LogRequests(log)},
		Log:        log,
		Now:        time.Now, Sleep: secrets.Sleep,
	}, nil
}

// Engine is what renews one connection.
func (p Parts) Engine() renew.Engine {
	return renew.Engine{
		Secrets: p.Secrets, Parameters: p.Parameters, Now: p.Now, Sleep: p.Sleep, Log: p.Log,
		Every: p.Config.Every, RescuePrefix: p.Config.ParameterPrefix + "rescue/",
		RescueKey: p.Config.RescueKey,
	}
}

// Provider makes a connection's provider. Its error names the setting.
func (p Parts) Provider(c connection.Connection) (exchange.Provider, error) {
	return providers.New(c, providers.Options{
		Client: p.OAuth, Now: p.Now, AllowLoopbackHTTP: p.Config.AllowLoopbackHTTP,
		AllowedHosts: p.Config.AllowedHosts,
	})
}

// Runner is what the function issue runs.
func (p Parts) Runner(metrics *telemetry.Metrics) *issue.Runner {
	r := &issue.Runner{
		Config: p.Config, Secrets: p.Secrets, Parameters: p.Parameters, Engine: p.Engine(),
		Provider: p.Provider, Metrics: metrics, Log: p.Log, Now: p.Now,
	}
	if p.Calls != nil {
		r.Calls = p.Calls.Take
	}
	if p.Paces != nil {
		r.WriteDelay = p.Paces.Writes.Delay
	}
	return r
}

// Rotator is what the function rotate serves.
func (p Parts) Rotator() *rotate.Rotator {
	return &rotate.Rotator{
		Config: p.Config, Secrets: p.Secrets, Parameters: p.Parameters, Engine: p.Engine(),
		Provider: p.Provider, Log: p.Log, Now: p.Now, Sleep: p.Sleep,
	}
}
