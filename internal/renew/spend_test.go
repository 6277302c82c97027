package renew

import (
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// A run makes another attempt only where it has a better grant than the failed one, or
// where the token is about to die.
func TestARunMakesAnotherAttemptOnlyWithABetterGrant(t *testing.T) {
	t.Parallel()
	byClient, refresh := attempt{grant: client}, attempt{grant: exchange.Refresh}
	for name, tt := range map[string]struct {
		made      attempt
		verdict   verdict
		x         exchange.Error
		next      attempt
		multi     bool // refresh tokens may be sent again and again
		replay    bool // the provider takes a spent refresh token once more
		late      bool
		emergency bool
		want      bool
	}{
		"refused":                              {byClient, refused, exchange.Error{}, refresh, false, false, false, false, true},
		"refused, an answer of no use":         {byClient, refused, exchange.Error{Unusable: true}, refresh, false, false, false, true, false},
		"the client refused, in a refresh":     {refresh, unsure, exchange.Error{Class: exchange.CredentialDead}, byClient, false, false, false, true, false},
		"the client refused":                   {byClient, unsure, exchange.Error{Class: exchange.CredentialDead}, refresh, false, false, false, true, true},
		"an outage":                            {byClient, passing, exchange.Error{Status: 503}, refresh, false, false, true, false, false},
		"an outage, in an emergency":           {byClient, passing, exchange.Error{Status: 503}, refresh, false, false, false, true, true},
		"an outage, before the old session":    {byClient, passing, exchange.Error{Status: 503}, attempt{grant: exchange.Refresh, fallback: true}, false, false, false, false, true},
		"a lost refresh":                       {refresh, passing, exchange.Error{Lost: true}, byClient, false, false, false, false, true},
		"a lost refresh that may be repeated":  {refresh, passing, exchange.Error{Lost: true}, byClient, false, true, false, false, false},
		"a lost refresh, never single-use":     {refresh, passing, exchange.Error{Lost: true}, byClient, true, false, false, false, false},
		"a lost opening":                       {byClient, passing, exchange.Error{Lost: true}, refresh, false, false, false, false, false},
		"a refresh whose outage lasts":         {refresh, passing, exchange.Error{Status: 500}, byClient, false, false, true, false, true},
		"a refresh with an outage":             {refresh, passing, exchange.Error{Status: 500}, byClient, false, false, false, false, false},
		"a refresh refused for a second, late": {refresh, passing, exchange.Error{Status: 499}, byClient, false, false, true, false, false},
	} {
		r := holding(t, both, refreshable)
		r.traits.SingleUse, r.traits.Replay, r.decision.Emergency = !tt.multi, tt.replay, tt.emergency
		r.now = r.facts().RenewAfter()
		if tt.late {
			r.now = r.now.Add(2 * r.Every)
		}
		if got := r.goesOn(failure{attempt: tt.made, verdict: tt.verdict, x: &tt.x}, tt.next); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A token is late two heartbeats after its renew_after; a missing token is not late.
func TestATokenIsLateTwoHeartbeatsAfterItsTime(t *testing.T) {
	t.Parallel()
	r := holding(t, both, credential.Session{})
	for after, want := range map[time.Duration]bool{-time.Hour: false, 2*r.Every - 1: false, 2 * r.Every: true, time.Hour: true} {
		if r.now = r.facts().RenewAfter().Add(after); r.late() != want {
			t.Errorf("%s after: %t", after, !want)
		}
	}
	if r.token = nil; r.late() {
		t.Error("late without a token")
	}
}

// A token ends with its session where the provider showed that end, and where a new
// session can be opened before it.
func TestATokenEndsWithItsSession(t *testing.T) {
	t.Parallel()
	issuedAt, expiresAt := at, at.Add(time.Hour)
	for name, tt := range map[string]struct {
		end    time.Time
		grants []exchange.Grant
		want   time.Time
	}{
		"within the token's life":         {at.Add(time.Minute), []exchange.Grant{client}, at.Add(time.Minute)},
		"not shown":                       {time.Time{}, []exchange.Grant{client}, expiresAt},
		"after the token's end":           {expiresAt.Add(time.Second), []exchange.Grant{client}, expiresAt},
		"before it was issued":            {issuedAt.Add(-time.Second), []exchange.Grant{client}, expiresAt},
		"when it was issued":              {issuedAt, []exchange.Grant{client}, expiresAt},
		"nothing opens another":           {at.Add(time.Minute), nil, expiresAt},
		"a second after it was issued":    {issuedAt.Add(time.Second), []exchange.Grant{client}, issuedAt.Add(time.Second)},
		"a second before the token's end": {expiresAt.Add(-time.Second), []exchange.Grant{client}, expiresAt.Add(-time.Second)},
	} {
		s := refreshable
		s.EndsAt = tt.end
		r := holding(t, both, s)
		r.now, r.grants = at, tt.grants
		got := r.cut(exchange.Issued{IssuedAt: issuedAt, ExpiresAt: expiresAt})
		if !got.ExpiresAt.Equal(tt.want) {
			t.Errorf("%s: %s", name, got.ExpiresAt)
		}
	}
}

// Only a refresh token that a person stored lets a token say when a person is needed, and
// a known time stays as long as the credential is the same.
func TestOnlyAPersonsRefreshTokenDatesTheNeedOfAPerson(t *testing.T) {
	t.Parallel()
	known, end, told := at.Add(48*time.Hour), at.Add(24*time.Hour), at.Add(12*time.Hour)
	for name, tt := range map[string]struct {
		told   time.Time
		grants []exchange.Grant
		change func(r *renewal)
		want   time.Time
	}{
		"the provider told it":                      {told, []exchange.Grant{seed}, nil, told},
		"the session's end":                         {time.Time{}, []exchange.Grant{seed}, nil, end},
		"something stronger is stored":              {time.Time{}, []exchange.Grant{seed, client}, func(r *renewal) { r.published.NeedsPersonAt = time.Time{} }, time.Time{}},
		"no grant":                                  {time.Time{}, nil, func(r *renewal) { r.published.NeedsPersonAt = time.Time{} }, time.Time{}},
		"it was known":                              {time.Time{}, []exchange.Grant{client}, nil, known},
		"it was known, and has passed":              {time.Time{}, []exchange.Grant{client}, func(r *renewal) { r.published.NeedsPersonAt = at }, time.Time{}},
		"it was known, without a token":             {time.Time{}, []exchange.Grant{client}, func(r *renewal) { r.token = nil }, time.Time{}},
		"it was known, the credential was not read": {time.Time{}, []exchange.Grant{client}, func(r *renewal) { r.job.Credential = nil }, time.Time{}},
		"it was known, the credential's age is not": {time.Time{}, []exchange.Grant{client},
			func(r *renewal) { r.job.Credential.Version.Created = time.Time{} }, time.Time{}},
		"it was known, the credential is newer": {time.Time{}, []exchange.Grant{client},
			func(r *renewal) { r.job.Credential.Version.Created = r.token.IssuedAt.Add(1) }, time.Time{}},
		"it was known, the credential is as old": {time.Time{}, []exchange.Grant{client},
			func(r *renewal) { r.job.Credential.Version.Created = r.token.IssuedAt }, known},
		"the credential cannot be used": {time.Time{}, []exchange.Grant{seed},
			func(r *renewal) { r.noCredential, r.published.NeedsPersonAt = &Stopped{}, time.Time{} }, time.Time{}},
	} {
		s := refreshable
		s.EndsAt = end
		r := holding(t, both, s)
		r.now, r.grants, r.published.NeedsPersonAt = at, tt.grants, known
		if tt.change != nil {
			tt.change(r)
		}
		token := credential.Token{NeedsPersonAt: tt.told}
		if r.needsPerson(&token); !token.NeedsPersonAt.Equal(tt.want) {
			t.Errorf("%s: %s", name, token.NeedsPersonAt)
		}
	}
}

// A run reports the last failure with a verdict.
func TestTheLastFailureOfAKindIsReported(t *testing.T) {
	t.Parallel()
	first, second, refresh := &exchange.Error{Status: 401}, &exchange.Error{Status: 403}, &exchange.Error{Status: 400}
	f := failures{
		{attempt: attempt{grant: exchange.Refresh}, x: refresh, verdict: refused},
		{attempt: attempt{grant: client}, x: first, verdict: refused},
		{attempt: attempt{grant: password}, x: second, verdict: refused},
		{attempt: attempt{grant: exchange.Refresh}, x: first, verdict: passing},
	}
	if got := f.of(refused, ofCredential); got == nil || got.x != second {
		t.Errorf("of the credential: %+v", got)
	}
	if got := f.of(refused, ofSession); got == nil || got.x != refresh {
		t.Errorf("of the session: %+v", got)
	}
	if got := f.of(unsure, ofSession); got != nil {
		t.Errorf("unsure: %+v", got)
	}
	if got := f[:1].of(refused, ofSession); got == nil {
		t.Error("the only one is not found")
	}
}

// A run reports what failed although the connection has its token.
func TestAFailureIsReportedThoughThereIsAToken(t *testing.T) {
	t.Parallel()
	x := &exchange.Error{Status: 401, Class: exchange.CredentialDead, Problem: "no", Hint: "Do this."}
	for _, tt := range []struct {
		made   attempt
		failed failures
		want   string
	}{
		{attempt{grant: client}, nil, ""},
		{attempt{grant: client}, failures{{x: x}}, "Evertoken used the client_credentials grant, because another grant failed"},
		{attempt{grant: exchange.Refresh, fallback: true}, failures{{x: x}}, "Do this."},
	} {
		r := holding(t, both, refreshable)
		r.tellFailures(tt.made, tt.failed)
		got := Sentences(r.hints...)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q, want %q", got, tt.want)
		}
		if tt.made.fallback != strings.Contains(got, "A new session could not be opened") {
			t.Errorf("%q", got)
		}
	}
}

// A run that uses the old session says so if nothing of the changed credential could be sent.
// Any other run has nothing to say.
func TestOnlyAnOldSessionInUseIsReported(t *testing.T) {
	t.Parallel()
	refresh, opened := attempt{grant: exchange.Refresh}, parsed(t, both).Fingerprint(password.Members...)
	for name, tt := range map[string]struct {
		made     attempt
		openedBy string
		grants   []exchange.Grant
		want     bool
	}{
		"the old session":                  {refresh, "other", []exchange.Grant{password}, true},
		"the session of the credential":    {refresh, opened, []exchange.Grant{password}, false},
		"the old one, which is told":       {attempt{exchange.Refresh, true}, "other", []exchange.Grant{password}, false},
		"the old one, and nothing to send": {refresh, "other", nil, false},
		"a client":                         {attempt{grant: client}, "", []exchange.Grant{client}, false},
		"a password in its session":        {attempt{grant: password}, opened, []exchange.Grant{password}, false},
	} {
		r := holding(t, both, credential.Session{RefreshToken: redact.New("r"), OpenedBy: tt.openedBy})
		r.grants = tt.grants
		r.tellFailures(tt.made, nil)
		if got := Sentences(r.hints...); strings.HasPrefix(got, "A new session could not be opened") != tt.want ||
			!tt.want && got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A failed exchange that brought a refresh token is not lost: its session is stored.
func TestARefreshTokenOfAFailedExchangeIsStored(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant   exchange.Grant
		fits    bool
		x       exchange.Error
		refresh string
		verdict verdict
		class   exchange.Class
		lost    bool
		stored  string
	}{
		"nothing came":                {client, true, exchange.Error{Status: 200, Unusable: true, Lost: true, Class: exchange.Transient}, "", unsure, exchange.Transient, true, "r"},
		"a session came":              {client, true, exchange.Error{Status: 200, Unusable: true, Lost: true, Class: exchange.Transient}, "new", unsure, exchange.Transient, false, "new"},
		"the same refresh token came": {exchange.Refresh, true, exchange.Error{Status: 200, Unusable: true, Lost: true, Class: exchange.Transient}, "r", unsure, exchange.Transient, true, "r"},
		"a refresh refused in unknown words, that worked":           {exchange.Refresh, true, exchange.Error{Status: 400, Unsure: true, Class: exchange.Transient}, "", refused, exchange.GrantDead, false, "r"},
		"a refresh refused in unknown words, of another credential": {exchange.Refresh, false, exchange.Error{Status: 400, Unsure: true, Class: exchange.Transient}, "", unsure, exchange.Transient, false, "r"},
		"a refresh refused in known words":                          {exchange.Refresh, true, exchange.Error{Status: 400, Class: exchange.GrantDead, Problem: "p"}, "", refused, exchange.GrantDead, false, "r"},
		"a seed that never worked, refused in unknown words": {
			seed, false,
			exchange.Error{Status: 400, Unsure: true,
				Class: exchange.Transient}, "", unsure, exchange.Transient, false, "r",
		},
		"a client refused in unknown words": {client, true, exchange.Error{Status: 400, Unsure: true, Class: exchange.Transient}, "", unsure, exchange.Transient, false, "r"},
	} {
		s := refreshable
		w := newStored(t, s)
		if tt.fits {
			s.OpenedBy = w.credential.Fingerprint(client.Members...)
			w = newStored(t, s)
		}
		w.grants = []exchange.Grant{client}
		issued := exchange.Issued{IssuedAt: at, RefreshToken: redact.New(tt.refresh)}
		f := w.failed(t.Context(), attempt{grant: tt.grant}, issued, &tt.x)
		if f.verdict != tt.verdict || f.x.Class != tt.class || f.x.Lost != tt.lost {
			t.Errorf("%s: verdict %d, %s, lost %t", name, f.verdict, f.x.Class, f.x.Lost)
		}
		if got := w.session.Session().RefreshToken.Reveal(); got != tt.stored {
			t.Errorf("%s: the session holds %q", name, got)
		}
	}
}
