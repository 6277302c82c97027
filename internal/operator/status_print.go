package operator

import (
	"fmt"
	"time"
)

var stateTones = map[string]string{
	stateFresh: toneGood, stateDue: toneGood, stateLate: toneWarn, stateNone: toneWarn, stateUnread: toneWarn,
	stateExpired: toneBad, stateWaiting: toneBad, stateWrong: toneBad,
}

// printStatus prints the table, and below it what a person must do and which documents
// could not be read.
func (a *app) printStatus(all fleet, entries []entry) {
	if len(entries) == 0 {
		a.printf("No connection is declared below %s in %s. Declare one with: "+
			"evertoken add NAME\n", all.path,
			a.aws.region)
		return
	}
	onTerminal := terminal(a.Stdout)
	now := a.Now()
	var rows [][]cell
	for _, e := range entries {
		tone := stateTones[e.State]
		if e.NeedsPerson {
			tone = toneBad
		}
		rows = append(rows, []cell{{e.Name, ""}, {orDash(e.Provider), ""}, {e.State, tone},
			{lifeLeft(e, now, onTerminal), tone}, {nextRenewal(e, now), ""}})
	}
	a.table([]string{"CONNECTION", "PROVIDER", "STATE", "LIFE LEFT", "NEXT RENEWAL"}, rows)
	n := 0
	for _, e := range entries {
		if e.NeedsPerson {
			n++
			a.printf("\n%s: %s.\n  %s\n", a.paint(a.Stdout, toneBad, e.Name), e.Reason, e.Next)
		}
	}
	for _, e := range entries {
		for _, u := range e.Unread {
			a.printf("\n%s: could not read %s\n", a.paint(a.Stdout, toneWarn, e.Name), u)
		}
	}
	a.printf("\n%s\n", summary(len(entries), n))
}

func summary(all, person int) string {
	connections := fmt.Sprintf("%d connections", all)
	if all == 1 {
		connections = "1 connection"
	}
	switch person {
	case 0:
		return connections + ", none needs a person."
	case 1:
		return connections + ", 1 needs a person."
	}
	return fmt.Sprintf("%s, %d need a person.", connections, person)
}

func lifeLeft(e entry, now time.Time, onTerminal bool) string {
	if e.ExpiresAt == nil {
		return "–"
	}
	left, life := e.ExpiresAt.Sub(now), e.ExpiresAt.Sub(*e.IssuedAt)
	text := span(left) + " of " + span(life)
	if onTerminal {
		text = bar(left, life) + " " + text
	}
	return text
}

func nextRenewal(e entry, now time.Time) string {
	switch e.State {
	case stateFresh:
		return "in " + span(e.RenewAfter.Sub(now))
	case stateDue, stateLate, stateExpired, stateNone:
		return "at the next run"
	}
	return "–"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
