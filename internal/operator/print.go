package operator

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// colours reports whether a stream takes colours: a terminal, unless NO_COLOR
// (https://no-color.org) or a dumb TERM says otherwise.
func (a *app) colours(stream io.Writer) bool {
	return terminal(stream) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

func (a *app) paint(stream io.Writer, code, text string) string {
	if !a.colours(stream) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// red is for what a person reads on standard error.
func (a *app) red(text string) string { return a.paint(a.Stderr, "31", text) }

// tones are the colours on standard output.
const (
	toneGood = "32"
	toneWarn = "33"
	toneBad  = "31"
	toneDim  = "2"
)

// cell is a piece of a table's row; tone may be empty.
type cell struct{ text, tone string }

// table prints aligned columns under a head.
func (a *app) table(head []string, rows [][]cell) {
	width := make([]int, len(head))
	for i, h := range head {
		width[i] = utf8.RuneCountInString(h)
		for _, row := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
		}
	}
	line := func(row []cell) {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2)
			if i == len(row)-1 {
				pad = ""
			}
			if c.tone != "" {
				c.text = a.paint(a.Stdout, c.tone, c.text)
			}
			b.WriteString(c.text + pad)
		}
		a.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
	top := make([]cell, len(head))
	for i, h := range head {
		top[i] = cell{h, toneDim}
	}
	line(top)
	for _, row := range rows {
		line(row)
	}
}

// json prints a document for machines.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// span writes a duration with the units that matter, rounded: 45s, 24m, 3h10m, 12d.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	if d >= time.Minute {
		d = d.Round(time.Minute)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%dh%dm", int(d.Hours()), m)
		}
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// barCells is how many cells the bar of life left has.
const barCells = 10

// bar draws the share of its life that a token has left.
func bar(left, life time.Duration) string {
	if life <= 0 {
		return strings.Repeat("░", barCells)
	}
	full := int((int64(max(left, 0))*barCells +
		int64(life) - 1) / int64(life)) // a living token has one cell at least
	full = min(full, barCells)
	return strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
}
