package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"

	"github.com/google/go-cmp/cmp"
)

// The bootstraps are built once: by `go build`, as the command does it.
var (
	testRoot  string
	testBuilt bootstraps
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "evertoken-local-test-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		testRoot, err = moduleRoot(context.Background())
	}
	if err == nil {
		testBuilt, err = build(context.Background(), testRoot, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func noVariable(string) string { return "" }

func TestTheDemonstrationIssuesAndRotatesEveryProvider(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := runDemo(t.Context(), testRoot, testBuilt, &out); err != nil {
		t.Errorf("the demonstration failed: %v", err)
	}
	if strings.Contains(out.String(), fakeidp.Canary) || strings.Contains(out.String(), "PRIVATE KEY") {
		t.Error("a secret is shown")
	}
	// The first table has provider, grant and outcome of each connection.
	_, rows, _ := strings.Cut(out.String(), "credential (s)  reason\n")
	rows, _, _ = strings.Cut(rows, "  checked ")
	got := map[string]string{}
	for line := range strings.Lines(rows) {
		f := strings.Fields(line)
		got[f[0]] = strings.Join(f[1:4], " ")
	}
	want := map[string]string{
		"flexera-user": "flexera refresh_token issued", "flexera-service": "flexera client_credentials issued",
		"flexera-new": "flexera – waiting", "flexera-typo": "flexera – failed",
		"apiax":                  "apiax password issued",
		"sharetribe-integration": "sharetribe client_credentials issued", "sharetribe-anonymous": "sharetribe client_credentials issued",
		"sharetribe-user": "sharetribe password issued", "sharetribe-trusted": "sharetribe password issued",
		"flexnet": "flexnet token issued", "flexnet-impersonated": "flexnet token issued", "flexnet-parameter": "flexnet token issued",
		"oauth2-client": "oauth2 client_credentials issued", "oauth2-refresh": "oauth2 refresh_token issued",
		"oauth2-password": "oauth2 password issued", "oauth2-key": "oauth2 client_credentials issued",
		"oauth2-plain": "oauth2 client_credentials issued",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first table (-want +got):\n%s\n%s", diff, out.String())
	}
}

// TestTheDemonstrationReportsARotationThatFails gives the demonstration a rotation
// function that cannot rotate.
func TestTheDemonstrationReportsARotationThatFails(t *testing.T) {
	t.Parallel()
	err := runDemo(t.Context(), testRoot,
		bootstraps{issue: testBuilt.issue, rotate: testBuilt.issue}, io.Discard)
	if err == nil {
		t.Fatal("the demonstration found nothing wrong")
	}
	for _, secret := range []string{"flexera-service/credential", "apiax/session", "flexnet/token"} {
		if want := "evertoken/" + secret + ": the rotation is not complete: InvalidEvent"; !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
}

// TestTheDemonstrationNoticesAWrongReport gives wrong reports to the demonstration's own
// check.
func TestTheDemonstrationNoticesAWrongReport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		report issue.Report
		wrong  int
	}{
		"as expected":       {report: issue.Report{Checked: 2, Connections: []issue.Entry{{Name: "a", Outcome: "issued"}}}},
		"one unchecked":     {report: issue.Report{Checked: 1, Connections: []issue.Entry{{Name: "a", Outcome: "issued"}}}, wrong: 1},
		"another outcome":   {report: issue.Report{Checked: 2, Connections: []issue.Entry{{Name: "a", Outcome: "failed"}}}, wrong: 1},
		"not listed":        {report: issue.Report{Checked: 2}, wrong: 1},
		"listed too often":  {report: issue.Report{Checked: 2, Connections: []issue.Entry{{Name: "a", Outcome: "issued"}, {Name: "b", Outcome: "issued"}}}, wrong: 1},
		"nothing was right": {report: issue.Report{Connections: []issue.Entry{{Name: "b", Outcome: "failed"}}}, wrong: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := demo{fleet: []member{{name: "a", expect: "issued"}, {name: "b", expect: "fresh"}}}
			d.expect("run", test.report, func(m member) string { return m.expect })
			if len(d.wrong) != test.wrong {
				t.Errorf("found %q, want %d", d.wrong, test.wrong)
			}
		})
	}
}

