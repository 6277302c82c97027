package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	fakestack "evertoken/internal/fake/stack"
	"evertoken/internal/issue"
)

// The functions by the names that template.yaml gives them, and their time-outs
// and memory there.
const (
	issueName     = "IssueFunction"
	rotateName    = "RotateFunction"
	issueTimeout  = 4 * time.Minute
	rotateTimeout = 2 * time.Minute
	memoryMB      = 256
)

const (
	region  = "us-east-1"
	account = "123456789012"
	// localKey is both halves of the AWS credentials: the fake accepts any.
	localKey = "local"
	// arnSuffix ends the ARN of every secret, so that events/rotate-*.json can
	// name one.
	arnSuffix = "AbCdEf"
)

// world is AWS, the providers and the two functions on loopback sockets.
type world struct {
	aws           *fakeaws.Server
	idp           *fakeidp.Server // nil where the providers are the real ones
	issue, rotate *fakelambda.Function
	lambda        *fakelambda.Server // nil unless it is served
	secrets       *secretsmanager.Client
	parameters    *ssm.Client

	// holdRotations makes Secrets Manager fail to invoke the function.
	holdRotations atomic.Bool
	mu            sync.Mutex
	rotationError error // of the last step that failed
	// rotated sums up the invocations of rotate: the start time of the first one, and the
	// peak memory of all.
	rotated fakelambda.Result
}

// setup says where a world listens and which environment its functions get.
type setup struct {
	built bootstraps
	// port is that of AWS, the one after it that of the providers; 0 means free
	// ones.
	port int
	// serve adds Lambda's Invoke, and the stack, so that the command evertoken
	// finds the functions.
	serve bool
	// real leaves out the fake providers.
	real bool
	// env is added to the functions' environment.
	env []string
	// logs takes what the functions write; nil keeps it in the results.
	logs *os.File
}

// newWorld starts all; the end of ctx stops the functions. The caller closes it.
func newWorld(ctx context.Context, s setup) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	var other http.Handler
	if s.serve {
		if w.lambda, err = fakelambda.NewServer(address(s.port, 2)); err != nil {
			return nil, err
		}
		other = w.rest()
	}
	w.aws, err = fakeaws.New(fakeaws.Options{
		Addr: address(s.port, 0), Region: region, Invoke: w.invokeRotation, Other: other,
		Suffix: func(string) string { return arnSuffix },
	})
	if err != nil {
		return nil, err
	}
	env := append(environment(w.aws.URL()), s.env...)
	if !s.real {
		if w.idp, err = fakeidp.New(fakeidp.Options{Addr: address(s.port, 1)}); err != nil {
			return nil, err
		}
		env = append(env, "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1")
	}
	start := func(name, binary string, timeout time.Duration) (*fakelambda.Function, error) {
		o := fakelambda.Options{Binary: binary, Name: name, Env: env, Timeout: timeout, MemoryMB: memoryMB}
		if s.logs != nil { // an interface that holds a nil file is not nil
			o.Stdout, o.Stderr = s.logs, s.logs
		}
		return fakelambda.Start(ctx, o)
	}
	if w.issue, err = start(issueName, s.built.issue, issueTimeout); err != nil {
		return nil, err
	}
	if w.rotate, err = start(rotateName, s.built.rotate, rotateTimeout); err != nil {
		return nil, err
	}
	if w.lambda != nil {
		w.lambda.Add(issueName, w.issue)
		w.lambda.Add(rotateName, w.rotate)
	}
	config := w.aws.AWSConfig()
	w.secrets, w.parameters = secretsmanager.NewFromConfig(config), ssm.NewFromConfig(config)
	return w, nil
}

// rest serves what a client of AWS needs besides secrets and parameters: Invoke, and the
// stack as deployed by template.yaml.
func (w *world) rest() http.Handler {
	stacks := &fakestack.Server{Region: region, Account: account}
	stacks.Add(fakestack.Stack{
		Name: "evertoken", Description: "Evertoken keeps OAuth access tokens fresh in AWS Secrets Manager. This one is on this machine.",
		Parameters: map[string]string{"ConnectionsPath": connectionsPath, "ParameterPrefix": parameterPrefix, "SecretPrefix": "evertoken/",
			"KmsKeyArn": "", "Every": "5m", "AllowedHosts": ""},
		Outputs: map[string]string{"IssueFunctionArn": functionARN(issueName), "RotateFunctionArn": functionARN(rotateName)},
	})
	mux := http.NewServeMux()
	mux.Handle("/2015-03-31/functions/", w.lambda.Handler())
	mux.Handle("/", stacks)
	return mux
}

