package rotate_test

import (
	"slices"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// issue runs the other function over the same world, and returns its entry for the
// connection c.
func (w *world) issue(e issue.Event) issue.Entry {
	w.Helper()
	return fakeworld.Entry(w.World.Run(e), "c")
}

// TestIssueUsesThePromotedSession: issue refreshes the session that rotation has
// promoted.
func TestIssueUsesThePromotedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Apiax("c")
	check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
	w.Clock.Advance(16 * time.Minute)
	if err := w.rotateSecret("evertoken/c/session", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	w.IDP.ResetRequests()
	entry := w.issue(issue.Event{Connections: []string{"c"}, Force: true})
	check(t, "outcome", "issued", entry.Outcome)
	var grants []string
	for _, r := range w.IDP.Requests() {
		grants = append(grants, r.Grant)
	}
	check(t, "grants", []string{"refresh_token"}, grants)
}

// TestIssueWaitsForARotationUntilAnEmergency: issue does not touch a secret while it is
// rotated, unless the token is in an emergency. Then issue abandons the rotation, and the
// rotation's next step is refused.
func TestIssueWaitsForARotationUntilAnEmergency(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"session", "token"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Apiax("c")
			secret := "evertoken/c/" + document
			check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
			w.Clock.Advance(16 * time.Minute)
			w.prepare(secret, "tok")
			check(t, "createSecret", "ok", w.step("createSecret", secret, "tok"))
			before := w.Exchanges()
			check(t, "while it is rotated", "deferred",
				w.issue(issue.Event{Connections: []string{"c"}, Force: true}).Outcome)
			check(t, "exchanges", before, w.Exchanges())
			w.Clock.Advance(12 * time.Minute)
			check(t, "in an emergency", "issued", w.issue(issue.Event{}).Outcome)
			if _, found := w.AWS.Secret(secret).Labelled(secrets.Pending); found {
				t.Error("the rotation was not abandoned")
			}
			check(t, "finishSecret", "Refused", w.step("finishSecret", secret, "tok"))
			versions := w.AWS.Secret(secret).Versions
			if !slices.ContainsFunc(versions, func(v fakeaws.VersionState) bool { return v.ID == id("tok") && v.HasValue }) {
				t.Error("the rotation's new session is dead")
			}
			if err := w.rotateSecret(secret, "next"); err != nil {
				t.Fatal(err)
			}
			v, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
			check(t, "the next rotation", id("next"), v.ID)
		})
	}
}

// TestASessionOpenedInTheSameSecondIsRotated: session documents have whole seconds, so a
// session that issue opens just before a rotation begins has the same beginning as the
// rotation's new session.
func TestASessionOpenedInTheSameSecondIsRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Apiax("c")
	const secret = "evertoken/c/session"
	check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
	w.Clock.Advance(100 * time.Millisecond)
	if err := w.rotateSecret(secret, "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	v, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
	check(t, "promoted", id("one"), v.ID)
}

// TestASpentSessionIsNotPromotedAgain: issue refreshes the new session in the second in
// which it was opened, and only then the answer of finishSecret is lost. Promoted again,
// the version would bring a spent refresh token back.
func TestASpentSessionIsNotPromotedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Apiax("c")
	const secret = "evertoken/c/session"
	check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
	w.Clock.Advance(16 * time.Minute)
	w.prepare(secret, "tok")
	check(t, "createSecret", "ok", w.step("createSecret", secret, "tok"))
	before, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
	if err := w.store.MoveLabel(t.Context(), secret, secrets.Current, id("tok"), before.ID); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(100 * time.Millisecond)
	entry := w.issue(issue.Event{Connections: []string{"c"}, Force: true})
	check(t, "a refresh", "issued", entry.Outcome)
	refreshed, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
	w.move(secret, secrets.Pending, "tok", "") // as the put left it
	check(t, "finishSecret", "RotationStuck", w.step("finishSecret", secret, "tok"))
	current, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
	check(t, "AWSCURRENT", refreshed.ID, current.ID)
}

// TestTheNewerSessionIsNotDecidedByTwoClocks: issue opens a session a minute before or after
// the rotation opens its own, and the clock of issue is wrong by up to 90 seconds.
func TestTheNewerSessionIsNotDecidedByTwoClocks(t *testing.T) {
	t.Parallel()
	for _, wrongBy := range []time.Duration{-90 * time.Second, 0, 90 * time.Second} {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.Apiax("c")
			const secret = "evertoken/c/session"
			check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
			w.Clock.Advance(16 * time.Minute)
			open := func() {
				v, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
				s, err := credential.ParseSession(redact.New(v.Value))
				if err != nil {
					t.Fatal(err)
				}
				s.StartedAt = w.Clock.Now().Add(wrongBy)
				s.RefreshToken = redact.New("opened-by-issue")
				w.put(secret, "issue", s.Encode().Reveal(), secrets.Current)
			}
			want := "ok"
			if !after {
				open()
				w.Clock.Advance(time.Minute)
			}
			w.prepare(secret, "tok")
			check(t, "createSecret", "ok", w.step("createSecret", secret, "tok"))
			if after {
				w.Clock.Advance(time.Minute)
				open()
				w.move(secret, secrets.Pending, "tok", "") // the put took it off
				want = "RotationStuck"
			}
			if got := w.step("finishSecret", secret, "tok"); got != want {
				t.Errorf("a clock wrong by %s, opened after the rotation's: %t: finishSecret %s, want %s", wrongBy, after, got, want)
			}
		}
	}
}