func TestFlagsAndEnvironmentBecomeOptions(t *testing.T) {
	t.Parallel()
	credentials := func(name string) string { return map[string]string{"CREDENTIALS": "c.json"}[name] }
	for _, test := range []struct {
		args   string
		getenv func(string) string
		want   options
		err    string
	}{
		{args: "", want: options{port: 8766, sessions: "sessions.local.json"}},
		{args: "-serve", want: options{serve: true, port: 8766, sessions: "sessions.local.json"}},
		{args: "-serve -port 0", want: options{serve: true, sessions: "sessions.local.json"}},
		{args: "-connections x.json", getenv: credentials, want: options{connections: "x.json", credentials: "c.json", port: 8766, sessions: "sessions.local.json"}},
		{args: "-connections x.json -credentials d.json", getenv: credentials, want: options{connections: "x.json", credentials: "d.json", port: 8766, sessions: "sessions.local.json"}},
		{args: "-serve -connections x.json", err: "-serve and -connections exclude each other"},
		{args: "-port 65534", err: "-port must be from 0 to 65533"},
		{args: "serve", err: `unknown argument "serve"`},
		{args: "-nonsense", err: "flag provided but not defined: -nonsense"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			getenv := test.getenv
			if getenv == nil {
				getenv = noVariable
			}
			got, err := parseFlags(strings.Fields(test.args), getenv, io.Discard)
			switch {
			case test.err == "" && err != nil, test.err != "" && (err == nil || err.Error() != test.err):
				t.Errorf("error %v, want %q", err, test.err)
			case test.err == "" && got != test.want:
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestTheBuildIsTheDeployedOne compares the build of this command with the deployed one.
func TestTheBuildIsTheDeployedOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(testRoot, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Join(buildFlags, " ")
	flags = strings.Replace(flags, "-s -w", `"-s -w"`, 1)
	// VCS says whether the build contains the commit, which a build for this machine does
	// not need.
	want := "CGO_ENABLED=0 GOOS=linux $(GO) build $(VCS) " + flags + "\n"
	if !strings.Contains(string(text), want) {
		t.Errorf("the Makefile does not build by %q", want)
	}
}

func TestAReportIsPrintedAsATable(t *testing.T) {
	t.Parallel()
	n := func(v int64) *int64 { return &v }
	report := issue.Report{Checked: 3, Issued: 1, Fresh: 1, Failed: 1, Connections: []issue.Entry{
		{Name: "a", Outcome: "issued", Reason: "due", SecondsLeft: n(3600), CredentialSecondsLeft: n(86400), Hint: "Store a session."},
		{Name: "long-name", Outcome: "failed", Reason: `connection long-name: "settings.zone" must be nam, eu or apac`, Hint: "correct it", SecondsLeft: n(0)},
	}}
	var out bytes.Buffer
	writeReport(&out,
		[]row{{"a", "flexera", "refresh_token"}, {"b", "apiax", ""},
			{"long-name", "flexera", ""}}, report)
	want := `  connection  provider  grant          outcome  left (s)  credential (s)  reason
  a           flexera   refresh_token  issued       3600           86400  due
  b           apiax     –              fresh           –               –  –
  long-name   flexera   –              failed          0               –  "settings.zone" must be nam, eu or apac
  checked 3: issued 1, fresh 1, waiting 0, deferred 0, blocked 0, failed 1
  a: Store a session.
  long-name: connection long-name: "settings.zone" must be nam, eu or apac
    → correct it
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestASecretIsPrintedAsItsHash(t *testing.T) {
	t.Parallel()
	want := "{\n      \"access_token\": \"<sha256:2bb80d53>\",\n      \"authorization\": \"Bearer <sha256:2bb80d53>\"\n    }"
	if got := mask(`{"access_token":"secret","authorization":"Bearer secret"}`, "secret"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := mask("secret", "secret"), "<sha256:2bb80d53>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
