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
	// LabelExchange is on AWSCURRENT while its refresh token is being exchanged,
	// or what opens a session; anywhere else it says that nobody is.
	LabelExchange = "EVERTOKEN_EXCHANGE"
	// LabelSeen, a number and a time, as in EVERTOKEN_SEEN_1_20261121T160000Z, say
	// when a run first found this version claimed by another; the number grows
	// with each run that passes the claim by. No source tells whether moving a
	// label changes LastChangedDate, so the age of a claim cannot be read from
	// that alone.
	LabelSeen = "EVERTOKEN_SEEN_"
	// LabelSent, a number and a time, as in EVERTOKEN_SENT_1_20261121T160000Z, say
	// how often what this version holds was sent without its answer being
	// stored, and when last.
	LabelSent = "EVERTOKEN_SENT_"
	// LabelKept is on a session that was received but could not become
	// AWSCURRENT, because another had.
	LabelKept = "EVERTOKEN_KEPT"
	// LabelHolder is on a version that was made only to hold LabelExchange.
	LabelHolder = "EVERTOKEN_HOLDER"
)

// Stamp is how labels tell a time.
const Stamp = "20060102T150405Z"

// note is a label that tells a number and a time.
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

// notes returns the labels of a version that begin with prefix and can be read,
// those of the greatest number first, then the oldest.
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

// sentNote returns how often what a version holds was sent without an answer
// being stored; n is 0 if never.
func sentNote(labels []string) note {
	if all := notes(labels, LabelSent); len(all) > 0 {
		return all[0]
	}
	return note{}
}

// on are the labels of the version that is AWSCURRENT.
func on(d secrets.Description) []string { return d.Labels[d.Holder(secrets.Current)] }
