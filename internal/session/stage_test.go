package session

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/secrets"
)

const lasts = 4 * time.Minute

var now = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// described is a session secret by its versions: "cur" is AWSCURRENT.
func described(labels map[string][]string) secrets.Description {
	return secrets.Description{Labels: labels, LastChanged: now.Add(-time.Hour)}
}

func TestEveryStateHasOneStage(t *testing.T) {
	t.Parallel()
	cur := func(labels ...string) []string { return append([]string{secrets.Current}, labels...) }
	seen := func(ago time.Duration) string { return seenLabel(1, now.Add(-ago)) }
	changed := described(map[string][]string{"cur": cur(LabelExchange, seen(lasts))})
	changed.LastChanged = now.Add(-lasts + 1)
	longClaimed := described(map[string][]string{"cur": cur(LabelExchange, seen(lasts))})
	longClaimed.LastChanged = now.Add(-lasts)
	for _, tt := range []struct {
		name string
		d    secrets.Description
		read string
		want Stage
	}{
		{"nothing stored", described(nil), "", Empty},
		{"nothing stored any more", described(nil), "cur", Moved},
		{"stored meanwhile", described(map[string][]string{"cur": cur()}), "", Moved},
		{"another version", described(map[string][]string{"cur": cur(LabelExchange)}), "old", Moved},
		{"no label", described(map[string][]string{"cur": cur(), "old": {secrets.Previous}}), "cur", Unlabelled},
		{"no label, and a note", described(map[string][]string{"cur": cur(sentLabel(1, now))}), "cur", Unlabelled},
		{"left behind", described(map[string][]string{"cur": cur(), "old": {secrets.Previous, LabelExchange}}), "cur", Idle},
		{"left behind, and a note of an earlier claim", described(map[string][]string{"cur": cur(seen(time.Hour)), "old": {LabelExchange}}), "cur", Idle},
		{"sent", described(map[string][]string{"cur": cur(sentLabel(2, now)), "h": {LabelExchange, LabelHolder}}), "cur", Lost},
		{"a note on another version", described(map[string][]string{"cur": cur(), "old": {LabelExchange, sentLabel(1, now)}}), "cur", Idle},
		{"claimed", described(map[string][]string{"cur": cur(LabelExchange)}), "cur", Busy},
		{"claimed, and sent before", described(map[string][]string{"cur": cur(LabelExchange, sentLabel(1, now))}), "cur", Busy},
		{"claimed, noted for less than a run lasts", described(map[string][]string{"cur": cur(LabelExchange, seen(lasts-time.Second))}), "cur", Busy},
		{"claimed, noted for as long as a run lasts", described(map[string][]string{"cur": cur(LabelExchange, seen(lasts))}), "cur", Orphaned},
		{"claimed, noted, and passed by since", described(map[string][]string{"cur": cur(LabelExchange, seenLabel(3, now.Add(-lasts)))}), "cur", Orphaned},
		{"claimed, noted, and changed since", changed, "cur", Busy},
		{"claimed, noted, and changed as long ago as a run lasts", longClaimed, "cur", Orphaned},
		{"claimed, and a note on another version", described(map[string][]string{"cur": cur(LabelExchange), "old": {seen(time.Hour)}}), "cur", Busy},
		{"claimed, and a note that cannot be read", described(map[string][]string{"cur": cur(LabelExchange, LabelSeen+"1_yesterday", LabelSeen+"x")}), "cur", Busy},
	} {
		if got := StageOf(tt.d, tt.read, now, lasts); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

var (
	stages = []Stage{Empty, Moved, Unlabelled, Idle, Lost, Busy, Orphaned}
	steps  = []Step{Open, ReadAgain, Place, Claim, TakeOver, PassBy, Note, WaitStep}
)

// allTerms are the terms that could make a difference.
func allTerms() []Terms {
	var out []Terms
	for i := range 8 {
		for _, noted := range []time.Duration{0, time.Minute - 1, time.Minute} {
			out = append(out, Terms{Dying: i&1 != 0, Stronger: i&2 != 0, BeingOpened: i&4 != 0, NotedFor: noted})
		}
	}
	return out
}

// TestTheTableIsInCodeCommentAndDocs checks that the code, the package comment and
// docs/reliability.md have one table: which steps follow each stage.
func TestTheTableIsInCodeCommentAndDocs(t *testing.T) {
	t.Parallel()
	code := map[Stage][]Step{}
	for _, stage := range stages {
		for _, step := range steps {
			if slices.ContainsFunc(allTerms(), func(terms Terms) bool { return Next(stage, terms) == step }) {
				code[stage] = append(code[stage], step)
			}
		}
	}
	for file, row := range map[string]*regexp.Regexp{
		"doc.go":                    regexp.MustCompile(`(?m)^//\t(\w+) .*?  +(\S.*)$`),
		"../../docs/reliability.md": regexp.MustCompile(`(?m)^\| \*\*(\w+)\*\* \|[^|]*\| (.*) \|$`),
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		told := map[Stage][]Step{}
		for _, m := range row.FindAllStringSubmatch(string(b), -1) {
			stage := Stage(m[1])
			if !slices.Contains(stages, stage) {
				continue
			}
			cells := regexp.MustCompile(`  +`).Split(m[2], -1)
			last := cells[len(cells)-1]
			for _, step := range steps {
				if regexp.MustCompile(`\b` + string(step) + `\b`).MatchString(last) {
					told[stage] = append(told[stage], step)
				}
			}
		}
		if diff := cmp.Diff(code, told); diff != "" {
			t.Errorf("%s (-code +table):\n%s", file, diff)
		}
	}
}

func TestEachStageLeadsToItsStep(t *testing.T) {
	t.Parallel()
	for _, terms := range allTerms() {
		passes := terms.Dying && terms.Stronger && terms.NotedFor >= time.Minute
		want := map[Stage]Step{Empty: Open, Moved: ReadAgain, Unlabelled: Place, Idle: Claim,
			Lost: Claim, Orphaned: TakeOver, Busy: WaitStep}
		switch {
		case terms.NotedFor == 0:
			want[Busy] = Note
		case passes:
			want[Busy] = PassBy
		}
		if terms.BeingOpened {
			want[Unlabelled] = WaitStep
		}
		for _, stage := range stages {
			if got := Next(stage, terms); got != want[stage] {
				t.Errorf("%s, %+v: %s, want %s", stage, terms, got, want[stage])
			}
		}
	}
	if got := Next("no stage", Terms{}); got != WaitStep {
		t.Errorf("of no stage: %s", got)
	}
}

func TestARefreshTokenInDoubtIsSentOnlyOnTerms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		sent  int
		ago   time.Duration
		terms string // of provider, stronger, needs, force
		want  bool
	}{
		{"not in doubt", 0, 0, "", true},
		{"forced", 9, 0, "force", true},
		{"once, and something stronger is stored", 1, 0, "provider stronger", true},
		{"twice, and something stronger is stored", 2, 99 * time.Hour, "provider stronger needs", false},
		{"once, by a provider that takes it for theft", 1, 0, "stronger needs", false},
		{"once, and readers have a living token", 1, 99 * time.Hour, "provider", false},
		{"once, and that is about to die", 1, 0, "provider needs", true},
		{"once, whatever the provider does, where nothing else is stored", 1, 0, "needs", true},
		{"twice, less than a day ago", 2, 24*time.Hour - time.Minute - 1, "provider needs", false},
		{"twice, a day ago", 2, 24*time.Hour - time.Minute, "provider needs", true},
		{"five times, a day ago, and readers have a living token", 5, 25 * time.Hour, "provider", false},
	} {
		r := Replay{Now: now, Provider: strings.Contains(tt.terms, "provider"),
			Stronger:   strings.Contains(tt.terms, "stronger"),
			NeedsToken: strings.Contains(tt.terms, "needs"), Force: strings.Contains(tt.terms, "force")}
		if got := (Doubt{tt.sent, now.Add(-tt.ago)}).MaySend(r); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestNotesOfAClaimAreReadFromLabels(t *testing.T) {
	t.Parallel()
	labels := []string{
		secrets.Current, sentLabel(1, now), sentLabel(10, now.Add(-time.Hour)), sentLabel(10,
			now.Add(-2*time.Hour)), sentLabel(2, now),
		LabelSent + "0_20261121T160000Z", LabelSent + "-1_20261121T160000Z", LabelSent + "1", LabelSent + "1_", LabelSeen + "7_20261121T160000Z",
	}
	var got []string
	for _, n := range notes(labels, LabelSent) {
		got = append(got, n.label)
	}
	want := []string{sentLabel(10, now.Add(-2*time.Hour)), sentLabel(10, now.Add(-time.Hour)),
		sentLabel(2, now), sentLabel(1, now)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if n := sentNote(labels); n.n != 10 || !n.at.Equal(now.Add(-2*time.Hour)) {
		t.Errorf("sentNote = %+v", n)
	}
	if n := sentNote(nil); n.n != 0 {
		t.Errorf("of nothing: %+v", n)
	}
	if got := seenLabel(2, now.Add(999*time.Millisecond)); got != "EVERTOKEN_SEEN_2_20261121T160000Z" {
		t.Errorf("written %s", got)
	}
}
