package renew_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// alive holds a connection to a published token that its provider accepts.
func alive(t *testing.T, w *fakeworld.World, connection string) {
	t.Helper()
	published, ok := w.Token(connection)
	if !ok || !published.ExpiresAt.After(w.Clock.Now()) {
		t.Errorf("%s has no living token at %s", connection, w.Clock.Now())
	}
}

func ticks(w *fakeworld.World, n int) {
	for range n {
		w.Tick()
	}
}

// refuse makes every call fail that fits.
func refuse(w *fakeworld.World, operation, secret, code string) {
	w.AWS.Inject(&fakeaws.Fault{Operation: operation, Resource: secret, Kind: fakeaws.Refuse, Code: code})
}

func TestASettlementThatStopsLeavesTheReplay(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.RunTimeout = 4 * time.Minute
	w.OAuth2(name, "refresh_token")
	want(t, w, "issued", "")
	advance(t, w)
	losses["not received"](newDiary(w))
	for range 3 { // until the published token is about to die
		w.Tick()
	}
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.Refuse, Code: "InternalServiceError", Times: 3})
	before := len(w.IDP.Requests())
	if e := fakeworld.Entry(w.Tick(), name); e.Outcome != "failed" || len(w.IDP.Requests()) != before {
		t.Fatalf("the proof failed: %+v, %d requests", e, len(w.IDP.Requests())-before)
	}
	ticks(w, 12)
	alive(t, w, name)
}

func TestAWrongPasswordThatCannotBeMarkedIsSentTwiceAtMost(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.RunTimeout = 4 * time.Minute
	w.Apiax(name)
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

func TestARefreshTokenBesideAnUnusableTokenIsKept(t *testing.T) {
	t.Parallel()
	for what, extra := range map[string]map[string]any{
		"a life of seconds":       {"expires_in": 20},
		"a life of centuries":     {"expires_in": 1e18},
		"an empty access token":   {"access_token": ""},
		"a token of another type": {"token_type": "mac"},
		"no text for a token":     {"access_token": 5},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			w.RunTimeout = 4 * time.Minute
			w.OAuth2(name, "refresh_token")
			want(t, w, "issued", "")
			advance(t, w)
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = extra })
			if e := fakeworld.Entry(w.Run(issue.Event{}), name); e.Outcome != "failed" {
				t.Fatalf("the token is of no use: %+v", e)
			}
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = nil })
			ticks(w, 10)
			alive(t, w, name)
			for _, r := range w.IDP.Requests() {
				if r.Status >= 400 {
					t.Error("a refresh token was sent after its successor had come")
				}
			}
		})
	}
}

func TestAPendingVersionWithoutAScheduleHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for grant, options := range map[string]func(*fakeidp.OAuth2Options){
		"client_credentials": func(*fakeidp.OAuth2Options) {},
		"refresh_token": func(o *fakeidp.OAuth2Options) { // one that dies unused, before the token does
			o.AccessLife, o.RefreshLife, o.RefreshExpiresIn = 8*time.Hour, 2*time.Hour, true
		},
	} {
		w := fakeworld.New(t)
		w.IDP.OAuth2().Configure(options)
		w.OAuth2(name, grant)
		want(t, w, "issued", "")
		if err := w.Store().Put(t.Context(), token, secrets.FreshID(), redact.New(`{"x":1}`), secrets.Pending); err != nil {
			t.Fatal(err)
		}
		for range 9 * 12 {
			if r := w.Tick(); r.Fresh+r.Issued != 1 {
				t.Fatalf("%s: at %s: %+v", grant, w.Clock.Now(), r)
			}
		}
		alive(t, w, name)
	}
}

func TestABatchRefusedForOneSecretIsReadOneByOne(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"DecryptionFailure", "InvalidParameterException"} {
		w := fakeworld.New(t)
		w.OAuth2("a", "client_credentials")
		w.OAuth2("b", "client_credentials")
		refuse(w, "BatchGetSecretValue", "", code)
		if r := w.Run(issue.Event{}); r.Issued != 2 {
			t.Errorf("%s: %+v", code, r)
		}
	}
}

func TestAMisspeltProviderClaimsNoCredential(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	w.Declare("aaa", map[string]any{"provider": "apaix", "credential": cred})
	r := w.Run(issue.Event{})
	if r.Issued != 1 || fakeworld.Entry(r, "aaa").ErrorClass != "misconfigured" {
		t.Errorf("report %+v", r)
	}
}

