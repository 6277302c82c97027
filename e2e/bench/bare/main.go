// The bare handler is the baseline of the measurements: the same SDK packages, one client
// of each, and a handler that does nothing else.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	c, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	secrets, parameters := secretsmanager.NewFromConfig(c), ssm.NewFromConfig(c)
	lambda.Start(func(ctx context.Context) (int, error) {
		page, err := parameters.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: &path})
		if err != nil {
			return 0, err
		}
		batch, err := secrets.BatchGetSecretValue(ctx,
			&secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"evertoken/c-00000/token"}})
		if err != nil {
			return 0, err
		}
		return len(page.Parameters) + len(batch.SecretValues), nil
	})
}

var path = "/evertoken/connections/"
