package session

import (
	"context"
	"strings"
	"testing"

	"evertoken/internal/secrets"
)

func TestALabelIsRemovedFromItsVersionOnly(t *testing.T) {
	t.Parallel()
	label := seenLabel(1, now)
	for _, tt := range []struct {
		name, state, from string
		refused           bool
		want              secrets.Kind
	}{
		{"on it", "rt-1: CURRENT SEEN_1_160000", "rt-1", false, secrets.NoError},
		{"off already", "rt-1: CURRENT", "rt-1", false, secrets.NoError},
		{"on another", "rt-1: CURRENT | rt-2: SEEN_1_160000", "rt-1", false, secrets.NoError},
		{"of a version that is gone", "rt-1: CURRENT SEEN_1_160000", "gone", false, secrets.NoError},
		{"not allowed", "rt-1: CURRENT SEEN_1_160000", "rt-1", true, secrets.ErrDenied},
	} {
		w := newWorld(t, tt.state)
		w.ids["gone"] = secrets.FreshID()
		if tt.refused {
			w.refuse("UpdateSecretVersionStage")
		}
		if err := w.keeper().drop(t.Context(), label, w.ids[tt.from]); secrets.ErrorKind(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	w := newWorld(t, "rt-1: CURRENT SEEN_1_160000")
	k := w.keeper()
	k.ID = "another"
	if err := k.drop(t.Context(), label, w.ids["rt-1"]); err != nil {
		t.Errorf("of a secret that is gone: %v", err)
	}
}

func TestDescribeTellsThatTheSecretExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	for _, tt := range []struct {
		id   string
		want bool
	}{{secretID, true}, {"another", false}} {
		k := w.keeper()
		k.ID, k.Exists = tt.id, false
		k.version.ARN = ""
		d, err := k.Describe(t.Context())
		if (err == nil) != tt.want || k.Exists != tt.want ||
			(k.Version().ARN == w.Secret(secretID).ARN) != tt.want || k.Version().ARN != d.ARN {
			t.Errorf("%s: %v, exists %t, ARN %s", tt.id, err, k.Exists, k.Version().ARN)
		}
		k.Exists = false
		if k.find(t.Context()) != tt.want {
			t.Errorf("%s: found: %t", tt.id, !tt.want)
		}
	}
}

func TestErrorsNameTheParameterAndNoValue(t *testing.T) {
	t.Parallel()
	if got, want := (&Unreadable{Parameter: "/p"}).Error(), "the rescue parameter /p cannot be read"; got != want {
		t.Errorf("%s", got)
	}
}

// TestTheClaimContinuesAfterAnotherSession lets Begin read the stage again once another
// session is in force, and end where its caller ends it.
func TestTheClaimContinuesAfterAnotherSession(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{
		"adopted":  "rt-0: PREVIOUS | rt-1: CURRENT | holder: HOLDER EXCHANGE | rt-2: KEPT",
		"restored": lost,
	} {
		for _, stop := range []error{nil, context.Canceled} {
			w := newWorld(t, state)
			if name == "restored" {
				w.rescue("rt-2", "rt-1")
			}
			k, changed := w.keeper(), 0
			r := run(Terms{})
			r.Changed = func(context.Context) error { changed++; return stop }
			err := k.Begin(t.Context(), r)
			if err != stop || k.Claimed() != (stop == nil) || changed != 1 ||
				k.Session().RefreshToken.Reveal() != "rt-2" {
				t.Errorf("%s, %v: %v, claimed %t, changed %d times", name, stop, err, k.Claimed(), changed)
			}
		}
	}
}

// A person moves AWSCURRENT back to a spent session: the newer one becomes current again,
// with its claim or its doubt.
func TestASessionThatWasMovedBackFromBecomesCurrentAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ state, came, want string }{
		{"rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE", "*session.Waiting", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_160000"},
		{
			"rt-1: PREVIOUS | rt-2: CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE", "claimed",
			"rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SENT_1_155000 | holder: HOLDER",
		},
	} {
		w := newWorld(t, tt.state)
		if err := w.store.MoveLabel(t.Context(), secretID, secrets.Current, w.ids["rt-1"], w.ids["rt-2"]); err != nil {
			t.Fatal(err)
		}
		k := w.keeper()
		if got := came(k, k.Begin(t.Context(), run(Terms{}))); got != tt.came {
			t.Errorf("came to %s, want %s", got, tt.came)
		}
		w.is("after it", tt.want)
	}
}

// An answer that leaves nothing to store ends the doubt, and the claim.
func TestAnAnswerThatChangesNothingEndsTheClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lost)
	k := w.claimed()
	if err := k.Sending(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Unchanged(t.Context())
	w.is("unchanged", "rt-1: CURRENT | holder: EXCHANGE HOLDER")
	if k.Claimed() || k.Doubt().Sent != 0 {
		t.Errorf("claimed %t, in doubt %+v", k.Claimed(), k.Doubt())
	}
}

// A run without a claim does not remove the note of another run.
func TestARunWithoutAClaimLeavesNotesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lost)
	k := w.claimed()
	k.Release(t.Context())
	before := w.state()
	k.Unchanged(t.Context())
	w.is("without a claim", before)
	if !strings.Contains(before, "SENT_1") {
		t.Errorf("the note is gone already: %s", before)
	}
}

// Where nothing was in doubt there is no note to remove.
func TestWithoutDoubtNoNoteIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	w.claimed().Unchanged(t.Context())
	w.is("without doubt", idle)
	if len(w.hints) > 0 {
		t.Errorf("hints: %s", w.hints)
	}
}
