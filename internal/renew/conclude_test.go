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

// Of several failures the answer reports the one that a person must correct: a refused
// credential before anything else, then the last.
func TestTheFailureThatAPersonMustCorrectIsReported(t *testing.T) {
	t.Parallel()
	failing := func(g exchange.Grant, v verdict, x exchange.Error) failure {
		return failure{attempt: attempt{grant: g}, x: &x, verdict: v, noted: true}
	}
	dead := exchange.Error{Status: 401, Class: exchange.CredentialDead, Problem: "credential"}
	grant := exchange.Error{Status: 400, Class: exchange.GrantDead, Problem: "grant"}
	outage := exchange.Error{Status: 503, Class: exchange.Transient, Problem: "outage"}
	lost := exchange.Error{Class: exchange.Transient, Problem: "silence", Lost: true}
	ours := exchange.Error{Class: exchange.Misconfigured, Problem: "ours"}
	unreadable := &Stopped{Failed, exchange.Misconfigured, "the credential cannot be read", "hint"}
	for name, tt := range map[string]struct {
		session      credential.Session
		grants       []exchange.Grant
		noCredential *Stopped
		failed       failures
		class        exchange.Class
		told         string
		lost         bool
	}{
		"an outage": {refreshable, nil, nil, failures{failing(client, passing, outage)}, exchange.Transient, "outage", false},
		"the credential, then an outage": {refreshable, nil, nil,
			failures{failing(client, refused, grant),
				failing(exchange.Refresh, passing,
					outage)}, exchange.CredentialDead, "grant", false},
		"the session, then an outage": {refreshable, []exchange.Grant{seed}, nil,
			failures{failing(exchange.Refresh, refused, grant),
				failing(client, passing, outage)}, exchange.Transient, "outage", false},
		"the session, and only a seed is stored": {refreshable, []exchange.Grant{seed}, nil,
			failures{failing(exchange.Refresh, refused, grant)}, exchange.CredentialDead, "grant", false},
		"the session, and a client is stored": {refreshable, []exchange.Grant{seed, client}, nil,
			failures{failing(exchange.Refresh, refused, grant)}, exchange.GrantDead, "grant", false},
		"an unclear answer, and only a seed is stored": {refreshable, []exchange.Grant{seed}, nil,
			failures{failing(exchange.Refresh, unsure, grant)}, exchange.GrantDead, "grant", false},
		"the session, then an unclear answer": {refreshable, []exchange.Grant{seed}, nil,
			failures{failing(exchange.Refresh, refused, grant),
				failing(exchange.Refresh, unsure, outage)}, exchange.Transient, "outage", false},
		"a lost refresh": {refreshable, nil, nil, failures{failing(exchange.Refresh, passing, lost)}, exchange.Transient, "silence", true},
		"a lost refresh, then a dead client": {refreshable, nil, nil,
			failures{failing(exchange.Refresh, passing, lost),
				failing(client, refused, dead)}, exchange.CredentialDead, "credential", true},
		"a lost client":                             {refreshable, nil, nil, failures{failing(client, passing, lost)}, exchange.Transient, "silence", false},
		"a lost seed":                               {credential.Session{}, nil, nil, failures{failing(seed, passing, lost)}, exchange.Transient, "silence", true},
		"a lost seed, a session is there":           {refreshable, nil, nil, failures{failing(seed, passing, lost)}, exchange.Transient, "silence", false},
		"a lost client, no session":                 {credential.Session{}, nil, nil, failures{failing(client, passing, lost)}, exchange.Transient, "silence", false},
		"the refresh needs the credential":          {refreshable, nil, unreadable, failures{failing(exchange.Refresh, passing, ours)}, exchange.Misconfigured, "the credential cannot be read", false},
		"a credential that was read, and our fault": {refreshable, nil, nil, failures{failing(exchange.Refresh, passing, ours)}, exchange.Misconfigured, "ours", false},
		"no credential, and an outage":              {refreshable, nil, unreadable, failures{failing(exchange.Refresh, passing, outage)}, exchange.Transient, "outage", false},
		"no credential, and nothing came":           {refreshable, nil, unreadable, failures{failing(exchange.Refresh, passing, exchange.Error{Class: exchange.Misconfigured, Problem: "silence", Lost: true})}, exchange.Misconfigured, "silence", true},
		"no credential, and an answer":              {refreshable, nil, unreadable, failures{failing(exchange.Refresh, passing, exchange.Error{Status: 400, Class: exchange.Misconfigured, Problem: "wrong"})}, exchange.Misconfigured, "wrong", false},
		"no credential, and no connection":          {refreshable, nil, unreadable, failures{failing(exchange.Refresh, passing, exchange.Error{Class: exchange.Transient, Problem: "dns"})}, exchange.Transient, "dns", false},
	} {
		w := newStored(t, tt.session)
		w.grants, w.noCredential = tt.grants, tt.noCredential
		got := asStopped(w.conclude(t.Context(), tt.failed))
		if got.Class != tt.class || !strings.Contains(got.Reason, tt.told) ||
			strings.Contains(got.Reason, "its answer is lost") != tt.lost {
			t.Errorf("%s: %s: %s", name, got.Class, got.Reason)
		}
		if told := strings.Contains(Sentences(w.hints...), "The credential cannot be read"); told != (tt.noCredential != nil && got != tt.noCredential) {
			t.Errorf("%s: hints %q", name, w.hints)
		}
	}
}

