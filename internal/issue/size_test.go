package issue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnAnswerIsCutToLambdasLimit(t *testing.T) {
	t.Parallel()
	outcomes := []string{"issued", "deferred", "failed", "blocked", "waiting", "fresh"}
	r := Report{Checked: 600}
	for i := range 600 {
		left := int64(1000 - i)
		r.Connections = append(r.Connections,
			Entry{Name: fmt.Sprintf("c-%03d", i), Outcome: outcomes[i%6],
				Reason: strings.Repeat("é<", 50), SecondsLeft: &left})
	}
	whole, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.fit(len(whole) + 300); got.LeftOut != 0 || len(got.Connections) != 600 {
		t.Errorf("%d left out of what fits", got.LeftOut)
	}
	got := r.fit(len(whole) / 2)
	cut, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(cut) > len(whole)/2 || len(cut) < len(whole)/3 {
		t.Errorf("%d bytes of %d, to be cut to half", len(cut), len(whole))
	}
	if got.LeftOut+len(got.Connections) != 600 || got.LeftOut == 0 ||
		!strings.Contains(string(cut), `"left_out":`) {
		t.Errorf("%d entries, %d left out", len(got.Connections), got.LeftOut)
	}
	if !slices.IsSortedFunc(got.Connections, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the entries are in no order")
	}
	n, most := map[string]int{}, int64(0)
	for _, e := range got.Connections {
		if n[e.Outcome]++; e.Outcome == "deferred" {
			most = max(most, *e.SecondsLeft)
		}
	}
	if n["blocked"] != 100 || n["failed"] != 100 || n["issued"]+n["fresh"] > 0 {
		t.Errorf("kept %v: those that need a person come first", n)
	}
	if want := int64(405 + 6*(n["deferred"]-1)); most != want { // every sixth, the last has 405 s
		t.Errorf("of the deferred those up to %d s left were kept, want up to %d", most, want)
	}
	if len(r.Connections) != 600 {
		t.Error("the report itself was changed")
	}
}

// TestAnEntryIsLeftOutOnlyIfItDoesNotFit: an answer may have exactly the most bytes.
func TestAnEntryIsLeftOutOnlyIfItDoesNotFit(t *testing.T) {
	t.Parallel()
	r := Report{Connections: []Entry{{Name: "a", Outcome: "failed"}, {Name: "b", Outcome: "failed"},
		{Name: "c", Outcome: "failed"}}}
	one, err := json.Marshal(r.Connections[0])
	if err != nil {
		t.Fatal(err)
	}
	const around = 300 // kept for the report's own members
	for n := range 4 {
		most := around + n*(len(one)+len(","))
		if got := r.fit(most); len(got.Connections) != n || got.LeftOut != 3-n {
			t.Errorf("with room for %d: %d kept, %d left out", n, len(got.Connections), got.LeftOut)
		}
		if got := r.fit(most - 1); n > 0 && len(got.Connections) != n-1 {
			t.Errorf("with a byte too few for %d: %d kept", n, len(got.Connections))
		}
	}
}

// TestTheMostImportantEntriesAreKept: entries are kept by outcome, then by the life left
// of their tokens, and entries without a token come first.
func TestTheMostImportantEntriesAreKept(t *testing.T) {
	t.Parallel()
	entry := func(outcome string, left ...int64) Entry {
		e := Entry{Outcome: outcome}
		if len(left) > 0 {
			e.SecondsLeft = &left[0]
		}
		return e
	}
	want := []Entry{
		entry("blocked", 9), entry("failed"), entry("failed", 0), entry("failed", 1), entry("failed", 2),
		entry("deferred"), entry("deferred", 1), entry("waiting"), entry("issued", 1), entry("fresh", 0),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, mattersMore)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
