package serviceaccount

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	testOrg    = 1105
	testName   = "evertoken"
	secretName = "evertoken/flexera-prod/credential"
)

// world has one flexera connection with a user's refresh token.
type world struct {
	*fakeworld.World
	t            *testing.T
	refreshToken string
	admin        string // another one of the same user, to look at the account with
	settings     map[string]any
}

// newWorld gives the user the role iam_admin.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: fakeworld.New(t), t: t}
	f := w.IDP.Flexera()
	_, w.refreshToken = f.AddAdminRefreshToken("eu", testOrg, "jane")
	_, w.admin = f.AddAdminRefreshToken("eu", testOrg, "jane")
	w.settings = map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu")}
	w.Connect("flexera-prod", "flexera",
		map[string]string{"refresh_token": w.refreshToken, "note": "kept"}, w.settings, nil)
	return w
}

// declare changes the connection's settings.
func (w *world) declare(more map[string]any) {
	for name, value := range more {
		w.settings[name] = value
	}
	w.Declare("flexera-prod", map[string]any{"provider": "flexera", "settings": w.settings})
}

// result is what one run left behind.
type result struct {
	code           int
	stdout, stderr string
}

var standard = []string{"-connection", "flexera-prod", "-name", testName, "-role",
	"service_account_client_manager", "-org", "1105"}

// withoutFlag returns the arguments less one flag and its value.
func withoutFlag(args []string, name string) []string {
	at := slices.Index(args, name)
	return append(slices.Clone(args[:at]), args[at+2:]...)
}

// run runs the command, and fails the test if it shows a secret.
func (w *world) run(args ...string) result {
	w.t.Helper()
	return w.answer("y", args...)
}

func (w *world) answer(answer string, args ...string) result {
	w.t.Helper()
	return w.runWith(w.t.Context(), answer, args...)
}

func (w *world) runWith(ctx context.Context, stdin string, args ...string) result {
	w.t.Helper()
	var stdout bytes.Buffer
	r := result{}
	if err := Move(ctx, w.moving(&stdout, stdin), parse(w.t, args)); err != nil {
		r.code, r.stderr = exitFailed, "service-account: "+err.Error()
		for s := (*Stopped)(nil); errors.As(err, &s); err = s.Err {
			r.stderr += "\n  " + s.Hint
		}
		if e, ok := errors.AsType[*exchange.Error](err); ok {
			r.stderr += "\n  " + e.Hint
		}
	}
	r.stdout = stdout.String()
	w.noSecretIn(r)
	return r
}

// moving is this world as a move uses it; answer is the operator's.
func (w *world) moving(out io.Writer, answer string) World {
	return World{
		Config: w.Config, Secrets: w.Store(), Parameters: secrets.NewParameters(ssm.NewFromConfig(w.AWSConfig())), Out: out,
		Confirm: func() error {
			if answer != "y" {
				return errors.New("nothing was changed")
			}
			return nil
		},
		Now: w.Clock.Now, Sleep: w.Clock.Sleep,
	}
}

// parse reads the options of a test.
func parse(t *testing.T, args []string) Options {
	t.Helper()
	var o Options
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "-connection":
			o.Connection = args[i+1]
		case "-name":
			o.Name = args[i+1]
		case "-description":
			o.Description = args[i+1]
		case "-role":
			o.Roles = append(o.Roles, args[i+1])
		case "-org":
			if _, err := fmt.Sscan(args[i+1], &o.Org); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("no option %s", args[i])
		}
	}
	return o
}

// What a run ends with.
const (
	exitDone   = 0
	exitFailed = 1
)

func (w *world) noSecretIn(r result) {
	w.t.Helper()
	shown := r.stdout + r.stderr
	for _, secret := range w.IDP.Canaries() {
		if strings.Contains(shown, secret) {
			w.t.Errorf("a secret is shown:\n%s", shown)
		}
	}
	if strings.Contains(shown, fakeidp.Canary) || strings.Contains(shown, "arn:aws") ||
		strings.Contains(shown, "\x1b") {
		w.t.Errorf("a secret, an ARN or a control character is shown:\n%s", shown)
	}
}

