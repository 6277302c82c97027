package renew

import (
	"slices"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// A password is counted before it is sent, and a seed if it would open a session over another.
// What an operator forces is not counted, nor what a candidate holds: but a seed of a candidate
// is, because it may be used up.
func TestWhatIsCountedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant     exchange.Grant
		session   credential.Session
		forced    bool
		candidate bool
		want      bool
	}{
		"a password":                     {password, refreshable, false, false, true},
		"a password, forced":             {password, refreshable, true, false, false},
		"a password, a candidate":        {password, refreshable, false, true, false},
		"a seed":                         {seed, refreshable, false, false, true},
		"a seed, forced":                 {seed, refreshable, true, false, false},
		"a seed, a candidate":            {seed, refreshable, false, true, true},
		"a seed of the first session":    {seed, credential.Session{}, false, false, false},
		"a candidate's, first session":   {seed, credential.Session{}, false, true, false},
		"a seed that may be used again":  {reusable, refreshable, false, false, false},
		"a client":                       {client, refreshable, false, false, false},
		"the session's refresh token":    {exchange.Refresh, refreshable, false, false, false},
		"the session's, for a candidate": {exchange.Refresh, refreshable, false, true, false},
	} {
		w := newStored(t, tt.session)
		w.job.Force, w.job.Candidate = tt.forced, tt.candidate
		if err := w.count(t.Context(), tt.grant); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		noted := w.notes(credentialID, secrets.Current)
		if want := w.unsureNow(1, tt.grant); (noted == want) != tt.want || !tt.want && noted != "" {
			t.Errorf("%s: %q", name, noted)
		}
	}
}

// What is counted takes the place of earlier counts of the same grant, and for a seed of its
// earlier answers. What is noted about another grant stays.
func TestACountReplacesOnlyNotesAboutItsGrant(t *testing.T) {
	t.Parallel()
	for _, g := range []exchange.Grant{seed, password} {
		r := holding(t, both, refreshable)
		notes := func(of exchange.Grant) []string {
			k := r.key(of.Type)
			return []string{
				unsureLabel(1, at.Add(-2*time.Hour), k), unsureLabel(2, at.Add(-time.Hour), k),
				unsureLabel(3, at, k),
				answerLabel(answer{status: 403}, k), labelRejected + "20261121_" + string(k),
			}
		}
		r.job.Credential.Version.Labels = slices.Concat(notes(g), notes(client), []string{SeedLabel("arn")})
		want := notes(g)[:2]
		if !g.Password {
			want = append(want, notes(g)[3])
		}
		if got := r.outdated(g); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", g.Type, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}
