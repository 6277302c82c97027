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

// silence makes every request to FlexNet break off, and counts from now.
func silence(w *fakeworld.World) {
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Provider: "flexnet", Kind: fakeidp.DropBefore})
}

// A pipeline stores the same FlexNet password every hour, also while FlexNet does not answer.
// The password has worked all the time, so it is sent with growing pauses and never blocked,
// and storing it again ends no pause.
func TestAPasswordThatIsStoredAgainEveryHourHasStillWorked(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	first, _ := w.Token(name)
	if first.CredentialVersion != stored.ID {
		t.Fatalf("the token names %q, not the version that it came from", first.CredentialVersion)
	}
	w.Config.Every = 15 * time.Minute
	hourly := func(from, to time.Time) {
		w.Clock.Advance(from.Sub(w.Clock.Now()))
		for w.Clock.Now().Before(to) {
			w.PutSecret(cred, stored.Value)
			for range 4 {
				if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "blocked" {
					t.Fatalf("at %s: %+v", w.Clock.Now(), e)
				}
			}
		}
	}
	hourly(first.IssuedAt, first.IssuedAt.Add(5*time.Hour))
	silence(w)
	hourly(first.RenewAfter, first.RenewAfter.Add(23*time.Hour))
	// Each unclear try reads the list and breaks off there, or in the request itself.
	if n := len(w.IDP.Requests()); n < 4 || n > 6 {
		t.Errorf("%d requests in a day without an answer", n)
	}
	w.IDP.ClearFaults()
	ticks(w, 4*6)
	alive(t, w, name)
	renewed, _ := w.Token(name)
	now, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	if renewed.CredentialVersion != now.ID || len(now.Labels) != 1 {
		t.Errorf("the new token names %q, not %q; labels %q", renewed.CredentialVersion, now.ID, now.Labels)
	}
	for _, v := range w.AWS.Secret(cred).Versions {
		if strings.Contains(strings.Join(v.Labels, " "), "EVERTOKEN_UNSURE_") {
			t.Errorf("the password works, and an earlier version of it still has %q", v.Labels)
		}
	}
	// So the next failure is the first in a row again.
	silence(w)
	hourly(renewed.RenewAfter, renewed.RenewAfter.Add(time.Hour))
	w.IDP.ClearFaults()
	ticks(w, 2)
	if last, _ := w.Token(name); last.IssuedAt.Equal(renewed.IssuedAt) {
		t.Error("after one failure the pause is as long as after many")
	}
}

// Another password has not worked only because an earlier one has: whether it was tried as
// a candidate before or not, it is sent three times in all.
func TestAnotherPasswordIsNotProvenByTheTokenOfAnEarlierOne(t *testing.T) {
	t.Parallel()
	for _, candidate := range []bool{false, true} {
		w := world(t, connects["flexnet"])
		want(t, w, "issued", "")
		stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
		wrong := strings.Replace(stored.Value, `"password":"`, `"password":"typo-`, 1)
		if candidate { // as `evertoken credential` does, which is refused
			w.PutSecret(cred, wrong)
			tried := labelled(w, cred, secrets.Current)
			moveCurrent(t, w, cred, stored.ID)
			if err := w.Store().MoveLabel(t.Context(), cred, "EVERTOKEN_CANDIDATE", tried, ""); err != nil {
				t.Fatal(err)
			}
			e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Candidate: true}), name)
			if e.Outcome != "failed" {
				t.Fatalf("%+v", e)
			}
			w.Run(issue.Event{Connections: []string{name}, Force: true}) // the token is newer than the typo
		}
		w.PutSecret(cred, wrong)
		token, _ := w.Token(name)
		w.Clock.Advance(token.RenewAfter.Sub(w.Clock.Now()))
		silence(w)
		w.Config.Every = 15 * time.Minute
		ticks(w, 4*30)
		e := runNow(w)
		if n := len(w.IDP.Requests()); n > 3 || e.Outcome != "blocked" || !strings.Contains(e.Reason, "has never worked") {
			t.Errorf("tried before %t: sent %d times: %+v", candidate, n, e)
		}
	}
}

// Only the token of a password without a session names the version that it came from.
func TestOnlyATokenOfAPasswordWithoutASessionNamesItsVersion(t *testing.T) {
	t.Parallel()
	for connection, names := range map[string]bool{
		"flexnet": true, "apiax": false, "oauth2 password": false, "oauth2 refresh_token": false,
		"flexera user": false, "flexera service": false, "sharetribe trusted": false,
	} {
		w := world(t, connects[connection])
		want(t, w, "issued", "")
		token, _ := w.Token(name)
		if (token.CredentialVersion == labelled(w, cred, secrets.Current)) != names || !names && token.CredentialVersion != "" {
			t.Errorf("%s: the token names %q", connection, token.CredentialVersion)
		}
	}
}

// The provider gives an unclear answer, the same credential is stored again, and works. Then no
// version of it keeps a note, so that the next unclear answer is again the first in a row.
func TestWhatWorksAgainLeavesNoNoteOnAnyVersion(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]fakeidp.Fault{
		"flexera service": {Status: 403, Body: []byte("{}")},
		"flexera user":    {Status: 403, Body: []byte("{}")},
	} {
		w := world(t, connects[what])
		want(t, w, "issued", "")
		advance(t, w)
		fault.Kind = fakeidp.Answer
		w.IDP.Inject(&fault)
		ticks(w, 2)
		w.IDP.ClearFaults()
		stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
		if !strings.Contains(strings.Join(stored.Labels, " "), "EVERTOKEN_UNSURE_") {
			t.Errorf("%s: there is no note: %q", what, stored.Labels)
		}
		w.PutSecret(cred, stored.Value)
		ticks(w, 12)
		alive(t, w, name)
		for _, v := range w.AWS.Secret(cred).Versions {
			if strings.Contains(strings.Join(v.Labels, " "), "EVERTOKEN_UNSURE_") {
				t.Errorf("%s: %q", what, v.Labels)
			}
		}
	}
}
