package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/issue"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/renew"

	"github.com/google/go-cmp/cmp"
)

// These tests compare the README and the reference with the code: what they show must
// work, and their lists must be complete.

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// firstCells are the words in backquotes in the first cells of the table below a
// heading or line of text.
func firstCells(t *testing.T, readme, below string) []string {
	t.Helper()
	_, rest, found := strings.Cut(readme, below)
	if !found {
		t.Fatalf("the README has no %q", below)
	}
	var words []string
	inTable := false
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			if inTable {
				break
			}
			continue
		}
		inTable = true
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			words = append(words, word[1])
		}
	}
	slices.Sort(words)
	return words
}

// documented is the README and the reference.
func documented(t *testing.T) string {
	t.Helper()
	return read(t, "README.md") + read(t, "docs/reference.md")
}

func TestDocumentedExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(documented(t), -1)
	kinds := map[string]int{}
	for _, block := range blocks {
		kinds[checkExample(t, block[1])]++
	}
	if diff := cmp.Diff(map[string]int{"connections": 2, "token": 1, "event": 1, "answer": 1}, kinds); diff != "" {
		t.Errorf("examples by kind (-want +got):\n%s", diff)
	}
}

// checkExample reads an example as the functions would, and returns its kind.
func checkExample(t *testing.T, text string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	switch {
	case members["access_token"] != nil:
		if _, err := credential.ParseToken(redact.New(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		return "token"
	case members["checked"] != nil:
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&issue.Report{}); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		return "answer"
	case members["provider"] != nil, bytes.HasPrefix(bytes.TrimSpace(members["connections"]), []byte("{")):
		const path = "/evertoken/connections/"
		declared := connection.Load([]connection.Parameter{{Name: path + "example", Value: text}},
			connection.Rules{Path: path, ParameterPrefix: "/evertoken/"})
		for _, d := range declared {
			err := d.Err
			if err == nil {
				_, err = providers.New(d.Connection, providers.Options{})
			}
			if err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
		}
		return "connections"
	}
	if _, err := issue.ParseEvent(json.RawMessage(text)); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	return "event"
}

func TestReferenceTablesListEveryWord(t *testing.T) {
	t.Parallel()
	readme := read(t, "docs/reference.md")
	for heading, want := range map[string][]string{
		"## Environment": config.Names,
		"| outcome |": {string(renew.Issued), string(renew.Fresh), string(renew.Waiting), string(renew.Deferred),
			string(renew.Failed), string(renew.Blocked)},
		"| error class |": {string(exchange.Throttled), string(exchange.Transient), string(exchange.GrantDead),
			string(exchange.CredentialDead), string(exchange.Misconfigured)},
		"## Metrics and alarms": alarms(t),
	} {
		want = slices.Sorted(slices.Values(want))
		if diff := cmp.Diff(want, firstCells(t, readme, heading)); diff != "" {
			t.Errorf("below %q (-want +got):\n%s", heading, diff)
		}
	}
}

// alarms are those of the template.
func alarms(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+):\n    Type: AWS::CloudWatch::(?:Composite)?Alarm$`).FindAllStringSubmatch(read(t, "template.yaml"), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestTheReferenceListsEveryConnectionMember gives the parser an unknown member, since
// its error names the known ones.
func TestTheReferenceListsEveryConnectionMember(t *testing.T) {
	t.Parallel()
	_, err := connection.Parse("x", []byte(`{"?":1}`), "/evertoken/")
	if err == nil {
		t.Fatal("an unknown member is accepted")
	}
	_, known, _ := strings.Cut(err.Error(), "the known ones are ")
	want := strings.Split(known, ", ")
	if diff := cmp.Diff(want, firstCells(t, read(t, "docs/reference.md"), "stops the others.")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// TestTheReferenceListsEverySetting gives every provider an unknown setting, since its
// error names the known ones.
func TestTheReferenceListsEverySetting(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\|[^|]+\\|[^|]+\\|$").FindAllStringSubmatch(read(t, "docs/reference.md"), -1)
	if len(rows) != 5 {
		t.Fatalf("found %d providers", len(rows))
	}
	for _, row := range rows {
		_, err := providers.New(connection.Connection{Name: "x", Provider: row[1],
			Settings: json.RawMessage(`{"?":1}`)}, providers.Options{})
		if err == nil {
			t.Fatalf("%s accepts an unknown setting", row[1])
		}
		var got []string
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			got = append(got, word[1])
		}
		slices.Sort(got)
		_, known, _ := strings.Cut(err.Error(), "the known ones are ")
		if diff := cmp.Diff(strings.Split(known, ", "), got); diff != "" {
			t.Errorf("settings of %s (-want +got):\n%s", row[1], diff)
		}
	}
}

func TestREADMELinksAndTargetsExist(t *testing.T) {
	t.Parallel()
	readme, makefile := read(t, "README.md"), read(t, "Makefile")
	for _, link := range regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(link[1]))); err != nil {
			t.Errorf("a link's target does not exist: %v", err)
		}
	}
	for _, target := range regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z-]*)").FindAllStringSubmatch(readme, -1) {
		if !regexp.MustCompile(`(?m)^` + target[1] + `:`).MatchString(makefile) {
			t.Errorf("there is no make %s", target[1])
		}
	}
	for _, name := range []string{"Checked", "Issued", "Failed", "Blocked", "Deferred", "CredentialRefused", "RunDuration", "RemainingOfPromise", "NeedsPersonSeconds", "Trouble"} {
		if !strings.Contains(read(t, "docs/reference.md"), "`"+name+"`") ||
			!strings.Contains(read(t, "internal/issue/metrics.go"), `Name: "`+name+`"`) {
			t.Errorf("the metric %s is not both in the reference and in the code", name)
		}
	}
}
