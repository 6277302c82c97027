package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

func TestMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Run(issue.Event{}) // a session exists, opened by the refresh token
	w.IDP.ResetRequests()
	r := w.run(append(standard, "-description", "reads data", "-role", "optima_billing_center_viewer")...)
	w.check(r, exitDone, `uses the service account "evertoken" (2263)`, "")
	w.check(r, exitDone, `"org_id": 1105, "service_account_id": 2263`, "")
	w.check(r, exitDone, "The ITAM data API takes no service accounts", "")
	w.check(r, exitDone, "delete the user's refresh token", "")

	const iam = "/flexera/eu/api/iam/v1/orgs/1105"
	want := []string{
		"POST /flexera/eu/login/oidc/token grant_type=refresh_token",
		"GET " + iam + "/service-accounts",
		"GET " + iam + "/roles",
		"POST " + iam + `/service-accounts {"name":"evertoken","description":"reads data"}`,
		"GET " + iam + "/service-accounts/2263",
		"PUT " + iam + `/access-rules/grant {"role":{"name":"service_account_client_manager"},"subject":{"ref":"ref::::iam:service-account:2263"}}`,
		"PUT " + iam + `/access-rules/grant {"role":{"name":"optima_billing_center_viewer"},"subject":{"ref":"ref::::iam:service-account:2263"}}`,
		"POST " + iam + "/service-accounts/2263/clients",
		"POST /flexera/eu/login/oidc/token grant_type=client_credentials",
	}
	var got []string
	for _, q := range w.IDP.Requests() {
		line := q.Method + " " + q.Path
		switch {
		case q.Grant != "":
			line += " grant_type=" + q.Grant
		case len(q.Body) > 0:
			line += " " + string(q.Body)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if clients := w.moved(); len(clients) != 1 {
		t.Errorf("clients: %q", clients)
	}
	if w.stored(secrets.Previous)["refresh_token"] != w.refreshToken {
		t.Error("AWSPREVIOUS is not the old credential")
	}
}

// A second run makes nothing and writes nothing, whether the user's token still
// lives or not.
func TestMoveAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.check(w.run(standard...), exitDone, "", "")
	clients := w.moved()
	w.AWS.ResetCalls()
	w.check(w.run(standard...), exitDone, "whose secret is stored already", "")
	w.declare(map[string]any{"org_id": testOrg, "service_account_id": w.accounts()[0]})
	r := w.run(withoutFlag(standard, "-org")...)
	w.check(r, exitDone, "exists", "")
	if strings.Contains(r.stdout, `"org_id"`) {
		t.Error("settings are to be added that are there")
	}
	for _, id := range refreshTokenIDs(w) {
		w.IDP.Flexera().RevokeRefreshToken(id)
	}
	w.check(w.run(standard...), exitDone, "are not looked at", "")
	if wrote := w.wrote(); len(wrote) != 0 {
		t.Errorf("it wrote: %q", wrote)
	}
	_, w.admin = w.IDP.Flexera().AddAdminRefreshToken("eu", testOrg, "jane")
	if diff := cmp.Diff(clients, w.moved()); diff != "" {
		t.Error(diff)
	}
	for _, id := range clients {
		w.IDP.Flexera().RevokeClient(id)
	}
	for _, id := range refreshTokenIDs(w) {
		w.IDP.Flexera().RevokeRefreshToken(id)
	}
	w.check(w.run(standard...), exitFailed, "", "Make a new refresh token")
}

// refreshTokenIDs are the ids of the user's refresh tokens.
func refreshTokenIDs(w *world) []string {
	w.t.Helper()
	_, access := w.organization()
	return listRefreshTokens(w.t, w.IDP.Flexera().APIURL("eu"), access)
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	asking := standard[:len(standard)-1] // without -yes
	for _, answer := range []string{"", "\n", "n\n", "yesterday\n"} {
		w := newWorld(t)
		r := w.answer(answer, asking...)
		w.check(r, exitFailed, "Go on? [y/N]", "nothing was changed")
		w.check(r, exitFailed, `create the service account "evertoken"`, "")
		w.check(r, exitFailed, "the roles service_account_client_manager", "")
		w.unmoved()
		if len(w.wrote()) != 0 || len(w.accounts()) != 0 {
			t.Errorf("%q: something was done", answer)
		}
	}
	for _, answer := range []string{"y\n", "YES\n", "y"} {
		w := newWorld(t)
		w.check(w.answer(answer, asking...), exitDone, "Go on?", "")
		w.moved()
	}
}

