package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
)

const commandPage = "../docs/command.md"

// tidy replaces what differs from run to run, and the addresses of this machine.
var tidy = []struct{ pattern, by string }{
	{`http://127\.0\.0\.1:\d+/oauth2/token`, "https://login.example.com/oauth2/token"},
	{` --endpoint-url http://127\.0\.0\.1:\d+`, ""},
	{`client:[0-9a-f]+`, "evertoken-crm"},
	// The list grows with every preset.
	{`(?s)(Which provider issues the tokens of crm\?\n.*?\n).*?(provider: )`, "$1   …\n$2"},
	{`\x1b\[\d+m`, ""},
	{`\b59m of 1h\b`, "1h of 1h"}, {`\b29m of 30m\b`, "30m of 30m"}, {`It lives 59m`, "It lives 1h"},
	{`in 34m\b`, "in 35m"}, {`in 14m\b`, "in 15m"}, {`expired 3[01]m ago`, "expired 30m ago"},
}

func tidied(text string) string {
	for _, t := range tidy {
		text = regexp.MustCompile(t.pattern).ReplaceAllString(text, t.by)
	}
	return text
}

// squeezed replaces the spaces between a table's columns by one: a figure may be a digit
// longer on a slow machine.
func squeezed(text string) string {
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
}

// TestTheRecordingsAreUpToDate compares the recordings in docs/command.md with what the
// built command shows on a terminal. With UPDATE_DOCS it writes them.
func TestTheRecordingsAreUpToDate(t *testing.T) {
	t.Parallel()
	binary, err := commandBinary()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, options{})
	id, secret := w.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{})
	record := func(dialogue [][2]string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(context.Background(), binary, args...)
		c.Dir = t.TempDir()
		c.Env = []string{"AWS_ENDPOINT_URL=" + w.AWS.URL(), "AWS_REGION=" + stackRegion,
			"AWS_ACCESS_KEY_ID=local",
			"AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true", "TERM=xterm", "HOME=" + c.Dir, "PATH=" +
				os.Getenv("PATH")}
		s, err := startOnTerminal(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range dialogue {
			if err := s.expect(step[0]); err != nil {
				s.kill()
				t.Fatal(err)
			}
			s.enter(step[1])
		}
		_ = s.wait() // its exit code is part of other tests
		if strings.Contains(s.text(), secret) {
			t.Error("the terminal shows the client's secret")
		}
		return "$ evertoken " + strings.Join(args, " ") + "\n" + tidied(s.text())
	}
	first := record([][2]string{
		{"provider: ", "oauth2"}, {"way: ", "client_credentials"}, {"token_url", w.IDP.OAuth2().TokenURL()},
		{"client_id: ", id}, {"client_secret (not shown): ", secret},
	}, "add", "crm")

	w.Apiax("apiax-prod")
	w.Flexera("flexera-eu", false)
	w.AWS.CreateSecret("evertoken/flexera-new/credential", nil, nil)
	w.AWS.PutParameter("/evertoken/connections/flexera-new", "String",
		`{"provider": "flexera", "settings": {"zone": "nam"}}`)
	if _, err := w.run(w.function, "{}"); err != nil {
		t.Fatal(err)
	}
	if err := w.age("flexera-eu", 90*60*1e9, "token"); err != nil {
		t.Fatal(err)
	}
	second := record(nil, "status")

	page, err := os.ReadFile(filepath.FromSlash(commandPage))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(page), "```console\n")
	if len(want) != 3 {
		t.Fatalf("%s has %d recordings, want 2", commandPage, len(want)-1)
	}
	for i, text := range []string{first, second} {
		have, rest, _ := strings.Cut(want[i+1], "```")
		if os.Getenv("UPDATE_DOCS") == "" {
			if diff := cmp.Diff(squeezed(have), squeezed(text)); diff != "" {
				t.Errorf("UPDATE_DOCS=1 go test ./e2e -run TestTheRecordingsAreUpToDate writes it (-page +terminal):\n%s", diff)
			}
		}
		want[i+1] = text + "```" + rest
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(filepath.FromSlash(commandPage), []byte(strings.Join(want, "```console\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
