package renew_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	name    = "c"
	session = "evertoken/c/session"
	token   = "evertoken/c/token"
	cred    = "evertoken/c/credential"
)

// advance moves the clock to when the token is to be renewed.
func advance(t *testing.T, w *fakeworld.World) {
	t.Helper()
	published, ok := w.Token(name)
	if !ok {
		t.Fatal("no token was published")
	}
	w.Clock.Advance(published.RenewAfter.Sub(w.Clock.Now()))
}

// want runs and compares the outcome of the connection.
func want(t *testing.T, w *fakeworld.World, outcome, hint string) issue.Entry {
	t.Helper()
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}}), name)
	if e.Outcome != outcome || !strings.Contains(e.Hint+" | "+e.Reason, hint) {
		t.Fatalf("got %+v, want outcome %s telling %q", e, outcome, hint)
	}
	return e
}

// labelled is the id of the version that has a label.
func labelled(w *fakeworld.World, secret, label string) string {
	v, _ := w.AWS.Secret(secret).Labelled(label)
	return v.ID
}

func moveCurrent(t *testing.T, w *fakeworld.World, secret, to string) {
	t.Helper()
	if err := w.Store().MoveLabel(context.Background(), secret, secrets.Current, to, labelled(w, secret, secrets.Current)); err != nil {
		t.Fatal(err)
	}
}

// sent counts the requests with a grant that reached the provider.
func sent(w *fakeworld.World, grant string) int {
	n := 0
	for _, r := range w.IDP.Requests() {
		if r.Grant == grant {
			n++
		}
	}
	return n
}

func TestSessionMovedBackIsBroughtForward(t *testing.T) {
	t.Parallel()
	for _, connect := range []func(*fakeworld.World){
		func(w *fakeworld.World) { w.Apiax(name) }, func(w *fakeworld.World) { w.OAuth2(name, "refresh_token") },
	} {
		w := fakeworld.New(t)
		connect(w)
		want(t, w, "issued", "")
		advance(t, w)
		want(t, w, "issued", "")
		newest := labelled(w, session, secrets.Current)
		moveCurrent(t, w, session, labelled(w, session, secrets.Previous))
		advance(t, w)
		w.IDP.ResetRequests()
		want(t, w, "issued", "and made it current")
		if n := len(w.IDP.Requests()); n != 1 || sent(w, "refresh_token") != 1 {
			t.Errorf("%d requests, want one refresh", n)
		}
		if labelled(w, session, secrets.Previous) != newest {
			t.Error("the newer session was not what was refreshed")
		}
	}
}

func TestSessionOverwrittenOrEmptied(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"{}", "garbage", `{"refresh_token":5}`, " "} {
		for _, tt := range []struct {
			connect func(*fakeworld.World)
			grant   string
		}{
			{func(w *fakeworld.World) { w.Apiax(name) }, "password"},
			{func(w *fakeworld.World) { w.OAuth2(name, "refresh_token") }, "refresh_token"}, // nothing stronger: AWSPREVIOUS
		} {
			w := fakeworld.New(t)
			tt.connect(w)
			want(t, w, "issued", "")
			w.PutSecret(session, value)
			advance(t, w)
			w.IDP.ResetRequests()
			want(t, w, "issued", "")
			if n := len(w.IDP.Requests()); n != 1 || sent(w, tt.grant) != 1 {
				t.Errorf("session %q: %d requests, want one %s grant", value, n, tt.grant)
			}
		}
	}
}

func TestSessionSecretDeletedRestoredGone(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "")
	advance(t, w)
	w.DeleteSecret(session, false)
	w.IDP.ResetRequests()
	want(t, w, "failed", "restore-secret --secret-id "+session)
	w.RestoreSecret(session)
	want(t, w, "issued", "")
	w.DeleteSecret(session, true)
	advance(t, w)
	want(t, w, "failed", "create-secret --name "+session)
	if n := len(w.IDP.Requests()); n != 1 {
		t.Errorf("%d requests, want the one after the restore", n)
	}
	w.AWS.CreateSecret(session, nil, nil)
	want(t, w, "issued", "")
}

func TestCredentialReappliedChangedRolledBack(t *testing.T) {
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
	want(t, w, "issued", "")
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
		t.Error("the session in force was given up for a refused credential")
	}
}

