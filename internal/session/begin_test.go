package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/secrets"
)

func TestBeginLeavesEachStateByItsStep(t *testing.T) {
	t.Parallel()
	const waits = "*session.Waiting"
	urgent := Terms{Dying: true, Stronger: true}
	for _, tt := range []struct {
		name, state string
		terms       Terms
		came, want  string
	}{
		{"nothing stored", "", Terms{}, "claimed", "opening: CURRENT EXCHANGE"},
		{"no label", "rt-1: CURRENT", Terms{}, "claimed", "rt-1: CURRENT EXCHANGE | holder: HOLDER"},
		{"no label, and an earlier version", "rt-1: PREVIOUS | rt-2: CURRENT", Terms{}, "claimed", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE"},
		{"idle", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT", Terms{}, "claimed", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE"},
		{
			"idle, and notes that nothing else keeps", "rt-0: SENT_1_150000 NOTE_1 | rt-1: PREVIOUS EXCHANGE | holder: HOLDER SEEN_1_150000 | rt-2: CURRENT NOTE_2 SEEN_1_155000",
			Terms{}, "claimed", "rt-1: PREVIOUS | holder: HOLDER SEEN_1_150000 | rt-2: CURRENT EXCHANGE NOTE_2",
		},
		{"sent before", "rt-1: CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE", Terms{}, "claimed", "rt-1: CURRENT EXCHANGE SENT_1_155000 | holder: HOLDER"},
		{"claimed", "rt-1: CURRENT EXCHANGE", urgent, waits, "rt-1: CURRENT EXCHANGE SEEN_1_160000"},
		{"claimed, and noted", "rt-1: CURRENT EXCHANGE SEEN_1_155630", Terms{Dying: true}, waits, "rt-1: CURRENT EXCHANGE SEEN_1_155630"},
		{"claimed, noted now", "rt-1: CURRENT EXCHANGE SEEN_1_160000", urgent, waits, "rt-1: CURRENT EXCHANGE SEEN_1_160000"},
		{"claimed, noted by a clock ahead", "rt-1: CURRENT EXCHANGE SEEN_1_160500", urgent, waits, "rt-1: CURRENT EXCHANGE SEEN_1_160500"},
		{"claimed, noted a minute ago", "rt-1: CURRENT EXCHANGE SEEN_1_155900", urgent, "beside", "rt-1: CURRENT EXCHANGE SEEN_2_155900"},
		{"left", "rt-1: CURRENT EXCHANGE SEEN_1_155600", Terms{}, "claimed", "rt-1: CURRENT EXCHANGE SENT_1_155600"},
		{"left, and passed by", "rt-1: CURRENT EXCHANGE SEEN_2_155600 SEEN_1_155900", Terms{}, "claimed", "rt-1: CURRENT EXCHANGE SENT_1_155600"},
		{"left, and sent before", "rt-1: CURRENT EXCHANGE SEEN_1_155600 SENT_2_151000", Terms{}, "claimed", "rt-1: CURRENT EXCHANGE SENT_2_151000"},
		{"a rotation's version, not empty", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT | rt-3: PENDING", Terms{}, "claimed", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE | rt-3: PENDING"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.state)
			k := w.keeper()
			if got := came(k, k.Begin(t.Context(), run(tt.terms))); got != tt.came {
				t.Errorf("came to %s, want %s", got, tt.came)
			}
			w.is("after it", tt.want)
			if k.Claimed() && k.Version().ID != w.current() {
				t.Error("the claimed session is not the one in force")
			}
		})
	}
}

func TestAWaitingRunSaysHowLong(t *testing.T) {
	t.Parallel()
	k := newWorld(t, "rt-1: CURRENT EXCHANGE").keeper()
	if err := k.Begin(t.Context(), run(Terms{})); err == nil ||
		!strings.Contains(err.Error(), "takes the claim over 4m0s after") {
		t.Errorf("%v", err)
	}
}

