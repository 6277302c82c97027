package operator

import (
	"context"
	"net"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"evertoken/internal/secrets"
)

// cloud is AWS as the operator's credentials reach it.
type cloud struct {
	region     string
	endpoint   string // "" for AWS's own
	secrets    *secretsmanager.Client
	parameters *ssm.Client
	lambda     *lambda.Client
	stacks     *cloudformation.Client
	sts        *sts.Client
	// store and values are the functions' own way to read.
	store  *secrets.Store
	values *secrets.Parameters
}

// cloud connects to AWS: it finds Region and credentials, and sends nothing.
func (a *app) cloud(ctx context.Context) (*cloud, error) {
	if a.aws != nil {
		return a.aws, nil
	}
	options := []func(*config.LoadOptions) error{config.WithRetryer(secrets.Retryer())}
	if a.profile != "" {
		options = append(options, config.WithSharedConfigProfile(a.profile))
	}
	if a.region != "" {
		options = append(options, config.WithRegion(a.region))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil { // its text may name files and accounts
		return nil, &failure{exitAWS, errConfiguration, "Check --profile, AWS_PROFILE and " +
			"~/.aws/config. `aws configure list-profiles` lists the profiles."}
	}
	if a.endpoint != "" {
		c.BaseEndpoint = &a.endpoint
	}
	if c.Region == "" {
		return nil, &failure{exitAWS, errRegion, "Give --region, set AWS_REGION, " +
			"or use a profile that has a Region."}
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, &failure{exitAWS, errCredentials, "Sign in (`aws sso login`), give " +
			"--profile, or set AWS_PROFILE."}
	}
	// An invocation may take as long as the function, so it has no such time-out.
	quick := c.Copy()
	quick.HTTPClient = awshttp.NewBuildableClient().WithTimeout(callTimeout)
	slow := c.Copy()
	slow.RetryMaxAttempts, slow.Retryer = 1, func() aws.Retryer { return aws.NopRetryer{} }
	a.aws = &cloud{
		region: c.Region, endpoint: aws.ToString(c.BaseEndpoint),
		secrets: secretsmanager.NewFromConfig(quick), parameters: ssm.NewFromConfig(quick),
		lambda: lambda.NewFromConfig(slow), stacks: cloudformation.NewFromConfig(quick),
		sts: sts.NewFromConfig(quick),
	}
	a.aws.store = secrets.NewStore(a.aws.secrets, nil)
	a.aws.values = secrets.NewParameters(a.aws.parameters)
	return a.aws, nil
}

// local reports whether AWS is on this machine, as `make run SERVE=1` serves it. The
// command then uses no TLS with providers on this machine.
func (c *cloud) local() bool {
	u, err := url.Parse(c.endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// account is the number of the account that the credentials are of, or "an unknown
// account": only messages use it.
func (c *cloud) account(ctx context.Context) string {
	out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "an unknown account"
	}
	return "account " + aws.ToString(out.Account)
}
