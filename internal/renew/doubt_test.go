// A refresh token in doubt, spent or refused stays so, whatever an operator or a provider
// does next.

package renew_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// stored is the refresh token that a version of the session holds.
func stored(t *testing.T, w *fakeworld.World, label string) string {
	t.Helper()
	v, ok := w.AWS.Secret(session).Labelled(label)
	s, err := credential.ParseSession(redact.New(v.Value))
	if !ok || err != nil {
		t.Fatalf("no session under %s: %v", label, err)
	}
	return s.RefreshToken.Reveal()
}

// A person moves the session's label back while the session is claimed, or after its
// answer was lost: the older version's refresh token is spent.
func TestASessionMovedBackFromAClaimSendsNothingSpent(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(*diary){"killed": losses["killed"], "not received": losses["not received"]} {
		for _, connection := range []string{"oauth2 refresh_token", "oauth2 password", "sharetribe user"} {
			w := world(t, connects[connection])
			want(t, w, "issued", "")
			advance(t, w)
			first := labelled(w, session, secrets.Current)
			want(t, w, "issued", "")
			spent := stored(t, w, secrets.Previous)
			advance(t, w)
			lose(newDiary(w))
			moveCurrent(t, w, session, first)
			w.IDP.ResetRequests()
			ticks(w, 20)
			if n := sends(w)[spent]; n != 0 {
				t.Errorf("%s, %s: a spent refresh token was sent %d times", connection, what, n)
			}
			// else the answer is gone, and nothing stronger is stored
			if what == "not received" || connection != "oauth2 refresh_token" {
				alive(t, w, name)
			}
		}
	}
}

// A person empties the session while it is claimed, and nothing stronger is stored than
// the seed that opened it.
func TestASessionEmptiedUnderAClaimSendsNoSpentSeed(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(*diary){"killed": losses["killed"], "not received": losses["not received"]} {
		w := world(t, connects["oauth2 refresh_token"])
		want(t, w, "issued", "")
		advance(t, w)
		want(t, w, "issued", "")
		seed := w.IDP.Requests()[0].Form.Get("refresh_token")
		advance(t, w)
		lose(newDiary(w))
		w.PutSecret(session, "{}")
		w.IDP.ResetRequests()
		ticks(w, 20)
		if n := sends(w)[seed]; n != 0 {
			t.Errorf("%s: the spent seed was sent %d times", what, n)
		}
	}
}

// A session that was kept, restored and used is spent: it is not restored again once the
// session is emptied.
func TestAKeptSessionIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	base, _ := w.AWS.Secret(session).Labelled(secrets.Current)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
		// another run from the same base, with a session of its own
		v, _ := w.AWS.Secret(session).Labelled(secrets.Current)
		other, _ := credential.ParseSession(redact.New(v.Value))
		other.RefreshToken = redact.New("canary-other")
		id := secrets.DeriveID(w.AWS.Secret(session).ARN, base.ID, "session")
		if err := w.Store().Put(t.Context(), session, id, other.Encode()); err != nil {
			t.Error(err)
		}
		w.Clock.Advance(time.Second)
	}})
	want(t, w, "issued", "EVERTOKEN_KEPT")
	kept := stored(t, w, "EVERTOKEN_KEPT")
	ticks(w, 30) // the other's is refused, this one is used
	alive(t, w, name)
	ticks(w, 20)
	if stored(t, w, secrets.Current) == kept {
		t.Fatal("the kept session was not used")
	}
	w.PutSecret(session, "{}")
	w.IDP.ResetRequests()
	ticks(w, 20)
	if n := sends(w)[kept]; n != 0 {
		t.Errorf("a kept session that was used was sent again, %d times", n)
	}
	alive(t, w, name)
}

// A refresh token that works again is no longer in doubt, even where the provider does
// not replace it.
func TestARefreshTokenThatWorksIsNoLongerInDoubt(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"oauth2 refresh_token", "oauth2 password"} {
		w := world(t, connects[connection])
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.KeepRefreshTokens = true })
		want(t, w, "issued", "")
		advance(t, w)
		losses["lost"](newDiary(w))
		ticks(w, 12)
		alive(t, w, name)
		v, _ := w.AWS.Secret(session).Labelled(secrets.Current)
		for _, label := range v.Labels {
			if len(label) > 15 && label[:15] == "EVERTOKEN_SENT_" {
				t.Errorf("%s: the session is still labelled %s", connection, label)
			}
		}
		w.IDP.ResetRequests()
		advance(t, w)
		if e := runNow(w); e.Outcome != "issued" || sent(w, "refresh_token") != 1 {
			t.Errorf("%s: %+v, %d refreshes", connection, e, sent(w, "refresh_token"))
		}
	}
}