func TestAnOpeningIsClaimedUntilItsRunHasEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state string
		ago   time.Duration
		with  string
		came  string
		want  string
	}{
		{"opening: CURRENT", lasts - time.Second, "seed", "*session.Waiting", "opening: CURRENT"},
		{"opening: CURRENT", lasts, "seed", "claimed", "opening: CURRENT EXCHANGE | holder: HOLDER"},
		{"opening: CURRENT | holder: HOLDER EXCHANGE", lasts, "seed", "claimed", "opening: CURRENT EXCHANGE | holder: HOLDER"},
		{"opening: CURRENT | holder: HOLDER EXCHANGE", lasts, "", "claimed", "opening: CURRENT EXCHANGE | holder: HOLDER"},
		{"opening: CURRENT | holder: HOLDER EXCHANGE", lasts, "new", "claimed", "opening: PREVIOUS | holder: HOLDER | opening: CURRENT EXCHANGE"},
		{"rt-1: CURRENT | holder: HOLDER EXCHANGE", lasts, "new", "claimed", "rt-1: CURRENT EXCHANGE | holder: HOLDER"},
		{"nothing: CURRENT | holder: HOLDER EXCHANGE", lasts, "new", "claimed", "nothing: CURRENT EXCHANGE | holder: HOLDER"},
		{"broken: CURRENT | holder: HOLDER EXCHANGE", lasts, "new", "claimed", "broken: CURRENT EXCHANGE | holder: HOLDER"},
	} {
		w := newWorld(t, tt.state)
		k := w.keeper()
		w.now = k.Version().Created.Add(tt.ago)
		with := run(Terms{})
		with.Terms = func() Terms { return Terms{OpensWith: tt.with} }
		if got := came(k, k.Begin(t.Context(), with)); got != tt.came {
			t.Errorf("%s, with %s: came to %s, want %s", tt.state, tt.with, got, tt.came)
		}
		w.is(tt.state, tt.want)
		if tt.with == "new" && k.Session().Opening() && k.Session().OpeningWith != "new" {
			t.Errorf("%s: opening with %s", tt.state, k.Session().OpeningWith)
		}
	}
}

// TestOfTwoSimultaneousRunsOneClaims lets a second run act on what it read before the first.
func TestOfTwoSimultaneousRunsOneClaims(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, state, want string }{
		{"nothing stored", "", "opening: CURRENT EXCHANGE"},
		{"idle", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE"},
		{"left", "rt-1: CURRENT EXCHANGE SEEN_1_155600", "rt-1: CURRENT EXCHANGE SENT_1_155600"},
		{"passed by", "rt-1: CURRENT EXCHANGE SEEN_1_155830", "rt-1: CURRENT EXCHANGE SEEN_2_155830"},
		{"no label", "rt-1: PREVIOUS | rt-2: CURRENT", "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_160000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.state)
			first, second := w.keeper(), w.keeper()
			terms := run(Terms{Dying: true, Stronger: true})
			held := terms
			once := true
			held.Check = func(secrets.Description, Stage) error {
				if once { // the second run has read its state, and the first overtakes it
					once = false
					if err := first.Begin(t.Context(), terms); err != nil {
						t.Errorf("the first: %v", err)
					}
				}
				return nil
			}
			err := second.Begin(t.Context(), held)
			var waiting *Waiting
			if !errors.As(err, &waiting) || second.Claimed() || second.Beside() {
				t.Errorf("the second: %v", err)
			}
			w.is("after both", tt.want)
		})
	}
}

func TestANoteOfAnEndedClaimIsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: CURRENT EXCHANGE | holder: HOLDER")
	k := w.keeper()
	once := true
	w.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Kind: fakeaws.OnlyHook,
		Hook: func(fakeaws.Call) {
			if once {
				once = false
				if err := w.store.MoveLabel(t.Context(), secretID, LabelExchange, w.ids["holder"], w.ids["rt-1"]); err != nil {
					t.Errorf("ending the claim: %v", err)
				}
			}
		}})
	if got := came(k, k.Begin(t.Context(), run(Terms{}))); got != "*session.Waiting" {
		t.Errorf("came to %s", got)
	}
	w.is("after it", "rt-1: CURRENT | holder: EXCHANGE HOLDER")
}

func TestBeginReadsAgainWhatMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT")
	k := w.keeper()
	w.now = w.now.Add(time.Minute)
	if err := w.store.Put(t.Context(), secretID, secrets.FreshID(), session("rt-3").Encode()); err != nil {
		t.Fatal(err)
	}
	changed := 0
	r := run(Terms{})
	r.Changed = func(context.Context) error { changed++; return nil }
	if got := came(k, k.Begin(t.Context(), r)); got != "claimed" || changed != 1 ||
		k.Session().RefreshToken.Reveal() != "rt-3" {
		t.Errorf("came to %s, changed %d times, holding %s", got, changed, k.Session().RefreshToken.Reveal())
	}
	w.is("after it", "rt-2: PREVIOUS | rt-3: CURRENT EXCHANGE")

	// A run that stored its session is not shown it yet.
	k.Store(t.Context(), session("rt-4"))
	w.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Kind: fakeaws.Stale})
	if err := k.Begin(t.Context(), r); err == nil || !strings.Contains(err.Error(), "does not yet show") {
		t.Errorf("shown an older state: %v", err)
	}
}

func TestBeginEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	stop := errors.New("stopped")
	w := newWorld(t, "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT")

	r := run(Terms{})
	r.Check = func(secrets.Description, Stage) error { return stop }
	if err := w.keeper().Begin(t.Context(), r); !errors.Is(err, stop) {
		t.Errorf("a check: %v", err)
	}

	r = run(Terms{})
	reads := 0
	r.Changed = func(context.Context) error {
		reads++
		w.now = w.now.Add(time.Second)
		return w.store.Put(t.Context(), secretID, secrets.FreshID(), session("rt-"+w.now.Format("0405")).Encode())
	}
	k := w.keeper()
	k.version.ID = "another"
	err := k.Begin(t.Context(), r)
	if err == nil || !strings.Contains(err.Error(), "the session keeps changing") || k.Claimed() ||
		reads != turns {
		t.Errorf("a session that keeps changing, read %d times: %v", reads, err)
	}

	r = run(Terms{})
	r.Changed = func(context.Context) error { return stop }
	k = w.keeper()
	k.version.ID = "another"
	if err := k.Begin(t.Context(), r); !errors.Is(err, stop) {
		t.Errorf("a change: %v", err)
	}
}

// TestNothingIsClaimedThatCannotBeStored refuses each right in turn.
func TestNothingIsClaimedThatCannotBeStored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		operation, state string
		notSent          bool
	}{
		{"DescribeSecret", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT", false},
		{"PutSecretValue", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT", true},
		{"PutSecretValue", "rt-1: CURRENT EXCHANGE SEEN_1_155600", true},
		{"PutSecretValue", "rt-1: CURRENT", true},
		{"PutSecretValue", "", true},
		{"UpdateSecretVersionStage", "", false},
		{"UpdateSecretVersionStage", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT", false},
		{"UpdateSecretVersionStage", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT SEEN_1_150000", false},
		{"UpdateSecretVersionStage", "rt-1: PREVIOUS | rt-2: CURRENT", false},
		{"UpdateSecretVersionStage", "rt-1: CURRENT EXCHANGE SEEN_1_155600", false},
		{"UpdateSecretVersionStage", "rt-1: CURRENT EXCHANGE SEEN_1_155800", false},
		{"UpdateSecretVersionStage", "rt-1: CURRENT EXCHANGE", false},
		{"GetParameter", "rt-1: CURRENT EXCHANGE SEEN_1_155600", false},
		{"GetParameter", "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT SENT_1_150000", false},
	} {
		w := newWorld(t, tt.state)
		k := w.keeper()
		fault := w.refuse(tt.operation)
		err := k.Begin(t.Context(), run(Terms{Dying: true, Stronger: true}))
		var notSent *NotSent
		if kind := secrets.ErrorKind(err); kind != secrets.ErrDenied || k.Claimed() || k.Beside() ||
			errors.As(err, &notSent) != tt.notSent {
			t.Errorf("%s refused, %s: %v, claimed %t", tt.operation, tt.state, err, k.Claimed())
		}
		if fault.Fired() == 0 {
			t.Errorf("%s was never called: %s", tt.operation, tt.state)
		}
	}
}

// TestATakenClaimThatCannotBeNoted removes the note of the claim and can add no other.
func TestATakenClaimThatCannotBeNoted(t *testing.T) {
	t.Parallel()
	for state, refused := range map[string]string{
		orphan:                                 "rt-1: CURRENT EXCHANGE",
		"rt-1: CURRENT EXCHANGE SEEN_1_155800": "rt-1: CURRENT EXCHANGE", // passed by
	} {
		w := newWorld(t, state)
		k := w.keeper()
		w.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Kind: fakeaws.Refuse, Code: denied, Skip: 1})
		if err := k.Begin(t.Context(), run(Terms{Dying: true, Stronger: true})); secrets.ErrorKind(err) != secrets.ErrDenied || k.Claimed() || k.Beside() {
			t.Errorf("%s: %v, claimed %t", state, err, k.Claimed())
		}
		w.is(state, refused)
	}
}

// TestWhatMovedIsReadBeforeAnythingIsAdopted keeps aside a session that is newer than the
// one that the run had read, and older than the one in force.
func TestWhatMovedIsReadBeforeAnythingIsAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: CURRENT | rt-2: KEPT")
	k := w.keeper()
	if err := w.store.Put(t.Context(), secretID, secrets.FreshID(), session("rt-3").Encode(), secrets.Current, LabelExchange); err != nil {
		t.Fatal(err)
	}
	if got := came(k, k.Begin(t.Context(), run(Terms{}))); got != "*session.Waiting" ||
		k.Session().RefreshToken.Reveal() != "rt-3" {
		t.Errorf("came to %s, holding %s", got, k.Session().RefreshToken.Reveal())
	}
	w.is("after it", "rt-1: PREVIOUS | rt-2: KEPT | rt-3: CURRENT EXCHANGE SEEN_1_160000")
}
