package template

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"evertoken/internal/config"
	"evertoken/internal/issue"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// node is a value in the template.
type node struct {
	t     *testing.T
	path  string
	value any
}

// readTemplate reads the template once for all tests, which only read its value.
var readTemplate = sync.OnceValues(func() (any, error) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	return parseYAML(string(text))
})

func load(t *testing.T) node {
	t.Helper()
	value, err := readTemplate()
	if err != nil {
		t.Fatal(err)
	}
	return node{t, "template.yaml", value}
}

func (n node) get(keys ...string) node {
	n.t.Helper()
	for _, key := range keys {
		members, ok := n.value.(map[string]any)
		if !ok || members[key] == nil {
			n.t.Fatalf("%s has no %s", n.path, key)
		}
		n = node{n.t, n.path + "." + key, members[key]}
	}
	return n
}

func (n node) text() string {
	n.t.Helper()
	text, ok := n.value.(string)
	if !ok {
		n.t.Fatalf("%s is no text", n.path)
	}
	return text
}

func (n node) members() []string {
	n.t.Helper()
	members, ok := n.value.(map[string]any)
	if !ok {
		n.t.Fatalf("%s is no map", n.path)
	}
	return slices.Sorted(maps.Keys(members))
}

// functions are the template's functions by logical id.
func functions(t *testing.T) map[string]node {
	t.Helper()
	out := map[string]node{}
	resources := load(t).get("Resources")
	for _, id := range resources.members() {
		if resources.get(id, "Type").text() == "AWS::Serverless::Function" {
			out[id] = resources.get(id)
		}
	}
	return out
}

func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestTheTemplateSetsTheVariablesThatTheCodeReads: the template sets the variables that
// the code reads.
func TestTheTemplateSetsTheVariablesThatTheCodeReads(t *testing.T) {
	t.Parallel()
	want := append(slices.Clone(config.Names), "AWS_ENDPOINT_URL")
	slices.Sort(want)
	check(t, "the template's variables", want,
		load(t).get("Globals", "Function", "Environment", "Variables").members())
	for id, f := range functions(t) {
		if slices.Contains(f.get("Properties").members(), "Environment") {
			t.Errorf("%s has variables of its own", id)
		}
	}
	asked := map[string]bool{}
	if _, err := config.Load(func(name string) string { asked[name] = true; return "" }); err != nil {
		t.Fatal(err)
	}
	delete(asked, "AWS_REGION") // Lambda's own
	names := slices.Sorted(slices.Values(config.Names))
	check(t, "the variables that the code reads", names, slices.Sorted(maps.Keys(asked)))
}

// TestEachFunctionIsBuiltFromItsFolder: each function of the template is built by a target of the
// Makefile from a folder in functions, and each folder is a function.
func TestEachFunctionIsBuiltFromItsFolder(t *testing.T) {
	t.Parallel()
	globals := load(t).get("Globals", "Function")
	check(t, "Runtime", "provided.al2023", globals.get("Runtime").text())
	check(t, "Handler", "bootstrap", globals.get("Handler").text())
	var folders []string
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		folders = append(folders, e.Name())
	}
	var built []string
	for id, f := range functions(t) {
		check(t, id+" BuildMethod", "makefile", f.get("Metadata", "BuildMethod").text())
		// On each function: `aws cloudformation package` does not look at Globals.
		check(t, id+" CodeUri", ".", f.get("Properties", "CodeUri").text())
		m := regexp.MustCompile(`(?m)^build-` + id +
			`:.*\n\t.* -o "\$\(ARTIFACTS_DIR\)/bootstrap" \./functions/([a-z]+)$`).
			FindStringSubmatch(read(t, "Makefile"))
		if m == nil {
			t.Errorf("the Makefile has no target build-%s that makes bootstrap", id)
			continue
		}
		built = append(built, m[1])
	}
	slices.Sort(built)
	check(t, "the functions that are built", folders, built)
}

// TestEveryEventFileIsAccepted: each function accepts its event files, every file that is
// named exists, and issue accepts what the schedule sends.
func TestEveryEventFileIsAccepted(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(root, "events"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, e := range entries {
		text := read(t, "events/"+e.Name())
		switch function, _, _ := strings.Cut(e.Name(), "-"); function {
		case "issue":
			if _, err := issue.ParseEvent([]byte(text)); err != nil {
				t.Errorf("%s: %v", e.Name(), err)
			}
		case "rotate":
			var event events.SecretsManagerSecretRotationEvent
			strict := json.NewDecoder(bytes.NewBufferString(text))
			strict.DisallowUnknownFields()
			if err := strict.Decode(&event); err != nil {
				t.Errorf("%s: %v", e.Name(), err)
			}
			steps = append(steps, event.Step)
		default:
			t.Errorf("%s is an event of no function", e.Name())
		}
	}
	slices.Sort(steps)
	check(t, "the steps of a rotation",
		[]string{"createSecret", "finishSecret", "setSecret", "testSecret"}, steps)
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile(`events/[a-z-]+\.json`).FindAllString(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
	input := load(t).get("Resources", "IssueFunction", "Properties", "Events", "Heartbeat",
		"Properties", "Input").text()
	event, err := issue.ParseEvent([]byte(input))
	if err != nil {
		t.Errorf("the schedule's input: %v", err)
	}
	check(t, "the schedule's event", issue.Event{}, event)
}

// pages are the files that may name an event file.
func pages(t *testing.T) []string {
	t.Helper()
	out := []string{"Makefile", "template.yaml"}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			relative, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, relative)
		}
	}
	return out
}
