package session

import (
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestStoreEndsTheClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	k := w.claimed()
	if k.StoredHere() {
		t.Error("stored before it was")
	}
	k.Store(t.Context(), session("rt-3"))
	w.is("stored", "rt-2: PREVIOUS EXCHANGE | rt-3: CURRENT")
	if !k.StoredHere() || k.Claimed() || k.Version().ID != w.current() ||
		k.Session().RefreshToken.Reveal() != "rt-3" || k.Doubt().Sent != 0 {
		t.Errorf("the session in force is %s", k.Session().RefreshToken.Reveal())
	}
	if stands, err := k.Stands(t.Context()); !stands || err != nil {
		t.Errorf("stands: %t, %v", stands, err)
	}
	if err := w.store.Put(t.Context(), secretID, secrets.FreshID(), session("rt-4").Encode()); err != nil {
		t.Fatal(err)
	}
	if stands, err := k.Stands(t.Context()); stands || err != nil {
		t.Errorf("after another stored: stands: %t, %v", stands, err)
	}
	if stands, err := w.keeper().Stands(t.Context()); !stands || err != nil {
		t.Errorf("of a run that stored nothing: %t, %v", stands, err)
	}
	w.refuse("DescribeSecret")
	if stands, err := k.Stands(t.Context()); stands || err == nil {
		t.Errorf("unseen: stands: %t, %v", stands, err)
	}
	if len(w.hints) > 0 {
		t.Errorf("%q", w.hints)
	}
}

func TestADoubtEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lost)
	k := w.claimed()
	if err := k.Sending(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Store(t.Context(), session("rt-2"))
	if got := k.Doubt(); got.Sent != 0 || !got.Last.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestStoreIsRepeated loses the answer to the first put.
func TestStoreIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	k := w.claimed()
	w.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.DropAfter, Times: 1})
	k.Store(t.Context(), session("rt-3"))
	w.is("stored", "rt-2: PREVIOUS EXCHANGE | rt-3: CURRENT")
}

func TestTwoSessionsFromOneBaseAreBothKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idle)
	first, second := w.claimed(), w.keeper()
	first.Store(t.Context(), session("rt-3"))
	w.now = w.now.Add(time.Minute)
	second.Store(t.Context(), session("rt-4"))
	w.is("the second is kept beside", "rt-2: PREVIOUS EXCHANGE | rt-3: CURRENT | rt-4: KEPT")
	if !w.hinted("Another run stored a session meanwhile. Evertoken keeps this run's session under the label EVERTOKEN_KEPT.") {
		t.Errorf("%q", w.hints)
	}

	w = newWorld(t, idle)
	k := w.claimed()
	base := w.ids["rt-2"]
	k.Store(t.Context(), session("rt-3"))
	if err := w.store.MoveLabel(t.Context(), secretID, secrets.Current, base, w.current()); err != nil {
		t.Fatal(err)
	}
	w.keeper().Store(t.Context(), session("rt-4"))
	w.is("AWSCURRENT was moved back by hand", "rt-2: PREVIOUS EXCHANGE | rt-4: CURRENT")
}

func TestASessionWithoutASecretIsRescued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	k := w.keeper()
	k.ID, k.Exists = "evertoken/c2/session", false
	k.Store(t.Context(), session("rt-1"))
	if w.rescuedToken() != "rt-1" ||
		!w.hinted("Create it: `aws secretsmanager create-secret --name evertoken/c2/session") {
		t.Errorf("rescued %q, %q", w.rescuedToken(), w.hints)
	}

	// The next run finds it there, and the secret still does not exist.
	next := w.keeper()
	next.ID, next.Exists = k.ID, false
	if look, err := next.Elsewhere(t.Context()); !look || err != nil {
		t.Errorf("elsewhere: %t, %v", look, err)
	}
	if found, err := next.Recover(t.Context()); !found || err != nil ||
		next.Session().RefreshToken.Reveal() != "rt-1" {
		t.Errorf("recovered: %t, %v", found, err)
	}
	if w.rescuedToken() != "rt-1" {
		t.Error("the parameter is gone before its session is stored")
	}
	// Once the secret exists, the session is stored and the parameter is deleted.
	w.CreateSecret(k.ID, nil, nil)
	next.Store(t.Context(), session("rt-2"))
	if v, _ := w.Secret(k.ID).Labelled(secrets.Current); !strings.Contains(v.Value, "rt-2") ||
		w.rescuedToken() != "" {
		t.Errorf("stored %s, rescued %q", v.Value, w.rescuedToken())
	}
}