func TestASessionMovedBackFarSendsNoSpentRefreshToken(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "refresh_token")
	want(t, w, "issued", "")
	first := labelled(w, session, secrets.Current)
	ticks(w, 20)
	moveCurrent(t, w, session, first)
	ticks(w, 15)
	alive(t, w, name)
}

func TestADryRunSeesThatTheSessionCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "refresh_token")
	want(t, w, "issued", "")
	advance(t, w)
	w.AWS.SetReplica(session, "eu-west-1")
	dry := fakeworld.Entry(w.Run(issue.Event{DryRun: true}), name)
	if e := fakeworld.Entry(w.Run(issue.Event{}), name); dry.Outcome != e.Outcome || e.Outcome != "failed" {
		t.Errorf("the dry run says %s, the run %s", dry.Outcome, e.Outcome)
	}
}

func TestAThrottledConnectionDoesNotStarveItsNeighbour(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t) // one connection at a time, so that the first to be asked closes the gate
	w.OAuth2("a", "client_credentials")
	w.OAuth2("b", "client_credentials")
	w.Run(issue.Event{})
	stored, _ := w.AWS.Secret("evertoken/a/credential").Labelled(secrets.Current)
	var a map[string]string
	if err := json.Unmarshal([]byte(stored.Value), &a); err != nil {
		t.Fatal(err)
	}
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503})
	ticks(w, 14) // both are dead
	w.IDP.ClearFaults()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 429, Match: func(r fakeidp.Request) bool { return r.Form.Get("client_id") == a["client_id"] }})
	ticks(w, 48)
	alive(t, w, "b")
}

func TestARescueIsClearedWhateverComesNext(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{15 * time.Minute, 9 * time.Minute} { // and in an emergency
		w := fakeworld.New(t)
		w.RunTimeout = 4 * time.Minute
		w.Apiax(name)
		want(t, w, "issued", "")
		w.Clock.Advance(30*time.Minute - left)
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.Refuse, Code: "EncryptionFailure", Skip: 1, Times: 12})
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token, Kind: fakeaws.Refuse, Code: "EncryptionFailure", Times: 12})
		w.Run(issue.Event{})
		if _, there := w.AWS.Parameter("/evertoken/rescue/c"); !there {
			t.Fatalf("%s left: nothing was rescued", left)
		}
		w.AWS.ClearFaults()
		ticks(w, 60)
		if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
			t.Errorf("%s left: the rescue parameter is still there 5 hours later", left)
		}
		alive(t, w, name)
	}
}

// twoGrants connects a Flexera client with a dead refresh token beside it.
func twoGrants(w *fakeworld.World) {
	f := w.IDP.Flexera()
	id, secret := f.AddClient(f.AddServiceAccount("eu", 1105, "svc", "iam_admin"))
	w.Connect(name, "flexera", map[string]string{"client_id": id, "client_secret": secret, "refresh_token": "canary-long-dead"},
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

func TestASessionWithoutARefreshTokenIsNotRescued(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = map[string]any{"refresh_token": ""} })
	w.OAuth2(name, "password")
	want(t, w, "issued", "")
	advance(t, w)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Kind: fakeaws.Refuse, Code: "EncryptionFailure", Skip: 1, Times: 12})
	want(t, w, "issued", "could not be stored")
	if _, there := w.AWS.Parameter("/evertoken/rescue/c"); there {
		t.Error("nothing in it is the only copy of anything")
	}
	w.AWS.ClearFaults()
	ticks(w, 40)
	alive(t, w, name)
}

func TestBackOffMeetsRunsOfAnyInterval(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{5 * time.Minute, 15 * time.Minute, 20 * time.Minute, time.Hour} {
		dead := &renew.TokenTimes{IssuedAt: fakeworld.Start, ExpiresAt: fakeworld.Start.Add(time.Hour)}
		tried := 0
		for i := range 96 { // EVERTOKEN_EVERY was left at 5m
			now := fakeworld.Start.Add(97*time.Minute + time.Duration(i)*apart)
			if renew.Decide(renew.Facts{Now: now, Name: "x", Every: 5 * time.Minute, Token: dead, Traits: exchange.Traits{}}).Due {
				tried++
			}
		}
		if tried == 0 {
			t.Errorf("runs %s apart: never tried in 96", apart)
		}
	}
}

