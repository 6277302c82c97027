package renew_test

import (
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// The client's secret is rotated at the provider, which refuses the refreshes (invalid_client),
// and they pause. Hours later an operator stores the new secret, which is tried at once.
func TestACorrectedClientSecretIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"oauth2 refresh_token", "oauth2 password"} {
		w := world(t, connects[which])
		want(t, w, "issued", "")
		var secret string
		id := ""
		{
			m := change(t, w, func(map[string]string) {})
			id = m["client_id"]
			_, secret = w.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{ID: id})
		}
		for range 12 * 9 {
			w.Tick()
			w.AWS.ResetCalls()
		}
		change(t, w, func(m map[string]string) { m["client_secret"] = secret })
		mended := w.Clock.Now()
		first := ""
		for w.Clock.Now().Sub(mended) < 26*time.Hour {
			e := fakeworld.Entry(w.Tick(), name)
			w.AWS.ResetCalls()
			if e.Outcome == "issued" {
				break
			}
			if first == "" {
				first = e.Outcome + ": " + e.Reason + " " + e.Hint
			}
		}
		if dead := w.Clock.Now().Sub(mended); dead > 20*time.Minute {
			t.Errorf("%s: no token for %s after the right secret was stored: %s", which, dead, first)
		}
	}
}

// An operator stores the client of another application beside the refresh token. The provider
// refuses the session's refresh token to that client (invalid_grant, RFC 6749 section 5.2), and the
// hint says what to do. After the rollback a forced run gets a token.
func TestAWrongClientThatIsRolledBack(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	right := labelled(w, cred, secrets.Current)
	change(t, w, func(m map[string]string) {
		m["client_id"], m["client_secret"] = w.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{})
	})
	advance(t, w)
	if e := runNow(w); !strings.Contains(e.Hint, "If its client is not the one that the refresh token was "+
		"issued to, store the right one, then run `evertoken renew c`") {
		t.Errorf("%+v", e)
	}
	moveCurrent(t, w, cred, right)
	if e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Force: true}), name); e.Outcome != "issued" {
		t.Errorf("%+v", e)
	}
}

// A pipeline stores a credential with a refused client every hour. Each storing allows one more
// try.
func TestARefusedClientThatIsStoredAgainIsTriedOncePerStoring(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	m := change(t, w, func(map[string]string) {})
	w.IDP.OAuth2().AddClient(fakeidp.OAuth2Client{ID: m["client_id"]})
	advance(t, w)
	w.IDP.ResetRequests()
	for range 12 {
		change(t, w, func(map[string]string) {})
		ticks(w, 12)
		w.AWS.ResetCalls()
	}
	if n := len(w.IDP.Requests()); n < 12 || n > 12+6 {
		t.Errorf("%d tries in 12 hours", n)
	}
}