// A session that a run restored and that is refused too is not sent again at the next
// heartbeat.
func TestARecoveredSessionThatIsRefusedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
		base := labelled(w, session, secrets.Current)
		v, _ := w.AWS.Secret(session).Labelled(secrets.Current)
		other, _ := credential.ParseSession(redact.New(v.Value))
		other.RefreshToken = redact.New("canary-other")
		if err := w.Store().Put(t.Context(), session, secrets.DeriveID(w.AWS.Secret(session).ARN, base, "session"), other.Encode()); err != nil {
			t.Error(err)
		}
		w.Clock.Advance(time.Second)
	}})
	want(t, w, "issued", "EVERTOKEN_KEPT")
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 400,
		Body: []byte(`{"error":"invalid_grant"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	w.IDP.ResetRequests()
	ticks(w, 24)
	if len(sends(w)) < 2 {
		t.Fatal("the kept session was not tried")
	}
	for _, n := range sends(w) {
		if n > 1 {
			t.Errorf("a refused refresh token was sent %d times", n)
		}
	}
}

// After two changes of the password the label is back on the first opening's version: the
// next opening collides with no id.
func TestAnOpeningThatWasMovedBackIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	store := func(password string) {
		b, _ := json.Marshal(map[string]string{"username": name, "password": password})
		w.PutSecret(cred, string(b))
	}
	good, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	store("canary-wrong-1")
	ticks(w, 2)
	first := labelled(w, session, secrets.Current)
	store("canary-wrong-2")
	ticks(w, 2)
	if labelled(w, session, secrets.Current) == first {
		t.Fatal("no other opening was begun")
	}
	moveCurrent(t, w, session, first)
	w.PutSecret(cred, good.Value)
	ticks(w, 12)
	alive(t, w, name)
}

// Of connections that share a password and differ in a setting, one's note does not
// remove another's note that the password got no answer.
func TestConnectionsThatShareAPasswordKeepEachOthersNotes(t *testing.T) {
	t.Parallel()
	const connections = 4
	for _, provider := range []string{"oauth2", "flexnet"} {
		w := fakeworld.New(t)
		w.RunTimeout = 4 * time.Minute
		o, f := w.IDP.OAuth2(), w.IDP.FlexNet()
		id, secret := o.AddClient(fakeidp.OAuth2Client{})
		members := map[string]string{"client_id": id, "client_secret": secret, "username": "u",
			"password": o.AddUser("u", "")}
		if provider == "flexnet" {
			members = map[string]string{"username": "u", "password": f.AddUser("u", "")}
		}
		b, _ := json.Marshal(members)
		value := string(b)
		w.AWS.CreateSecret("evertoken/shared/credential", &value, nil)
		for i := range connections {
			c := fmt.Sprint("c", i)
			settings := map[string]any{"token_url": o.TokenURL(), "grant": "password", "scope": "read s" + c}
			if provider == "flexnet" {
				settings = map[string]any{"base_url": f.BaseURL(), "token_name": "lambda-" + c, "username": "u"}
			}
			w.Declare(c,
				map[string]any{"provider": provider, "credential": "evertoken/shared/credential",
					"settings": settings})
			w.AWS.CreateSecret("evertoken/"+c+"/session", nil, nil)
			w.AWS.CreateSecret("evertoken/"+c+"/token", nil, nil)
		}
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter})
		w.Config.Every = 15 * time.Minute
		ticks(w, 4*23)
		n := len(w.IDP.Requests())
		t.Logf("%s: %d requests", provider, n)
		if n > connections*6 {
			t.Errorf("%s: %d passwords were sent into silence by %d connections in a day", provider, n, connections)
		}
	}
}

// A run that lost an answer says when the same is sent again: the second time, it no longer
// announces the repetition that it was itself.
func TestALostAnswerSaysWhenTheSameIsSentAgain(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
	for _, says := range []string{
		"Evertoken sends the same once more when the published token is about to expire, and then once a day",
		"Evertoken sends the same once a day while no living token is published",
	} {
		w.Clock.Advance(25 * time.Hour)
		var e issue.Entry
		for range 4 { // tries for a dead token are spread over a few heartbeats
			if e = fakeworld.Entry(w.Tick(), name); strings.Contains(e.Reason, "its answer is lost") {
				break
			}
		}
		if !strings.HasSuffix(e.Reason, "its answer is lost, and "+says) {
			t.Errorf("%+v", e)
		}
	}
}
