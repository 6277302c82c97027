// Evertoken does not send again at every run what a provider has refused.

package renew_test

import (
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

func TestAWrongPasswordThatCannotBeMarkedIsSentTwiceAtMost(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	w.PutSecret(cred, `{"username":"c","password":"canary-wrong"}`)
	refuse(w, "UpdateSecretVersionStage", cred, "AccessDeniedException")
	ticks(w, 24)
	if n := sent(w, "password"); n > 2 { // as after a lost answer
		t.Errorf("a wrong password was sent %d times", n)
	}
}

func TestARefusedPasswordReappliedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "") // it has worked once
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.IDP.Apiax().SetPassword(name, "changed-at-the-provider")
	w.IDP.Apiax().EndSessions(name)
	w.IDP.ResetRequests()
	for range 12 {
		w.PutSecret(cred, stored.Value) // as IaC does
		w.Tick()
	}
	if n := sent(w, "password"); n != 1 {
		t.Errorf("a refused password was sent %d times within the hour", n)
	}
}

// twoGrants connects a Flexera client whose credential also has a dead refresh token.
func twoGrants(w *fakeworld.World) {
	f := w.IDP.Flexera()
	id, secret := f.AddClient(f.AddServiceAccount("eu", 1105, "svc", "iam_admin"))
	w.Connect(name, "flexera",
		map[string]string{"client_id": id, "client_secret": secret,
			"refresh_token": "canary-long-dead"},
		map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu")}, nil)
}

func TestOneGrantRefusedDoesNotBlockOneThatOnlyFailed(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	twoGrants(w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503, Grant: "client_credentials", Times: 1})
	ticks(w, 3)
	alive(t, w, name)
}

func TestARefusedGrantIsNotSentAtEveryRenewal(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	twoGrants(w)
	ticks(w, 288)
	if n := sent(w, "refresh_token"); n > 2 { // two UTC days
		t.Errorf("a refused refresh token was sent %d times in a day", n)
	}
	alive(t, w, name)
}

// A new client secret is mistyped beside a new password, and the provider refuses both. The
// session in force cannot get a token with that client, so it is not renewed at every
// heartbeat: that would only fill its secret with versions. Corrected, it works at once.
func TestARefusedClientDoesNotWearOutTheSession(t *testing.T) {
	t.Parallel()
	w := world(t, connects["sharetribe trusted"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, strings.NewReplacer(`"password":"`, `"password":"typo-`, `"client_secret":"`,
		`"client_secret":"typo-`).Replace(stored.Value))
	advance(t, w)
	w.IDP.ResetRequests()
	ticks(w, 12*6)
	if n := sent(w, "refresh_token"); n > 1 {
		t.Errorf("the session was refreshed %d times in vain", n)
	}
	if n := w.AWS.VersionsYoungerThan(session, 6*time.Hour); n > 4 {
		t.Errorf("%d versions of the session", n)
	}
	w.PutSecret(cred, stored.Value)
	ticks(w, 6)
	alive(t, w, name)
}
