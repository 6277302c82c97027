// A refresh token that the provider has returned is stored, and a spent one is not sent
// again.

package renew_test

import (
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

func TestAFailedProofLeavesTheRefreshTokenToBeSentOnceMore(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 refresh_token"])
	want(t, w, "issued", "")
	advance(t, w)
	losses["not received"](newDiary(w))
	for range 3 { // until the published token is about to die
		w.Tick()
	}
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session,
		Kind: fakeaws.Refuse, Code: "InternalServiceError", Times: 3})
	before := len(w.IDP.Requests())
	if e := fakeworld.Entry(w.Tick(), name); e.Outcome != "failed" || len(w.IDP.Requests()) != before {
		t.Fatalf("the proof failed: %+v, %d requests", e, len(w.IDP.Requests())-before)
	}
	ticks(w, 12)
	alive(t, w, name)
}

func TestTheRefreshTokenOfAnUnusableAnswerIsStored(t *testing.T) {
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
			w := world(t, connects["oauth2 refresh_token"])
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

// A published token's expiry is the provider's, even where the answer took long: its life
// counts from the request.
func TestATokensEndCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	for _, connection := range []string{"oauth2 refresh_token", "apiax", "sharetribe user", "flexera service"} {
		w := world(t, connects[connection])
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook,
			Hook: func(fakeidp.Request) { w.Clock.Advance(15 * time.Second) }})
		began := w.Clock.Now()
		want(t, w, "issued", "")
		p, _ := w.Token(name)
		if p.IssuedAt.After(began) {
			t.Errorf("%s: sent at %s, issued at %s", connection, began, p.IssuedAt)
		}
		w.Clock.Advance(p.ExpiresAt.Sub(w.Clock.Now()) - time.Second)
		if provider, _, _ := strings.Cut(connection, " "); !w.IDP.Accepts(provider, p.AccessToken.Reveal()) {
			t.Errorf("%s: a second before expires_at the provider refuses the token", connection)
		}
	}
}
