package operator

import (
	"errors"
	"fmt"
	"strings"

	"evertoken/internal/issue"
)

// change runs the changes of a command. If it fails after some of them, the error
// says which were made; the same command continues from there.
func (a *app) change(what func(changes) error) error {
	if a.dryRun {
		a.printf("# Nothing is changed. These commands would make the change:\n")
		return what(teller{a})
	}
	d := &doer{app: a}
	err := what(d)
	if err == nil || len(d.done) == 0 {
		if errors.Is(err, errInterrupted) {
			err = &failure{exitInterrupted, errors.New("interrupted: nothing was changed"), ""}
		}
		return err
	}
	if f, ok := errors.AsType[*failure](err); ok && (f.code == exitPerson || f.code == exitHalf) {
		return err // it says itself what was done
	}
	return half(err, "this was done: "+strings.Join(d.done, "; "),
		"Run the same command again: it continues from there.")
}

// say prints the progress of a change: on standard output, or on standard error
// where a program reads standard output.
func (a *app) say(format string, args ...any) {
	if a.output == "json" || a.dryRun {
		a.errorf(format, args...)
		return
	}
	a.printf(format, args...)
}

// hasToken reports whether a connection has a live token after this outcome.
func hasToken(outcome string) bool { return outcome == "issued" || outcome == "fresh" }

// refusal turns an outcome other than the requested one into a failure.
func refusal(e issue.Entry) error {
	next := e.Hint
	switch e.Outcome {
	case "waiting":
		next = "Store a credential with: evertoken credential " + e.Name
	case "deferred":
		next = "Run this again in a minute. " + e.Hint
	}
	return person(strings.TrimSpace(next), "%s: %s", e.Name, outcomeText(e))
}

func outcomeText(e issue.Entry) string {
	text := "the function issue answers " + e.Outcome
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.ErrorClass != "" {
		text += " (" + e.ErrorClass + ")"
	}
	return text
}

// tellIssued prints that a token is published, and how long it lives.
func (a *app) tellIssued(e issue.Entry) error {
	if a.output == "json" {
		return a.json(e)
	}
	life := ""
	if e.ExpiresAt != nil {
		life = " It lives " + span(e.ExpiresAt.Sub(a.Now())) + "."
	}
	a.printf("%s: a token is published.%s\n", a.paint(a.Stdout, toneGood, e.Name), life)
	if e.Hint != "" {
		a.printf("  %s\n", e.Hint)
	}
	return nil
}

// confirm asks before a change that cannot simply be undone. It needs a terminal, or
// --yes.
func (a *app) confirm(question string) error {
	if a.yes || a.dryRun {
		return nil
	}
	p, err := a.prompter()
	if err != nil {
		return usage("Give --yes to run without a question.", "there is no terminal to ask on")
	}
	answer, err := p.line(question + " [y/N] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{exitInterrupted, fmt.Errorf("nothing was changed"), ""}
}
