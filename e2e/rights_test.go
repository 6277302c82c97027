package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	fakeaws "evertoken/internal/fake/aws"
)

// rightsOf returns the rows of the table of rights in docs/command.md, each with the rows
// that it refers to.
func rightsOf(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(commandPage)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| subcommand | rights")
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			if len(rows) > 0 {
				break
			}
			continue
		}
		rows[strings.Trim(strings.TrimSpace(cells[1]), "`")] = cells[2]
	}
	for range 3 { // a row may refer to one that refers to another
		for name, text := range rows {
			for _, other := range regexp.MustCompile("those of `([a-z]+)`").FindAllStringSubmatch(text, -1) {
				if !strings.Contains(text, rows[other[1]]) {
					rows[name] = text + rows[other[1]]
				}
			}
		}
	}
	return rows
}

// TestEveryCallOfTheCommandIsInTheTableOfRights runs each subcommand and looks for every
// call that it made in the table of rights.
func TestEveryCallOfTheCommandIsInTheTableOfRights(t *testing.T) {
	t.Parallel()
	binary, err := commandBinary()
	if err != nil {
		t.Fatal(err)
	}
	rows := rightsOf(t)
	w := newWorld(t, options{})
	w.Apiax("apiax-prod")
	password := w.IDP.Apiax().SetPassword("ann", "")
	document, err := json.Marshal(map[string]string{"username": "ann", "password": password})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, args := range [][]string{
		{"renew", "apiax-prod"}, {"status"}, {"token", "apiax-prod"}, {"check", "apiax-prod"}, {"explain", "apiax-prod"},
		{"add", "new", "--provider", "apiax", "--set", "token_url=" + w.IDP.Apiax().TokenURL(), "--credential", "-"},
		{"credential", "new", "--credential", "-"}, {"rename", "new", "newer"}, {"rotate", "newer", "session", "--every", "7d"},
		{"remove", "newer", "--yes"},
	} {
		w.AWS.ResetCalls()
		c := exec.CommandContext(t.Context(), binary, args...)
		c.Dir, c.Stdin = t.TempDir(), bytes.NewReader(document)
		// Its calls are marked, to tell them from the function's.
		c.Env = []string{"AWS_ENDPOINT_URL=" + w.AWS.URL(), "AWS_REGION=" + stackRegion, "AWS_ACCESS_KEY_ID=local",
			"AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true", "HOME=" + c.Dir, "AWS_SDK_UA_APP_ID=" + commandID}
		if args[0] == "rotate" { // the step fails: what is asked is what matters
			asked := make(chan struct{})
			w.AWS.Inject(&fakeaws.Fault{Operation: "RotateSecret", Times: 1, Kind: fakeaws.OnlyHook,
				Hook: func(fakeaws.Call) { close(asked) }})
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			<-asked
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		} else if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("evertoken %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		for _, call := range w.AWS.Calls() {
			if !strings.Contains(call.Client, "app/"+commandID) {
				continue
			}
			seen[args[0]] = true
			if !strings.Contains(rows[args[0]], call.Operation) {
				t.Errorf("%s calls %s, which its row does not name: %s", args[0], call.Operation, rows[args[0]])
			}
		}
	}
	if len(seen) != 10 {
		t.Errorf("calls were seen of %v alone", seen)
	}
}

// commandID is in the User-Agent of the command's calls.
const commandID = "evertoken"
