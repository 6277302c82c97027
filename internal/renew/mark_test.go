package renew

import (
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

var refreshable = credential.Session{RefreshToken: redact.New("r"), StartedAt: at, OpenedBy: "other"}

// A session's refresh token can be sent without reading the credential only if no label
// speaks against it: no refusal, no unclear answer, no exchange whose answer was lost.
func TestARefreshTokenIsSentUnreadOnlyWithoutALabelAgainstIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		session credential.Session
		label   func(r *renewal) string
		want    bool
	}{
		"nothing":          {refreshable, nil, true},
		"no refresh token": {credential.Session{}, nil, false},
		"a refusal": {refreshable, func(r *renewal) string {
			return labelRejected + "20261121_" + string(r.key("refresh_token"))
		}, false},
		"an unclear answer": {refreshable, func(r *renewal) string { return unsureLabel(1, at, r.key("refresh_token")) }, false},
		"a lost answer":     {refreshable, func(*renewal) string { return "EVERTOKEN_SENT_1_20261121T150000Z" }, false},
	} {
		var labels []string
		r := holding(t, both, tt.session)
		if tt.label != nil {
			labels = []string{tt.label(r)}
		}
		r = holding(t, both, tt.session, labels...)
		if got := r.refreshable(); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The label that counts a password is removed when the answer says nothing about the
// password, stays as the note of an unclear answer, and is replaced by a refusal.
func TestTheLabelThatCountsAPasswordFollowsTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		verdict  verdict
		unusable bool
		grant    exchange.Grant
		want     func(w *stored, counted string) string
	}{
		"passing": {passing, false, password, func(*stored, string) string { return "" }},
		"unusable": {unsure, true, password, func(w *stored, _ string) string {
			return w.answered(401, exchange.Grant{Type: anyGrant}) + " " + w.unsureNow(1,
				exchange.Grant{Type: anyGrant})
		}},
		"unclear": {unsure, false, password, func(w *stored, counted string) string {
			return w.answered(401, password) + " " + counted
		}},
		"refused": {refused, false, password, func(w *stored, _ string) string {
			return w.answered(401, password) + " " + w.rejectedToday(password)
		}},
		"passing, another grant": {passing, false, client, func(_ *stored, counted string) string { return counted }},
		"unclear, another grant": {unsure, false, client, func(w *stored, counted string) string {
			return w.answered(401, client) + " " + w.unsureNow(1, client) + " " + counted
		}},
	} {
		w := newStored(t, credential.Session{})
		counted := unsureLabel(1, at.Add(-1), w.key(password.Type))
		w.label(credentialID, secrets.Current, counted)
		w.counted = counted
		x := &exchange.Error{Status: 401, Class: exchange.CredentialDead, Unusable: tt.unusable}
		w.note(t.Context(), failure{attempt: attempt{grant: tt.grant}, x: x, verdict: tt.verdict})
		if got, want := w.notes(credentialID, secrets.Current), tt.want(w, counted); !sameLabels(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// An unclear answer is the next in a row, unless the last one is long past. A password is
// counted on: it may be one that never worked.
func TestAnUnclearAnswerIsCountedOnForADay(t *testing.T) {
	t.Parallel()
	until := pause(5) + day
	for name, tt := range map[string]struct {
		grant exchange.Grant
		ago   time.Duration
		want  int
	}{
		"a day after it was allowed":           {client, until, 6},
		"later":                                {client, until + time.Second, 1},
		"later, an answer that cannot be used": {exchange.Grant{Type: anyGrant}, until + time.Second, 1},
		"later, the second of two requests":    {exchange.Grant{Type: secondGrant, Members: client.Members}, until + time.Second, 1},
		"later, a password":                    {password, until + time.Second, 6},
	} {
		w := newStored(t, credential.Session{})
		w.label(credentialID, secrets.Current, unsureLabel(5, at.Add(-tt.ago), w.key(tt.grant.Type)))
		x := &exchange.Error{Status: 403, Class: exchange.CredentialDead, Unusable: tt.grant.Type == anyGrant}
		w.note(t.Context(), failure{attempt: attempt{grant: tt.grant}, x: x, verdict: unsure})
		want := unsureLabel(tt.want, at, w.key(tt.grant.Type))
		if got := w.notes(credentialID, secrets.Current); !strings.Contains(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func sameLabels(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) {
		return false
	}
	for _, label := range x {
		if !strings.Contains(" "+b+" ", " "+label+" ") {
			return false
		}
	}
	return true
}

// Where the credential cannot be labelled, a label on the session records the password,
// with the highest count. If that fails too, a hint says so.
func TestAPasswordIsNotedOnTheSessionWhereTheCredentialCannotBeLabelled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant     exchange.Grant
		noSession bool
		denied    bool // the session cannot be labelled either
		before    int  // unclear answers before this one
		want      int  // what the session's label counts
		hint      bool
	}{
		"a password":                      {password, false, false, 0, 3, false},
		"a password, often unclear":       {password, false, false, 4, 5, false},
		"a password without a session":    {password, true, false, 0, 0, true},
		"a password, nothing is labelled": {password, false, true, 0, 0, true},
		"a client":                        {client, false, false, 0, 0, true},
	} {
		w := newStored(t, credential.Session{})
		if tt.before > 0 {
			w.label(credentialID, secrets.Current, w.unsureNow(tt.before, tt.grant))
		}
		if tt.noSession {
			w.session.Use(secrets.Version{})
		}
		w.refuse("UpdateSecretVersionStage", credentialID, "AccessDeniedException")
		if tt.denied {
			w.refuse("UpdateSecretVersionStage", sessionID, "AccessDeniedException")
		}
		w.note(t.Context(),
			failure{attempt: attempt{grant: tt.grant}, x: &exchange.Error{Status: 401},
				verdict: refused})
		want := ""
		if tt.want > 0 {
			want = w.unsureNow(tt.want, tt.grant)
		}
		if got := w.notes(sessionID, secrets.Current); got != want {
			t.Errorf("%s: the session has %q, want %q", name, got, want)
		}
		if got := strings.Contains(Sentences(w.hints...), "could not be noted"); got != tt.hint {
			t.Errorf("%s: hints %q", name, w.hints)
		}
	}
}

// A new note replaces the notes about the same grant, and none about another. The surplus
// is counted over all versions, each label once.
func TestANoteReplacesThoseAboutTheSameGrant(t *testing.T) {
	t.Parallel()
	w := newStored(t, credential.Session{})
	var others []string
	// with today's, as many as are allowed
	for _, day := range []string{"11", "12", "13", "14", "15", "16", "17"} {
		others = append(others, labelRejected+"202611"+day+"_client_credentials_0000000a")
	}
	w.label(credentialID, secrets.Current, w.unsureNow(2, client), w.answered(400, client), others[0], others[1])
	w.label(credentialID, secrets.Previous, others[2:]...)
	w.note(t.Context(),
		failure{attempt: attempt{grant: client},
			x: &exchange.Error{Status: 401, Class: exchange.CredentialDead}, verdict: refused})
	want := strings.Join([]string{w.answered(401, client), w.rejectedToday(client), others[0], others[1]}, " ")
	if got := w.notes(credentialID, secrets.Current); !sameLabels(got, want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if got, want := w.notes(credentialID, secrets.Previous), strings.Join(others[2:], " "); !sameLabels(got, want) {
		t.Errorf("on the older version:\n got %s\nwant %s", got, want)
	}
}

// What works again loses its notes: those about its grant and about unusable answers, and
// no others.
func TestAGrantThatWorksLosesItsNotes(t *testing.T) {
	t.Parallel()
	anything := exchange.Grant{Type: anyGrant}
	for name, tt := range map[string]struct {
		grant               exchange.Grant
		noCredential        bool
		credential, session func(w *stored) []string // the labels that stay
	}{
		"a grant of the credential": {client, false,
			func(w *stored) []string { return []string{w.unsureNow(1, password), "EVERTOKEN_OWN_x"} },
			func(w *stored) []string { return []string{w.unsureNow(1, exchange.Refresh)} }},
		"a refresh": {exchange.Refresh, false,
			func(w *stored) []string {
				return []string{w.unsureNow(1, password), w.unsureNow(2, client),
					w.answered(400, client), "EVERTOKEN_OWN_x"}
			},
			func(*stored) []string { return nil }},
		"a refresh without a credential": {exchange.Refresh, true,
			func(w *stored) []string {
				return []string{w.unsureNow(1, password), w.unsureNow(2, client),
					w.answered(400, client), "EVERTOKEN_OWN_x",
					w.unsureNow(1, anything), w.answered(502, anything)}
			},
			func(*stored) []string { return nil }},
	} {
		w := newStored(t, refreshable)
		w.label(credentialID, secrets.Current, w.unsureNow(1, password), w.unsureNow(2, client),
			w.answered(400, client),
			"EVERTOKEN_OWN_x", w.unsureNow(1, anything), w.answered(502, anything))
		w.label(sessionID, secrets.Current, w.unsureNow(1, exchange.Refresh))
		if tt.noCredential {
			w.job.Credential = nil
		}
		w.accept(t.Context(), tt.grant)
		if got, want := w.notes(credentialID, secrets.Current), strings.Join(tt.credential(w), " "); !sameLabels(got, want) {
			t.Errorf("%s: the credential\n has %s\nwant %s", name, got, want)
		}
		if got, want := w.notes(sessionID, secrets.Current), strings.Join(tt.session(w), " "); !sameLabels(got, want) {
			t.Errorf("%s: the session\n has %s\nwant %s", name, got, want)
		}
	}
}

// A run reports a label that it cannot remove, unless it is already gone.
func TestALabelThatCannotBeRemovedIsReported(t *testing.T) {
	t.Parallel()
	for code, told := range map[string]bool{
		"": false, "AccessDeniedException": true, "ResourceNotFoundException": false, "InvalidParameterException": false,
	} {
		w := newStored(t, refreshable)
		label := w.unsureNow(1, client)
		w.label(credentialID, secrets.Current, label)
		if code == "InvalidParameterException" { // another run moved it meanwhile
			v, _ := w.aws.Secret(credentialID).Labelled(secrets.Previous)
			if err := w.Secrets.MoveLabel(t.Context(), credentialID, label, v.ID, w.job.Credential.Version.ID); err != nil {
				t.Fatal(err)
			}
		} else if code != "" {
			w.refuse("UpdateSecretVersionStage", credentialID, code)
		}
		w.accept(t.Context(), client)
		got := Sentences(w.hints...)
		if (got != "") != told || told &&
			!strings.Contains(got, "The label of an earlier answer could not be removed: ") {
			t.Errorf("%q: hints %q", code, got)
		}
	}
}

// Without notes no call is made to AWS.
func TestWithoutNotesNoLabelIsMoved(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	w.aws.ResetCalls()
	w.accept(t.Context(), client)
	w.accept(t.Context(), exchange.Refresh)
	if calls := w.aws.Calls(); len(calls) > 0 {
		t.Errorf("%d calls", len(calls))
	}
}

// A refresh token of the credential that opened another session would end that session.
func TestASeedBelongsToOneSession(t *testing.T) {
	t.Parallel()
	reusable := seed
	reusable.Reusable = true
	for name, tt := range map[string]struct {
		grant exchange.Grant
		use   exchange.SessionUse
		arn   string // of the session that the label names
		want  bool
	}{
		"another session's": {seed, exchange.RequiredSession, "another", true},
		"this session's":    {seed, exchange.RequiredSession, "ours", false},
		"nobody's":          {seed, exchange.RequiredSession, "", false},
		"no sessions":       {seed, exchange.NoSession, "another", false},
		"a reusable one":    {reusable, exchange.RequiredSession, "another", false},
		"no refresh token":  {client, exchange.RequiredSession, "another", false},
	} {
		r := holding(t, both, credential.Session{})
		r.traits.Session = tt.use
		r.session.Use(secrets.Version{ARN: "ours"})
		if tt.arn != "" {
			r.job.Credential.Version.Labels = []string{SeedLabel(tt.arn)}
		}
		if got := r.seedTaken(tt.grant); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