func TestATrustedConnectionSurvivesAWrongOneOnItsCredential(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Sharetribe(name, "trusted")
	want(t, w, "issued", "")
	w.Tick()
	w.Declare("wrong", map[string]any{"provider": "sharetribe", "credential": cred,
		"settings": map[string]any{"access": "trusted", "auth_url": w.IDP.Sharetribe().IntegAuthURL()}})
	w.AWS.CreateSecret("evertoken/wrong/session", nil, nil)
	w.AWS.CreateSecret("evertoken/wrong/token", nil, nil)
	for i := range 24 {
		if e := fakeworld.Entry(w.Tick(), "wrong"); e.Outcome == "issued" {
			t.Fatalf("run %d: %+v", i, e)
		}
	}
	alive(t, w, name)
}

// stuck is a store in which the session cannot be put: the call never answers
// until it is given up. It stands in for a broken path to AWS, in a bubble whose
// clock costs nothing.
type stuck struct {
	renew.Store // nothing else is called
	rescued     time.Time
	stored      []string
}

func (*stuck) Describe(_ context.Context, id string) (secrets.Description, error) {
	return secrets.Description{Name: id, ARN: id, Labels: map[string][]string{
		"current": {secrets.Current}, "previous": {secrets.Previous, "EVERTOKEN_EXCHANGE"},
	}}, nil
}

func (*stuck) MoveLabel(context.Context, string, string, string, string) error { return nil }

func (s *stuck) Put(ctx context.Context, id, versionID string, _ redact.Secret, _ ...string) error {
	if id == session && versionID != "current" { // the proof passes
		<-ctx.Done()
		return secrets.ErrTransient
	}
	s.stored = append(s.stored, id)
	return nil
}

// parameters is the rescue parameter of a stuck store.
type parameters struct {
	renew.Parameters // nothing else is called
	s                *stuck
}

func (p parameters) Put(ctx context.Context, _, _ string, _ redact.Secret) error {
	if ctx.Err() == nil {
		p.s.rescued = time.Now()
	}
	return ctx.Err()
}

// rotating is a provider whose refresh tokens are single-use.
type rotating struct{}

func (rotating) Host() string { return "" }

func (rotating) Allowed(credential.Credential) error { return nil }

func (rotating) Traits() exchange.Traits {
	return exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true}
}

func (rotating) Grants(credential.Credential) ([]exchange.Grant, error) {
	return []exchange.Grant{{Type: "refresh_token", Members: []string{credential.RefreshToken}, Seed: true}}, nil
}

func (rotating) Exchange(context.Context, exchange.Request) (exchange.Issued, error) {
	now := time.Now()
	return exchange.Issued{AccessToken: redact.New("canary-access"), TokenType: "Bearer", IssuedAt: now, ExpiresAt: now.Add(time.Hour), RefreshToken: redact.New("canary-next")}, nil
}

func TestAPutThatNeverAnswersLeavesTimeForTheRescue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const seed = `{"refresh_token":"canary-seed"}`
		stored, err := credential.Parse(redact.New(seed))
		if err != nil {
			t.Fatal(err)
		}
		inForce := credential.Session{
			RefreshToken: redact.New("canary-now"), StartedAt: time.Now().Add(-time.Hour), RefreshedAt: time.Now().Add(-time.Hour),
			OpenedBy: stored.Fingerprint(credential.RefreshToken),
		}
		store := &stuck{}
		engine := renew.Engine{
			Secrets: store, Parameters: parameters{s: store}, Now: time.Now, Sleep: secrets.Sleep, Log: slog.New(slog.DiscardHandler),
			Every: 5 * time.Minute, RescuePrefix: "/evertoken/rescue/", RunLasts: 4 * time.Minute,
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		end, _ := ctx.Deadline()
		result := engine.Renew(ctx, renew.Job{
			Connection: connection.Connection{Name: name, Credential: cred, Session: session, Token: token},
			Provider:   rotating{},
			Credential: &secrets.Read{Version: secrets.Version{ID: "seed", Value: redact.New(seed)}},
			Session:    &secrets.Read{Version: secrets.Version{ARN: session, ID: "current", Value: inForce.Encode()}},
			Token:      secrets.Read{Err: secrets.ErrNotFound},
		})
		if store.rescued.IsZero() || !store.rescued.Before(end) {
			t.Errorf("the new refresh token is lost: %+v", result)
		}
		if diff := cmp.Diff([]string{session, token}, store.stored); diff != "" || result.Outcome != renew.Issued {
			t.Errorf("stored (-want +got):\n%s\n%+v", diff, result)
		}
	})
}
