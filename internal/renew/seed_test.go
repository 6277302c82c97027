package renew

import (
	"strings"
	"testing"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// parsed is a credential document.
func parsed(t *testing.T, document string) credential.Credential {
	t.Helper()
	doc, err := credential.Parse(redact.New(document))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

const seeded = `{"client_id":"i","client_secret":"s","refresh_token":"a"}`

// A seed is spent if it is the refresh token of the session in force, or the one that opened
// that session, with whatever client. No other grant is ever spent.
func TestOnlyASeedOfTheSessionInForceIsSpent(t *testing.T) {
	t.Parallel()
	opened, another := parsed(t, seeded).Fingerprint("refresh_token"), "another"
	for name, tt := range map[string]struct {
		document string
		grant    exchange.Grant
		refresh  string // the session's
		bySeed   string
		want     bool
	}{
		"opened it":                          {seeded, seed, "r", opened, true},
		"is the session's own refresh token": {seeded, seed, "a", "", true},
		"another seed opened it":             {seeded, seed, "r", another, false},
		"no seed opened it":                  {seeded, seed, "r", "", false},
		"the session has no refresh token":   {seeded, seed, "", opened, false},
		"may be used again":                  {seeded, reusable, "a", opened, false},
		"a password":                         {both, password, "r", opened, false},
	} {
		s := credential.Session{RefreshToken: redact.New(tt.refresh), OpenedBySeed: tt.bySeed}
		if got := holding(t, tt.document, s).spentSeed(tt.grant); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A session that is stored elsewhere belongs to a credential with the members that opened it,
// or with the seed that did.
func TestASessionBelongsToTheCredentialThatHoldsItsSeed(t *testing.T) {
	t.Parallel()
	bySeed := parsed(t, seeded).Fingerprint("refresh_token")
	byPassword := parsed(t, both).Fingerprint(password.Members...)
	for name, tt := range map[string]struct {
		document string
		grant    exchange.Grant
		stored   credential.Session
		want     bool
	}{
		"the same seed":                       {seeded, seed, credential.Session{OpenedBy: "x", OpenedBySeed: bySeed}, true},
		"another seed":                        {seeded, seed, credential.Session{OpenedBy: "x", OpenedBySeed: "y"}, false},
		"the same password":                   {both, password, credential.Session{OpenedBy: byPassword}, true},
		"another password":                    {both, password, credential.Session{OpenedBy: "x"}, false},
		"a password, and a session of a seed": {both, password, credential.Session{OpenedBy: "x", OpenedBySeed: bySeed}, false},
		"may be used again":                   {seeded, reusable, credential.Session{OpenedBy: "x", OpenedBySeed: bySeed}, false},
	} {
		r := holding(t, tt.document, credential.Session{})
		r.grants = []exchange.Grant{tt.grant}
		if got := r.belongs(tt.stored); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A seed that was sent without an answer may be used up. A refusal is an answer, from the first
// status that is no success.
func TestARefusalLeavesNoDoubtAboutASeed(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{0: 2, 200: 2, 299: 2, 300: 0, 400: 0} {
		r := holding(t, seeded, refreshable)
		r.job.Credential.Version.Labels = []string{unsureLabel(2, at, r.key(seed.Type))}
		if status > 0 {
			told := answerLabel(answer{status: status}, r.key(seed.Type))
			r.job.Credential.Version.Labels = append(r.job.Credential.Version.Labels, told)
		}
		if got := r.seedDoubt(seed); got.Sent != want || want > 0 && !got.Last.Equal(at) {
			t.Errorf("answered %d: %+v", status, got)
		}
	}
}

// A seed that has opened a session is tried again as a candidate if nothing was kept of that
// session. One that belongs to the session in force is not.
func TestACandidatesSeedIsTriedUnlessItIsSpent(t *testing.T) {
	t.Parallel()
	opened := parsed(t, seeded).Fingerprint(seed.Members...)
	for refresh, sends := range map[string]int{"": 1, "a": 0} {
		s := credential.Session{RefreshToken: redact.New(refresh), OpenedBy: opened}
		r := holding(t, seeded, s)
		r.now, r.job.Candidate, r.grants = at, true, []exchange.Grant{seed}
		p := r.plan()
		if len(p.attempts) != sends || (p.why == nil) != (sends > 0) {
			t.Errorf("the session has %q: %d attempts, %v", refresh, len(p.attempts), p.why)
		}
	}
}

// That a seed is spent is no reason to stop a connection, except where it was tried as a
// candidate. And a candidate that is not spent is not called so.
func TestOnlyACandidateIsCalledSpent(t *testing.T) {
	t.Parallel()
	const spent = "the refresh token belongs to the session in force"
	for name, tt := range map[string]struct {
		refresh   string // the session's, which was refused
		candidate bool
		want      string
	}{
		"spent, a candidate":     {"a", true, spent},
		"spent":                  {"a", false, "the provider refused the refresh token of the session"},
		"not spent, a candidate": {"r", true, "the provider refused the refresh token of the session"},
		"not spent":              {"r", false, "the provider refused the refresh token of the session"},
	} {
		r := holding(t, seeded, credential.Session{RefreshToken: redact.New(tt.refresh), OpenedBy: "other"})
		r.now, r.job.Candidate, r.grants = at, tt.candidate, []exchange.Grant{seed}
		v := r.session.Version()
		v.Labels = []string{labelRejected + "20261121_" + string(r.key(exchange.Refresh.Type))}
		r.session.Use(v)
		if got := asStopped(r.nothing(false)); !strings.HasPrefix(got.Reason, tt.want) {
			t.Errorf("%s: %s", name, got.Reason)
		}
	}
}
