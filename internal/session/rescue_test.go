package session

import (
	"errors"
	"strings"
	"testing"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/secrets"
)

func TestASessionThatCannotBeStoredIsRescued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	k := w.claimed()
	w.refuse("PutSecretValue")
	k.Store(t.Context(), session("rt-3"))
	w.is("and the claim may be taken over",
		"rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE SEEN_1_160000 SENT_1_160000")
	if w.rescuedToken() != "rt-3" || k.Session().RefreshToken.Reveal() != "rt-3" || k.StoredHere() {
		t.Errorf("rescued %q", w.rescuedToken())
	}
	if !w.hinted("The session could not be stored: ") ||
		!w.hinted(". Evertoken keeps it in the parameter "+parameter) {
		t.Errorf("%q", w.hints)
	}
	// The next run restores it, and continues from it.
	w.ClearFaults()
	w.now = w.now.Add(lasts)
	next := w.claimed()
	if next.Session().RefreshToken.Reveal() != "rt-3" || w.rescuedToken() != "" {
		t.Errorf("the next run has %s, and the parameter %q", next.Session().RefreshToken.Reveal(),
			w.rescuedToken())
	}
	w.is("restored", "rt-2: PREVIOUS SENT_1_160000 | rt-3: CURRENT EXCHANGE")
	if !w.hinted("restored the session from the rescue parameter") {
		t.Errorf("%q", w.hints)
	}

	w = newWorld(t, idle)
	k = w.claimed()
	w.refuse("PutSecretValue")
	w.refuse("PutParameter")
	k.Store(t.Context(), session("rt-3"))
	if !w.hinted("The rescue parameter could not be written either, so the new refresh token is lost: ") {
		t.Errorf("%q", w.hints)
	}
	w.hints = nil
	k.Store(t.Context(), credential.Session{OpenedBy: "cred"})
	if len(w.hints) != 1 || strings.Contains(w.hints[0], "parameter") {
		t.Errorf("without a refresh token: %q", w.hints)
	}
}

func TestTheRescueParameterIsDeletedOnceTheSessionIsStored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		there   bool
		refused bool
		hints   int
	}{{"there", true, false, 0}, {"not there", false, false, 0}, {"not allowed", true, true, 1}} {
		w := newWorld(t, idle)
		k := w.claimed()
		k.beside = true // a new session makes what was rescued void
		if tt.there {
			w.rescue("rt-1", "rt-2")
		}
		if tt.refused {
			w.refuse("DeleteParameter")
		}
		k.Store(t.Context(), session("rt-3"))
		if len(w.hints) != tt.hints || tt.hints > 0 && !w.hinted("could not delete the parameter") {
			t.Errorf("%s: %q", tt.name, w.hints)
		}
		if left := w.rescuedToken() != ""; left != tt.refused {
			t.Errorf("%s: still there: %t", tt.name, left)
		}
	}
}

func TestASessionStoredElsewhereIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state, rescue string
		want                bool
	}{
		{"nothing", idle, "", false},
		{"rescued", idle, "rt-3", true},
		{"rescued and stored", idle, "rt-2", false},
		{"kept, and older", "rt-1: KEPT | rt-2: CURRENT", "", false},
		{"kept, and newer", "rt-1: CURRENT | rt-2: KEPT", "", true},
	} {
		w := newWorld(t, tt.state)
		if tt.rescue != "" {
			w.rescue(tt.rescue, "rt-2")
		}
		k := w.keeper()
		if look, err := k.Elsewhere(t.Context()); look != tt.want || err != nil {
			t.Errorf("%s: %t, %v", tt.name, look, err)
		}
	}
	w := newWorld(t, "rt-1: CURRENT | rt-2: KEPT")
	k := w.keeper()
	k.version.ID = "another" // the next read tells more
	if look, err := k.Elsewhere(t.Context()); look || err != nil {
		t.Errorf("moved: %t, %v", look, err)
	}
	for _, operation := range []string{"GetParameter", "DescribeSecret", "GetSecretValue"} {
		w := newWorld(t, "rt-1: CURRENT | rt-2: KEPT")
		k := w.keeper()
		w.refuse(operation)
		if look, err := k.Elsewhere(t.Context()); look || secrets.ErrorKind(err) != secrets.ErrDenied {
			t.Errorf("%s refused: %t, %v", operation, look, err)
		}
	}
}

