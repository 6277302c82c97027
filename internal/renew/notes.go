package renew

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/session"
)

// Labels on the version that was sent: of the credential, or of the session for its refresh
// token. A key is a grant and a hash over the destination and the settings, never over a
// credential's value.
const (
	// labelRejected, followed by a UTC day and a key, as in
	// EVERTOKEN_REJECTED_20261121_password_1a2b3c4d, says that the provider refused this
	// version by that grant. The day is that of the last try.
	labelRejected = "EVERTOKEN_REJECTED_"
	// labelUnsure, followed by a number, a time and a key, says how many tries in a row got
	// no answer or an unclear one. The time is that of the last try.
	labelUnsure = "EVERTOKEN_UNSURE_"
	// labelAnswer, followed by a status, a key, a class, a code and a hint, holds the
	// provider's last answer. Runs that send nothing report it.
	labelAnswer = "EVERTOKEN_ANSWER_"
	// SeedPrefix, followed by 16 hex digits of a hash over a session's ARN, says that this
	// version's refresh token was sent to open that session.
	SeedPrefix = "EVERTOKEN_SEED_"
)

// How many labels of each kind Evertoken lets a secret have. AWS allows 20 in all.
const (
	mostRejected = 8
	mostUnsure   = 3
	mostAnswers  = 3
)

// anyGrant stands for the grant in the key of a note that depends on no grant: an answer
// that cannot be used.
const anyGrant = "any"

// grantNames are the grants that a label names. Any other grant is written "other".
var grantNames = []string{
	"client_credentials", "refresh_token", "password", "jwt_bearer", "token_exchange", "token",
	anyGrant,
}

// key says what a note is about: a grant and a destination.
type key string

func newKey(grant, hash string) key {
	if !slices.Contains(grantNames, grant) {
		grant = "other"
	}
	return key(grant + "_" + hash)
}

func (k key) grant() string { return string(k)[:max(0, strings.LastIndexByte(string(k), '_'))] }

// destination is a hash over where a connection's credential goes and how it is sent. By
// it, the refusal of another connection does not count for this one, nor a refusal from
// before a setting was corrected.
func destination(c connection.Connection, host string) string {
	var settings any
	_ = json.Unmarshal(c.Settings, &settings) // the provider has parsed them already
	canonical, err := json.Marshal(settings)
	if err != nil {
		panic("encoding what was decoded cannot fail")
	}
	sum := sha256.Sum256([]byte(c.Provider + "\x00" + host + "\x00" + string(canonical)))
	return hex.EncodeToString(sum[:4])
}

func (r *renewal) key(grant string) key {
	return newKey(grant, destination(r.conn, r.job.Provider.Host()))
}

// answer is a provider's answer as a label holds it.
type answer struct {
	status int
	class  exchange.Class
	code   string
	hint   string // as it was reported then; a label may hold only its first sentences
}

// longestLabel is how long a label can be (botocore model,
// SecretVersionStageType).
const longestLabel = 256

// memory is what the labels say about one key.
type memory struct {
	rejected string // the UTC day of the last refused try; empty if none was refused
	unsure   int    // tries in a row without a clear answer
	last     time.Time
	answer   *answer
}

// recall reads what the labels say about a key.
func recall(labels []string, k key) memory {
	var m memory
	for _, label := range labels {
		if rest, ok := strings.CutPrefix(label, labelRejected); ok {
			if day, of, _ := strings.Cut(rest, "_"); of == string(k) {
				m.rejected = max(m.rejected, day)
			}
		}
		if n, at, of, ok := parseUnsure(label); ok && of == k && !at.Before(m.last) {
			m.unsure, m.last = n, at
		}
		if a, of, ok := parseAnswer(label); ok && of == k {
			m.answer = &a
		}
	}
	return m
}

func unsureLabel(n int, at time.Time, k key) string {
	return fmt.Sprintf("%s%d_%s_%s", labelUnsure, n, at.UTC().Format(session.Stamp), k)
}