func functionARN(name string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + name
}

func address(port, offset int) string {
	if port == 0 {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset))
}

// environment directs a function's SDK to the fake AWS.
func environment(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + localKey, "AWS_SECRET_ACCESS_KEY=" + localKey,
	}
}

func (w *world) close() {
	if w.lambda != nil {
		_ = w.lambda.Close() // the command ends
	}
	for _, f := range []*fakelambda.Function{w.issue, w.rotate} {
		if f != nil {
			_ = f.Close() // always nil
		}
	}
	if w.aws != nil {
		w.aws.Close()
	}
	if w.idp != nil {
		w.idp.Close()
	}
}

// invokeRotation is how Secrets Manager reaches the rotation function.
func (w *world) invokeRotation(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	switch {
	case w.holdRotations.Load():
		return nil, errors.New("rotations are held")
	case arn != w.rotate.ARN():
		return nil, errors.New("there is no such function")
	}
	r, err := w.rotate.Invoke(ctx, payload)
	if err == nil && r.FunctionError != "" {
		err = fmt.Errorf("%s: %s", r.ErrorType, r.ErrorMessage)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotated.InitDuration = max(w.rotated.InitDuration, r.InitDuration)
	w.rotated.PeakRSS = max(w.rotated.PeakRSS, r.PeakRSS)
	if err != nil {
		w.rotationError = err
		return nil, err
	}
	return r.Payload, nil
}

// rotateCost is the start-up time and peak memory of rotate.
func (w *world) rotateCost() fakelambda.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rotated
}

// lastRotationError is the error of the last rotation step that failed.
func (w *world) lastRotationError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rotationError
}

// createSecret creates a secret, without a value if that is empty.
func (w *world) createSecret(ctx context.Context, name, value string) error {
	in := &secretsmanager.CreateSecretInput{Name: &name}
	if value != "" {
		in.SecretString = &value
	}
	_, err := w.secrets.CreateSecret(ctx, in)
	return err
}

func (w *world) putParameter(ctx context.Context, name, value string) error {
	_, err := w.parameters.PutParameter(ctx, &ssm.PutParameterInput{
		Name: &name, Value: &value, Type: types.ParameterTypeString, Tier: types.ParameterTierIntelligentTiering,
	})
	return err
}

// outcome is an answer of the function issue, and what the run cost.
type outcome struct {
	issue.Report
	fakelambda.Result
	// grants are the grants used, by connection, as the log tells.
	grants map[string]string
	// awsCalls, of which awsWrites, and providerRequests were made by the run.
	awsCalls, awsWrites, providerRequests int
}

// reads are the beginnings of the names of operations that change nothing.
var reads = []string{"Get", "BatchGet", "Describe", "List"}

// runIssue invokes issue with an event.
func (w *world) runIssue(ctx context.Context, event []byte) (outcome, error) {
	w.aws.ResetCalls()
	if w.idp != nil {
		w.idp.ResetRequests()
	}
	r, err := w.issue.Invoke(ctx, event)
	if err != nil {
		return outcome{}, fmt.Errorf("invoking issue: %w", err)
	}
	if r.FunctionError != "" {
		return outcome{}, fmt.Errorf("issue failed: %s: %s", r.ErrorType, r.ErrorMessage)
	}
	o := outcome{Result: r, grants: grantsOf(r.Logs), awsCalls: len(w.aws.Calls())}
	for _, call := range w.aws.Calls() {
		if !slices.ContainsFunc(reads, func(verb string) bool { return strings.HasPrefix(call.Operation, verb) }) {
			o.awsWrites++
		}
	}
	if w.idp != nil {
		o.providerRequests = len(w.idp.Requests())
	}
	if err := json.Unmarshal(r.Payload, &o.Report); err != nil {
		return outcome{}, fmt.Errorf("reading the answer of issue: %w", err)
	}
	return o, nil
}