func TestARescueParameterThatHoldsSomethingElseStopsTheRun(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"not a document", `{"session": 1}`, `{"session": {}}`, `{"session": {"refresh_token": 1}}`} {
		w := newWorld(t, lost)
		w.PutParameter(parameter, "SecureString", value)
		k := w.keeper()
		var unreadable *Unreadable
		if err := k.Begin(t.Context(), run(Terms{})); !errors.As(err, &unreadable) ||
			unreadable.Err != nil || unreadable.Parameter != parameter {
			t.Errorf("%s: %v", value, err)
		}
		if k.Claimed() {
			t.Errorf("%s: still claimed", value)
		}
		w.is(value, "rt-1: CURRENT SENT_1_155000 | holder: EXCHANGE HOLDER")
	}
}

// TestARescuedSessionIsRestored by a run that claims a session in doubt.
func TestARescuedSessionIsRestored(t *testing.T) {
	t.Parallel()
	const taken = "rt-1: CURRENT EXCHANGE SENT_1_155000 | holder: HOLDER"
	for _, tt := range []struct {
		name, rescue, base string
		force              string // what is in force
		want               string
		left               bool // the parameter is
	}{
		{"based on what is in force", "rt-2", "rt-1", lost, "rt-1: PREVIOUS SENT_1_155000 | holder: HOLDER | rt-2: CURRENT EXCHANGE", false},
		{"based on another", "rt-2", "holder", lost, taken + " | rt-2: KEPT", false},
		{"the one in force", "rt-1", "rt-1", lost, taken, false},
		{"of another credential", "stranger", "rt-1", lost, taken, true},
		{
			"based on another, and what is in force was refused", "rt-2", "holder", "rt-1: CURRENT REFUSED SENT_1_155000 | holder: HOLDER EXCHANGE",
			"rt-1: PREVIOUS REFUSED SENT_1_155000 | holder: HOLDER | rt-2: CURRENT EXCHANGE", false,
		},
		{
			"based on another, and nothing is in force", "rt-2", "holder", "nothing: CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE",
			"nothing: PREVIOUS SENT_1_155000 | holder: HOLDER | rt-2: CURRENT EXCHANGE", false,
		},
	} {
		for name, end := range ends {
			w := newWorld(t, tt.force)
			w.rescue(tt.rescue, tt.base)
			k := w.claimed()
			w.is(tt.name, tt.want)
			end(k, t)
			if left := w.rescuedToken() != ""; left != tt.left {
				t.Errorf("%s, %s: the parameter remains: %t", tt.name, name, left)
			}
		}
	}
}

// ends are the ways in which a claim ends without an answer.
var ends = map[string]func(*Keeper, *testing.T){
	"released": func(k *Keeper, t *testing.T) { k.Release(t.Context()) },
	"lost":     func(k *Keeper, t *testing.T) { k.Lose(t.Context()) },
}

// TestASessionIsRescuedOverTheRestoredOne cannot store the session that follows the
// restored one: what the parameter holds now is the only copy.
func TestASessionIsRescuedOverTheRestoredOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lost)
	w.rescue("rt-2", "rt-1")
	k := w.claimed()
	w.refuse("PutSecretValue")
	k.Store(t.Context(), session("rt-3"))
	k.Release(t.Context())
	if w.rescuedToken() != "rt-3" {
		t.Errorf("the parameter holds %q", w.rescuedToken())
	}
}

func TestARescuedSessionThatCannotBeStoredStaysRescued(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"rt-1", "holder"} {
		w := newWorld(t, lost)
		w.rescue("rt-2", base)
		k := w.keeper()
		// the proof passes
		w.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.Refuse, Code: denied, Skip: 1})
		if err := k.Begin(t.Context(), run(Terms{})); secrets.ErrorKind(err) != secrets.ErrDenied || k.Claimed() {
			t.Errorf("based on %s: %v, claimed %t", base, err, k.Claimed())
		}
		if w.rescuedToken() != "rt-2" {
			t.Errorf("based on %s: the parameter holds %q", base, w.rescuedToken())
		}
	}
}