func (w *world) check(r result, code int, stdout, stderr string) {
	w.t.Helper()
	if r.code != code || !strings.Contains(r.stdout, stdout) || !strings.Contains(r.stderr, stderr) {
		w.t.Errorf("exit %d, want %d with %q and %q\nstdout: %s\nstderr: %s", r.code, code, stdout,
			stderr, r.stdout, r.stderr)
	}
}

// organization is Flexera as the user sees it.
func (w *world) organization() (*providers.FlexeraOrganization, redact.Secret) {
	w.t.Helper()
	settings, err := json.Marshal(w.settings)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := providers.New(connection.Connection{Name: "look", Provider: "flexera", Settings: settings},
		providers.Options{Client: &oauth.Client{Now: w.Clock.Now}, Now: w.Clock.Now, AllowLoopbackHTTP: true})
	if err != nil {
		w.t.Fatal(err)
	}
	org, ok := providers.NewFlexeraOrganization(p, credential.Credential{}, testOrg)
	if !ok {
		w.t.Fatal("no organization")
	}
	seed := credential.Credential{}.With("refresh_token", redact.New(w.admin))
	grants, err := p.Grants(seed)
	if err != nil {
		w.t.Fatal(err)
	}
	issued, err := p.Exchange(w.t.Context(), exchange.Request{Grant: grants[0], Credential: seed})
	if err != nil {
		w.t.Fatal(err)
	}
	return org, issued.AccessToken
}

// accounts are the ids of the service accounts of our name.
func (w *world) accounts() []int64 {
	w.t.Helper()
	org, access := w.organization()
	all, err := org.ServiceAccounts(w.t.Context(), access)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []int64
	for _, a := range all {
		if a.Name == testName {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// stored is the version of the credential that has a label.
func (w *world) stored(label string) map[string]string {
	w.t.Helper()
	v, ok := w.AWS.Secret(secretName).Labelled(label)
	if !ok {
		return nil
	}
	var members map[string]string
	if err := json.Unmarshal([]byte(v.Value), &members); err != nil {
		w.t.Fatal(err)
	}
	return members
}

// moved fails the test unless the connection is on one service account with at
// most two clients, and the function issues a token by it. It returns the
// account's clients.
func (w *world) moved() []string {
	w.t.Helper()
	accounts := w.accounts()
	if len(accounts) != 1 {
		w.t.Fatalf("%d service accounts, want 1", len(accounts))
	}
	clients := w.IDP.Flexera().Clients(testOrg, int(accounts[0]))
	now := w.stored(secrets.Current)
	if len(clients) == 0 || len(clients) > 2 || !slices.Contains(clients, now["client_id"]) {
		w.t.Errorf("the account has the clients %q, the credential %q", clients, now["client_id"])
	}
	if now["refresh_token"] != "" || now["note"] != "kept" {
		w.t.Error("the credential still has the refresh token, or lost a member of the operator's")
	}
	if w.stored(labelProving) != nil {
		w.t.Errorf("the label %s was not removed", labelProving)
	}
	w.IDP.ResetRequests()
	report := w.Run(issue.Event{Connections: []string{"flexera-prod"}, Force: true})
	if e := fakeworld.Entry(report, "flexera-prod"); e.Outcome != "issued" {
		w.t.Errorf("the function: %+v", e)
	}
	for _, r := range w.IDP.Requests() {
		if r.Grant == "refresh_token" {
			w.t.Error("the user's refresh token was used")
		}
	}
	return clients
}

// unmoved fails the test unless the stored credential is as it was.
func (w *world) unmoved() {
	w.t.Helper()
	if now := w.stored(secrets.Current); now["refresh_token"] != w.refreshToken || now["client_id"] != "" {
		w.t.Error("the credential was changed")
	}
}

// wrote lists the AWS calls that wrote.
func (w *world) wrote() []string {
	var out []string
	for _, c := range w.AWS.Calls() {
		if c.Operation == "PutSecretValue" || c.Operation == "UpdateSecretVersionStage" ||
			c.Operation == "PutParameter" {
			out = append(out, c.Operation)
		}
	}
	return out
}
