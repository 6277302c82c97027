package session

import (
	"testing"
	"time"
)

// lose is a run that claims the session and gets no answer.
func (w *world) lose() {
	w.t.Helper()
	w.now = w.now.Add(lasts)
	w.claimed().Lose(w.t.Context())
	w.now = w.now.Add(lasts)
}

// A session in the rescue parameter is restored once. Its refresh token is spent by
// the next exchange: restored again after it, it would end the newer session.
func TestAnOldRescueIsNeverRestoredOverANewerSession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		restore func(*world) *Keeper // a run that has restored rt-3 and claimed it
	}{
		{"the parameter cannot be deleted", func(w *world) *Keeper {
			w.refuse("DeleteParameter")
			return w.claimed()
		}},
		{"the run ends before it deletes the parameter", func(w *world) *Keeper {
			k := w.claimed()
			k.rescued = false
			return k
		}},
		{"the run ends before it claims the restored session", func(w *world) *Keeper {
			w.refuse("PutParameter")
			w.refuse("DeleteParameter")
			if err := w.keeper().Begin(w.t.Context(), run(Terms{})); err == nil {
				w.t.Errorf("a run claimed what it could not take out of the rescue parameter")
			}
			w.ClearFaults()
			return w.claimed()
		}},
		{"it was stored after all", func(w *world) *Keeper {
			k := w.keeper()
			k.Store(w.t.Context(), session("rt-3"))
			return w.claimed()
		}},
	} {
		w := newWorld(t, "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT SENT_1_155000")
		w.rescue("rt-3", "rt-2")
		k := tt.restore(w)
		if got := k.Session().RefreshToken.Reveal(); got != "rt-3" {
			t.Errorf("%s: the session in force is %s", tt.name, got)
			continue
		}
		w.now = w.now.Add(time.Minute)
		k.Store(t.Context(), session("rt-4"))
		for range 3 {
			w.lose()
			k := w.claimed()
			if got := k.Session().RefreshToken.Reveal(); got != "rt-4" {
				t.Errorf("%s: after a lost answer the session in force is %s:\n%s", tt.name, got, w.state())
			}
			k.Release(t.Context())
		}
	}
}

// A parked label means that a put whose answers were lost may have taken effect, so the
// rescue parameter may hold the session in force.
func TestARescueOfWhatWasStoredIsEmptiedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: PREVIOUS SENT_1_155000 | rt-2: CURRENT | holder: HOLDER EXCHANGE")
	w.rescue("rt-2", "rt-1")
	w.refuse("DeleteParameter")
	k := w.claimed()
	if w.rescuedToken() != "" {
		t.Error("the parameter still holds the session that is about to be sent")
	}
	k.Release(t.Context())
	if !w.hinted("could not delete the parameter") {
		t.Errorf("%q", w.hints)
	}
}

// A parameter that can be neither overwritten nor deleted stops the run before it
// sends anything.
func TestARescueThatCannotBeEmptiedIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT SENT_1_155000")
	w.rescue("rt-3", "rt-2")
	w.refuse("DeleteParameter")
	w.refuse("PutParameter")
	for range 2 {
		k := w.keeper()
		if err := k.Begin(t.Context(), run(Terms{})); came(k, err) != "*session.Unreadable" {
			t.Errorf("%s: %v", came(k, err), err)
		}
		k.Release(t.Context())
		w.now = w.now.Add(5 * time.Minute)
	}
	w.is("nothing was sent", "rt-2: PREVIOUS EXCHANGE SENT_1_155000 | rt-3: CURRENT KEPT")
}
