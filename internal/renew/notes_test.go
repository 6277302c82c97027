package renew

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

const keyA, keyB = key("password_0000000a"), key("client_credentials_0000000b")

func TestLabelsTellWhatBecameOfAGrant(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	labels := []string{
		secrets.Current, "EVERTOKEN_REJECTED_20261120_" + string(keyA), "EVERTOKEN_REJECTED_20261119_" + string(keyA),
		unsureLabel(2, at, keyB), unsureLabel(1, at.Add(-h),
			keyB), answerLabel(answer{401, exchange.CredentialDead, "invalid.grant",
			"Do this. " + strings.Repeat("Or that. ", 40)}, keyA),
		answerLabel(answer{0, exchange.Transient, "", ""},
			keyB), "EVERTOKEN_REJECTED_20261121_password_0000000b", "EVERTOKEN_REJECTED_20261121",
		"EVERTOKEN_UNSURE_x_" + string(keyA), "EVERTOKEN_UNSURE_0_20261121T160000Z_" + string(keyA), "EVERTOKEN_ANSWER_401", "7_20261121T170000Z_" + string(keyA), "401." + string(keyA) + ".credential_dead.own|",
		"EVERTOKEN_UNSURE_2_today_" + string(keyA),
	}
	for k, want := range map[key]memory{
		keyA:                  {rejected: "20261120", answer: &answer{401, exchange.CredentialDead, "invalid.grant", "Do this." + strings.Repeat(" Or that.", 19)}},
		keyB:                  {unsure: 2, last: at, answer: &answer{0, exchange.Transient, "", ""}},
		"password_0000000b":   {rejected: "20261121"},
		"password_0000000c":   {},
		"client_credentials_": {},
	} {
		if diff := cmp.Diff(want, recall(labels, k), cmp.AllowUnexported(memory{}, answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	for _, label := range labels {
		if len(label) > 256 {
			t.Errorf("a label of %d characters", len(label))
		}
		if note := strings.HasPrefix(label, "EVERTOKEN_"); IsNote(label) != note {
			t.Errorf("IsNote(%s) = %t", label, !note)
		}
	}
}

// The notes alone say what an unforced run may try again, and when.
func TestNotesSayWhatMayBeSentAgainAndWhen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	rejected := memory{rejected: "20261121"}
	for _, tt := range []struct {
		name             string
		m                memory
		after            time.Duration
		password, worked bool
		allowed, over    bool
	}{
		{"nothing known", memory{}, 0, true, false, true, false},
		{"refused today", rejected, 8*h - 1, false, false, false, false},
		{"refused, the next UTC day", rejected, 8 * h, false, false, true, false},
		{"a password that worked, today", rejected, 8*h - 1, true, true, false, false},
		{"a password that worked, the next day", rejected, 8 * h, true, true, true, false},
		{"a password that never worked, a year later", rejected, 9000 * h, true, false, false, true},
		{"unsure once, a heartbeat later", memory{unsure: 1, last: at}, 4 * m, true, false, true, false},
		{"unsure once, at once", memory{unsure: 1, last: at}, 4*m - 1, true, false, false, false},
		{"unsure twice", memory{unsure: 2, last: at}, 14*m - 1, true, false, false, false},
		{"a password unsure three times that never worked", memory{unsure: 3, last: at}, 9000 * h, true, false, false, true},
		{"a password unsure three times that worked", memory{unsure: 3, last: at}, 39 * m, true, true, true, false},
		{"a client unsure three times", memory{unsure: 3, last: at}, 39 * m, false, false, true, false},
		{"unsure six times", memory{unsure: 6, last: at}, 16*h - m - 1, false, false, false, false},
		{"unsure seven times, a moment earlier", memory{unsure: 7, last: at}, 4*h + m - 1, false, false, false, false},
		{"refused today and unsure since", memory{rejected: "20261121", unsure: 1, last: at}, 8*h - 1, false, false, false, false},
		{"refused yesterday and unsure six times", memory{rejected: "20261120", unsure: 6, last: at}, 16*h - m - 1, false, false, false, false},
		{"unsure seven times", memory{unsure: 7, last: at}, 4*h + m, false, false, true, false},
	} {
		now := trial{now: at.Add(tt.after), password: tt.password, worked: tt.worked}
		if got := tt.m.allows(now); got != tt.allowed {
			t.Errorf("%s: allows = %t", tt.name, got)
		}
		if got := tt.m.over(now); got != tt.over {
			t.Errorf("%s: over = %t", tt.name, got)
		}
	}
}

// The notes of two versions about one grant count as one: the later day, the later count,
// and the first answer.
func TestTheNotesOfTwoVersionsAreMerged(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	one, two := &answer{status: 400}, &answer{status: 500}
	early := memory{rejected: "20261120", unsure: 5, last: at, answer: one}
	late := memory{rejected: "20261121", unsure: 2, last: at.Add(h), answer: two}
	for _, tt := range []struct{ a, b, want memory }{
		{early, late, memory{"20261121", 2, at.Add(h), one}},
		{late, early, memory{"20261121", 2, at.Add(h), two}},
		{memory{}, early, early},
		{early, memory{}, early},
		{memory{rejected: "20261120"}, memory{answer: two}, memory{rejected: "20261120", answer: two}},
	} {
		if diff := cmp.Diff(tt.want, tt.a.merge(tt.b), cmp.AllowUnexported(memory{}, answer{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// However early heartbeats are, no day has more than six tries.
func TestPausesAreSixTriesADay(t *testing.T) {
	t.Parallel()
	var tries []time.Duration
	at := time.Duration(0)
	for n := 1; n <= 40; n++ {
		tries = append(tries, at)
		at += pause(n)
	}
	for i := range len(tries) - 6 {
		if gap := tries[i+6] - tries[i]; gap < 24*h-10*m {
			t.Errorf("the tries %d to %d fall into %s", i, i+6, gap)
		}
	}
}

func TestAnotherDestinationOrSettingIsAnotherKey(t *testing.T) {
	t.Parallel()
	c := connection.Connection{Provider: "oauth2", Settings: []byte(`{"grant":"password","scope":"a"}`)}
	same := destination(c, "example.com")
	spaced := c
	spaced.Settings = []byte("{ \"scope\": \"a\",\n\"grant\":\"password\"}")
	spaced.Name, spaced.MinRemaining = "other", time.Hour
	if got := destination(spaced, "example.com"); got != same || len(got) != 8 {
		t.Errorf("the same settings give %s and %s", same, got)
	}
	other := c
	other.Settings = []byte(`{"grant":"password","scope":"b"}`)
	otherProvider := c
	otherProvider.Provider = "apiax"
	for name, got := range map[string]string{"a setting": destination(other, "example.com"), "a host": destination(c, "example.org"), "a provider": destination(otherProvider, "example.com")} {
		if got == same {
			t.Errorf("%s does not count", name)
		}
	}
	if got := newKey("urn:acme:grant", same); got != key("other_"+same) || got.grant() != "other" {
		t.Errorf("a free name is written %s", got)
	}
}

// AWS allows 20 labels, of which at most eight are rejections: those of other
// days go first, and a note on a password never.
func TestSurplusLabelsGoAndThoseOnPasswordsStay(t *testing.T) {
	t.Parallel()
	var labels []string
	for i := range 5 {
		labels = append(labels,
			fmt.Sprintf("EVERTOKEN_REJECTED_20261121_client_credentials_0000000%d",
				i), fmt.Sprintf("EVERTOKEN_REJECTED_2026111%d_refresh_token_0000000%d", i, i))
	}
	labels = append(labels, "EVERTOKEN_REJECTED_20250101_password_00000001", secrets.Current,
		"EVERTOKEN_SEED_0000000000000001")
	got := surplus(labels, keyB, "20261121")
	want := []string{"EVERTOKEN_REJECTED_20261110_refresh_token_00000000",
		"EVERTOKEN_REJECTED_20261111_refresh_token_00000001", "EVERTOKEN_REJECTED_20261112_refresh_token_00000002"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejections that go (-want +got):\n%s", diff)
	}
	for range labels { // in whatever order AWS lists them
		labels = append(labels[1:], labels[0])
		if diff := cmp.Diff(want, surplus(labels, keyB, "20261121")); diff != "" {
			t.Errorf("rejections that go, of %q (-want +got):\n%s", labels, diff)
		}
	}
	var passwords []string
	for i := range 9 {
		passwords = append(passwords, fmt.Sprintf("EVERTOKEN_REJECTED_2026112%d_password_0000000%d", i, i))
	}
	if got := surplus(passwords, keyA, "20261128"); len(got) != 0 {
		t.Errorf("of passwords alone %q go", got)
	}
	at := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	var unsure []string
	for i := range 4 {
		k := key(fmt.Sprintf("refresh_token_0000000%d", i))
		unsure = append(unsure, unsureLabel(9-i, at.Add(time.Duration(i)*m), k),
			answerLabel(answer{503, exchange.Transient, "x", ""}, k))
	}
	got = surplus(unsure, "refresh_token_00000003", "20261121")
	slices.Sort(got)
	if len(got) != 2 || !strings.HasSuffix(got[1], "_refresh_token_00000000") ||
		!strings.Contains(got[0], ".refresh_token_00000000.") {
		t.Errorf("of the unsure notes %q are removed", got)
	}
	mixed := []string{unsureLabel(1, at, "password_0000000a"), unsureLabel(1, at.Add(2*m), "token_0000000a")}
	for i := range 3 {
		mixed = append(mixed,
			unsureLabel(1, at.Add(time.Duration(i+3)*m),
				key(fmt.Sprintf("refresh_token_0000000%d", i))))
	}
	for range mixed {
		mixed = append(mixed[1:], mixed[0])
		got := surplus(mixed, keyA, "20261121")
		if len(got) != 2 || !strings.HasSuffix(got[0], "_refresh_token_00000000") ||
			!strings.HasSuffix(got[1], "_refresh_token_00000001") {
			t.Errorf("of %q %q go", mixed, got)
		}
	}
	for i := range passwords {
		passwords[i] = unsureLabel(1, at, key(fmt.Sprintf("token_0000000%d", i)))
	}
	if got := surplus(passwords, keyA, "20261121"); len(got) != 0 {
		t.Errorf("of the unsure notes about passwords %q are removed", got)
	}
}

func TestALabelIsAboutAPasswordByItsGrant(t *testing.T) {
	t.Parallel()
	about := []string{"password", "token"}
	for _, grant := range grantNames {
		k := newKey(grant, "0000000a")
		for _, label := range []string{unsureLabel(1, at, k), labelRejected + "20261121_" + string(k)} {
			if got, want := AboutPassword(label), slices.Contains(about, grant); got != want {
				t.Errorf("%s: %t", label, got)
			}
		}
	}
}

func TestEveryFailureHasItsVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		grant  exchange.Grant
		x      exchange.Error
		worked bool
		want   verdict
	}{
		{"a password, any 4xx", password, exchange.Error{Class: exchange.Misconfigured, Status: 404}, false, refused},
		{"a password, a wrong scope", password, exchange.Error{Class: exchange.Misconfigured, Status: 400, Code: "invalid_scope"}, true, refused},
		{"a password, 408", password, exchange.Error{Class: exchange.Transient, Status: 408}, false, passing},
		{"a password, 425", password, exchange.Error{Class: exchange.Misconfigured, Status: 425}, false, passing},
		{"a password, 429", password, exchange.Error{Class: exchange.Misconfigured, Status: 429}, false, passing},
		{"a password, throttled in a 400", password, exchange.Error{Class: exchange.Throttled, Status: 400}, false, passing},
		{"a password, a passing cause in a 400", password, exchange.Error{Class: exchange.Transient, Status: 400}, false, passing},
		{"a password, 500", password, exchange.Error{Class: exchange.Transient, Status: 500}, true, unsure},
		{"a password, 499", password, exchange.Error{Class: exchange.Transient, Status: 499}, true, passing},
		{"a password, 400 in unknown words", password, exchange.Error{Class: exchange.Misconfigured, Status: 400, Unsure: true}, true, refused},
		{"a password, 399", password, exchange.Error{Class: exchange.Misconfigured, Status: 399}, true, unsure},
		{"a password, dead in a 429", password, exchange.Error{Class: exchange.CredentialDead, Status: 429}, false, refused},
		{"a password, 503", password, exchange.Error{Class: exchange.Transient, Status: 503}, true, unsure},
		{"a password, dead in a 503", password, exchange.Error{Class: exchange.CredentialDead, Status: 503}, true, unsure},
		{"a password, dead in a 200", password, exchange.Error{Class: exchange.CredentialDead, Status: 200}, false, refused},
		{"a password, a redirect", password, exchange.Error{Class: exchange.Misconfigured, Status: 302}, false, unsure},
		{"a password, no answer", password, exchange.Error{Class: exchange.Transient, Lost: true}, true, unsure},
		{"a password that never left", password, exchange.Error{Class: exchange.Transient}, true, passing},
		{"a client, refused", client, exchange.Error{Class: exchange.CredentialDead, Status: 401}, true, refused},
		{"a client, not sure", client, exchange.Error{Class: exchange.CredentialDead, Status: 403, Unsure: true}, true, unsure},
		{"a client, 503", client, exchange.Error{Class: exchange.Transient, Status: 503}, true, passing},
		{"a client, a wrong scope", client, exchange.Error{Class: exchange.Misconfigured, Status: 400}, true, passing},
		{"a refresh token, dead", exchange.Refresh, exchange.Error{Class: exchange.GrantDead, Status: 400}, false, refused},
		{"a refresh token, its client refused", exchange.Refresh, exchange.Error{Class: exchange.CredentialDead, Status: 401}, true, unsure},
		{"a refresh token, unknown words in a 400", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 400, Unsure: true}, true, refused},
		{"a refresh token, unknown words in a 401", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 401, Unsure: true}, true, refused},
		{"a refresh token, a codeless 403", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 403, Unsure: true}, true, unsure},
		{"a refresh token that never worked, unknown words", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 400, Unsure: true}, false, unsure},
		{"a seed, its client refused", seed, exchange.Error{Class: exchange.CredentialDead, Status: 401}, false, refused},
		{"a seed that survives, unknown words", reusable, exchange.Error{Class: exchange.Misconfigured, Status: 401, Unsure: true}, true, refused},
		{"a refresh token, unknown words in a 410", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 410, Unsure: true}, true, refused},
		{"a refresh token, unknown words in a 422", exchange.Refresh, exchange.Error{Class: exchange.Misconfigured, Status: 422, Unsure: true}, true, refused},
		{"a refresh token, dead in a 429", exchange.Refresh, exchange.Error{Class: exchange.GrantDead, Status: 429}, false, refused},
		{"a client that was lost", client, exchange.Error{Class: exchange.Transient, Lost: true}, true, passing},
		{"an answer that cannot be used", client, exchange.Error{Class: exchange.Misconfigured, Status: 200, Unusable: true}, true, unsure},
	} {
		if got := judge(tt.grant, &tt.x, tt.worked); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// An answer goes with the label that it explains, and where there are more than three. The
// one that was just noted stays.
func TestAnAnswerGoesWithWhatItExplains(t *testing.T) {
	t.Parallel()
	about := func(i int) key { return key(fmt.Sprintf("refresh_token_0000000%d", i)) }
	var explained []string // as many answers as there may be, and one more
	for i := range mostAnswers + 1 {
		explained = append(explained, labelRejected+"20261121_"+string(about(i)), answerLabel(answer{status: 400}, about(i)))
	}
	unexplained := answerLabel(answer{status: 400}, about(9))
	for name, tt := range map[string]struct {
		labels []string
		keep   key
		want   []string
	}{
		"as many as there may be":     {explained[:2*mostAnswers], "", nil},
		"one more":                    {explained, "", []string{explained[1]}},
		"one more, the first is kept": {explained, about(0), []string{explained[3]}},
		"one that explains nothing":   {[]string{explained[0], explained[1], unexplained}, "", []string{unexplained}},
		"one that was just noted":     {[]string{explained[0], explained[1], unexplained}, about(9), nil},
	} {
		if diff := cmp.Diff(tt.want, surplus(tt.labels, tt.keep, "20261121")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A hint's sentences go into a label as long as they fit, up to AWS's 256 characters.
func TestALabelHoldsWholeSentencesOfAHint(t *testing.T) {
	t.Parallel()
	prefix := len(answerLabel(answer{status: 401}, keyA))
	for length, fits := range map[int]bool{longestLabel - prefix: true, longestLabel - prefix + 1: false} {
		label := answerLabel(answer{status: 401, hint: strings.Repeat("x", length)}, keyA)
		if got := strings.HasSuffix(label, "x"); got != fits || len(label) > longestLabel {
			t.Errorf("a hint of %d characters: a label of %d", length, len(label))
		}
	}
	for second, taken := range map[string]bool{"Two ~.": true, "Two\n.": false, "Two\x1f.": false, "Two\x7f.": false, "Tw\u00f3.": false} {
		label := answerLabel(answer{status: 401, hint: "One. " + second}, keyA)
		if got := strings.HasSuffix(label, second); got != taken || !taken && !strings.HasSuffix(label, "|One.") {
			t.Errorf("%q: %q", second, label)
		}
	}
}

// Of the labels about passwords on versions that are not in use the newest stay. Other labels, and
// those on versions in use, are not counted.
func TestTheOldestLabelsAboutPasswordsGo(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 11, 16, 0, 0, 0, time.UTC)
	old := "EVERTOKEN_REJECTED_20250101_"
	versions := map[string][]string{
		"current":  {secrets.Current, old + "password_0000000a"},
		"previous": {old + "password_0000000b", secrets.Previous},
		"seed":     {old + "client_credentials_0000000c", "EVERTOKEN_SEED_0000000000000001"},
		"unclear":  {unsureLabel(1, at, "token_0000000d")},
	}
	for i := range mostRejected - 1 {
		versions[fmt.Sprint(i)] = []string{fmt.Sprintf("EVERTOKEN_REJECTED_2026111%d_password_0000000%d", i, i)}
	}
	if got := longPast(versions); len(got) > 0 {
		t.Errorf("of as many as may stay %q go", got)
	}
	versions["new"] = []string{"EVERTOKEN_REJECTED_20261117_password_00000007", unsureLabel(1, at.Add(10*24*h), "token_0000000e")}
	versions["last"] = []string{"EVERTOKEN_REJECTED_20261118_password_00000008"}
	want := []string{unsureLabel(1, at, "token_0000000d"), versions["1"][0], versions["0"][0]}
	if diff := cmp.Diff(want, longPast(versions)); diff != "" {
		t.Errorf("the labels that go (-want +got):\n%s", diff)
	}
}
