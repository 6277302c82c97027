package session

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/secrets"
)

// Labels on the versions of a session.
const (
	// LabelExchange is on AWSCURRENT while a run exchanges its refresh token, or opens a
	// session. On any other version it says that no exchange is in progress.
	LabelExchange = "EVERTOKEN_EXCHANGE"
	// LabelSeen, followed by a number and a time, as in EVERTOKEN_SEEN_1_20261121T160000Z,
	// says when a run first saw that another run had claimed this version. The number grows
	// with each run that passes the claim by. No source says whether moving a label changes
	// LastChangedDate, so that date alone does not show the age of a claim.
	LabelSeen = "EVERTOKEN_SEEN_"
	// LabelSent, followed by a number and a time, as in EVERTOKEN_SENT_1_20261121T160000Z,
	// says how often this version's refresh token was sent without an answer being stored,
	// and when last.
	LabelSent = "EVERTOKEN_SENT_"
	// LabelKept is on a session that was received but could not become AWSCURRENT, because
	// another one had.
	LabelKept = "EVERTOKEN_KEPT"
	// LabelHolder is on a version that was made only to hold LabelExchange.
	LabelHolder = "EVERTOKEN_HOLDER"
)

// Stamp is the form of a time in a label.
const Stamp = "20060102T150405Z"

// note is a label with a number and a time.
type note struct {
	label string
	n     int
	at    time.Time
}

func seenLabel(n int, at time.Time) string { return noteLabel(LabelSeen, n, at) }

func sentLabel(n int, at time.Time) string { return noteLabel(LabelSent, n, at) }

func noteLabel(prefix string, n int, at time.Time) string {
	return fmt.Sprintf("%s%d_%s", prefix, n, at.UTC().Format(Stamp))
}

// notes returns the labels of a version that begin with prefix and can be parsed: the greatest
// number first, and of equal numbers the oldest first.
func notes(labels []string, prefix string) []note {
	var out []note
	for _, label := range labels {
		rest, ok := strings.CutPrefix(label, prefix)
		if !ok {
			continue
		}
		number, stamp, _ := strings.Cut(rest, "_")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			continue
		}
		if at, err := time.Parse(Stamp, stamp); err == nil {
			out = append(out, note{label, n, at})
		}
	}
	slices.SortFunc(out, func(a, b note) int {
		return cmp.Or(cmp.Compare(b.n, a.n), a.at.Compare(b.at), strings.Compare(a.label, b.label))
	})
	return out
}

// sentNote returns the note that says how often a version's refresh token was sent without an
// answer being stored. Its n is 0 if there is none.
func sentNote(labels []string) note {
	if all := notes(labels, LabelSent); len(all) > 0 {
		return all[0]
	}
	return note{}
}

// on are the labels of the version that is AWSCURRENT.
func on(d secrets.Description) []string { return d.Labels[d.Holder(secrets.Current)] }
