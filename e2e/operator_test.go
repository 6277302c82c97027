package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/rogpeppe/go-internal/testscript"

	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	fakestack "evertoken/internal/fake/stack"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// These scripts run the built command evertoken against a world that serves all of AWS at
// one endpoint. The scripts are in testdata/operator. They have these commands in
// addition to those of other scripts:
//
//	evertoken CODE ARG...                 run it; it must exit with CODE; stdin is a file named by -in FILE
//	terminal FILE CODE ARG...             run it on a terminal; FILE is the dialogue: "< what is shown", "> what is typed"
//	stack add NAME | old NAME | clear     what CloudFormation has
//	stack owns SECRET STACK               a secret that a stack has created
//	stack refuse ACTION CODE              an action that the operator has no right to
//	lambda busy N | refuse CODE           the next N invocations find a run in progress; all are refused
//	account KIND NAME                     set up an account at a provider, and put what it needs into variables
//	rotations [abandoned]                 Secrets Manager can invoke the built function rotate, or one that takes AWSPENDING off
//	policy SECRET FILE                    a secret's resource policy

// commandBinary is the built command, in the folder of the function issue.
var commandBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(filepath.Dir(bootstrap)), "evertoken")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "evertoken/cmd/evertoken")
	if out, err := cmd.CombinedOutput(); err != nil {
		return path, fmt.Errorf("building cmd/evertoken: %w\n%s", err, out)
	}
	return path, nil
})

// TestScriptsOfTheCommand runs testdata/operator. The first word of a script's name is
// a subcommand.
func TestScriptsOfTheCommand(t *testing.T) {
	t.Parallel()
	if _, err := commandBinary(); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "operator"),
		Cmds:                commands,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Values[worldKey{}] = &scriptState{}
			return nil
		},
	})
}

func init() {
	for name, command := range map[string]func(*testscript.TestScript, bool, []string){
		"evertoken": cmdEvertoken, "terminal": cmdTerminal, "stack": cmdStack, "lambda": cmdLambda,
		"rotations": cmdRotations, "account": cmdAccount, "policy": cmdPolicy,
	} {
		commands[name] = command
	}
}

// others serves the services of AWS besides secrets and parameters.
type others struct {
	stacks *fakestack.Server
	lambda *fakelambda.Server
	rotate atomic.Pointer[fakelambda.Function]
	// abandon, if set, serves a rotation in place of rotate.
	abandon atomic.Pointer[func(event []byte) error]

	mu     sync.Mutex
	busy   int    // further invocations that find a run in progress
	refuse string // the error code of every invocation
	shown  strings.Builder
}

const (
	stackRegion  = "us-east-1"
	stackAccount = "123456789012"
	functionsARN = "arn:aws:lambda:" + stackRegion + ":" + stackAccount + ":function:"
)

func newOthers(tb fakeworld.TB) *others {
	o := &others{stacks: &fakestack.Server{Region: stackRegion, Account: stackAccount}}
	var err error
	if o.lambda, err = fakelambda.NewServer(""); err != nil {
		tb.Fatalf("starting Lambda: %v", err)
	}
	tb.Cleanup(func() { _ = o.lambda.Close() })
	o.addStack("evertoken", nil)
	return o
}

// addStack adds one as template.yaml makes it; changed replaces its parameters.
func (o *others) addStack(name string, changed map[string]string) {
	parameters := map[string]string{"ConnectionsPath": "/evertoken/connections/",
		"ParameterPrefix": "/evertoken/",
		"SecretPrefix":    "evertoken/", "KmsKeyArn": "", "Every": "5m", "AllowedHosts": ""}
	for key, value := range changed {
		parameters[key] = value
	}
	o.stacks.Add(fakestack.Stack{
		Name: name, Description: "Evertoken keeps OAuth access tokens fresh in AWS Secrets Manager.", Parameters: parameters,
		Outputs: map[string]string{"IssueFunctionArn": functionsARN + "issue", "RotateFunctionArn": functionsARN +
			"rotate"},
	})
}

