//go:build verify

package others

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// command is a block of shell in docs/operations.md.
type command struct {
	code   string
	notRun string // the reason printed with it, if it is not run here
	after  string // what the page says after it, up to the next block
}

const notRun = "*Not run by the tests: "

// commandsOf are the blocks of shell of a page.
func commandsOf(t *testing.T, path string) []command {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []command
	before, rest, found := strings.Cut(string(text), "```sh\n")
	for found {
		code, after, closed := strings.Cut(rest, "\n```\n")
		if !closed {
			t.Fatalf("a block of shell is not closed: %s", rest)
		}
		c := command{code: code + "\n"}
		lines := strings.Split(strings.TrimSpace(before), "\n")
		if reason, ok := strings.CutPrefix(lines[len(lines)-1], notRun); ok {
			c.notRun = strings.TrimSuffix(reason, ".*")
		}
		before, rest, found = strings.Cut(after, "```sh\n")
		c.after = strings.TrimSpace(before)
		out = append(out, c)
	}
	return out
}

// served is `make run SERVE=1`, on ports of the system's choice.
type served struct{ aws, lambda string }

var servedRE = regexp.MustCompile(`AWS (http://\S+)   providers \S+   Lambda (http://\S+)`)

func serve(t *testing.T) served {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "local")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/local")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building cmd/local: %v\n%s", err, out)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "-serve", "-port", "0")
	c.Dir = "../.."
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Signal(syscall.SIGTERM); _ = c.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := servedRE.FindStringSubmatch(lines.Text()); m != nil {
			go func() {
				for lines.Scan() { // so that it never waits for a reader
				}
			}()
			return served{m[1], m[2]}
		}
	}
	t.Fatal("cmd/local -serve ended before it served")
	return served{}
}

// shell runs a script with the AWS CLI in its path.
func shell(t *testing.T, dir, script string, env ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-c", script)
	c.Dir = dir
	c.Env = append(clientEnv("http://127.0.0.1:1"),
		"PATH="+setting(t, "EVERTOKEN_PYTHON_BIN")+string(os.PathListSeparator)+os.Getenv("PATH"), "AWS_PAGER=")
	c.Env = append(c.Env, env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// prelude gives the page's commands the two files that an operator writes, and waits for
// a rotation's end where one was begun.
const prelude = `set -euo pipefail
aws ssm get-parameter --name /evertoken/connections/apiax --query Parameter.Value --output text > connection.json
aws secretsmanager get-secret-value --secret-id evertoken/apiax/credential --query SecretString --output text > credential.json
rotation_ended() {
  for _ in $(seq 100); do
    lone=$(aws secretsmanager list-secret-version-ids --secret-id "$1" --query "Versions[?VersionStages==['AWSPENDING']].VersionId" --output text)
    if [ -z "$lone" ]; then return; fi
    sleep 0.2
  done
  echo "the rotation of $1 does not end"; exit 1
}
`

// TestTheRunbooksCommandsRun runs every command of docs/operations.md in the order of the
// page, in one shell, against `make run SERVE=1`.
func TestTheRunbooksCommandsRun(t *testing.T) {
	t.Parallel()
	commands := commandsOf(t, "../../docs/operations.md")
	world := serve(t)
	script := prelude
	ran := 0
	for i, c := range commands {
		if c.notRun != "" {
			continue
		}
		ran++
		script += fmt.Sprintf("echo '### %d'\n%s", i, c.code)
		for _, m := range regexp.MustCompile(`rotate-secret --secret-id (\S+)`).FindAllStringSubmatch(c.code, -1) {
			script += "rotation_ended " + m[1] + "\n"
		}
	}
	out, err := shell(t, t.TempDir(), script, "AWS_ENDPOINT_URL="+world.aws,
		"AWS_ENDPOINT_URL_LAMBDA="+world.lambda)
	if err != nil {
		t.Fatalf("%v after\n%s", err, tail(out))
	}
	if ran < 25 || len(commands)-ran > ran/2 {
		t.Errorf("%d of %d commands were run", ran, len(commands))
	}
	for i, c := range commands {
		if c.notRun != "" || !strings.HasPrefix(c.after, "The answer says `issued`") {
			continue
		}
		_, answer, _ := strings.Cut(out, fmt.Sprintf("### %d\n", i))
		answer, _, _ = strings.Cut(answer, "\n### ")
		if !strings.Contains(answer, `"outcome":"issued"`) ||
			strings.Contains(answer, `"credential_refused":true`) {
			t.Errorf("the page says that a token is issued by\n%s\nand the answer is %s", c.code, answer)
		}
	}
}

// tail is the end of an output.
func tail(text string) string { return text[max(0, len(text)-3000):] }

// TestTheRunbooksCommandsParse gives the commands that are not run to the AWS CLI's own
// parser: each one gets as far as a call to AWS, at an endpoint that does not answer.
func TestTheRunbooksCommandsParse(t *testing.T) {
	t.Parallel()
	for _, c := range commandsOf(t, "../../docs/operations.md") {
		if c.notRun == "" {
			continue
		}
		if len(c.notRun) < 10 {
			t.Errorf("no reason why this is not run: %s", c.code)
		}
		for line := range strings.Lines(c.code) {
			if strings.HasPrefix(line, "aws ") {
				parses(t, strings.TrimSpace(line), "queue=http://127.0.0.1:1/queue")
			}
		}
	}
}

// parses checks that the AWS CLI's parser accepts a command.
func parses(t *testing.T, line string, env ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"connection.json", "credential.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := shell(t, dir, line+" --cli-connect-timeout 2", append(env, "AWS_MAX_ATTEMPTS=1")...)
	if err == nil || !strings.Contains(out, "Could not connect to the endpoint URL") {
		t.Errorf("%s\n%s", line, tail(out))
	}
}

// TestTheAlarmsFirstCommandsParse: the AWS CLI's parser accepts the command that each
// alarm's description names.
func TestTheAlarmsFirstCommandsParse(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	descriptions := regexp.MustCompile(`AlarmDescription: !Sub >-\n((?:(?: {8}.*)?\n)+)`).FindAllStringSubmatch(string(text), -1)
	if len(descriptions) < 10 {
		t.Fatalf("found %d descriptions", len(descriptions))
	}
	seen := map[string]bool{}
	for _, d := range descriptions {
		words := strings.Join(strings.Fields(d[1]), " ")
		_, line, found := strings.Cut(words[strings.Index(words, "First"):], ": ")
		if !found {
			t.Errorf("no first command in %s", words)
		}
		line = regexp.MustCompile(`\$\{[A-Za-z]+\}`).ReplaceAllString(strings.TrimSuffix(line, "."),
			"/evertoken/x/")
		if !seen[line] {
			seen[line] = true
			parses(t, line)
		}
	}
}
