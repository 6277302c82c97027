package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"evertoken/internal/issue"
)

// table is aligned text.
type table struct {
	head []string
	// right marks the columns of figures.
	right map[int]bool
	rows  [][]string
}

func (t table) write(out io.Writer) {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString("  " + pad + cell)
			} else {
				line.WriteString("  " + cell + pad)
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// row is a connection that a report is about.
type row struct{ name, provider, grant string }

// writeReport writes a line for each connection: its outcome, how long its token lives,
// and how long its credential or session lasts. Below the table it writes what a person
// should do. A connection that is left out of a report is fresh.
func writeReport(out io.Writer, rows []row, report issue.Report) {
	entries := map[string]issue.Entry{}
	for _, e := range report.Connections {
		entries[e.Name] = e
	}
	t := table{
		head:  []string{"connection", "provider", "grant", "outcome", "left (s)", "credential (s)", "reason"},
		right: map[int]bool{4: true, 5: true},
	}
	var notes []string
	for _, r := range rows {
		e, told := entries[r.name]
		if !told {
			e = issue.Entry{Outcome: "fresh"}
		}
		t.rows = append(t.rows, []string{r.name, dash(r.provider), dash(r.grant), e.Outcome,
			seconds(e.SecondsLeft), seconds(e.CredentialSecondsLeft), dash(shorten(strings.TrimPrefix(e.Reason, "connection "+r.name+": ")))})
		switch e.Outcome {
		case "failed", "blocked", "waiting", "deferred":
			notes = append(notes, "  "+r.name+": "+e.Reason, "    → "+e.Hint)
		default:
			if e.Hint != "" {
				notes = append(notes, "  "+r.name+": "+e.Hint)
			}
		}
	}
	t.write(out)
	fmt.Fprintf(out, "  %s\n", counts(report))
	for _, n := range notes {
		fmt.Fprintln(out, n)
	}
}

func counts(r issue.Report) string {
	return fmt.Sprintf("checked %d: issued %d, fresh %d, waiting %d, deferred %d, blocked %d, failed %d",
		r.Checked, r.Issued, r.Fresh, r.Waiting, r.Deferred, r.Blocked, r.Failed)
}

// longestReason fits a table into a usual terminal.
const longestReason = 40

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= longestReason {
		return s
	}
	return string([]rune(s)[:longestReason-1]) + "…"
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func seconds(n *int64) string {
	if n == nil {
		return "–"
	}
	return strconv.FormatInt(*n, 10)
}

// fingerprint identifies a secret without showing it: equal secrets have equal
// fingerprints.
func fingerprint(secret string) string {
	if secret == "" {
		return "none"
	}
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:4])
}

// mask writes a document with the secret in it replaced by its fingerprint.
func mask(document, secret string) string {
	text := strings.ReplaceAll(document, secret, "<"+fingerprint(secret)+">")
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(text), "    ", "  ") != nil {
		return text // a bare token
	}
	return indented.String()
}

// grantsOf reads from the log of issue which grant each connection used.
func grantsOf(logs []byte) map[string]string {
	grants := map[string]string{}
	for line := range bytes.Lines(logs) {
		var entry struct {
			Connection string `json:"connection"`
			Outcome    string `json:"outcome"`
			Grant      string `json:"grant_type"`
		}
		if json.Unmarshal(line, &entry) == nil && entry.Outcome != "" && entry.Grant != "" {
			grants[entry.Connection] = entry.Grant
		}
	}
	return grants
}

func mebibytes(n int64) string {
	if n == 0 {
		return "not known here"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
