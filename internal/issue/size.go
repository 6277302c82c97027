package issue

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"evertoken/internal/renew"
)

// mostAnswer is the largest answer in bytes: Lambda takes 6 MB (6,291,556
// bytes, quotas of Lambda, "synchronous payload").
const mostAnswer = 5_500_000

// fit leaves entries out until the answer has at most that many bytes as JSON, and says how
// many. It begins with the entries that need no action.
func (r Report) fit(most int) Report {
	const around = 300 // the members of the report itself
	sizes := make([]int, len(r.Connections))
	total := around
	for i, e := range r.Connections {
		b, err := json.Marshal(e)
		if err != nil {
			return r // cannot fail: every member can be encoded
		}
		sizes[i] = len(b) + len(",")
		total += sizes[i]
	}
	if total <= most {
		return r
	}
	order := make([]int, len(r.Connections))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return mattersMore(r.Connections[a], r.Connections[b])
	})
	var kept []Entry
	size := around
	for _, i := range order {
		if size += sizes[i]; size > most {
			break
		}
		kept = append(kept, r.Connections[i])
	}
	r.LeftOut = len(r.Connections) - len(kept)
	slices.SortFunc(kept, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	r.Connections = kept
	return r
}

// outcomesByWeight are the outcomes, those that matter most first.
var outcomesByWeight = []renew.Outcome{
	renew.Blocked, renew.Failed, renew.Deferred, renew.Waiting, renew.Issued, renew.Fresh,
}

func mattersMore(a, b Entry) int {
	return cmp.Or(
		cmp.Compare(slices.Index(outcomesByWeight, renew.Outcome(a.Outcome)),
			slices.Index(outcomesByWeight, renew.Outcome(b.Outcome))),
		cmp.Compare(left(a), left(b)),
	)
}

func left(e Entry) int64 {
	if e.SecondsLeft == nil {
		return -1
	}
	return *e.SecondsLeft
}
