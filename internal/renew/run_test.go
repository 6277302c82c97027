package renew

import (
	"context"
	"strings"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// A run says why nothing is due, and does not renew a token that is newer than the one
// that a reader saw fail.
func TestWhyNothingIsDue(t *testing.T) {
	t.Parallel()
	early := at.Add(-30 * time.Minute)
	for name, tt := range map[string]struct {
		change func(r *renewal)
		want   string
	}{
		"it is fresh": {func(*renewal) {}, reasonFresh},
		"it is due":   {func(r *renewal) { r.now = r.token.ExpiresAt.Add(-time.Minute) }, ""},
		"it has died, and this run waits": {func(r *renewal) {
			r.now = r.token.ExpiresAt.Add(10 * r.Every)
			for r.facts().backOffOver() {
				r.now = r.now.Add(r.Every)
			}
		}, ""},
		"forced": {func(r *renewal) { r.job.Force = true }, ""},
		"forced for this token": {func(r *renewal) {
			r.job.Force, r.job.IssuedAt = true, r.token.IssuedAt
		}, ""},
		"forced for an older token":    {func(r *renewal) { r.job.Force, r.job.IssuedAt = true, early }, "another token was published since"},
		"an older token, and no force": {func(r *renewal) { r.job.IssuedAt = early }, reasonFresh},
		"forced for a token that is gone": {func(r *renewal) {
			r.job.Force, r.job.IssuedAt, r.token = true, early, nil
		}, ""},
	} {
		r := holding(t, both, credential.Session{})
		r.now = early
		tt.change(r)
		if got := r.fresh(t.Context()); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	r := holding(t, both, credential.Session{})
	r.now, r.noCredential = early, &Stopped{Reason: "no credential", Hint: "store it"}
	if r.fresh(t.Context()); Sentences(r.hints...) != "No credential. Store it." {
		t.Errorf("hints %q", r.hints)
	}
}

// closed is a gate that lets no request pass.
type closed struct{ noGate }

func (closed) Closed() *exchange.Error {
	return &exchange.Error{Status: 429, Class: exchange.Throttled, Problem: "slow down"}
}

// No exchange begins in a pause, at a host that just refused, or without time to store
// its result.
func TestNoExchangeBeginsInAPauseOrWithoutTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(w *stored)
		left    time.Duration
		want    string
		outcome Outcome
	}{
		"nothing":                     {func(*stored) {}, time.Hour, "", ""},
		"a pause":                     {func(w *stored) { w.decision = Decision{BackOff: true, Reason: "paused"} }, time.Hour, "paused", Failed},
		"the host":                    {func(w *stored) { w.job.Gate = closed{} }, time.Hour, "another connection to this provider was just answered", Failed},
		"the time":                    {func(*stored) {}, time.Second, "no time left in this run", Deferred},
		"a token secret that is gone": {func(w *stored) { w.conn.Token = "evertoken/c/other" }, time.Hour, "the token secret evertoken/c/other does not exist", Failed},
		"a replica":                   {func(w *stored) { w.aws.SetReplica(tokenID, "eu-west-1") }, time.Hour, "the token secret is a replica", Failed},
		"a replica, for a rotation": {func(w *stored) {
			w.aws.SetReplica(tokenID, "eu-west-1")
			w.keep = keepNothing
		}, time.Hour, "", ""},
		"a replica, and a parameter": {func(w *stored) {
			w.aws.SetReplica(tokenID, "eu-west-1")
			w.conn.TokenParameter = "/evertoken/c"
		}, time.Hour, "", ""},
		"a replica, described already": {func(w *stored) {
			w.described["token"] = &secrets.Description{PrimaryRegion: "eu-west-1"}
		}, time.Hour, "the token secret is a replica", Failed},
	} {
		w := newStored(t, credential.Session{})
		tt.change(w)
		ctx, cancel := context.WithTimeout(t.Context(), tt.left)
		err := w.mayBegin(ctx)
		cancel()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s keeps nothing", name)
			continue
		}
		if got := asStopped(err); !strings.Contains(got.Reason, tt.want) || got.Outcome != tt.outcome {
			t.Errorf("%s: %s: %s", name, got.Outcome, got.Reason)
		}
	}
}