func TestTrustedGoesOnWithTheOldSessionWhenANewPasswordIsWrong(t *testing.T) {
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

func TestRescueWhenTheSessionCannotBeStored(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AccessDeniedException", "EncryptionFailure", "InternalServiceError", "LimitExceededException"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			w.OAuth2(name, "refresh_token")
			want(t, w, "issued", "")
			advance(t, w)
			// the proof passes, the store does not
			w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Skip: 1, Kind: fakeaws.Refuse, Code: code})
			want(t, w, "issued", "keeps it in the parameter /evertoken/rescue/c")
			w.AWS.ClearFaults()
			p, _ := w.AWS.Parameter("/evertoken/rescue/c")
			if p.Type != "SecureString" {
				t.Fatalf("the rescue parameter is %q", p.Type)
			}
			advance(t, w)
			var e issue.Entry
			for range 4 {
				e = fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}}), name)
				w.Clock.Advance(w.Config.Every)
			}
			published, _ := w.Token(name)
			if !w.IDP.Accepts("oauth2", published.AccessToken.Reveal()) || !published.ExpiresAt.After(w.Clock.Now()) {
				t.Errorf("the session was not brought back: %+v", e)
			}
			if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
				t.Error("the rescue parameter was left")
			}
			for _, r := range w.IDP.Requests() {
				if r.Status >= 400 {
					t.Errorf("the provider refused a request: a spent token was sent")
				}
			}
		})
	}
}

func TestOvertakenSessionIsKept(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "")
	advance(t, w)
	base, _ := w.AWS.Secret(session).Labelled(secrets.Current)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
		// another run from the same base, with a session of its own
		other := credential.Session{RefreshToken: redact.New("canary-other"), StartedAt: w.Clock.Now(), RefreshedAt: w.Clock.Now()}
		id := secrets.DeriveID(w.AWS.Secret(session).ARN, base.ID, "session")
		if err := w.Store().Put(context.Background(), session, id, other.Encode()); err != nil {
			t.Error(err)
		}
	}})
	want(t, w, "issued", "EVERTOKEN_KEPT")
	kept, ok := w.AWS.Secret(session).Labelled("EVERTOKEN_KEPT")
	if !ok {
		t.Fatal("nothing is kept")
	}
	s, err := credential.ParseSession(redact.New(kept.Value))
	if err != nil || !w.IDP.RefreshTokenAlive("apiax", s.RefreshToken.Reveal()) {
		t.Errorf("what is kept is no living session: %v", err)
	}
}

func TestRotationUnderWayDefers(t *testing.T) {
	t.Parallel()
	for _, document := range []string{session, token} {
		w := fakeworld.New(t)
		w.Apiax(name)
		want(t, w, "issued", "")
		advance(t, w)
		w.BeginRotation(document)
		w.IDP.ResetRequests()
		want(t, w, "deferred", "a rotation of the")
		if n := len(w.IDP.Requests()); n != 0 {
			t.Errorf("%d requests while a rotation is under way", n)
		}
		w.Clock.Advance(8 * time.Minute) // the token is about to die
		want(t, w, "issued", "Evertoken abandoned a rotation")
	}
}

func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	for what, connect := range map[string]func(*fakeworld.World){
		"a first token": func(w *fakeworld.World) { w.Flexera(name, true) },
		"a single-use refresh token": func(w *fakeworld.World) {
			w.Apiax(name)
			want(t, w, "issued", "")
			advance(t, w)
		},
	} {
		w := fakeworld.New(t)
		connect(w)
		w.IDP.ResetRequests()
		w.AWS.SetReplica(token, "eu-west-1")
		want(t, w, "failed", "primary Region, eu-west-1")
		if n := len(w.IDP.Requests()); n != 0 {
			t.Errorf("%s: %d requests for a token that cannot be stored", what, n)
		}
	}
}

