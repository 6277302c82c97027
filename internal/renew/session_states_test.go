package renew_test

import (
	"context"
	"testing"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

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

func TestAnOverwrittenOrEmptiedSessionIsReplaced(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"{}", "garbage", `{"refresh_token":5}`, " "} {
		for _, tt := range []struct {
			connect func(*fakeworld.World)
			grant   string
		}{
			{func(w *fakeworld.World) { w.Apiax(name) }, "password"},
			// nothing stronger: AWSPREVIOUS
			{func(w *fakeworld.World) { w.OAuth2(name, "refresh_token") }, "refresh_token"},
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

func TestADeletedSessionSecretIsReportedUntilRestored(t *testing.T) {
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
			w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Skip: 1,
				Kind: fakeaws.Refuse, Code: code})
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
		// another run from the same base, with another session
		other := credential.Session{RefreshToken: redact.New("canary-other"),
			StartedAt: w.Clock.Now(), RefreshedAt: w.Clock.Now()}
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

func TestAFlexeraRefreshTokenThatChangesIsStored(t *testing.T) {
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
