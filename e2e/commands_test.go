package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/rogpeppe/go-internal/testscript"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// commands are those of a script, in addition to testscript's own. Those of
// checks_test.go check, those here arrange and run:
//
//	world [-timeout 60s] [-control] [-tls] [NAME=VALUE...]   start the world; the function's environment
//	connect NAME KIND [MEMBER=JSON...]                a connection that works (see kinds), with a member or settings.member changed
//	declare NAME FILE                                 a parameter below the connections path; FILE is expanded
//	rescue NAME FILE                                  the rescue parameter of a connection; FILE is expanded
//	secret create|put|put-binary|pend|delete|schedule-deletion|arn|label|repeat NAME [FILE|VARIABLE|LABEL|N]
//	age NAME DURATION [DOCUMENT...]                   make session and token older, or only one of them
//	option PROVIDER FIELD=VALUE...                    change how a provider behaves
//	provider revoke|end-sessions|disable|enable|password NAME
//	wrong NAME MEMBER                                 store a credential with one member that the provider refuses
//	fault idp|aws KIND [KEY=VALUE...]                 break calls; "fault clear" ends all faults
//	kms SECRET decrypt|encrypt|allow                  what the KMS key refuses
//	replica SECRET REGION
//	freed                                             the names of deleted parameters can be used again
//	[!] issue EVENT|FILE                              invoke; stdout is the answer, stderr the log
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"world": cmdWorld, "connect": cmdConnect, "declare": cmdDeclare, "rescue": cmdRescue, "secret": cmdSecret, "age": cmdAge,
	"option": cmdOption, "provider": cmdProvider, "wrong": cmdWrong, "fault": cmdFault, "kms": cmdKMS, "replica": cmdReplica,
	"issue": cmdIssue, "freed": cmdFreed,

	"answer": cmdAnswer, "stored": cmdStored, "published": cmdPublished, "versions": cmdVersions, "labelled": cmdLabelled,
	"parameter": cmdParameter, "requests": cmdRequests, "calls": cmdCalls, "unwritten": cmdUnwritten,
}

// kinds are the connections that a world can arrange, by provider and grant.
var kinds = []string{
	"flexera-user", "flexera-service", "apiax", "sharetribe-integration", "sharetribe-anonymous",
	"sharetribe-user", "sharetribe-trusted", "flexnet", "oauth2-client", "oauth2-refresh", "oauth2-password",
}

type worldKey struct{}

// scriptState is the state of one script.
type scriptState struct {
	*world
	answer []byte // of the last run
}

// scriptTB is the part of a test that a world needs.
type scriptTB struct{ ts *testscript.TestScript }

func (scriptTB) Helper()                             {}
func (s scriptTB) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }
func (s scriptTB) Cleanup(f func())                  { s.ts.Defer(f) }

// in returns the script's state, which the command "world" makes. It ends the script with
// usage where the command has too few words, or is negated although it cannot be.
func in(ts *testscript.TestScript, neg, mayNeg bool, args []string, least int, usage string) *scriptState {
	if neg && !mayNeg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
	h := state(ts)
	if h.world == nil {
		ts.Fatalf("a script begins with: world")
	}
	return h
}

func state(ts *testscript.TestScript) *scriptState {
	h, ok := ts.Value(worldKey{}).(*scriptState)
	if !ok {
		ts.Fatalf("the script was not set up")
	}
	return h
}

func cmdWorld(ts *testscript.TestScript, _ bool, args []string) {
	var o options
	for len(args) > 0 {
		switch {
		case args[0] == "-control":
			o.idp.ControlCharacters = true
		case args[0] == "-tls":
			o.idp.TLS = true
		case args[0] == "-timeout" && len(args) > 1:
			d, err := time.ParseDuration(args[1])
			ts.Check(err)
			o.timeout, args = d, args[1:]
		default:
			o.env = append(o.env, args[0])
		}
		args = args[1:]
	}
	h := state(ts)
	h.world = newWorld(scriptTB{ts}, o)
	ts.Setenv("IDP", h.IDP.URL())
	ts.Setenv("AWS_URL", h.AWS.URL())
	ts.Setenv("APIAX", h.IDP.Apiax().TokenURL())
	ts.Setenv("OAUTH2", h.IDP.OAuth2().TokenURL())
	events, err := filepath.Abs(filepath.Join("..", "events"))
	ts.Check(err)
	ts.Setenv("EVENTS", events)
}

func cmdConnect(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "connect NAME KIND [MEMBER=JSON...]")
	name := args[0]
	provider, variant, _ := strings.Cut(args[1], "-")
	switch provider {
	case "flexera":
		h.Flexera(name, variant == "service")
	case "apiax":
		h.Apiax(name)
	case "sharetribe":
		h.Sharetribe(name, variant)
	case "flexnet":
		h.FlexNet(name)
	case "oauth2":
		if slices.Contains(fakeworld.OAuth2Kinds, variant) {
			h.OAuth2Kind(name, variant)
			break
		}
		h.OAuth2(name,
			map[string]string{"client": "client_credentials", "refresh": "refresh_token",
				"password": "password"}[variant])
	default:
		ts.Fatalf("no kind %q: name one of %s, or oauth2- with one of %s", args[1],
			strings.Join(kinds, ", "), strings.Join(fakeworld.OAuth2Kinds, ", "))
	}
	if len(args) == 2 {
		return
	}
	p, _ := h.AWS.Parameter("/evertoken/connections/" + name)
	declared, settings := map[string]any{}, map[string]any{}
	ts.Check(json.Unmarshal([]byte(p.Value), &declared))
	if inner, ok := declared["settings"].(map[string]any); ok {
		settings = inner
	}
	for _, change := range args[2:] {
		member, value, _ := strings.Cut(change, "=")
		into := declared
		if inner, ok := strings.CutPrefix(member, "settings."); ok {
			member, into = inner, settings
		}
		var v any
		ts.Check(json.Unmarshal([]byte(value), &v))
		into[member] = v
	}
	h.Declare(name, declared)
}

