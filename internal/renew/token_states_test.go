package renew_test

import (
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestARotationInProgressDefersARun(t *testing.T) {
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
			t.Errorf("%d requests during a rotation", n)
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
	w.AWS.PutParameter("/evertoken/connections/c", "String",
		strings.Replace(v.Value, `{`, `{"plain_copy":"other/copy",`, 1))
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

func TestATokenIsPublishedInAParameter(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "client_credentials")
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 10 * time.Minute })
	v, _ := w.AWS.Parameter("/evertoken/connections/c")
	w.AWS.PutParameter("/evertoken/connections/c", "String",
		strings.Replace(v.Value, `{`, `{"token_parameter":"/evertoken/tokens/c",`, 1))
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
		if document, err = credential.ParseToken(redact.New(p.Value)); err != nil ||
			!document.ExpiresAt.After(w.Clock.Now()) {
			t.Fatalf("at %s: %v, expires %s", w.Clock.Now(), err, document.ExpiresAt)
		}
	}
}

func TestATokenTooShortLivedForASecretIsRefused(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2(name, "client_credentials")
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 10 * time.Minute })
	want(t, w, "issued", "too short for a secret")
	refused := 0
	for range 24 * 12 {
		if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "failed" &&
			strings.Contains(e.Reason, "versions younger than 24 hours") &&
			strings.Contains(e.Hint, "token_parameter") {
			refused++
		}
		if n := w.AWS.VersionsYoungerThan(token, 24*time.Hour); n > 99 {
			t.Fatalf("%d versions in a day", n)
		}
	}
	if refused == 0 {
		t.Error("it was never refused")
	}
}
