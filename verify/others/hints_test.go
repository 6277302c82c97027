//go:build verify

package others

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// troubled is a world with every fault that an operator can cause; it returns the texts
// of its runs.
func troubled(t *testing.T) []string {
	t.Helper()
	w := fakeworld.New(t)
	w.Config.ConnectionMetrics = 100
	names := w.All()
	path := w.Config.ConnectionsPath
	w.AWS.PutParameter(path+"not-json", "String", "{")
	w.AWS.PutParameter(path+"secure", "SecureString", "{}")
	w.AWS.PutParameter(path+"twice", "String", `{"provider":"apiax"}`)
	w.AWS.PutParameter(path+"more", "String", `{"connections":{"twice":{"provider":"apiax"}}}`)
	w.Declare("unknown", map[string]any{"provider": "acme"})
	w.Declare("no-secrets", map[string]any{"provider": "apiax"})
	w.Apiax("waiting")
	w.AWS.CreateSecret("empty", nil, nil)
	w.Declare("waiting", map[string]any{"provider": "apiax", "credential": "empty"})
	w.Apiax("shared")
	w.Declare("intruder", map[string]any{"provider": "apiax", "session": "evertoken/shared/session"})
	for _, name := range []string{"apiax", "flexnet", "oauth2-password"} {
		w.PutSecret("evertoken/"+name+"/credential", "no JSON")
	}
	w.IDP.Inject(&fakeidp.Fault{Status: 401, Body: []byte(`{"error":"invalid_client"}`)})
	w.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret",
		Resource: "evertoken/sharetribe-anonymous/token", Code: "AccessDeniedException"})
	w.AWS.SetKMS("evertoken/sharetribe-user/credential", true, true)
	var said []string
	tell := func(r issue.Report) {
		for _, e := range r.Connections {
			said = append(said, e.Reason+"\n"+e.Hint)
		}
	}
	tell(w.Run(issue.Event{}))
	w.Clock.Advance(time.Hour)
	tell(w.Run(issue.Event{}))
	tell(w.Run(issue.Event{Connections: append(names, "nobody"), Force: true}))
	tell(w.Run(issue.Event{DryRun: true}))
	return said
}

var (
	awsRE       = regexp.MustCompile("aws (?:ssm|secretsmanager|kms|lambda) [^;()`\n]+")
	eventRE     = regexp.MustCompile(`invoke issue with (\{[^}]*\})`)
	evertokenRE = regexp.MustCompile("`?evertoken ([a-z-]+) [a-z-]+`?")
	pageRE      = regexp.MustCompile(`docs/[a-z]+\.md`)
)

// TestEveryHintNamesCommandsThatExist: in the output of a world full of faults, the AWS
// CLI's parser accepts each command, issue accepts each event, and each named page and
// subcommand of evertoken exists.
func TestEveryHintNamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	seen, kinds := map[string]bool{}, map[string]int{}
	for _, text := range troubled(t) {
		for _, command := range awsRE.FindAllString(text, -1) {
			command = strings.TrimRight(strings.Split(command, ", ")[0], " .,")
			shape := regexp.MustCompile(`(evertoken/(?:connections/)?)[a-z0-9-]+`).ReplaceAllString(command, "${1}x")
			if !seen[shape] {
				seen[shape] = true
				kinds["aws"]++
				for one := range strings.SplitSeq(command, " && ") {
					parses(t, one)
				}
			}
		}
		for _, m := range eventRE.FindAllStringSubmatch(text, -1) {
			kinds["event"]++
			if _, err := issue.ParseEvent(json.RawMessage(m[1])); err != nil {
				t.Errorf("%s: %v", m[1], err)
			}
		}
		for _, m := range evertokenRE.FindAllStringSubmatch(text, -1) {
			if !isCommand(t, m[1]) {
				t.Errorf("evertoken has no subcommand %s: %s", m[1], text)
			}
		}
		for _, name := range pageRE.FindAllString(text, -1) {
			if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
				t.Errorf("%s does not exist: %s", name, text)
			}
		}
	}
	if kinds["aws"] < 3 || kinds["event"] < 1 {
		t.Errorf("too few hints were seen: %v", kinds)
	}
}

// isCommand reports whether the operator's command has a subcommand of this name.
func isCommand(t *testing.T, name string) bool {
	t.Helper()
	files, err := filepath.Glob("../../internal/operator/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources of the command evertoken")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`Use:\s+"` + name + `[ "]`).Match(text) {
			return true
		}
	}
	return false
}

// TestTheRunbooksSubcommandsExist: each subcommand of evertoken that the runbook names
// exists.
func TestTheRunbooksSubcommandsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`evertoken ([a-z-]+)").FindAllSubmatch(text, -1)
	if len(found) < 3 {
		t.Errorf("the runbook names %d", len(found))
	}
	for _, m := range found {
		if !isCommand(t, string(m[1])) {
			t.Errorf("evertoken has no subcommand %s", m[1])
		}
	}
}