// A client that needs a while until the token endpoint knows it is waited for;
// until it is proven, no function meets it.
func TestPropagation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = 20 * time.Second })
	w.check(w.run(standard...), exitDone, "proved the client", "")
	w.moved()

	w = newWorld(t)
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = 10 * time.Minute })
	w.check(w.run(standard...), exitFailed, "", "Run this again in a few minutes")
	w.unmoved()
	if e := w.Run(issue.Event{}); e.Issued != 1 {
		t.Errorf("the function: %+v", e)
	}
	w.Clock.Advance(10 * time.Minute)
	w.check(w.run(standard...), exitDone, "", "")
	if clients := w.moved(); len(clients) != 1 {
		t.Errorf("clients: %q", clients)
	}
}

// Should Flexera begin to rotate refresh tokens, the one that comes back is
// kept, even if the operator then says no.
func TestRotatedRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.RotateRefreshTokens = true })
	w.check(w.answer("n\n", standard[:len(standard)-1]...), exitFailed, "Another refresh token came back", "")
	token := w.stored(secrets.Current)["refresh_token"]
	if token == w.refreshToken || !w.IDP.RefreshTokenAlive(fakeidp.ProviderFlexera, token) {
		t.Error("the stored refresh token is not the live one")
	}
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// A question that was open for an hour needs a new access token.
func TestLongQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.IDP.Inject(&fakeidp.Fault{Path: "/roles", Times: 1, Kind: fakeidp.OnlyHook, Hook: func(fakeidp.Request) { w.Clock.Advance(50 * time.Minute) }})
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// The credential serves another connection too, which is told and moves with it.
func TestSharedCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Declare("flexera-two", map[string]any{"provider": "flexera", "credential": secretName, "settings": w.settings})
	w.check(w.run(standard...), exitDone, "also serves flexera-two", "")
	w.moved()
}

// AWS's own variables and ours reach the command as they reach the functions.
func TestEnvironment(t *testing.T) { // not parallel: it sets the process's environment
	w := newWorld(t)
	w.AWS.PutParameter("/elsewhere/flexera-prod", "String", `{"provider":"flexera","settings":`+marshal(t, w.settings)+`}`)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": w.AWS.URL(), "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true", "EVERTOKEN_CONNECTIONS_PATH": "/elsewhere/",
	} {
		t.Setenv(name, value)
	}
	run := func(args ...string) result {
		var stdout, stderr bytes.Buffer
		p := process{getenv: os.Getenv, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
			aws: secrets.Config, now: w.Clock.Now, sleep: w.Clock.Sleep}
		return result{p.run(t.Context(), args), stdout.String(), stderr.String()}
	}
	w.check(run(standard...), exitFailed, "", "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1")
	t.Setenv("EVERTOKEN_ALLOW_LOOPBACK_HTTP", "1")
	w.check(run(append(standard, "-connections-path", "/nowhere/")...), exitFailed, "", `no connection "flexera-prod" is declared below /nowhere/`)
	w.check(run(standard...), exitDone, "in the parameter /elsewhere/flexera-prod", "")
	w.moved()
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	w.check(run(standard...), exitFailed, "", "no usable AWS credentials")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	w.check(run(standard...), exitFailed, "", "no AWS Region")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"-connection is missing":   withoutFlag(standard, "-connection"),
		"-name is missing":         withoutFlag(standard, "-name"),
		"-role is missing":         withoutFlag(standard, "-role"),
		"-org must be at least 1":  append(withoutFlag(standard, "-org"), "-org", "-1"),
		"must begin and end":       append(standard[:len(standard):len(standard)], "-connections-path", "x"),
		`unknown argument "extra"`: append(standard[:len(standard):len(standard)], "extra"),
		"not defined: -secret":     {"-secret", "x"},
	} {
		w := &world{World: nil, t: t}
		var stdout, stderr bytes.Buffer
		code := process{stdout: &stdout, stderr: &stderr}.run(t.Context(), args)
		w.check(result{code, stdout.String(), stderr.String()}, exitUsage, "", want)
	}
	var stderr bytes.Buffer
	if code := (process{stderr: &stderr}).run(t.Context(), []string{"-h"}); code != exitDone || !strings.Contains(stderr.String(), "-role") {
		t.Errorf("-h: exit %d, %s", code, stderr.String())
	}
}
