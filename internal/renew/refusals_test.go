package renew_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// Evertoken does not send a password too often to servers that refuse in other words, or
// do not answer.
func TestAWrongPasswordInAnyWordsIsSentOnce(t *testing.T) {
	t.Parallel()
	for what, a := range map[string]fakeidp.Fault{
		"401 server_error":                  {Status: 401, Body: []byte(`{"error":"server_error","error_description":"access_denied"}`)},
		"401 access_denied":                 {Status: 401, Body: []byte(`{"error":"access_denied"}`)},
		"401 an HTML page":                  {Status: 401, Body: []byte(`<!doctype html><h1>Unauthorized</h1>`)},
		"400 without a code":                {Status: 400, Body: []byte(`{"message":"Bad credentials"}`)},
		"400 invalid_request":               {Status: 400, Body: []byte(`{"error":"invalid_request"}`)},
		"403 without a code":                {Status: 403, Body: []byte(`{}`)},
		"404":                               {Status: 404},
		"400 invalid_grant, as it ought be": {Status: 400, Body: []byte(`{"error":"invalid_grant"}`)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := world(t, connects["oauth2 password"])
			a.Grant, a.Kind, a.Header = "password", fakeidp.Answer, http.Header{"Content-Type": {"application/json"}}
			w.IDP.Inject(&a)
			ticks(w, 24)
			e := runNow(w)
			if n := sent(w, "password"); n != 1 || e.Outcome != "blocked" ||
				!strings.Contains(e.Reason, "on 2026-11-21: HTTP ") {
				t.Errorf("sent %d times: %+v", n, e)
			}
		})
	}
}

func TestAPasswordWithoutAnAnswerIsSentWithGrowingPauses(t *testing.T) {
	t.Parallel()
	for what, f := range map[string]fakeidp.Fault{"no answer": {Kind: fakeidp.DropAfter}, "504": {Kind: fakeidp.AnswerAfter, Status: 504}} {
		worked := world(t, connects["apiax"])
		want(t, worked, "issued", "")
		worked.IDP.Apiax().EndSessions(name)
		never := world(t, connects["apiax"])
		for name, tt := range map[string]struct {
			w    *fakeworld.World
			most int
		}{"worked": {worked, 6}, "never worked": {never, 3}} {
			silent := f
			silent.Grant = "password"
			tt.w.IDP.ResetRequests()
			tt.w.IDP.Inject(&silent)
			tt.w.Config.Every = 15 * time.Minute
			ticks(tt.w, 4*23)
			if n := sent(tt.w, "password"); n > tt.most || n < 2 {
				t.Errorf("%s, a password that %s: sent %d times in a day, at most %d", what, name, n, tt.most)
			}
		}
	}
}

// A request that was never sent does not count: the host does not exist, or does not
// listen.
func TestARequestThatWasNeverSentDoesNotCount(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.Apiax(name)
		w.Declare(name,
			map[string]any{"provider": "apiax",
				"settings": map[string]any{"token_url": "http://127.0.0.1:1/token"}})
	})
	ticks(w, 12)
	if e := runNow(w); e.Outcome != "failed" || e.ErrorClass != "transient" {
		t.Errorf("%+v", e)
	}
	if v, _ := w.AWS.Secret(cred).Labelled(secrets.Current); len(v.Labels) != 1 {
		t.Errorf("labels %q", v.Labels)
	}
}

// A run that is forced for a token that failed never sends what was rejected.
func TestAForcedRunForATokenSendsNothingThatWasRejected(t *testing.T) {
	t.Parallel()
	w := world(t, connects["apiax"])
	want(t, w, "issued", "")
	w.IDP.Apiax().SetPassword(name, "changed-by-the-operator")
	w.IDP.Apiax().EndSessions(name)
	p, _ := w.Token(name)
	w.IDP.ResetRequests()
	for range 10 {
		w.Run(issue.Event{Connections: []string{name}, Force: true, IssuedAt: p.IssuedAt})
	}
	if p, r := sent(w, "password"), sent(w, "refresh_token"); p != 1 || r != 1 {
		t.Errorf("a refused password was sent %d times, the refused refresh token %d times", p, r)
	}
	w.Run(issue.Event{Connections: []string{name}, Force: true})
	if p := sent(w, "password"); p != 2 {
		t.Errorf("an operator who forces it: sent %d times", p)
	}
}

