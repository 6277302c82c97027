// The function rotate serves Secrets Manager's rotation: it is what an operator
// names in a rotation schedule. See package rotate for what each step does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"evertoken/internal/wiring"
)

func main() {
	parts, err := wiring.FromEnvironment(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(parts.Rotator().Handle)
}