// A rotation in progress delays a run, unless the token is about to die. Without a
// rotation schedule nothing is in progress.
func TestARotationInProgressDelaysARun(t *testing.T) {
	t.Parallel()
	pending := map[string][]string{"a": {secrets.Current}, "b": {secrets.Pending}}
	for name, tt := range map[string]struct {
		labels  map[string][]string
		enabled bool
		change  func(r *renewal)
		waits   bool
		told    bool
	}{
		"in progress":            {pending, true, nil, true, false},
		"no schedule":            {pending, false, nil, false, false},
		"ended":                  {map[string][]string{"a": {secrets.Current, secrets.Pending}}, true, nil, false, false},
		"none":                   {map[string][]string{"a": {secrets.Current}}, true, nil, false, false},
		"in an emergency":        {pending, true, func(r *renewal) { r.decision.Emergency = true }, false, true},
		"the refresh token ends": {pending, true, func(r *renewal) { r.decision.Reason = reasonRefreshEnding }, false, true},
		"less than a heartbeat before what was promised": {pending, true,
			func(r *renewal) { r.now = r.token.ExpiresAt.Add(-r.facts().minRemaining() - r.Every + 1) }, false, true},
		"a heartbeat before what was promised": {pending, true,
			func(r *renewal) { r.now = r.token.ExpiresAt.Add(-r.facts().minRemaining() - r.Every) }, true, false},
		"no token": {pending, true, func(r *renewal) { r.token = nil }, true, false},
		"a refresh has ended the token": {pending, true,
			func(r *renewal) { r.decision.Unpublished, r.traits.RenewLate = true, true }, false, true},
		"a session without its token, and the published one lives": {pending, true,
			func(r *renewal) { r.decision.Unpublished = true }, true, false},
		"a refresh would end the token": {pending, true,
			func(r *renewal) { r.traits.RenewLate = true }, true, false},
	} {
		w := newStored(t, credential.Session{})
		if tt.change != nil {
			tt.change(w.renewal)
		}
		d := secrets.Description{ARN: w.aws.Secret(tokenID).ARN, Name: tokenID, Labels: tt.labels,
			RotationEnabled: tt.enabled}
		err := w.check(t.Context(), "token", d)
		if (err != nil) != tt.waits || tt.waits && asStopped(err).Outcome != Deferred {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Contains(Sentences(w.hints...), "abandoned a rotation of the token"); got != tt.told {
			t.Errorf("%s: hints %q", name, w.hints)
		}
		if w.tokenRotates != tt.enabled {
			t.Errorf("%s: the token rotates: %t", name, w.tokenRotates)
		}
	}
	w := newStored(t, credential.Session{})
	if err := w.check(t.Context(), "session", secrets.Description{RotationEnabled: true}); err != nil || w.tokenRotates {
		t.Errorf("a session that rotates: %v, the token rotates: %t", err, w.tokenRotates)
	}
}

// A session ends at the declared end or the one that the provider shows, whichever is
// earlier.
func TestASessionEndsAtTheEarlierEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		longest time.Duration
		shown   time.Time
		want    time.Time
	}{
		"neither":          {0, time.Time{}, time.Time{}},
		"declared":         {24 * time.Hour, time.Time{}, at.Add(24 * time.Hour)},
		"shown":            {0, at.Add(time.Hour), at.Add(time.Hour)},
		"shown earlier":    {24 * time.Hour, at.Add(time.Hour), at.Add(time.Hour)},
		"declared earlier": {time.Hour, at.Add(24 * time.Hour), at.Add(time.Hour)},
	} {
		s := refreshable
		s.EndsAt = tt.shown
		r := holding(t, both, s)
		r.traits.SessionMax = tt.longest
		if got := r.sessionEnd(); !got.Equal(tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A run that finds a session which another run has just stored waits half a minute for
// its token, unless an operator forces it.
func TestARunWaitsForTheTokenOfAStoredSession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(r *renewal)
		waits  bool
	}{
		"just stored":             {func(*renewal) {}, true},
		"29 seconds ago":          {func(r *renewal) { use(r, at.Add(-29*time.Second)) }, true},
		"half a minute ago":       {func(r *renewal) { use(r, at.Add(-publishing)) }, false},
		"its token is there":      {func(r *renewal) { r.token = &TokenTimes{at, at.Add(time.Hour)} }, false},
		"an older token is there": {func(r *renewal) { r.token = &TokenTimes{at.Add(-1), at.Add(time.Hour)} }, true},
		"no token":                {func(r *renewal) { r.token = nil }, true},
		"forced":                  {func(r *renewal) { r.job.Force = true }, false},
		"for a rotation":          {func(r *renewal) { r.keep = keepNothing }, false},
		"a session without a refresh token": {func(r *renewal) {
			r.session.Use(secrets.Version{ID: "s", Value: credential.Session{RefreshedAt: at}.Encode()})
		}, false},
		"refresh tokens that are not single-use": {func(r *renewal) { r.traits.SingleUse = false }, false},
		"no session secret":                      {func(r *renewal) { r.session.Exists = false }, false},
	} {
		r := holding(t, both, refreshable)
		use(r, at)
		tt.change(r)
		err := r.justStored()
		if _, waits := err.(*session.Waiting); waits != tt.waits || !waits && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// use puts into force a session that was refreshed at a time.
func use(r *renewal, refreshedAt time.Time) {
	s := refreshable
	s.RefreshedAt = refreshedAt
	r.session.Use(secrets.Version{ID: "s", Value: s.Encode()})
}

// A forced run sends what was refused, except a run with issued_at.
func TestAForcedRunSendsWhatWasRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		job  Job
		want bool
	}{
		{Job{}, false}, {Job{Force: true}, true}, {Job{Candidate: true}, true},
		{Job{Force: true, IssuedAt: at}, false}, {Job{IssuedAt: at}, false}, {Job{Candidate: true, Force: true, IssuedAt: at}, true},
	} {
		r := holding(t, both, credential.Session{})
		tt.job.Credential = r.job.Credential
		if r.job = tt.job; r.overrides() != tt.want {
			t.Errorf("%+v", tt.job)
		}
	}
}

