package renew_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakeworld "evertoken/internal/fake/world"
)

// timelineRE is a timeline of docs/reliability.md: the connection and the loss that it is about,
// and its rows.
var timelineRE = regexp.MustCompile(`(?m)^<!-- timeline: ([a-z0-9_ ]+), ([a-z ]+) -->\n` +
	`\| .*\n\|[-|:]+\n((?:\| .*\n)+)`)

// TestTheTimelinesAreWhatHappens plays each timeline of docs/reliability.md: the minute, what was
// sent, what the run answered, and the labels on each version afterwards.
func TestTheTimelinesAreWhatHappens(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	timelines := timelineRE.FindAllStringSubmatch(string(page), -1)
	if len(timelines) < 5 {
		t.Fatalf("docs/reliability.md has %d timelines, want at least 5", len(timelines))
	}
	for _, timeline := range timelines {
		connects, lose := connects[timeline[1]], losses[timeline[2]]
		if connects == nil || lose == nil {
			t.Errorf("there is no connection %q, or no loss %q", timeline[1], timeline[2])
			continue
		}
		t.Run(timeline[1]+", "+timeline[2], func(t *testing.T) {
			t.Parallel()
			var told [][]string
			for line := range strings.Lines(timeline[3]) {
				told = append(told, strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")[:5])
			}
			if diff := cmp.Diff(played(t, connects, lose, told), told); diff != "" {
				t.Errorf("the timeline (-happened +told):\n%s", diff)
			}
		})
	}
}

// played are the rows of a timeline as they happen, at the minutes that are told.
func played(t *testing.T, connect func(*fakeworld.World), lose func(*diary), told [][]string) [][]string {
	w := world(t, connect)
	want(t, w, "issued", "")
	advance(t, w)
	holder := session
	if len(w.AWS.Secret(session).Versions) == 0 { // what was sent is noted on the credential
		holder = "evertoken/" + name + "/credential"
	}
	d := newDiary(w)
	rows := [][]string{{"0", "0", "–", "–", versions(w, holder)}}
	for i, row := range told[1:] {
		minute, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatalf("%q is no minute", row[1])
		}
		if i == 0 {
			lose(d)
		}
		for i > 0 && w.Clock.Now().Sub(d.start) < time.Duration(minute)*time.Minute {
			w.Clock.Advance(w.Config.Every)
			d.run()
		}
		outcome, sent, _ := strings.Cut(d.lines[len(d.lines)-1], ":")
		sent, _, _ = strings.Cut(strings.TrimSpace(sent), ":")
		if sent = strings.TrimSpace(sent); sent == "" {
			sent = "nothing"
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), row[1], sent, outcome, versions(w, holder)})
	}
	return rows
}

// versions are the versions of a secret that have labels, the oldest first, each with its
// labels. The times, hashes and texts of labels are left out.
func versions(w *fakeworld.World, secret string) string {
	var out []string
	for i, v := range w.AWS.Secret(secret).Versions {
		var labels []string
		for _, label := range v.Labels {
			label, ours := strings.CutPrefix(label, "EVERTOKEN_")
			if word, rest, more := strings.Cut(label, "_"); ours && more {
				label = word
				if word == "SENT" || word == "SEEN" || word == "UNSURE" {
					n, _, _ := strings.Cut(rest, "_")
					label += "_" + n
				}
			}
			labels = append(labels, label)
		}
		if len(labels) > 0 {
			slices.Sort(labels)
			out = append(out, fmt.Sprintf("v%d: `%s`", i+1, strings.Join(labels, " ")))
		}
	}
	return strings.Join(out, "; ")
}