// A refusal in unknown words that ends.
func TestARefusalForAMomentCostsAMoment(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"flexera user", "flexera service", "oauth2 refresh_token"} {
		w := world(t, connects[connection])
		want(t, w, "issued", "")
		advance(t, w)
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusForbidden,
			Body: []byte(`{"message":"Forbidden"}`)})
		w.Tick()
		w.IDP.ClearFaults()
		for range 12 * 8 {
			w.Tick()
			if p, _ := w.Token(name); !p.ExpiresAt.After(w.Clock.Now()) {
				t.Fatalf("%s: a dead token at %s", connection, w.Clock.Now())
			}
		}
	}
}

// A client that is refused says nothing about the refresh token.
func TestAClientThatIsRefusedForAMomentBlocksNothing(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 401,
		Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	if e := want(t, w, "failed", "settings.client_auth"); e.ErrorClass != "credential_dead" {
		t.Errorf("%+v", e)
	}
	w.IDP.ClearFaults()
	ticks(w, 6)
	alive(t, w, name)
	want(t, w, "fresh", "")
}

// A corrected setting is tried at once, and so are changed members; the same
// members stored again are not.
func TestACorrectedSettingIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 password"])
	w.IDP.Inject(&fakeidp.Fault{Grant: "password", Kind: fakeidp.Answer, Status: 401,
		Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	want(t, w, "failed", "")
	want(t, w, "blocked", `"force":true`)
	w.IDP.ClearFaults()
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.PutSecret(cred, stored.Value)
	want(t, w, "blocked", "Storing the same members again does not make Evertoken try them sooner")
	w.Declare(name,
		map[string]any{"provider": "oauth2",
			"settings": map[string]any{"token_url": w.IDP.OAuth2().TokenURL(), "grant": "password",
				"scope": "read"}})
	want(t, w, "issued", "")
}

// An unusable answer is not requested again at every heartbeat, and every run reports it.
func TestAnAnswerThatCannotBeUsedIsNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	for what, extra := range map[string]map[string]any{
		"a life of seconds": {"expires_in": 20},
		"another type":      {"token_type": "mac"},
	} {
		for _, connection := range []string{"oauth2 refresh_token", "oauth2 password"} {
			w := world(t, connects[connection])
			want(t, w, "issued", "")
			advance(t, w)
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = extra })
			w.IDP.ResetRequests()
			told := 0
			w.Config.Every = 15 * time.Minute
			for range 4 * 23 {
				if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "failed" && strings.Contains(e.Reason, "HTTP 200") {
					told++
				}
			}
			if n := len(w.IDP.Requests()); n > 6 || told < 33 {
				t.Errorf("%s, %s: %d exchanges in a day, reported %d times", what, connection, n, told)
			}
			w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.Extra = nil })
			w.Run(issue.Event{Connections: []string{name}, Force: true})
			alive(t, w, name)
		}
	}
}

// A shared client that was revoked is sent once a day by each connection, not at
// every heartbeat.
func TestASharedRevokedClientIsNotSentAtEveryHeartbeat(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	stored := `{"client_id":"` + id + `","client_secret":"` + secret + `"}`
	w.AWS.CreateSecret("evertoken/shared/credential", &stored, nil)
	for _, c := range []string{"a", "b"} {
		w.Declare(c,
			map[string]any{"provider": "oauth2", "credential": "evertoken/shared/credential",
				"settings": map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}})
		w.AWS.CreateSecret("evertoken/"+c+"/token", nil, nil)
	}
	w.Run(issue.Event{})
	w.IDP.Inject(&fakeidp.Fault{Grant: "client_credentials", Kind: fakeidp.Answer, Status: 401,
		Body: []byte(`{"error":"invalid_client"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	w.IDP.ResetRequests()
	ticks(w, 60)
	if n := sent(w, "client_credentials"); n > 2 {
		t.Errorf("a revoked client was sent %d times in five hours", n)
	}
}