// A request holds the session's refresh token only where the grant sends it, and the
// published token where one counts.
func TestARequestHoldsOnlyWhatItsGrantSends(t *testing.T) {
	t.Parallel()
	r := holding(t, both, refreshable)
	r.published.AccessToken = redact.New("a")
	if q := r.request(exchange.Refresh); q.RefreshToken.Reveal() != "r" || q.Published.Reveal() != "a" {
		t.Errorf("a refresh sends %q", q.RefreshToken.Reveal())
	}
	r.token = nil
	if q := r.request(client); !q.RefreshToken.IsZero() || !q.Published.IsZero() ||
		q.Credential.Get(credential.ClientID).Reveal() != "i" {
		t.Errorf("a client sends %q", q.RefreshToken.Reveal())
	}
}

// The answer for a connection has the token's times, unless the run found others.
func TestAnAnswerIsCompletedFromTheToken(t *testing.T) {
	t.Parallel()
	s := refreshable
	s.EndsAt = at.Add(30 * time.Hour)
	r := holding(t, both, s)
	r.published.NeedsPersonAt = at.Add(20 * time.Hour)
	r.hint("one")
	r.hint("one")
	r.hint("")
	got := r.complete(Result{Outcome: Fresh, Hint: "zero"})
	if got.Name != "c" || got.Hint != "Zero. One." || !got.ExpiresAt.Equal(r.token.ExpiresAt) ||
		!got.RenewAfter.Equal(r.facts().RenewAfter()) ||
		got.MinRemaining != r.facts().minRemaining() ||
		!got.NeedsPersonAt.Equal(at.Add(20*time.Hour)) || !got.CredentialEnds.Equal(s.EndsAt) {
		t.Errorf("%+v", got)
	}
	other := at.Add(time.Minute)
	got = r.complete(Result{ExpiresAt: other, NeedsPersonAt: other, CredentialEnds: other})
	if !got.ExpiresAt.Equal(other) || !got.NeedsPersonAt.Equal(other) || !got.CredentialEnds.Equal(other) {
		t.Errorf("%+v", got)
	}
	r.token = nil
	if got = r.complete(Result{}); !got.ExpiresAt.IsZero() || got.MinRemaining != 0 || !got.RenewAfter.IsZero() {
		t.Errorf("without a token: %+v", got)
	}
}

