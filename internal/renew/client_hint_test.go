package renew

import (
	"strings"
	"testing"

	"evertoken/internal/exchange"
)

// A refused refresh may be the fault of a client that was stored since the session was opened. That is
// said only where the credential has nothing else than a refresh token.
func TestOnlyARefusedRefreshOfAnotherCredentialNamesTheClient(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant   exchange.Grant
		verdict verdict
		grants  []exchange.Grant
		fits    bool
		want    bool
	}{
		"another credential":            {exchange.Refresh, refused, []exchange.Grant{seed}, false, true},
		"the credential that opened it": {exchange.Refresh, refused, []exchange.Grant{seed}, true, false},
		"a client can open a session":   {exchange.Refresh, refused, []exchange.Grant{seed, client}, false, false},
		"an unclear answer":             {exchange.Refresh, unsure, []exchange.Grant{seed}, false, false},
		"the seed itself":               {seed, refused, []exchange.Grant{seed}, false, false},
	} {
		s := refreshable
		s.OpenedBy = "other"
		w := newStored(t, s)
		if tt.fits {
			s.OpenedBy = w.credential.Fingerprint(seed.Members...)
			w = newStored(t, s)
		}
		w.grants = tt.grants
		x := &exchange.Error{Status: 400, Class: exchange.GrantDead, Problem: "refused"}
		_ = w.conclude(t.Context(), failures{{attempt: attempt{grant: tt.grant}, x: x, verdict: tt.verdict}})
		if got := strings.Contains(Sentences(w.hints...), "If its client is not the one"); got != tt.want {
			t.Errorf("%s: %q", name, w.hints)
		}
	}
}