func parseUnsure(label string) (n int, at time.Time, of key, ok bool) {
	rest, ok := strings.CutPrefix(label, labelUnsure)
	parts := strings.SplitN(rest, "_", 3)
	if !ok || len(parts) != 3 {
		return 0, time.Time{}, "", false
	}
	n, err := strconv.Atoi(parts[0])
	if err != nil || n < 1 {
		return 0, time.Time{}, "", false
	}
	at, err = time.Parse(session.Stamp, parts[1])
	return n, at, key(parts[2]), err == nil
}

func answerLabel(a answer, k key) string {
	label := fmt.Sprintf("%s%d.%s.%s.%s|", labelAnswer, a.status, k, a.class, a.code)
	for _, sentence := range strings.SplitAfter(a.hint, ". ") {
		if len(label)+len(sentence) > longestLabel || strings.ContainsFunc(sentence, notPrintable) {
			break
		}
		label += sentence
	}
	return strings.TrimRight(label, " ")
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }

func parseAnswer(label string) (a answer, of key, ok bool) {
	rest, ok := strings.CutPrefix(label, labelAnswer)
	rest, hint, _ := strings.Cut(rest, "|")
	parts := strings.SplitN(rest, ".", 4)
	if !ok || len(parts) != 4 {
		return answer{}, "", false
	}
	status, err := strconv.Atoi(parts[0])
	return answer{status, exchange.Class(parts[2]), parts[3], hint}, key(parts[1]), err == nil
}

func (m memory) merge(other memory) memory {
	out := m
	out.rejected = max(m.rejected, other.rejected)
	if other.last.After(m.last) {
		out.unsure, out.last = other.unsure, other.last
	}
	if out.answer == nil {
		out.answer = other.answer
	}
	return out
}

// trial are the conditions for trying a grant in a run that no operator forced.
type trial struct {
	now time.Time
	// password says that a further refusal may lock the account.
	password bool
	// worked says that the grant has worked with exactly these values.
	worked bool
}

// unproven is how often Evertoken sends a password that has never worked, if the answers
// are unclear.
const unproven = 3

// over reports whether a person must correct what was sent. No run sends it again unless an
// operator forces it.
func (m memory) over(t trial) bool {
	return t.password && !t.worked && (m.rejected != "" || m.unsure >= unproven)
}

// next is the earliest time at which a run sends it again unforced: once a UTC day after a
// refusal, and with growing pauses, at most six times a day, after an unclear answer. It is
// zero if there is no note.
func (m memory) next() time.Time {
	var at time.Time
	if m.unsure > 0 {
		at = m.last.Add(pause(m.unsure))
	}
	if day, err := time.Parse("20060102", m.rejected); err == nil && day.Add(24*time.Hour).After(at) {
		at = day.Add(24 * time.Hour)
	}
	return at
}

// stale reports whether a day has passed in which it might have been sent again and was not,
// because nothing of the kind was needed. A new unclear answer is then the first in a row.
func (m memory) stale(now time.Time) bool { return m.next().Add(day).Before(now) }

// allows reports whether a run may send it unforced.
func (m memory) allows(t trial) bool { return !m.over(t) && !t.now.Before(m.next()) }

// pauses are the pauses after the first tries in a row without a clear answer. With them
// six tries take eight hours, and the seventh comes a day after the first.
var pauses = []time.Duration{
	5 * time.Minute, 15 * time.Minute, 40 * time.Minute, 2 * time.Hour, 5 * time.Hour, 16 * time.Hour,
}

// pause is how long the next try waits after n tries in a row, less what a heartbeat may be
// early by. After the first day it makes six tries a day.
func pause(n int) time.Duration {
	if n <= len(pauses) {
		return pauses[n-1] - slack
	}
	return 4*time.Hour + slack
}

func today(now time.Time) string { return now.UTC().Format("20060102") }

// dated is the day of a note in the form 2026-11-21.
func dated(day string) string {
	at, err := time.Parse("20060102", day)
	if err != nil {
		return day
	}
	return at.Format(time.DateOnly)
}