// TestARestoredSessionGetsAnotherIDIfItsOwnIsInUse finds in use the id that a session
// based on the version in force would have.
func TestARestoredSessionGetsAnotherIDIfItsOwnIsInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE")
	w.rescue("rt-2", "rt-1")
	k := w.keeper()
	k.version.ARN = w.Secret(secretID).ARN
	if err := w.store.Put(t.Context(), secretID, k.child(""), session("rt-x").Encode(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	w.claimed()
	w.is("restored", "rt-1: PREVIOUS SENT_1_155000 | holder: HOLDER | rt-x: OTHER | rt-2: CURRENT EXCHANGE")
}

func TestRecoverBringsTheNewestSessionForward(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state, rescue string
		found               bool
		want                string
	}{
		{"nothing", idle, "", false, "rt-1: PREVIOUS | rt-2: CURRENT EXCHANGE"},
		{"kept", "rt-0: PREVIOUS EXCHANGE | rt-1: CURRENT | rt-2: KEPT", "", true, "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT KEPT"},
		{"rescued, based on another", idle, "rt-3", true, "rt-2: PREVIOUS EXCHANGE | rt-3: CURRENT KEPT"},
	} {
		w := newWorld(t, tt.state)
		k := w.claimed()
		if tt.rescue != "" {
			w.rescue(tt.rescue, "nowhere")
		}
		if found, err := k.Recover(t.Context()); found != tt.found || err != nil {
			t.Errorf("%s: %t, %v", tt.name, found, err)
		}
		w.is(tt.name, tt.want)
		if found := k.StoredHere(); found != tt.found {
			t.Errorf("%s: its own: %t", tt.name, found)
		}
	}
	for _, operation := range []string{"GetParameter", "DescribeSecret", "GetSecretValue", "UpdateSecretVersionStage"} {
		w := newWorld(t, "rt-0: PREVIOUS EXCHANGE | rt-1: CURRENT | rt-2: KEPT")
		k := w.claimed()
		w.refuse(operation)
		if found, err := k.Recover(t.Context()); found || secrets.ErrorKind(err) != secrets.ErrDenied {
			t.Errorf("%s refused: %t, %v", operation, found, err)
		}
	}
}

// TestNothingIsRescued has sessions that name no credential that opened them, as
// no session at all does not.
func TestNothingIsRescued(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"opening", "byhand"} {
		w := newWorld(t, name+": CURRENT SENT_1_155000 | holder: HOLDER EXCHANGE")
		w.now = now.Add(lasts)
		w.claimed()
		w.is(name, name+": CURRENT EXCHANGE SENT_1_155000 | holder: HOLDER")
		for _, call := range w.Calls() {
			if call.Operation == "DeleteParameter" {
				t.Errorf("%s: a parameter was deleted", name)
			}
		}
	}
}

// A session that became a version after all, by a write whose answer was lost, is spent
// by now: it is not kept aside. One that AWS does not show is kept, and where AWS does
// not say, nothing changes.
func TestARescuedSessionThatWasStoredAfterAll(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, child string // what the version holds that the lost write made
		refused     bool   // reading it
		kept        bool
		left        string // in the parameter
	}{
		{"stored after all", "rt-2", false, false, ""},
		{"another session was stored", "rt-x", false, true, ""},
		{"no session was stored", "broken", false, true, ""},
		{"AWS does not say", "rt-2", true, false, "rt-2"},
	} {
		w := newWorld(t, lost)
		w.rescue("rt-2", "holder")
		k := w.keeper()
		child := childOf(w.Secret(secretID).ARN, w.ids["holder"], "")
		if err := w.store.Put(t.Context(), secretID, child, w.document(tt.child), "OTHER"); err != nil {
			t.Fatal(err)
		}
		if err := w.store.MoveLabel(t.Context(), secretID, "OTHER", "", child); err != nil {
			t.Fatal(err)
		}
		if tt.refused {
			w.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Kind: fakeaws.Refuse, Code: denied})
		}
		err := k.Begin(t.Context(), run(Terms{}))
		if tt.refused != (secrets.ErrorKind(err) == secrets.ErrDenied) || k.Claimed() == tt.refused {
			t.Errorf("%s: %v, claimed %t", tt.name, err, k.Claimed())
		}
		k.Release(t.Context())
		w.ClearFaults()
		if got := w.state(); strings.Contains(got, "rt-2: KEPT") != tt.kept {
			t.Errorf("%s: %s", tt.name, got)
		}
		if w.rescuedToken() != tt.left {
			t.Errorf("%s: the parameter holds %q", tt.name, w.rescuedToken())
		}
	}
}

// A rescue parameter that cannot be emptied is deleted. If that fails too, the run sends
// nothing: the session in the parameter could be restored after its token is spent.
func TestARescueParameterThatCannotBeEmptied(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		w := newWorld(t, lost)
		w.rescue("rt-2", "rt-1")
		k := w.keeper()
		w.refuse("PutParameter")
		if !deletes {
			w.refuse("DeleteParameter")
		}
		err := k.Begin(t.Context(), run(Terms{}))
		var unreadable *Unreadable
		if errors.As(err, &unreadable) == deletes || k.Claimed() != deletes {
			t.Errorf("deletes %t: %v, claimed %t", deletes, err, k.Claimed())
		}
		if left := w.rescuedToken() != ""; left == deletes {
			t.Errorf("deletes %t: the parameter remains: %t", deletes, left)
		}
	}
}
