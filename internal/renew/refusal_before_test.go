package renew_test

import (
	"net/http"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// A locked user's password is refused, and works after it was unlocked and stored again. When the
// token or the session is lost much later, that refusal blocks nothing.
func TestARefusalBeforeASuccessBlocksNothing(t *testing.T) {
	t.Parallel()
	for which, lose := range map[string]func(*fakeworld.World){
		"flexnet": func(w *fakeworld.World) { w.PutSecret(token, "{}") },
		"apiax": func(w *fakeworld.World) {
			w.DeleteSecret(session, true)
			w.AWS.FreeNames()
			w.AWS.CreateSecret(session, nil, nil)
		},
	} {
		w := world(t, connects[which])
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusUnauthorized,
			Body: []byte(`{"error":"invalid_grant"}`), Times: 1})
		want(t, w, "failed", "")
		stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
		w.PutSecret(cred, stored.Value)
		w.Tick()
		if e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Force: true}), name); e.Outcome != "issued" {
			t.Fatalf("%+v", e)
		}
		for range 4 {
			advance(t, w)
			want(t, w, "issued", "")
		}
		w.Clock.Advance(20 * time.Minute)
		lose(w)
		var last issue.Entry
		for range 12 * 30 {
			if e := fakeworld.Entry(w.Tick(), name); e.Outcome != "absent" {
				last = e
			}
			w.AWS.ResetCalls()
		}
		if last.Outcome == "blocked" {
			t.Errorf("%s: no living token 30 hours later: %+v", which, last)
		}
	}
}
