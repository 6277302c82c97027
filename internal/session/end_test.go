package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/secrets"
)

const (
	idle   = "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT"
	lost   = "rt-1: CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE"
	orphan = "rt-1: CURRENT EXCHANGE SEEN_1_155600"
)

func TestReleaseEndsTheClaim(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state string
		sent        bool // Sending was called
		noted       bool // another run noted the claim
		want        string
	}{
		{"goes back to where it was", idle, false, false, idle},
		{"and the note of another run goes", idle, false, true, idle},
		{"a send that did not happen is not counted", lost, true, false, "rt-1: CURRENT SENT_1_155000 | holder: EXCHANGE HOLDER"},
		{"a claim taken over has nowhere to go back to", orphan, false, false, "rt-1: CURRENT SENT_1_155600 | holder: EXCHANGE HOLDER"},
		{"nor has the first", "", false, false, "opening: CURRENT | holder: EXCHANGE HOLDER"},
	} {
		w := newWorld(t, tt.state)
		k := w.claimed()
		if tt.noted {
			if err := w.keeper().Begin(t.Context(), run(Terms{})); err == nil {
				t.Error("claimed twice")
			}
		}
		if tt.sent {
			if err := k.Sending(t.Context()); err != nil {
				t.Error(err)
			}
		}
		k.Release(t.Context())
		k.Release(t.Context()) // once is enough
		w.is(tt.name, tt.want)
		if k.Claimed() {
			t.Errorf("%s: still claimed", tt.name)
		}
		if len(w.hints) > 0 &&
			!strings.HasPrefix(w.hints[0],
				"The answer to an earlier exchange was lost. Evertoken looks for ") {
			t.Errorf("%s: %s", tt.name, w.hints)
		}
		if !w.keeperCanClaim() {
			t.Errorf("%s: not to be claimed again", tt.name)
		}
	}
}

// A claim whose note cannot be removed does not end: the note would outlive it, and a
// later run could mistake another run's claim for an old one.
func TestAClaimEndsWithItsNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	k := w.claimed()
	if err := w.keeper().Begin(t.Context(), run(Terms{})); err == nil {
		t.Error("claimed twice")
	}
	// All tries to remove the note; a move after them would succeed.
	w.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Kind: fakeaws.Refuse, Code: denied, Times: 4})
	k.Release(t.Context())
	w.is("released", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_160000")
	if !w.hinted("The claim on the session could not be released") {
		t.Errorf("%q", w.hints)
	}
}

func (w *world) keeperCanClaim() bool {
	k := w.keeper()
	w.now = w.now.Add(lasts) // no run takes over a session that is being opened before
	return k.Begin(w.t.Context(), run(Terms{})) == nil && k.Claimed()
}

func TestLoseNotesThatTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state string
		sent        bool
		want        string
	}{
		{"the first time", idle, true, "rt-1: PREVIOUS | rt-2: CURRENT SENT_1_160100 | holder: EXCHANGE HOLDER"},
		{"again, counted as it was sent", lost, true, "rt-1: CURRENT SENT_2_160000 | holder: EXCHANGE HOLDER"},
		{"again, not counted then", lost, false, "rt-1: CURRENT SENT_2_160100 | holder: EXCHANGE HOLDER"},
		{"after it was taken over", orphan, true, "rt-1: CURRENT SENT_2_160000 | holder: EXCHANGE HOLDER"},
		{"the first of all", "", true, "opening: CURRENT SENT_1_160100 | holder: EXCHANGE HOLDER"},
	} {
		w := newWorld(t, tt.state)
		k := w.claimed()
		if tt.sent {
			if err := k.Sending(t.Context()); err != nil {
				t.Error(err)
			}
		}
		w.now = w.now.Add(time.Minute)
		k.Lose(t.Context())
		k.Lose(t.Context())
		w.is(tt.name, tt.want)
		if k.Claimed() {
			t.Errorf("%s: still claimed", tt.name)
		}
		if w.hinted("could not be released") {
			t.Errorf("%s: %s", tt.name, w.hints)
		}
	}
}