// SeedLabel is the label on a credential's version whose refresh token was sent to open
// the session in the secret with that ARN: [SeedPrefix] and the first 16 hex digits of
// the ARN's SHA-256.
func SeedLabel(sessionARN string) string {
	sum := sha256.Sum256([]byte(sessionARN))
	return SeedPrefix + hex.EncodeToString(sum[:8])
}

// IsNote reports whether a label only records the result of sending a version. Such a label
// does not mean that the version is in use.
func IsNote(label string) bool {
	return slices.ContainsFunc([]string{labelRejected, labelUnsure, labelAnswer, SeedPrefix},
		func(prefix string) bool { return strings.HasPrefix(label, prefix) })
}

// otherCredential is a version of the credential that is not current.
type otherCredential struct {
	id     string
	labels []string
	doc    credential.Credential
}

// surplus returns which of a secret's labels must be removed, so that there are not too
// many of a kind. keep is the key that was just noted.
func surplus(labels []string, keep key, day string) []string {
	var rejected, unsure, answers []string
	for _, label := range labels {
		switch {
		case strings.HasPrefix(label, labelRejected):
			rejected = append(rejected, label)
		case strings.HasPrefix(label, labelUnsure):
			unsure = append(unsure, label)
		case strings.HasPrefix(label, labelAnswer):
			answers = append(answers, label)
		}
	}
	// Labels of other days go first. A label about a password never goes: the password may
	// be one that never worked, which no run may send again. If connections that share it
	// removed each other's labels, each would send it again.
	slices.SortFunc(rejected, func(a, b string) int {
		isToday := func(label string) int { return boolInt(strings.HasPrefix(label, labelRejected+day)) }
		return cmp.Or(boolInt(AboutPassword(a))-boolInt(AboutPassword(b)), isToday(a)-isToday(b),
			strings.Compare(a, b))
	})
	slices.SortFunc(unsure, func(a, b string) int {
		_, aAt, _, _ := parseUnsure(a)
		_, bAt, _, _ := parseUnsure(b)
		return cmp.Or(boolInt(AboutPassword(a))-boolInt(AboutPassword(b)), aAt.Compare(bAt))
	})
	var out []string
	for len(rejected) > mostRejected && !AboutPassword(rejected[0]) {
		out, rejected = append(out, rejected[0]), rejected[1:]
	}
	for len(unsure) > mostUnsure && !AboutPassword(unsure[0]) {
		out, unsure = append(out, unsure[0]), unsure[1:]
	}
	left := append(rejected, unsure...)
	for _, label := range answers {
		_, of, _ := parseAnswer(label)
		stale := !slices.ContainsFunc(left, func(l string) bool {
			return strings.HasSuffix(l, string(of))
		})
		if of != keep && (stale || len(answers) > mostAnswers) {
			out, answers = append(out, label), answers[:len(answers)-1:len(answers)-1]
		}
	}
	return out
}

// AboutPassword reports whether a label is about a password. FlexNet's grant is named token,
// and sends a password. Two other grants have token in their names.
func AboutPassword(label string) bool {
	other := strings.Contains(label, "_refresh_token_") || strings.Contains(label, "_token_exchange_")
	return strings.Contains(label, "_password_") || strings.Contains(label, "_token_") && !other
}

// longPast are the oldest labels about passwords on versions that are not in use, beyond the
// number that a secret may have. Without that, each mistyped password would take one of the 20
// labels for ever.
func longPast(versions map[string][]string) []string {
	var found []string
	for _, labels := range versions {
		if !slices.ContainsFunc(labels, func(l string) bool { return !IsNote(l) }) {
			found = append(found, slices.DeleteFunc(slices.Clone(labels), func(l string) bool {
				return !AboutPassword(l)
			})...)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return strings.Compare(noted(b), noted(a)) })
	return found[min(len(found), mostRejected):]
}

// noted is the day, and with an unclear answer also the time, that a label names.
func noted(label string) string {
	if _, at, _, ok := parseUnsure(label); ok {
		return at.Format(session.Stamp)
	}
	day, _, _ := strings.Cut(strings.TrimPrefix(label, labelRejected), "_")
	return day
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