// A failure that a label already records is not noted again; the others are.
func TestEachFailureIsNotedOnce(t *testing.T) {
	t.Parallel()
	for _, noted := range []bool{false, true} {
		w := newStored(t, refreshable)
		f := failure{attempt: attempt{grant: client},
			x: &exchange.Error{Status: 401,
				Class: exchange.CredentialDead}, verdict: refused, noted: noted}
		_ = w.conclude(t.Context(), failures{f})
		if got := w.notes(credentialID, secrets.Current) != ""; got == noted {
			t.Errorf("noted %t: %s", noted, w.notes(credentialID, secrets.Current))
		}
	}
}

// A claim whose exchange was refused ends; one whose answer is lost is noted.
func TestAClaimEndsAsItsExchangeDid(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		w := newStored(t, refreshable)
		if err := w.session.Begin(t.Context(), w.turns(t.Context())); err != nil || !w.session.Claimed() {
			t.Fatalf("%v, claimed %t", err, w.session.Claimed())
		}
		x := &exchange.Error{Status: 503, Class: exchange.Transient}
		if lost {
			x = &exchange.Error{Class: exchange.Transient, Lost: true}
		}
		_ = w.conclude(t.Context(), failures{{attempt: attempt{grant: exchange.Refresh}, x: x, verdict: passing}})
		if got := strings.Contains(w.notes(sessionID, secrets.Current), "EVERTOKEN_SENT_1_"); got != lost {
			t.Errorf("lost %t: the session's labels are %s", lost, w.notes(sessionID, secrets.Current))
		}
	}
}

