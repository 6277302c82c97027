//go:build verify

package others

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// serveWorld does what `make run SERVE=1` does and returns the endpoint of AWS.
func serveWorld(t *testing.T, binary string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, "-serve", "-port", "0")
	c.Dir = filepath.Join("..", "..")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it removes what it made
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`^  AWS (http\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			go func() {
				for lines.Scan() { // else it would wait for its reader
				}
			}()
			return m[1]
		}
	}
	t.Fatal("it does not serve")
	return ""
}

// TestTheAWSCLIRunsWhatADryRunPrints runs what --dry-run prints with a shell and the AWS
// CLI: it adds a connection, replaces its credential, renames it and removes it. After
// each the command evertoken finds the change made.
func TestTheAWSCLIRunsWhatADryRunPrints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"evertoken", "local"} {
		c := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, name), "./cmd/"+name)
		c.Dir = filepath.Join("..", "..")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	url := serveWorld(t, filepath.Join(dir, "local"))
	env := []string{"AWS_ENDPOINT_URL=" + url, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local",
		"AWS_SECRET_ACCESS_KEY=local",
		"HOME=" + dir, "PATH=" + setting(t, "EVERTOKEN_PYTHON_BIN") + ":" + os.Getenv("PATH")}
	evertoken := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), filepath.Join(dir, "evertoken"), args...)
		c.Dir, c.Env = dir, env
		out, err := c.Output()
		if err != nil {
			var stderr []byte
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				stderr = exit.Stderr
			}
			t.Fatalf("evertoken %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr)
		}
		return string(out)
	}
	// The credential of a served connection works.
	account := newAccount(url)
	read, err := account.sm.GetSecretValue(t.Context(),
		&secretsmanager.GetSecretValueInput{SecretId: aws.String("evertoken/oauth2-client/credential")})
	if err != nil {
		t.Fatal(err)
	}
	declared := parameterOf(t, account, "/evertoken/connections/oauth2-client")
	by := func(plan string) {
		t.Helper()
		for line := range strings.SplitSeq(strings.ReplaceAll(plan, "|\n", "| "), "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			c := exec.CommandContext(t.Context(), "sh", "-c", line)
			c.Dir, c.Env, c.Stdin = dir, env, strings.NewReader(aws.ToString(read.SecretString))
			if out, err := c.CombinedOutput(); err != nil ||
				strings.Contains(string(out), `"outcome":"failed"`) &&
					!strings.Contains(line, `"dry_run":true`) {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
		}
	}
	by(evertoken("add", "by-cli", "--provider", "oauth2", "--way", "client_credentials", "--set",
		"token_url="+declared.TokenURL,
		"--set", "client_auth="+declared.ClientAuth, "--dry-run"))
	evertoken("check", "by-cli")
	by(evertoken("credential", "by-cli", "--dry-run"))
	by(evertoken("rename", "by-cli", "renamed", "--dry-run"))
	if header := evertoken("token", "renamed"); !strings.HasPrefix(header, "Bearer ") {
		t.Error("no header is printed")
	}
	by(evertoken("remove", "renamed", "--dry-run"))
	if all := evertokenStatus(t, dir, env); strings.Contains(all, "renamed") ||
		strings.Contains(all, "by-cli") {
		t.Errorf("it is still declared: %s", all)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("files remain: %q, %v", left, err)
	}
}

// declaredOAuth2 are the settings of a served connection.
type declaredOAuth2 struct {
	TokenURL   string `json:"token_url"`
	ClientAuth string `json:"client_auth"`
}

func parameterOf(t *testing.T, a *account, name string) declaredOAuth2 {
	t.Helper()
	out, err := a.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	var declared struct{ Settings declaredOAuth2 }
	if err := json.Unmarshal([]byte(aws.ToString(out.Parameter.Value)), &declared); err != nil {
		t.Fatal(err)
	}
	return declared.Settings
}

// evertokenStatus is the table of all connections, of which some need a person.
func evertokenStatus(t *testing.T, dir string, env []string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(dir, "evertoken"), "status")
	c.Dir, c.Env = dir, env
	out, _ := c.Output() // exits with 1: some need a person
	return string(out)
}