func TestSendingARefreshTokenInDoubtIsCounted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state string
		doubt Doubt
		want  string
	}{
		{idle, Doubt{}, "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE"},
		{lost, Doubt{1, now}, "rt-1: CURRENT EXCHANGE SENT_2_160000 | holder: HOLDER"},
		{orphan, Doubt{1, now}, "rt-1: CURRENT EXCHANGE SENT_2_160000"},
	} {
		w := newWorld(t, tt.state)
		k := w.keeper()
		if err := k.Sending(t.Context()); err != nil {
			t.Error(err)
		}
		w.is("not claimed", strings.ReplaceAll(tt.state, "HOLDER EXCHANGE", "EXCHANGE HOLDER"))
		k = w.claimed()
		for range 2 { // it is counted once
			if err := k.Sending(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := k.Doubt(); got.Sent != tt.doubt.Sent || !got.Last.Equal(tt.doubt.Last) {
			t.Errorf("%s: doubt %+v", tt.state, got)
		}
		w.is(tt.state, tt.want)
	}

	w := newWorld(t, lost)
	k := w.claimed()
	w.refuse("UpdateSecretVersionStage")
	var notSent *NotSent
	if err := k.Sending(t.Context()); !errors.As(err, &notSent) || k.Doubt().Sent != 1 {
		t.Errorf("a send that cannot be counted: %v, %+v", err, k.Doubt())
	}
}

// TestANoteWhoseAnswerIsLostCountsOnce repeats it: AWS then says that the version has the
// label.
func TestANoteWhoseAnswerIsLostCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lost)
	k := w.claimed()
	w.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Kind: fakeaws.DropAfter, Times: 1})
	if err := k.Sending(t.Context()); err != nil {
		t.Error(err)
	}
	w.is("after it", "rt-1: CURRENT EXCHANGE SENT_2_160000 | holder: HOLDER")
}

func TestAClaimThatCannotBeReleasedIsReported(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		for _, operation := range []string{"DescribeSecret", "UpdateSecretVersionStage"} {
			w := newWorld(t, idle)
			k := w.claimed()
			w.refuse(operation)
			end(k, t)
			if !w.hinted("could not be released, and a later run takes it over") || len(w.hints) != 1 {
				t.Errorf("%s, %s: %q", name, operation, w.hints)
			}
			if want := "rt-2: CURRENT EXCHANGE"; !strings.Contains(w.state(), want) {
				t.Errorf("%s, %s: %s", name, operation, w.state())
			}
		}
	}
	// A claim that another run took over belongs to that run.
	w := newWorld(t, idle)
	k := w.claimed()
	if err := w.store.MoveLabel(t.Context(), secretID, LabelExchange, w.ids["rt-1"], w.ids["rt-2"]); err != nil {
		t.Fatal(err)
	}
	k.Release(t.Context())
	if len(w.hints) > 0 {
		t.Errorf("%q", w.hints)
	}
}

// TestAClaimThatCannotBeParkedIsTakenOver lets the secret accept no new version. The
// label cannot go back to the version that had it before: a run that AWS showed the state
// before the claim could claim by it, and send the refresh token again.
func TestAClaimThatCannotBeParkedIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	k := w.claimed()
	w.refuse("PutSecretValue")
	k.Lose(t.Context())
	w.is("lost", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_160000 SENT_1_160000")
	if len(w.hints) > 0 {
		t.Errorf("%q", w.hints)
	}
	w.ClearFaults()
	w.now = w.now.Add(lasts)
	next := w.claimed()
	if next.Doubt().Sent != 1 {
		t.Errorf("the next run counts it as sent %d times", next.Doubt().Sent)
	}

	w = newWorld(t, orphan)
	k = w.claimed()
	w.refuse("PutSecretValue")
	k.Release(t.Context())
	w.is("taken over", "rt-1: CURRENT EXCHANGE SEEN_1_160000 SENT_1_155600")

	w.refuse("UpdateSecretVersionStage")
	k.claimed = true
	k.Release(t.Context())
	if !w.hinted("could not be released") {
		t.Errorf("%q", w.hints)
	}
}

// TestAStaleReaderCannotClaimAfterALostAnswer shows a run the state before the claim
// of another run whose answer was lost.
func TestAStaleReaderCannotClaimAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for _, roomForVersions := range []bool{true, false} {
		w := newWorld(t, idle)
		k, stale := w.claimed(), w.keeper()
		if !roomForVersions {
			w.refuse("PutSecretValue")
		}
		k.Lose(t.Context())
		w.ClearFaults()
		w.now = w.now.Add(time.Second)
		w.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Kind: fakeaws.Stale, StaleBy: time.Minute, Times: 1})
		if err := stale.Begin(t.Context(), run(Terms{})); err == nil || stale.Claimed() {
			t.Errorf("room %t: a run claimed by an old state: %v", roomForVersions, err)
		}
	}
}

func TestAClaimIsGivenBackWhereItsVersionIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: CURRENT | holder: HOLDER EXCHANGE")
	k := w.claimed()
	k.prior = secrets.FreshID() // the version was deprecated, and deleted by AWS
	k.Release(t.Context())
	w.is("released", "rt-1: CURRENT | holder: EXCHANGE HOLDER")
}
