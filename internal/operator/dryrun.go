package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"evertoken/internal/issue"
	"evertoken/internal/redact"
)

// teller prints what a doer would do, as commands of the AWS CLI for a POSIX
// shell. A secret's value is on no command line and in no file: it comes from
// standard input, which the AWS CLI reads as file:///dev/stdin.
type teller struct{ *app }

const standardInput = "file:///dev/stdin"

// tell prints a command below its purpose.
func (t teller) tell(why string, words ...string) error {
	t.printf("# %s\n%s\n", why, t.cli(words...))
	return nil
}

// fromStandardInput says what to paste.
func fromStandardInput(c content) string {
	return " The value comes from standard input: paste " + c.form + ", then press Ctrl-D."
}

func (t teller) createSecret(_ context.Context, s newSecret) error {
	words := []string{"secretsmanager", "create-secret", "--name", s.name}
	why := "Create the secret " + s.name + ", empty: Evertoken fills it."
	if s.value.form != "" {
		words = append(words, "--secret-string", standardInput)
		why = "Create the secret " + s.name + "." + fromStandardInput(s.value)
	}
	if s.keyARN != "" {
		words = append(words, "--kms-key-id", s.keyARN)
	}
	return t.tell(why, append(words, tagWords(s.tags)...)...)
}

func tagWords(tags map[string]string) []string {
	if len(tags) == 0 {
		return nil
	}
	words := []string{"--tags"}
	for _, tag := range sortedTags(tags) {
		words = append(words, "Key="+tag[0]+",Value="+tag[1])
	}
	return words
}

func sortedTags(tags map[string]string) (out [][2]string) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, [2]string{key, tags[key]})
	}
	return out
}

func (t teller) putValue(_ context.Context, secret, versionID string, value content,
	labels ...string) error {
	words := []string{"secretsmanager", "put-secret-value", "--secret-id", secret, "--client-request-token",
		versionID, "--secret-string", standardInput}
	if len(labels) > 0 {
		words = append(append(words, "--version-stages"), labels...)
	}
	return t.tell("Store a new version of "+secret+"."+fromStandardInput(value), words...)
}

func (t teller) copyValue(_ context.Context, from, fromVersion string, _ redact.Secret, to,
	toVersion string) error {
	t.printf("# Copy the value of %s to %s, through a pipe.\n%s |\n  %s\n", from, to,
		t.cli("secretsmanager", "get-secret-value", "--secret-id", from, "--version-id", fromVersion, "--query",
			"SecretString", "--output", "text"),
		t.cli("secretsmanager", "put-secret-value", "--secret-id", to, "--client-request-token", toVersion,
			"--secret-string", standardInput))
	return nil
}

func (t teller) moveLabel(_ context.Context, secret, label, to, from string) error {
	words := []string{"secretsmanager", "update-secret-version-stage", "--secret-id", secret,
		"--version-stage", label}
	why := "Remove the label " + label + "."
	if to != "" {
		words = append(words, "--move-to-version-id", to)
		why = "Move the label " + label + "."
	}
	if from != "" {
		words = append(words, "--remove-from-version-id", from)
	}
	return t.tell(why, words...)
}

func (t teller) tagSecret(_ context.Context, secret string, tags map[string]string) error {
	return t.tell("Tag the secret, so that a rotation finds the connection.",
		append([]string{"secretsmanager", "tag-resource", "--secret-id", secret}, tagWords(tags)...)...)
}

func (t teller) deleteSecret(_ context.Context, secret string) error {
	return t.tell(fmt.Sprintf("Mark the secret for deletion. It can be restored "+
		"for %d days.", recoveryDays),
		"secretsmanager", "delete-secret", "--secret-id", secret, "--recovery-window-in-days",
		fmt.Sprint(recoveryDays))
}

func (t teller) restoreSecret(_ context.Context, secret string) error {
	return t.tell("Restore the deleted secret.", "secretsmanager", "restore-secret", "--secret-id",
		secret)
}

func (t teller) rotateSecret(_ context.Context, secret, functionARN, schedule string) error {
	words := []string{"secretsmanager", "rotate-secret", "--secret-id", secret, "--rotation-lambda-arn",
		functionARN}
	if schedule != "" {
		words = append(words, "--rotation-rules", `{"ScheduleExpression":"`+schedule+`"}`)
	}
	return t.tell("Have Secrets Manager rotate the secret.", words...)
}

func (t teller) putParameter(_ context.Context, name, value string, overwrite bool) error {
	words := []string{"ssm", "put-parameter", "--name", name, "--type", "String", "--value", value}
	if overwrite {
		words = append(words, "--overwrite")
	}
	return t.tell("Declare it.", words...)
}

func (t teller) deleteParameter(_ context.Context, name string) error {
	return t.tell("Delete the parameter.", "ssm", "delete-parameter", "--name", name)
}

// run answers as if the function had done its work, so that the caller prints the
// remaining steps too.
func (t teller) run(_ context.Context, s stack, e event) (issue.Report, error) {
	why := "Have the function issue renew the token. Continue only if its answer says issued."
	if e.Candidate {
		why = "Have the function issue try the candidate. Continue only if its answer says issued."
	}
	if e.DryRun {
		why = "Wait until no run is in progress: when this one answers, an earlier one has ended."
	}
	// Version 1 of the AWS CLI takes text here, version 2 base64; both read a file
	// unchanged. The CLI opens its output file itself: with standard output redirected to
	// a file, /dev/stdout would truncate that file. Through a pipe it cannot.
	t.printf("# %s\nprintf %%s %s | %s | cat\n", why, quote(e.json()),
		t.cli("lambda", "invoke", "--function-name", s.issue, "--payload", "fileb:///dev/stdin",
			"/dev/stdout"))
	report := issue.Report{Checked: len(e.Connections)}
	for _, name := range e.Connections {
		report.Connections = append(report.Connections, issue.Entry{Name: name, Outcome: "issued"})
	}
	return report, nil
}
