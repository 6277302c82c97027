package renew_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

func TestOnlyANewCredentialValueIsSent(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "")
	old, _ := w.AWS.Secret(cred).Labelled(secrets.Current)

	w.PutSecret(cred, old.Value) // as IaC does
	advance(t, w)
	want(t, w, "issued", "")
	if n := sent(w, "password"); n != 1 {
		t.Fatalf("a re-applied password was sent: %d logins", n)
	}

	w.PutSecret(cred, `{"username":"c","password":"canary-wrong"}`)
	advance(t, w)
	want(t, w, "issued", "uses the old one while it works")
	advance(t, w)
	want(t, w, "issued", "the stored credential has not opened one, and may not be sent now")
	w.PutSecret(cred, `{ "username":"c", "password":"canary-wrong" }`) // re-applied, as another version
	advance(t, w)
	want(t, w, "issued", "")
	if n := sent(w, "password"); n != 2 {
		t.Fatalf("the wrong password was sent %d times, want once", n-1)
	}

	password := w.IDP.Apiax().SetPassword(name, "")
	b, _ := json.Marshal(map[string]string{"username": name, "password": password})
	w.PutSecret(cred, string(b))
	advance(t, w)
	want(t, w, "issued", "")
	if n := sent(w, "password"); n != 3 {
		t.Fatalf("a changed password is tried once: %d logins", n)
	}
	before, _ := w.Session(name)

	moveCurrent(t, w, cred, old.ID) // rolled back by hand: that password is no longer right
	advance(t, w)
	want(t, w, "issued", "uses the old one while it works")
	after, _ := w.Session(name)
	if !after.StartedAt.Equal(before.StartedAt) {
		t.Error("the session in force was replaced because of a refused credential")
	}
}

func TestTheOldSessionServesWhileANewPasswordIsWrong(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Sharetribe(name, "trusted")
	want(t, w, "issued", "")
	v, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, strings.Replace(v.Value, `"password":"`, `"password":"canary-wrong`, 1))
	w.IDP.ResetRequests()
	for range 5 {
		advance(t, w)
		want(t, w, "issued", "")
	}
	if n := sent(w, "password"); n != 1 {
		t.Errorf("the wrong password was sent %d times", n)
	}
}

func TestRejectionsAreTriedOnceADayAndByForce(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "client_credentials")
	want(t, w, "issued", "")
	v, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	var members map[string]string
	if err := json.Unmarshal([]byte(v.Value), &members); err != nil {
		t.Fatal(err)
	}
	w.IDP.OAuth2().RemoveClient(members["client_id"])
	advance(t, w)
	w.IDP.ResetRequests()
	want(t, w, "failed", "")
	for range 7 * 12 { // to 23:35 of the same day
		w.Clock.Advance(w.Config.Every)
		want(t, w, "blocked", "put-secret-value --secret-id "+cred)
	}
	if n := len(w.IDP.Requests()); n != 1 {
		t.Fatalf("%d tries on the first day, want 1", n)
	}
	for range 24 * 12 {
		w.Clock.Advance(w.Config.Every)
		w.Run(issue.Event{})
	}
	if n := len(w.IDP.Requests()); n != 2 {
		t.Fatalf("%d tries by the second day, want 2", n)
	}
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Force: true}), name)
	if e.Outcome != "failed" || len(w.IDP.Requests()) != 3 {
		t.Fatalf("a forced run tries at once: %+v", e)
	}
}

func TestWrongFirstPasswordIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	right, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, `{"username":"c","password":"canary-wrong"}`)
	want(t, w, "failed", "")
	for range 100 {
		w.Clock.Advance(time.Hour)
		want(t, w, "blocked", "force")
	}
	if n := sent(w, "password"); n != 1 {
		t.Errorf("a wrong password was sent %d times", n)
	}
	w.PutSecret(cred, right.Value)
	want(t, w, "issued", "")
}

func TestAForcedRunLeavesANewerTokenAlone(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "")
	published, _ := w.Token(name)
	w.Clock.Advance(time.Minute)
	e := issue.Event{Connections: []string{name}, Force: true, IssuedAt: published.IssuedAt}
	for i, outcome := range []string{"issued", "fresh", "fresh"} { // many applications that got a 401
		if got := fakeworld.Entry(w.Run(e), name); got.Outcome != outcome {
			t.Fatalf("run %d: %+v", i, got)
		}
	}
}

func TestGateSparesOtherConnectionsOfTheHost(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	for i := range 6 {
		w.OAuth2(fmt.Sprint("a", i), "client_credentials")
	}
	w.Flexera("z", true)
	w.IDP.Inject(&fakeidp.Fault{Provider: "oauth2", Kind: fakeidp.Answer,
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"60"}}})
	report := w.Run(issue.Event{})
	if n := len(w.IDP.Requests()); n > 2 || report.Failed != 6 && report.Failed != 7 {
		t.Errorf("%d requests after a 429, report %+v", n, report)
	}
	w.IDP.ClearFaults()
	if report = w.Run(issue.Event{}); report.Issued+report.Fresh != 7 {
		t.Errorf("after the 429: %+v", report)
	}
}

func TestAWrongConnectionDoesNotBlockASharedCredential(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera(name, true)
	want(t, w, "issued", "")
	w.Clock.Advance(time.Minute)
	f := w.IDP.Flexera()
	w.Declare("wrong-zone", map[string]any{"provider": "flexera", "credential": cred,
		"settings": map[string]any{"zone": "nam", "login_url": f.LoginURL("nam"), "api_url": f.APIURL("nam")}})
	w.AWS.CreateSecret("evertoken/wrong-zone/session", nil, nil)
	w.AWS.CreateSecret("evertoken/wrong-zone/token", nil, nil)
	report := w.Run(issue.Event{})
	if e := fakeworld.Entry(report, "wrong-zone"); e.Outcome != "failed" || !strings.Contains(e.Hint, "zone") {
		t.Fatalf("wrong zone: %+v", e)
	}
	advance(t, w)
	want(t, w, "issued", "") // the rejection was the other connection's
}
