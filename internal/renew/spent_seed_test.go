package renew_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// change stores the credential with changed members, and returns them.
func change(t *testing.T, w *fakeworld.World, edit func(map[string]string)) map[string]string {
	t.Helper()
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	members := map[string]string{}
	if err := json.Unmarshal([]byte(stored.Value), &members); err != nil {
		t.Fatal(err)
	}
	edit(members)
	b, _ := json.Marshal(members)
	w.PutSecret(cred, string(b))
	return members
}

// newSecret gives the client another secret at the provider.
func newSecret(w *fakeworld.World) func(map[string]string) {
	return func(m map[string]string) {
		_, m["client_secret"] = w.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{ID: m["client_id"]})
	}
}

// candidate labels the version in force as the candidate, makes the one before it current
// again, and runs with the candidate.
func candidate(t *testing.T, w *fakeworld.World) issue.Entry {
	t.Helper()
	tried, before := labelled(w, cred, secrets.Current), labelled(w, cred, secrets.Previous)
	moveCurrent(t, w, cred, before)
	if err := w.Store().MoveLabel(t.Context(), cred, "EVERTOKEN_CANDIDATE", tried, ""); err != nil {
		t.Fatal(err)
	}
	return fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Candidate: true}), name)
}

// The client's secret is rotated at the provider and stored beside the same refresh token,
// which is spent. The session in force goes on with the new secret, whoever asks for a run: to
// send the spent one would end the session, and at many providers the published token too.
func TestASpentSeedBesideANewClientSecretIsNotSent(t *testing.T) {
	t.Parallel()
	for _, forced := range []bool{false, true} {
		w := world(t, connects["oauth2 refresh_token"])
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
		want(t, w, "issued", "")
		for range 3 {
			w.IDP.ResetRequests()
			seed := change(t, w, newSecret(w))["refresh_token"]
			advance(t, w)
			w.Run(issue.Event{Connections: []string{name}, Force: forced})
			ticks(w, 12*3)
			p, _ := w.Token(name)
			advance(t, w)
			if e := runNow(w); e.Outcome != "issued" || strings.Contains(e.Hint, "uses the old one") {
				t.Errorf("%+v", e)
			}
			if n := sends(w)[seed]; n != 0 || !w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) {
				t.Errorf("forced %t: the spent refresh token was sent %d times", forced, n)
			}
			alive(t, w, name)
		}
	}
}

// `evertoken credential` with a new client secret and the spent refresh token sends nothing,
// and says what to do.
func TestACandidateWithASpentSeedIsNotSent(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
	want(t, w, "issued", "")
	change(t, w, newSecret(w))
	w.IDP.ResetRequests()
	e := candidate(t, w)
	p, _ := w.Token(name)
	if n := len(w.IDP.Requests()); n != 0 || e.Outcome != "failed" || !w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) ||
		!strings.Contains(e.Reason, "the refresh token belongs to the session in force, and sending it as a new one would end that session") ||
		!strings.Contains(e.Hint, "If only the client has changed, store the credential without a trial") {
		t.Errorf("%d requests: %+v", n, e)
	}
}

// A mistyped refresh token is stored and refused, and then the spent one is tried as a candidate.
func TestACandidateWithTheSeedOfTheSessionIsNotSentAfterAnother(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
	want(t, w, "issued", "")
	var first string
	change(t, w, func(m map[string]string) { first, m["refresh_token"] = m["refresh_token"], "canary-typo" })
	advance(t, w)
	want(t, w, "issued", "uses the old one while it works")
	change(t, w, func(m map[string]string) { m["refresh_token"] = first })
	w.IDP.ResetRequests()
	e := candidate(t, w)
	p, _ := w.Token(name)
	if n := sends(w)[first]; n != 0 || !w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) {
		t.Errorf("the spent refresh token was sent %d times: %+v", n, e)
	}
}

// The client's secret is rotated beside the same refresh token. Then a mistyped refresh token is
// stored and refused, and the operator moves AWSCURRENT back.
func TestARollbackAfterARefusedSeedSendsNoSpentSeed(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
	want(t, w, "issued", "")
	seed := change(t, w, newSecret(w))["refresh_token"]
	advance(t, w)
	want(t, w, "issued", "")
	right := labelled(w, cred, secrets.Current)
	change(t, w, func(m map[string]string) { m["refresh_token"] = "canary-typo" })
	advance(t, w)
	want(t, w, "issued", "uses the old one while it works")
	moveCurrent(t, w, cred, right)
	w.IDP.ResetRequests()
	ticks(w, 12*3)
	if n := sends(w)[seed]; n != 0 {
		t.Errorf("the spent refresh token was sent %d times", n)
	}
	alive(t, w, name)
}

// An operator stores the session's own refresh token as the credential's: it is sent as the
// session's, and not a second time as a seed.
func TestTheSessionsRefreshTokenStoredAsASeedIsNoSeed(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.ReuseEndsAccess = true })
	want(t, w, "issued", "")
	s, _ := w.Session(name)
	own := change(t, w, func(m map[string]string) { m["refresh_token"] = s.RefreshToken.Reveal() })["refresh_token"]
	advance(t, w)
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 1})
	runNow(w)
	p, _ := w.Token(name)
	if n := sends(w)[own]; n != 1 || !w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) {
		t.Errorf("sent %d times", n)
	}
}