// The decision is made from what was read: the age of a secret's last version only where
// no token counts, and a session only where the provider keeps one.
func TestTheFactsOfADecision(t *testing.T) {
	t.Parallel()
	s := refreshable
	s.RefreshedAt, s.ExpiresAt, s.EndsAt = at, at.Add(time.Hour), at.Add(2*time.Hour)
	r := holding(t, both, s)
	r.grants, r.tokenVersion.Created = []exchange.Grant{client}, at
	f := r.facts()
	if !f.LastWrite.IsZero() || f.InParameter || f.ByRotation || f.Force ||
		!f.RefreshExpiresAt.Equal(s.ExpiresAt) ||
		!f.SessionEndsAt.Equal(s.EndsAt) || !f.CanRemint || !f.RefreshedAt.Equal(at) {
		t.Errorf("%+v", f)
	}
	r.conn.RenewedBy, r.token, r.keep = connection.ByRotation, nil, keepNothing
	if f = r.facts(); !f.LastWrite.Equal(at) || !f.ByRotation || !f.Force {
		t.Errorf("%+v", f)
	}
	r.keep, r.conn.TokenParameter, r.job.Candidate = nil, "/evertoken/c", true
	if f = r.facts(); !f.LastWrite.IsZero() || !f.InParameter || !f.Force {
		t.Errorf("%+v", f)
	}
	r.job.Candidate, r.traits.Session = false, exchange.NoSession
	if f = r.facts(); f.Force || f.CanRemint || !f.RefreshExpiresAt.IsZero() || !f.SessionEndsAt.IsZero() {
		t.Errorf("%+v", f)
	}
	r.traits.Session, r.grants = exchange.RequiredSession, nil
	r.session.Use(secrets.Version{ID: "s", Value: credential.Session{ExpiresAt: at, RefreshedAt: at}.Encode()})
	if f = r.facts(); f.CanRemint || !f.RefreshExpiresAt.IsZero() {
		t.Errorf("%+v", f)
	}
}

// A run keeps a session where it has a secret, and claims it where its refresh tokens are
// single-use.
func TestASessionWithSingleUseRefreshTokensIsClaimed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		exists, singleUse bool
		use               exchange.SessionUse
		keeps, claims     bool
	}{
		{true, true, exchange.RequiredSession, true, true},
		{true, false, exchange.RequiredSession, true, false},
		{false, true, exchange.RequiredSession, false, false},
		{true, true, exchange.NoSession, false, false},
		{true, true, exchange.OptionalSession, true, true},
	} {
		r := holding(t, both, refreshable)
		r.session.Exists, r.traits.SingleUse, r.traits.Session = tt.exists, tt.singleUse, tt.use
		if r.keepsSession() != tt.keeps || r.claims() != tt.claims {
			t.Errorf("%+v: keeps %t, claims %t", tt, r.keepsSession(), r.claims())
		}
	}
}
