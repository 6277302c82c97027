package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"evertoken/internal/issue"
)

const (
	// deferredFor is how long the command waits for a deferred renewal: a run or a
	// rotation is in progress.
	deferredFor = 5 * time.Minute
	// passingFor is how long the command waits for the end of a passing fault, or for a
	// new parameter that the function does not see yet (GetParametersByPath is eventually
	// consistent).
	passingFor = 30 * time.Second
	awaitEvery = 5 * time.Second
)

// notYet reports whether a later run may issue a token without a person's help.
func notYet(e issue.Entry) bool {
	return e.Outcome == "deferred" || e.Outcome == "failed" && (e.ErrorClass == "throttled" ||
		e.ErrorClass == "transient")
}

// unseen reports whether the function does not see the parameter yet.
func unseen(e issue.Entry) bool {
	return e.Outcome == "failed" && strings.HasPrefix(e.Reason, "no connection has this name")
}

// awaited runs issue until it answers with a token, or with a fault that only a person
// can correct.
func (a *app) awaited(ctx context.Context, ch changes, s stack, ev event) (issue.Entry, error) {
	began, told := a.Now(), ""
	for {
		report, err := ch.run(ctx, s, ev)
		if err != nil {
			return issue.Entry{}, err
		}
		e, waited := outcomeOf(report, ev.Connections[0]), a.Now().Sub(began)
		patience := passingFor
		if e.Outcome == "deferred" {
			patience = deferredFor
		}
		if !notYet(e) && !unseen(e) || waited >= patience {
			return e, nil
		}
		if text := outcomeText(e); text != told {
			a.errorf("%s; trying again …\n", text)
			told = text
		}
		if a.Sleep(ctx, awaitEvery) != nil {
			return e, errInterrupted
		}
	}
}

// firstToken makes the function try the connection, and waits for its token.
func (x *addition) firstToken(ctx context.Context, ch changes) (issue.Entry, error) {
	e, err := x.awaited(ctx, ch, x.stack, event{Connections: []string{x.name}})
	if err != nil {
		return e, err
	}
	if !hasToken(e.Outcome) {
		f, ok := errors.AsType[*failure](refusal(e))
		if !ok {
			return e, refusal(e)
		}
		return e, &failure{f.code, f, x.stored(e)}
	}
	return e, nil
}

// readers are how a token is read, by language; %s is the secret's name.
var readers = map[string]string{
	"cli": `aws secretsmanager get-secret-value --secret-id %s --query SecretString --output text`,
	"python": `import boto3, json
token = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId="%s")["SecretString"])
headers = {"Authorization": token["authorization"]}`,
	"node": `import { SecretsManagerClient, GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
const read = await new SecretsManagerClient().send(new GetSecretValueCommand({ SecretId: "%s" }));
const headers = { Authorization: JSON.parse(read.SecretString).authorization };`,
	"go": `out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("%s")})
// json.Unmarshal(*out.SecretString): its member "authorization" is the header's value`,
	"java": `String token = SecretsManagerClient.create().getSecretValue(r -> r.secretId("%s")).secretString();
// its JSON member "authorization" is the header's value`,
	"curl": `curl -H "Authorization: $(evertoken token NAME)" https://…`,
}

func languages() []string { return slices.Sorted(maps.Keys(readers)) }

// tellReader prints how to read the token.
func (x *addition) tellReader() {
	if x.output == "json" {
		return
	}
	if x.conn.Token == "" {
		x.printf("\nRead it:\n  %s\n", x.cli("ssm", "get-parameter", "--name", x.conn.TokenParameter,
			"--with-decryption", "--query", "Parameter.Value", "--output", "text"))
		return
	}
	language := x.o.language
	if language == "" {
		language = "cli"
	}
	text := strings.ReplaceAll(readers[language], "NAME", x.name)
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, tokenName(x.conn))
	}
	if language == "cli" {
		text = x.cli("secretsmanager", "get-secret-value", "--secret-id", tokenName(x.conn), "--query",
			"SecretString", "--output", "text")
	}
	x.printf("\nRead it (%s):\n", language)
	for line := range strings.Lines(text) {
		x.printf("  %s\n", strings.TrimRight(line, "\n"))
	}
	x.printf("An application needs secretsmanager:GetSecretValue on %s alone, "+
		"and may cache the token until renew_after.\n", tokenName(x.conn))
	if x.o.language == "" {
		x.printf("Other languages: evertoken add --reader %s; docs/consumers.md has the whole code.\n",
			strings.Join(slices.DeleteFunc(languages(), func(l string) bool { return l == "cli" }), "|"))
	}
}