func TestThePlainCopyFollowsTheToken(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera(name, true)
	v, _ := w.AWS.Parameter("/evertoken/connections/c")
	w.AWS.PutParameter("/evertoken/connections/c", "String", strings.Replace(v.Value, `{`, `{"plain_copy":"other/copy",`, 1))
	w.AWS.CreateSecret("other/copy", nil, nil)
	copied := func() string {
		v, _ := w.AWS.Secret("other/copy").Labelled(secrets.Current)
		return v.Value
	}
	check := func(when string) {
		t.Helper()
		if published, _ := w.Token(name); copied() != published.AccessToken.Reveal() {
			t.Errorf("%s: the copy is not the token", when)
		}
	}
	want(t, w, "issued", "")
	check("published")
	requests := len(w.IDP.Requests())
	w.PutSecret("other/copy", "something else")
	w.Tick()
	if copied() != "something else" {
		t.Error("a copy that was overwritten a heartbeat ago is written at once")
	}
	w.Clock.Advance(10 * time.Minute)
	want(t, w, "fresh", "")
	check("overwritten")
	if len(w.IDP.Requests()) != requests {
		t.Error("writing the copy again cost an exchange")
	}
	refuse(w, "PutSecretValue", "other/copy", "AccessDeniedException")
	advance(t, w)
	want(t, w, "issued", "The plain copy could not be written")
	w.AWS.ClearFaults()
	w.Tick()
	check("not written at first")
}

func TestTokenParameter(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "client_credentials")
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 10 * time.Minute })
	v, _ := w.AWS.Parameter("/evertoken/connections/c")
	w.AWS.PutParameter("/evertoken/connections/c", "String", strings.Replace(v.Value, `{`, `{"token_parameter":"/evertoken/tokens/c",`, 1))
	want(t, w, "issued", "")
	p, _ := w.AWS.Parameter("/evertoken/tokens/c")
	if p.Type != "SecureString" || p.Tier != "Standard" {
		t.Errorf("type %q, tier %q", p.Type, p.Tier)
	}
	document, err := credential.ParseToken(redact.New(p.Value))
	if err != nil || strings.Contains(p.Value, "authorization") {
		t.Fatalf("parameter: %v", err)
	}
	for range 200 { // no floor: a token this short is renewed at every heartbeat
		w.Tick()
		p, _ = w.AWS.Parameter("/evertoken/tokens/c")
		if document, err = credential.ParseToken(redact.New(p.Value)); err != nil || !document.ExpiresAt.After(w.Clock.Now()) {
			t.Fatalf("at %s: %v, expires %s", w.Clock.Now(), err, document.ExpiresAt)
		}
	}
}

func TestTooShortLivedForASecret(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "client_credentials")
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 10 * time.Minute })
	want(t, w, "issued", "too short for a secret")
	refused := 0
	for range 24 * 12 {
		if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "failed" && strings.Contains(e.Reason, "versions younger than 24 hours") && strings.Contains(e.Hint, "token_parameter") {
			refused++
		}
		if n := w.AWS.VersionsYoungerThan(token, 24*time.Hour); n > 97 {
			t.Fatalf("%d versions in a day", n)
		}
	}
	if refused == 0 {
		t.Error("it was never refused")
	}
}

func TestFlexeraRefreshTokenThatChanges(t *testing.T) {
	t.Parallel()
	for _, withSession := range []bool{true, false} {
		w := fakeworld.New(t)
		w.Flexera(name, false)
		if !withSession {
			w.DeleteSecret(session, true)
		}
		w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.RotateRefreshTokens = true })
		hint := ""
		if !withSession {
			hint = "create-secret --name " + session
		}
		want(t, w, "issued", hint)
		for range 3 {
			advance(t, w)
			want(t, w, "issued", "")
		}
		if !withSession { // created later, it takes over
			w.AWS.CreateSecret(session, nil, nil)
			advance(t, w)
			want(t, w, "issued", "")
			if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
				t.Error("the rescue parameter was left")
			}
			if s, ok := w.Session(name); !ok || s.RefreshToken.IsZero() {
				t.Error("the session secret was not used")
			}
		}
	}
}

func TestForceAndIssuedAt(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	want(t, w, "issued", "")
	published, _ := w.Token(name)
	w.Clock.Advance(time.Minute)
	e := issue.Event{Connections: []string{name}, Force: true, IssuedAt: published.IssuedAt}
	for i, outcome := range []string{"issued", "fresh", "fresh"} { // many readers that met a 401
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
	w.IDP.Inject(&fakeidp.Fault{Provider: "oauth2", Kind: fakeidp.Answer, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"60"}}})
	report := w.Run(issue.Event{})
	if n := len(w.IDP.Requests()); n > 2 || report.Failed != 6 && report.Failed != 7 {
		t.Errorf("%d requests after a 429, report %+v", n, report)
	}
	w.IDP.ClearFaults()
	if report = w.Run(issue.Event{}); report.Issued+report.Fresh != 7 {
		t.Errorf("after the 429: %+v", report)
	}
}

func TestSharedCredentialOfAWrongConnection(t *testing.T) {
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
