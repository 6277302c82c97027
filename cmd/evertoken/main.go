// Command evertoken is the operator's command: see package operator, and docs/command.md
// for every subcommand.
package main

import (
	"context"
	"os"
	"time"

	"evertoken/internal/operator"
	"evertoken/internal/secrets"
)

func main() {
	os.Exit(operator.Process{
		Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Now: time.Now, Sleep: secrets.Sleep,
	}.Run(context.Background(), os.Args[1:]))
}
