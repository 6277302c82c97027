package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// envFile is in SAM's format of --env-vars.
const envFile = "env.local.json"

// heartbeat is how often a served world wakes issue, as the template's default.
const heartbeat = 5 * time.Minute

// served is a world that stays up.
type served struct {
	*world
	logs *os.File
	out  io.Writer
}

// startServing starts the demonstration's world, issues the first tokens, prepares the
// rotation of events/rotate-*.json, writes env.local.json into dir and prints the
// commands to try. port 0 means free ones.
func startServing(ctx context.Context, port int, root, dir string, built bootstraps,
	out io.Writer) (_ *served, err error) {
	s := &served{out: out}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	path := filepath.Join(filepath.Dir(filepath.Dir(built.issue)), "functions.log")
	if s.logs, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if s.world, err = newWorld(ctx, setup{built: built, port: port, logs: s.logs, serve: true}); err != nil {
		return nil, inUse(err, port)
	}
	fleet, err := newFleet(s.idp)
	if err != nil {
		return nil, err
	}
	if err := store(s.aws, fleet); err != nil {
		return nil, err
	}
	if err := s.beat(ctx); err != nil {
		return nil, err
	}
	if err := s.prepareRotation(ctx, filepath.Join(root, "events", "rotate-create.json")); err != nil {
		return nil, err
	}
	if err := writeEnvironment(filepath.Join(dir, envFile), s.aws.URL()); err != nil {
		return nil, err
	}
	s.explain()
	return s, nil
}

// inUse explains a port that is in use: most likely another world is being served.
func inUse(err error, port int) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("ports %d to %d are in use: `make run SERVE=1` is already running, or another program has them. "+
		"End it, or take free ports: go run ./cmd/local -serve -port 0", port, port+2)
}

func (s *served) close() {
	if s.world != nil {
		s.world.close()
	}
	if s.logs != nil {
		_ = s.logs.Close()
	}
}

// wait is a schedule: it wakes issue until ctx ends.
func (s *served) wait(ctx context.Context) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.beat(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(s.out, err)
			}
		}
	}
}

func (s *served) beat(ctx context.Context) error {
	o, err := s.runIssue(ctx, []byte(`{"source":"aws.scheduler"}`))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s  heartbeat: %s\n", time.Now().Format(time.TimeOnly), counts(o.Report))
	return nil
}

// prepareRotation begins the rotation that the event names, and leaves it before
// createSecret: an empty version has AWSPENDING.
func (s *served) prepareRotation(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	var event struct{ SecretId, ClientRequestToken string }
	if err := json.Unmarshal(text, &event); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	s.holdRotations.Store(true)
	_, err = s.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &event.SecretId, ClientRequestToken: &event.ClientRequestToken,
		RotationLambdaARN: aws.String(s.rotate.ARN()), RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	if err != nil {
		return fmt.Errorf("preparing the rotation of %s: %w", file, err)
	}
	s.aws.WaitRotations()
	s.holdRotations.Store(false)
	return nil
}

// writeEnvironment writes the file for `sam local invoke --env-vars`.
func writeEnvironment(path, endpoint string) error {
	variables := map[string]string{"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "1"}
	for _, pair := range environment(endpoint) {
		name, value, _ := strings.Cut(pair, "=")
		variables[name] = value
	}
	text, err := json.MarshalIndent(map[string]any{issueName: variables, rotateName: variables}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", envFile, err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", envFile, err)
	}
	return nil
}

// explain prints commands that work unchanged in the folder of go.mod.
func (s *served) explain() {
	const keys = "AWS_ACCESS_KEY_ID=" + localKey + " AWS_SECRET_ACCESS_KEY=" + localKey
	command := keys + " AWS_REGION=" + region + " AWS_ENDPOINT_URL=" + s.aws.URL() + " go run ./cmd/evertoken "
	cli := func(endpoint string) string {
		return keys + " aws --endpoint-url " + endpoint + " --region " + region
	}
	sam := func(function, event string) string {
		return keys + " sam local invoke " + function + " --region " + region + " --docker-network host -n " + envFile + " -e events/" + event
	}
	fmt.Fprintf(s.out, "\nServing until Ctrl-C; issue runs every %d minutes.\n", int(heartbeat.Minutes()))
	fmt.Fprintf(s.out, "  AWS %s   providers %s   Lambda %s\n  functions' log %s\n", s.aws.URL(),
		s.idp.URL(), s.lambda.URL(), s.logs.Name())
	for _, block := range []struct {
		title    string
		commands []string
	}{
		{"Look after connections with Evertoken's own command", []string{command + "status", command + "add my-first"}},
		{"Add a connection with a login that Apiax takes here, that of the connection apiax", []string{
			cli(s.aws.URL()) + " secretsmanager get-secret-value --secret-id evertoken/apiax/credential --query SecretString --output text | " +
				command + "add my-second --provider apiax --set token_url=" + s.idp.Apiax().TokenURL() + " --credential -",
		}},
		{"Read a token as an application does", []string{
			cli(s.aws.URL()) + " secretsmanager get-secret-value --secret-id evertoken/flexera-user/token",
		}},
		{"Invoke issue", []string{
			cli(s.lambda.URL()) + " lambda invoke --function-name " + issueName + " --payload fileb://events/issue-one.json /dev/stdout",
		}},
		{"Have Secrets Manager rotate a session", []string{
			cli(s.aws.URL()) + " secretsmanager rotate-secret --secret-id evertoken/apiax/session --rotation-lambda-arn " + s.rotate.ARN() + " --rotation-rules AutomaticallyAfterDays=7",
		}},
		{"The same functions in AWS's container (after sam build), with " + envFile, []string{
			sam(issueName, "issue-schedule.json"),
			sam(rotateName, "rotate-create.json"), sam(rotateName, "rotate-set.json"),
			sam(rotateName, "rotate-test.json"), sam(rotateName, "rotate-finish.json"),
		}},
	} {
		fmt.Fprintf(s.out, "\n%s:\n", block.title)
		for _, command := range block.commands {
			fmt.Fprintln(s.out, "  "+command)
		}
	}
	fmt.Fprintln(s.out,
		"\nThe four rotate events, in this order, replace the client in evertoken/flexera-service/credential.")
}
