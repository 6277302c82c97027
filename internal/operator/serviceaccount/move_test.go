package serviceaccount

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

func TestAConnectionMovesOntoAServiceAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Run(issue.Event{}) // a session exists, opened by the refresh token
	w.IDP.ResetRequests()
	r := w.run(append(standard, "-description", "reads data", "-role", "optima_billing_center_viewer")...)
	w.check(r, exitDone, `uses the service account "evertoken" (2263)`, "")
	w.check(r, exitDone, `"org_id": 1105, "service_account_id": 2263`, "")
	w.check(r, exitDone, "The ITAM data API accepts no service accounts", "")
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
	if w.stored(secrets.Current)[credential.MadeFor] == "" {
		t.Error("the client is not recorded as made for this secret: no rotation may delete it")
	}
	if w.stored(secrets.Previous)["refresh_token"] != w.refreshToken {
		t.Error("AWSPREVIOUS is not the old credential")
	}
}

// A second run makes nothing and writes nothing, whether the user's token still
// lives or not.
func TestASecondMoveChangesNothing(t *testing.T) {
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
		t.Error("it asks for settings that exist")
	}
	for _, id := range refreshTokenIDs(w) {
		w.IDP.Flexera().RevokeRefreshToken(id)
	}
	w.check(w.run(standard...), exitDone, "does not check", "")
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

func TestAnOperatorWhoDeclinesChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.answer("n", standard...)
	w.check(r, exitFailed, `create the service account "evertoken"`, "nothing was changed")
	w.check(r, exitFailed, "the roles service_account_client_manager", "")
	w.unmoved()
	if len(w.wrote()) != 0 || len(w.accounts()) != 0 {
		t.Error("something was done")
	}
}

// The command waits for a client that the token endpoint does not know at first; no
// function uses the client before it is proven.
func TestAMoveWaitsUntilTheNewClientWorks(t *testing.T) {
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

// Should Flexera begin to replace refresh tokens at each use, the command stores the new
// one, even if the operator then declines.
func TestARefreshTokenThatComesBackIsStoredEvenAfterANo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.RotateRefreshTokens = true })
	w.check(w.answer("n", standard...), exitFailed, "Another refresh token came back", "")
	token := w.stored(secrets.Current)["refresh_token"]
	if token == w.refreshToken || !w.IDP.RefreshTokenAlive(fakeidp.ProviderFlexera, token) {
		t.Error("the stored refresh token is not the live one")
	}
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// After a question that was not answered for an hour, the command needs a new access
// token.
func TestAnAnswerAfterAnHourGetsANewAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.IDP.Inject(&fakeidp.Fault{Path: "/roles", Times: 1, Kind: fakeidp.OnlyHook,
		Hook: func(fakeidp.Request) { w.Clock.Advance(50 * time.Minute) }})
	w.check(w.run(standard...), exitDone, "", "")
	w.moved()
}

// The credential serves another connection too: the command names it, and it moves as
// well.
func TestAConnectionThatSharesTheCredentialIsNamedAndMovesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Declare("flexera-two",
		map[string]any{"provider": "flexera", "credential": secretName, "settings": w.settings})
	w.check(w.run(standard...), exitDone, "also serves flexera-two", "")
	w.moved()
}

// A dry run shows the plan and the commands, and changes nothing.
func TestADryRunShowsThePlanAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out bytes.Buffer
	dry := w.moving(&out, "")
	dry.CLI = func(words ...string) string { return "aws " + strings.Join(words, " ") }
	if err := Move(t.Context(), dry, parse(t, standard)); err != nil {
		t.Fatal(err)
	}
	w.noSecretIn(result{stdout: out.String()})
	for _, want := range []string{
		`create the service account "evertoken"`,
		"aws secretsmanager put-secret-value --secret-id " + secretName + " --client-request-token ",
		"--secret-string file:///dev/stdin --version-stages " + labelProving,
		"--version-stage AWSCURRENT --move-to-version-id ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s\n%s", want, out.String())
		}
	}
	w.unmoved()
	if len(w.wrote()) != 0 || len(w.accounts()) != 0 {
		t.Error("something was done")
	}
}