// After a refused session a run searches once for a session that is stored elsewhere.
func TestARefusedSessionMakesARunLookElsewhere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grant     exchange.Grant
		change    func(w *stored)
		rescued   bool
		found     bool
		noted     bool
		hinted    bool
		singleUse bool
	}{
		"a refresh, and one is rescued":          {exchange.Refresh, nil, true, true, true, false, true},
		"refresh tokens that are not single-use": {exchange.Refresh, nil, true, true, true, false, false},
		"a refresh, and none is":                 {exchange.Refresh, nil, false, false, true, false, true},
		"a seed, and one is rescued":             {seed, nil, true, true, false, false, true},
		"a client":                               {client, nil, true, false, false, false, true},
		"it was looked for":                      {exchange.Refresh, func(w *stored) { w.looked = true }, true, false, false, false, true},
		"a candidate":                            {exchange.Refresh, func(w *stored) { w.job.Candidate = true }, true, false, false, false, true},
		"the parameter cannot be read": {exchange.Refresh, func(w *stored) {
			w.refuse("GetParameter", "", "AccessDeniedException")
		}, true, false, true, true, true},
	} {
		w := newStored(t, refreshable)
		w.traits.SingleUse = tt.singleUse
		w.grants = []exchange.Grant{client}
		w.session.Rescue = "/evertoken/rescue/c"
		if tt.rescued {
			w.aws.PutParameter("/evertoken/rescue/c", "SecureString", `{"based_on":"`+w.session.Version().ID+
				`","session":{"refresh_token":"rescued","opened_by":"other"}}`)
		}
		if tt.change != nil {
			tt.change(w)
		}
		f := failure{attempt: attempt{grant: tt.grant},
			x: &exchange.Error{Status: 400, Class: exchange.GrantDead}, verdict: refused}
		if got := w.recovered(t.Context(), &f); got != tt.found || f.noted != tt.noted {
			t.Errorf("%s: found %t, noted %t: %q", name, got, f.noted, w.hints)
		}
		if strings.Contains(Sentences(w.hints...), "access denied") != tt.hinted {
			t.Errorf("%s: hints %q", name, w.hints)
		}
		if tt.found &&
			(w.session.Session().RefreshToken.Reveal() != "rescued" ||
				w.session.Claimed() != tt.singleUse) {
			t.Errorf("%s: %q, claimed %t", name, w.session.Session().RefreshToken.Reveal(), w.session.Claimed())
		}
	}
}

// finishing is a provider that needs a second request, and its answer.
type finishing struct {
	provider
	x *exchange.Error
}

func (p finishing) Finish(_ context.Context, _ exchange.Request,
	user exchange.Issued) (exchange.Issued, error) {
	if p.x != nil {
		return exchange.Issued{}, p.x
	}
	user.AccessToken, user.ExpiresAt = redact.New("second"), at.Add(time.Hour)
	return user, nil
}

// The second request's refusal is noted under its own name, and the note goes when the
// request works.
func TestTheSecondRequest(t *testing.T) {
	t.Parallel()
	second := exchange.Grant{Type: secondGrant}
	for name, tt := range map[string]struct {
		x     *exchange.Error
		left  time.Duration
		noted bool // before it
		class exchange.Class
		out   Outcome
		notes bool // after it
	}{
		"works":                     {nil, time.Hour, true, "", "", false},
		"refused":                   {&exchange.Error{Status: 401, Class: exchange.CredentialDead}, time.Hour, false, exchange.CredentialDead, Failed, true},
		"refused in an other class": {&exchange.Error{Status: 403, Class: exchange.GrantDead}, time.Hour, false, exchange.CredentialDead, Failed, true},
		"an outage":                 {&exchange.Error{Status: 503, Class: exchange.Transient}, time.Hour, true, exchange.Transient, Failed, true},
		"no time":                   {nil, time.Second, true, "", Deferred, true},
	} {
		w := newStored(t, refreshable)
		if tt.noted {
			w.label(credentialID, secrets.Current, w.rejectedToday(second))
		}
		ctx, cancel := context.WithTimeout(t.Context(), tt.left)
		issued, err := w.finish(ctx, finishing{x: tt.x}, exchange.Refresh,
			exchange.Issued{AccessToken: redact.New("first"), IssuedAt: at})
		cancel()
		if tt.out == "" {
			if err != nil || issued.AccessToken.Reveal() != "second" {
				t.Errorf("%s: %v", name, err)
			}
		} else if got := asStopped(err); got.Class != tt.class || got.Outcome != tt.out ||
			issued.AccessToken.Reveal() != "first" {
			t.Errorf("%s: %+v", name, got)
		}
		if got := w.notes(credentialID, secrets.Current); (got != "") != tt.notes {
			t.Errorf("%s: labels %q", name, got)
		}
	}
	w := newStored(t, refreshable)
	w.job.Credential = nil // it was not read
	if _, err := w.finish(t.Context(), finishing{}, exchange.Refresh, exchange.Issued{}); err != nil {
		t.Errorf("without a credential: %v", err)
	}
}

