package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// callTimeout ends one try of a call to AWS. AWS answers in well under a second, and a
// connection that died silently would otherwise take the whole run.
const callTimeout = 8 * time.Second

// idleConnections is how many connections to AWS are kept for the next call.
const idleConnections = 100

// Config loads the SDK's configuration from the environment, with the time-outs
// and retries that Evertoken needs.
func Config(ctx context.Context) (aws.Config, error) {
	quick := awshttp.NewBuildableClient().WithTimeout(callTimeout)
	client := quick.WithTransportOptions(func(t *http.Transport) {
		// With the SDK's 10 every further call of a busy run would shake hands anew.
		t.MaxIdleConns, t.MaxIdleConnsPerHost = idleConnections, idleConnections
	})
	c, err := config.LoadDefaultConfig(ctx, config.WithRetryer(Retryer()),
		config.WithHTTPClient(client))
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	return c, nil
}

// attempts is how often the SDK tries one call, with back-off, before Evertoken decides by
// the error.
const attempts = 3

// Retryer returns the retryer of the SDK's clients. It retries throttles and faults of the
// service, but not LimitExceededException: the SDK takes that for a throttle, but here it
// means that a secret is full. It has no retry quota, because a run must be able to retry
// its last write however many others failed.
func Retryer() func() aws.Retryer {
	return func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.MaxBackoff = 2 * time.Second
			o.RateLimiter = ratelimit.None
			o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "LimitExceededException" {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})}, o.Retryables...)
		})
	}
}