// A changed refresh token in doubt stays so when the client's secret changes beside it, and
// when it was first tried as a candidate.
func TestASeedInDoubtStaysSoWithAnotherClientSecret(t *testing.T) {
	t.Parallel()
	for _, tried := range []bool{false, true} {
		w, seed := reseeded(t)
		w.IDP.ResetRequests()
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Match: sending(seed)})
		if tried {
			v := labelled(w, cred, secrets.Current)
			if e := candidate(t, w); e.Outcome != "failed" {
				t.Errorf("%+v", e)
			}
			moveCurrent(t, w, cred, v)
		}
		ticks(w, 12*3)
		change(t, w, newSecret(w))
		ticks(w, 12*3)
		alive(t, w, name)
		if n := sends(w)[seed]; n != 2 {
			t.Errorf("tried as a candidate %t: sent %d times in six hours", tried, n)
		}
		ticks(w, 12*20)
		now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
		if n := sends(w)[seed]; n != 3 || !strings.Contains(strings.Join(now.Labels, " "), "UNSURE_3") {
			t.Errorf("tried as a candidate %t: sent %d times in a day, labels %q", tried, n, now.Labels)
		}
	}
}

// A candidate that the provider refused leaves no note that it got no answer.
func TestARefusedCandidateLeavesNoNote(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	change(t, w, func(m map[string]string) { m["refresh_token"] = "canary-unknown" })
	tried := labelled(w, cred, secrets.Current)
	if e := candidate(t, w); e.Outcome != "failed" {
		t.Fatalf("%+v", e)
	}
	for _, v := range w.AWS.Secret(cred).Versions {
		if v.ID == tried && strings.Contains(strings.Join(v.Labels, " "), "UNSURE") {
			t.Errorf("labels %q", v.Labels)
		}
	}
}

// A grant with a password needs its session for nothing, because the provider gives no refresh
// token. A run that is killed now and then costs that run alone: a success clears the doubt.
func TestASuccessWithoutARefreshTokenClearsTheDoubt(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		o := w.IDP.OAuth2()
		grant := "urn:ietf:params:oauth:grant-type:saml2-bearer"
		id, secret := o.AddClient(fakeidp.OAuth2Client{Grants: []string{grant}})
		of := func(member string) map[string]string { return map[string]string{"credential": member} }
		w.Connect(name, "oauth2", map[string]string{"client_id": id, "client_secret": secret, "password": "p-1",
			"saml_assertion": o.AddSubject("user@example.com")}, map[string]any{"token_url": o.TokenURL(), "grant": grant,
			"extra": map[string]any{"assertion": of("saml_assertion"), "password": of("password")}},
			map[string]any{"session": session})
	})
	want(t, w, "issued", "")
	kill := func() {
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Times: 1, Hook: func(fakeidp.Request) {
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore, Times: 60}) // nothing reaches AWS any more
		}})
		_, _ = w.TryRun(issue.Event{Connections: []string{name}})
		w.AWS.ClearFaults()
		w.IDP.ClearFaults()
	}
	for range 5 { // one killed run each time
		advance(t, w)
		kill()
		ticks(w, 12)
		alive(t, w, name)
	}
	advance(t, w)
	w.IDP.ResetRequests()
	for range 12 * 20 { // all in a row: growing pauses, and no end
		kill()
		w.Clock.Advance(5 * time.Minute)
	}
	if n := len(w.IDP.Requests()); n < 4 || n > 6 {
		t.Errorf("the password was sent %d times", n)
	}
	ticks(w, 12*16)
	alive(t, w, name)
}

// A refresh token that opened the session of another connection is not sent beside another
// client secret either.
func TestATakenSeedBesideANewClientSecretIsNotSent(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	change(t, w, newSecret(w))
	w.AWS.CreateSecret("evertoken/other/session", nil, nil)
	w.Declare(name, map[string]any{"provider": "oauth2", "session": "evertoken/other/session",
		"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token"}})
	advance(t, w)
	w.IDP.ResetRequests()
	want(t, w, "failed", "the stored refresh token has opened the session of another connection")
	if n := len(w.IDP.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// An operator moves AWSCURRENT back to a FlexNet password that worked, and FlexNet does not
// answer for a while: the connection recovers.
func TestAPasswordThatIsMovedBackToHasStillWorked(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	want(t, w, "issued", "")
	first := labelled(w, cred, secrets.Current)
	var password string
	change(t, w, func(m map[string]string) {
		password = m["password"]
		m["password"] = w.IDP.FlexNet().AddUser(name, "other-"+password)
	})
	advance(t, w)
	want(t, w, "issued", "")
	w.IDP.FlexNet().AddUser(name, password)
	moveCurrent(t, w, cred, first)
	advance(t, w)
	silence(w)
	ticks(w, 12*3)
	w.IDP.ClearFaults()
	ticks(w, 12*6)
	alive(t, w, name)
	want(t, w, "fresh", "")
}

// DescribeSecret lags behind until the token is about to die: two equal reads then outweigh it.
func TestALaggingDescriptionLetsNoTokenDie(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"flexnet", "oauth2 refresh_token", "flexera service"} {
		w := world(t, connects[connection])
		want(t, w, "issued", "")
		advance(t, w)
		want(t, w, "issued", "")
		p, _ := w.Token(name)
		w.Clock.Advance(p.ExpiresAt.Add(-12 * time.Minute).Sub(w.Clock.Now()))
		w.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Resource: token, Kind: fakeaws.Stale})
		ticks(w, 3)
		alive(t, w, name)
	}
}