// TestANewerSessionBecomesCurrentWhereLabelsAreOdd has a newer session than the one in
// force, where the labels are odd.
func TestANewerSessionBecomesCurrentWhereLabelsAreOdd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state string
		terms       Terms
		force       string // what is in force after it
	}{
		{"a claim, and one kept", "rt-1: CURRENT EXCHANGE | rt-2: KEPT", Terms{}, "rt-2"},
		{"one kept, but nothing is odd", "rt-0: PREVIOUS EXCHANGE | rt-1: CURRENT | rt-2: KEPT", Terms{}, "rt-1"},
		{"moved back by hand", "rt-0: PREVIOUS | rt-1: CURRENT | holder: HOLDER EXCHANGE | rt-2: KEPT", Terms{}, "rt-2"},
		{"moved back, but AWSPREVIOUS is nowhere", "rt-1: CURRENT | holder: HOLDER EXCHANGE | rt-2: KEPT", Terms{}, "rt-1"},
		{"older", "rt-0: KEPT PREVIOUS | rt-1: CURRENT EXCHANGE", Terms{}, "rt-1"},
		{"sent already", "rt-1: CURRENT EXCHANGE | rt-2: KEPT SENT_1_155000", Terms{}, "rt-1"},
		{"refused", "rt-1: CURRENT EXCHANGE | rt-2: KEPT REFUSED", Terms{}, "rt-1"},
		{"exchanged already", "rt-0: PREVIOUS | rt-1: CURRENT | rt-2: KEPT EXCHANGE", Terms{}, "rt-1"},
		{"the same", "rt-0: PREVIOUS | rt-1: CURRENT EXCHANGE", Terms{}, "rt-1"},
		{"of another credential", "rt-1: CURRENT EXCHANGE | stranger: KEPT", Terms{}, "rt-1"},
		{"of the credential that opened this", "stranger: CURRENT EXCHANGE | rt-2: KEPT", Terms{}, "rt-2"},
		{"empty", "rt-1: CURRENT EXCHANGE | nothing: KEPT", Terms{}, "rt-1"},
		{"empty, and what is in force names no credential", "byhand: CURRENT EXCHANGE | nothing: KEPT", Terms{}, "byhand"},
		{"stored twice", "rt-1: CURRENT EXCHANGE | rt-1: KEPT", Terms{}, "rt-1"},
		{"not a document", "rt-1: CURRENT EXCHANGE | broken: KEPT", Terms{}, "rt-1"},
		{"under AWSPENDING", "rt-1: CURRENT EXCHANGE | rt-2: PENDING", Terms{}, "rt-2"},
		{"overwritten by nothing under a claim", "rt-1: PREVIOUS EXCHANGE | nothing: CURRENT", Terms{}, "rt-1"},
		{"overwritten by nothing, and kept", "rt-1: KEPT | rt-0: PREVIOUS EXCHANGE | nothing: CURRENT", Terms{}, "rt-1"},
		{"the same, and something stronger is stored", "rt-1: KEPT | rt-0: PREVIOUS EXCHANGE | nothing: CURRENT", Terms{Stronger: true}, ""},
		{"odd, and something stronger is stored", "rt-1: CURRENT EXCHANGE | rt-2: KEPT", Terms{Stronger: true}, "rt-2"},
	} {
		w := newWorld(t, tt.state)
		k := w.keeper()
		_ = k.Begin(t.Context(), run(tt.terms)) // the session in force shows how it ends
		if got := k.Session().RefreshToken.Reveal(); got != tt.force || k.Version().ID != w.current() {
			t.Errorf("%s: in force is %q, want %q: %s", tt.name, got, tt.force, w.state())
		}
		if told := w.hinted("found a newer session under "); told != (tt.force != "" && w.ids[tt.force] != w.idBefore(tt.state)) {
			t.Errorf("%s: told %t, %q", tt.name, told, w.hints)
		}
	}
}

// idBefore is the id of the version that a state has in force.
func (w *world) idBefore(state string) string {
	for part := range strings.SplitSeq(state, " | ") {
		if name, labels, _ := strings.Cut(part, ":"); strings.Contains(labels, "CURRENT") {
			return w.ids[name]
		}
	}
	return ""
}

func TestAVersionStoredAfterAnotherIsNewer(t *testing.T) {
	t.Parallel()
	base := secrets.Version{ARN: "arn", ID: "id", Created: now}
	k := &Keeper{version: base}
	for _, tt := range []struct {
		name string
		v    secrets.Version
		want bool
	}{
		{"later", secrets.Version{ID: "x", Created: now.Add(1)}, true},
		{"earlier", secrets.Version{ID: k.child(""), Created: now.Add(-1)}, false},
		{"at the same time, and based on it", secrets.Version{ID: k.child(""), Created: now}, true},
		{"at the same time", secrets.Version{ID: "x", Created: now}, false},
	} {
		if got := k.after(tt.v); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	k.version.Created = time.Time{}
	if k.after(secrets.Version{ID: k.child(""), Created: now}) {
		t.Error("newer than what this run made")
	}
}

func TestADocumentThatIsNoSessionCountsAsEmpty(t *testing.T) {
	t.Parallel()
	k := &Keeper{doc: session("rt-1"), stored: true}
	k.Use(secrets.Version{ID: "x", Value: redact.New(`{"started_at": 1, "refresh_token": "rt-2"}`)})
	if !k.Session().RefreshToken.IsZero() || k.Version().ID != "x" || k.StoredHere() {
		t.Errorf("%+v", k.Session())
	}
}