func cmdDeclare(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "declare NAME FILE")
	h.AWS.PutParameter("/evertoken/connections/"+args[0], "String", expanded(ts, args[1]))
}

func cmdRescue(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "rescue NAME FILE")
	h.AWS.PutParameter("/evertoken/rescue/"+args[0], "SecureString", expanded(ts, args[1]))
}

// expanded is a file of the script with ${NAME} replaced: a variable of the
// script, or a time as in ${now-40m}.
func expanded(ts *testscript.TestScript, file string) string {
	return os.Expand(ts.ReadFile(file), func(name string) string {
		shift, ok := strings.CutPrefix(name, "now")
		if !ok {
			return ts.Getenv(name)
		}
		d, err := time.ParseDuration(shift)
		ts.Check(err)
		return time.Now().Add(d).UTC().Format(time.RFC3339)
	})
}

func cmdSecret(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2,
		"secret create|put|put-binary|pend|delete|schedule-deletion|arn|label|repeat NAME [FILE|VARIABLE|LABEL|N]")
	ctx, name, last := context.Background(), args[1], args[len(args)-1]
	var err error
	switch args[0] {
	case "create":
		_, err = h.operator().CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name})
	case "put":
		err = h.put(name, expanded(ts, last))
	case "put-binary":
		_, err = h.operator().PutSecretValue(ctx,
			&secretsmanager.PutSecretValueInput{SecretId: &name,
				SecretBinary: []byte(expanded(ts, last))})
	case "rotate": // fails in its first step and stays incomplete
		h.BeginRotation(name)
	case "delete":
		_, err = h.operator().DeleteSecret(ctx,
			&secretsmanager.DeleteSecretInput{SecretId: &name,
				ForceDeleteWithoutRecovery: aws.Bool(true)})
	case "schedule-deletion":
		_, err = h.operator().DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name})
	case "arn":
		ts.Setenv(last, h.AWS.Secret(name).ARN)
	case "label":
		err = h.label(ctx, name, last)
	case "repeat":
		var n int
		n, err = strconv.Atoi(last)
		for range n {
			ts.Check(h.put(name, h.current(name)))
		}
	default:
		ts.Fatalf("secret %s?", args[0])
	}
	ts.Check(err)
}

// label puts a label onto the current version, wherever it is now.
func (w *world) label(ctx context.Context, name, label string) error {
	state := w.AWS.Secret(name)
	current, _ := state.Labelled(secrets.Current)
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &name, VersionStage: &label,
		MoveToVersionId: &current.ID}
	if holder, ok := state.Labelled(label); ok {
		in.RemoveFromVersionId = &holder.ID
	}
	_, err := w.operator().UpdateSecretVersionStage(ctx, in)
	return err
}

func cmdAge(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "age NAME DURATION [DOCUMENT...]")
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	documents := args[2:]
	if len(documents) == 0 {
		documents = []string{"session", "token"}
	}
	ts.Check(h.age(args[0], d, documents...))
}

func cmdWrong(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "wrong NAME MEMBER")
	id := "evertoken/" + args[0] + "/credential"
	var members map[string]string
	ts.Check(json.Unmarshal([]byte(h.current(id)), &members))
	members[args[1]] = fakeidp.Canary + "-wrong"
	b, err := json.Marshal(members)
	ts.Check(err)
	ts.Check(h.put(id, string(b)))
}

func cmdIssue(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 1, "[!] issue EVENT")
	h.AWS.ResetCalls()
	h.IDP.ResetRequests()
	event := args[0]
	if filepath.IsAbs(event) {
		event = ts.ReadFile(event)
	}
	result, err := h.invoke(h.function, event)
	ts.Check(err)
	h.answer = result.Payload
	_, err = fmt.Fprintf(ts.Stdout(), "%s\n", result.Payload)
	ts.Check(err)
	_, err = ts.Stderr().Write(result.Logs)
	ts.Check(err)
	if neg != (result.FunctionError != "") {
		ts.Fatalf("the function answered %s", result.Payload)
	}
}

func cmdKMS(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "kms SECRET decrypt|encrypt|allow")
	h.AWS.SetKMS(args[0], args[1] == "decrypt", args[1] == "encrypt")
}

func cmdReplica(ts *testscript.TestScript, neg bool, args []string) {
	in(ts, neg, false, args, 2, "replica SECRET REGION").AWS.SetReplica(args[0], args[1])
}

// matches reports whether a value is the one that a script expects: the text itself, a
// pattern after ~, or a number over or under one.
func matches(value, want string) (bool, error) {
	if pattern, ok := strings.CutPrefix(want, "~"); ok {
		return regexp.MatchString(pattern, value)
	}
	if want == "" || want[0] != '<' && want[0] != '>' {
		return value == want, nil
	}
	limit, err := strconv.ParseFloat(want[1:], 64)
	if err != nil {
		return false, err
	}
	n, err := strconv.ParseFloat(value, 64)
	return err == nil && (want[0] == '<' && n < limit || want[0] == '>' && n > limit), nil
}

func cmdFreed(ts *testscript.TestScript, neg bool, args []string) {
	in(ts, neg, false, args, 0, "freed").AWS.FreeNames()
}