// A run that succeeds says which credential was refused before that, and notes it. The
// note on a session goes with the session.
func TestARunThatSucceedsTellsWhatWasRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		failed    failures
		refused   bool
		onSession bool
	}{
		"nothing":     {nil, false, false},
		"the client":  {failures{{attempt: attempt{grant: client}, x: &exchange.Error{Status: 401, Class: exchange.CredentialDead}, verdict: refused}}, true, false},
		"the session": {failures{{attempt: attempt{grant: exchange.Refresh}, x: &exchange.Error{Status: 400, Class: exchange.GrantDead}, verdict: refused}}, false, false},
		"an outage":   {failures{{attempt: attempt{grant: client}, x: &exchange.Error{Status: 503}, verdict: passing}}, false, false},
	} {
		w := newStored(t, refreshable)
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		issued := exchange.Issued{AccessToken: redact.New("new"), RefreshToken: redact.New("r2"),
			IssuedAt: at, ExpiresAt: at.Add(time.Hour)}
		result, err := w.succeed(t.Context(), attempt{grant: password}, issued, tt.failed)
		if err != nil || result.Outcome != Issued || result.CredentialRefused != tt.refused ||
			result.Grant != "password" {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		if got := w.notes(credentialID, secrets.Current) != ""; got != tt.refused {
			t.Errorf("%s: the credential's labels are %q", name, w.notes(credentialID, secrets.Current))
		}
		if got := w.notes(sessionID, secrets.Current) + w.notes(sessionID, secrets.Previous); got != "" {
			t.Errorf("%s: the session's labels are %q", name, got)
		}
		if got, _ := w.publishedNow(); got != "new" || w.session.Session().RefreshToken.Reveal() != "r2" {
			t.Errorf("%s: %q is published", name, got)
		}
	}
}

// Nothing is published where the second request fails, although the session is stored.
func TestASessionIsStoredAlthoughTheSecondRequestFails(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{false, true} {
		w := newStored(t, refreshable)
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		p := finishing{x: &exchange.Error{Status: 503, Class: exchange.Transient}}
		if works {
			p.x = nil
		}
		w.job.Provider = p
		issued := exchange.Issued{AccessToken: redact.New("first"), RefreshToken: redact.New("r2"),
			IssuedAt: at, ExpiresAt: at.Add(time.Hour)}
		_, err := w.succeed(t.Context(), attempt{grant: exchange.Refresh}, issued, nil)
		got, _ := w.publishedNow()
		if (err == nil) != works || (got == "second") != works ||
			w.session.Session().RefreshToken.Reveal() != "r2" {
			t.Errorf("works %t: %q is published: %v", works, got, err)
		}
	}
}

// A candidate that opened a session with a refresh token says so on the credential, so
// that no other connection sends it. The run reports what it cannot label.
func TestACandidatesSeedIsMarked(t *testing.T) {
	t.Parallel()
	for _, denied := range []bool{false, true} {
		w := newStored(t, credential.Session{})
		w.job.Candidate = true
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		if denied {
			w.refuse("UpdateSecretVersionStage", credentialID, "AccessDeniedException")
		}
		issued := exchange.Issued{AccessToken: redact.New("new"), RefreshToken: redact.New("r2"),
			IssuedAt: at, ExpiresAt: at.Add(time.Hour)}
		if _, err := w.succeed(t.Context(), attempt{grant: seed}, issued, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.notes(credentialID, secrets.Current) == SeedLabel(w.aws.Secret(sessionID).ARN); got == denied {
			t.Errorf("denied %t: the labels are %q", denied, w.notes(credentialID, secrets.Current))
		}
		if got := strings.Contains(Sentences(w.hints...), "could not be marked as this session's"); got != denied {
			t.Errorf("denied %t: hints %q", denied, w.hints)
		}
	}
}
