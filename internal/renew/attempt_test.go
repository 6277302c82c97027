package renew

import (
	"context"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// answering is an [opener] that gives its answers in order, and may take time for them.
type answering struct {
	opener
	answers *[]*exchange.Error // nil is a success
	before  func()
}

func (p answering) Exchange(_ context.Context, q exchange.Request) (exchange.Issued, error) {
	if p.before != nil {
		p.before()
	}
	*p.sent = append(*p.sent, q.Grant.Type)
	x := (*p.answers)[0]
	*p.answers = (*p.answers)[1:]
	if x != nil {
		return exchange.Issued{}, x
	}
	return exchange.Issued{AccessToken: redact.New("a"), IssuedAt: at}, nil
}

// answers gives the renewal's provider these answers, and returns what it was sent.
func (w *stored) answers(answers ...*exchange.Error) *[]string {
	var sent []string
	w.job.Provider = answering{opener: opener{sent: &sent}, answers: &answers}
	return &sent
}

// ending is a context whose deadline moves.
type ending struct {
	context.Context
	deadline time.Time
}

func (e *ending) Deadline() (time.Time, bool) { return e.deadline, true }

// If a provider accepts a spent refresh token again for a while, the same run sends it
// once more, if there is time.
func TestALostAnswerIsAskedForOnceMoreWithinTheGrace(t *testing.T) {
	t.Parallel()
	lost, outage := &exchange.Error{Class: exchange.Transient,
		Lost: true}, &exchange.Error{Class: exchange.Transient, Status: 503}
	reusable := seed
	reusable.Reusable = true
	for name, tt := range map[string]struct {
		grant   exchange.Grant
		grace   time.Duration
		took    time.Duration // until the answer was lost
		left    time.Duration // of the run, after the first answer
		answers []*exchange.Error
		sends   int
		works   bool
	}{
		"a refresh":                     {exchange.Refresh, time.Minute, 0, time.Hour, []*exchange.Error{lost, nil}, 2, true},
		"a seed":                        {seed, time.Minute, 0, time.Hour, []*exchange.Error{lost, nil}, 2, true},
		"lost again":                    {exchange.Refresh, time.Minute, 0, time.Hour, []*exchange.Error{lost, lost}, 2, false},
		"not lost":                      {exchange.Refresh, time.Minute, 0, time.Hour, []*exchange.Error{outage}, 1, false},
		"it works":                      {exchange.Refresh, time.Minute, 0, time.Hour, []*exchange.Error{nil}, 1, true},
		"no grace":                      {exchange.Refresh, 0, 0, time.Hour, []*exchange.Error{lost}, 1, false},
		"a seed that may be used again": {reusable, time.Minute, 0, time.Hour, []*exchange.Error{lost}, 1, false},
		"a client":                      {client, time.Minute, 0, time.Hour, []*exchange.Error{lost}, 1, false},
		"no time":                       {exchange.Refresh, time.Hour, 0, time.Second, []*exchange.Error{lost}, 1, false},
		"within the grace":              {exchange.Refresh, time.Minute, time.Minute - 1, time.Hour, []*exchange.Error{lost, nil}, 2, true},
		"after the grace":               {exchange.Refresh, time.Minute, time.Minute, time.Hour, []*exchange.Error{lost}, 1, false},
	} {
		w := newStored(t, refreshable)
		now := at
		w.Now = func() time.Time { return now }
		sent := w.answers(tt.answers...)
		p := w.job.Provider.(answering) //nolint:forcetypeassert // it is one
		ctx := &ending{t.Context(), time.Now().Add(time.Hour)}
		p.before = func() {
			now = now.Add(tt.took)
			ctx.deadline = time.Now().Add(tt.left)
		}
		w.job.Provider, w.traits.ReuseGrace = p, tt.grace
		_, err := w.attempt(ctx, tt.grant)
		if len(*sent) != tt.sends || (err == nil) != tt.works {
			t.Errorf("%s: sent %q: %v", name, *sent, err)
		}
		if told := strings.Contains(Sentences(w.hints...), "asked the provider once more"); told != (tt.sends > 1) {
			t.Errorf("%s: hints %q", name, w.hints)
		}
	}
}

// Before a password is sent the credential's notes are read again: another run may have
// been refused meanwhile. A forced run sends it in spite of them.
func TestNotesAreReadBeforeAPasswordIsSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant  exchange.Grant
		force  bool
		denied bool // the notes cannot be read
		sends  int
	}{
		"a password, refused meanwhile":         {password, false, false, 0},
		"a password, refused meanwhile, forced": {password, true, false, 1},
		"a client, refused meanwhile":           {client, false, false, 1},
		"the notes cannot be read":              {password, false, true, 0},
	} {
		w := newStored(t, refreshable)
		read := w.job.Credential
		w.label(credentialID, secrets.Current, w.rejectedToday(tt.grant))
		w.job.Credential = read // this run has not seen the label
		w.job.Force = tt.force
		if tt.denied {
			w.refuse("DescribeSecret", credentialID, "AccessDeniedException")
		}
		sent := w.answers(nil)
		_, err := w.attempt(t.Context(), tt.grant)
		if len(*sent) != tt.sends || (err == nil) != (tt.sends > 0) {
			t.Errorf("%s: sent %q: %v", name, *sent, err)
		}
	}
}

// Evertoken counts on the session what is in doubt before it sends it once more, so that
// a killed run leaves a trace. It does not count a grant of the credential that follows.
func TestARefreshTokenInDoubtIsCountedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	const once, twice = "EVERTOKEN_SENT_1_20261121T150000Z", "EVERTOKEN_SENT_2_"
	for name, tt := range map[string]struct {
		session credential.Session
		grant   exchange.Grant
		denied  bool // the session cannot be labelled
		counted bool
		sends   int
	}{
		"a refresh":                    {refreshable, exchange.Refresh, false, true, 1},
		"a client, a session is there": {refreshable, client, false, false, 1},
		"a client, the first session":  {credential.Session{OpeningAt: at.Add(-time.Hour)}, client, false, true, 1},
		"a refresh, not countable":     {refreshable, exchange.Refresh, true, false, 0},
	} {
		w := newStored(t, tt.session)
		w.label(sessionID, secrets.Current, once)
		if err := w.session.Begin(t.Context(), w.turns(t.Context())); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if tt.denied {
			w.refuse("UpdateSecretVersionStage", sessionID, "AccessDeniedException")
		}
		counted := false
		sent := w.answers(nil)
		p := w.job.Provider.(answering) //nolint:forcetypeassert // it is one
		p.before = func() { counted = strings.Contains(w.notes(sessionID, secrets.Current), twice) }
		w.job.Provider = p
		_, err := w.attempt(t.Context(), tt.grant)
		if len(*sent) != tt.sends || counted != tt.counted || (err == nil) != (tt.sends > 0) {
			t.Errorf("%s: sent %q, counted %t: %v", name, *sent, counted, err)
		}
	}
}