func (o *others) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/2015-03-31/") {
		o.stacks.ServeHTTP(w, r)
		return
	}
	o.mu.Lock()
	code, status := o.refuse, http.StatusForbidden
	if o.busy > 0 {
		// What Lambda answers where its one reserved execution is in use
		// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
		o.busy--
		code, status = "TooManyRequestsException", http.StatusTooManyRequests
	}
	o.mu.Unlock()
	if code != "" {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"Type":"User","Message":"Rate Exceeded."}`))
		return
	}
	o.lambda.Handler().ServeHTTP(w, r)
}

// invokeRotate is how Secrets Manager reaches the function rotate.
func (o *others) invokeRotate(ctx context.Context, arn string, payload []byte) ([]byte, error) {
	if abandon := o.abandon.Load(); abandon != nil {
		return nil, (*abandon)(payload)
	}
	f := o.rotate.Load()
	if f == nil {
		return fakeworld.Stuck(ctx, arn, payload)
	}
	r, err := f.Invoke(ctx, payload)
	if err == nil && r.FunctionError != "" {
		err = fmt.Errorf("%s: %s", r.ErrorType, r.ErrorMessage)
	}
	return r.Payload, err
}

// operatorEnv is the environment of the command: the world, and what the script
// has set.
func (h *scriptState) operatorEnv(ts *testscript.TestScript) []string {
	env := []string{"AWS_EC2_METADATA_DISABLED=true"}
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": h.AWS.URL(), "AWS_REGION": stackRegion,
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "TERM": "xterm"} {
		if set := ts.Getenv(name); set != "" {
			value = set
		}
		if value != "none" {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range []string{"PATH", "HOME", "NO_COLOR", "EVERTOKEN_STACK", "EVERTOKEN_CONNECTIONS_PATH",
		"AWS_PROFILE", "AWS_CONFIG_FILE"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func cmdEvertoken(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "evertoken [-in FILE] CODE ARG...")
	var input []byte
	if args[0] == "-in" {
		input, args = []byte(expanded(ts, args[1])), args[2:]
	}
	binary, err := commandBinary()
	ts.Check(err)
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args[1:]...)
	c.Dir, c.Env, c.Stdin, c.Stdout, c.Stderr = ts.MkAbs("."), h.operatorEnv(ts), bytes.NewReader(input), &stdout, &stderr
	h.AWS.ResetCalls()
	h.IDP.ResetRequests()
	err = c.Run()
	h.show(args[1], stdout.String()+stderr.String())
	_, _ = ts.Stdout().Write(stdout.Bytes())
	_, _ = ts.Stderr().Write(stderr.Bytes())
	checkCode(ts, args[0], err, stdout.String()+stderr.String())
}

// show keeps what was printed, for the search for secrets; that of `token`
// prints one by design.
func (h *scriptState) show(subcommand, text string) {
	if subcommand == "token" {
		return
	}
	h.others.mu.Lock()
	defer h.others.mu.Unlock()
	h.others.shown.WriteString(text)
}

func checkCode(ts *testscript.TestScript, want string, err error, output string) {
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("it exited with %d, want %s:\n%s", code, want, output)
	}
}

func cmdStack(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 1, "stack add NAME [KEY=VALUE...] | old NAME | clear | refuse ACTION CODE")
	switch {
	case args[0] == "add" && len(args) > 1:
		changed := map[string]string{}
		for _, pair := range args[2:] {
			key, value, _ := strings.Cut(pair, "=")
			changed[key] = value
		}
		h.others.addStack(args[1], changed)
	case args[0] == "old" && len(args) == 2:
		h.others.stacks.Add(fakestack.Stack{Name: args[1], Description: "Evertoken keeps OAuth access tokens " +
			"fresh in AWS Secrets Manager."})
	case args[0] == "owns" && len(args) == 3:
		h.AWS.CreateSecret(args[1], nil, map[string]string{"aws:cloudformation:stack-name": args[2]})
	case args[0] == "clear":
		h.others.stacks.Clear()
	case args[0] == "refuse" && len(args) == 3:
		h.others.stacks.Refuse(args[1], args[2])
	default:
		ts.Fatalf("no such use of stack")
	}
}

func cmdLambda(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "lambda busy N | refuse CODE")
	h.others.mu.Lock()
	defer h.others.mu.Unlock()
	switch args[0] {
	case "busy":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		h.others.busy = n
	case "refuse":
		h.others.refuse = strings.TrimPrefix(args[1], "nothing")
	}
}

func cmdRotations(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 0, "rotations [abandoned]")
	if len(args) == 1 && args[0] == "abandoned" {
		h.others.abandon.Store(new(h.abandonRotation))
		return
	}
	path, err := rotateBootstrap()
	ts.Check(err)
	f, err := fakelambda.Start(context.Background(), fakelambda.Options{Binary: path, Name: "rotate",
		Timeout: time.Minute, MemoryMB: 256, Env: []string{
			"AWS_ENDPOINT_URL=" +
				h.AWS.URL(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1",
		}})
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() })
	h.others.rotate.Store(f)
}

// abandonRotation ends a rotation as the function rotate does with one that it can never
// promote.
func (w *world) abandonRotation(event []byte) error {
	var e struct{ SecretID, ClientRequestToken string }
	if err := json.Unmarshal(event, &e); err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	if err := w.unlabel(e.SecretID, secrets.Pending, e.ClientRequestToken); err != nil {
		return err
	}
	return errors.New("RotationStuck")
}

// cmdAccount sets up an account at a provider and puts what it needs into
// variables: USERNAME and PASSWORD, CLIENT_ID and CLIENT_SECRET, REFRESH_TOKEN; each
// in JSON too, as PASSWORD_JSON.
func cmdAccount(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "account apiax|oauth2|oauth2-refresh|flexera-admin NAME")
	set := func(name, value string) {
		ts.Setenv(name, value)
		inJSON, err := json.Marshal(value)
		ts.Check(err)
		ts.Setenv(name+"_JSON", string(inJSON))
	}
	switch args[0] {
	case "apiax":
		set("USERNAME", args[1])
		set("PASSWORD", h.IDP.Apiax().SetPassword(args[1], ""))
	case "oauth2", "oauth2-refresh":
		id, secret := h.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{})
		set("CLIENT_ID", id)
		set("CLIENT_SECRET", secret)
		if args[0] == "oauth2-refresh" {
			set("REFRESH_TOKEN", h.IDP.OAuth2().AddRefreshToken(id, "subject", "read"))
		}
	case "flexera-admin":
		_, token := h.IDP.Flexera().AddAdminRefreshToken("eu", 1105, args[1])
		set("REFRESH_TOKEN", token)
		set("LOGIN_URL", h.IDP.Flexera().LoginURL("eu"))
		set("API_URL", h.IDP.Flexera().APIURL("eu"))
	default:
		ts.Fatalf("no account of %s", args[0])
	}
}

func cmdPolicy(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "policy SECRET FILE")
	_, err := h.operator().PutResourcePolicy(context.Background(), &secretsmanager.PutResourcePolicyInput{
		SecretId: &args[0], ResourcePolicy: aws.String(ts.ReadFile(args[1])),
	})
	ts.Check(err)
}
