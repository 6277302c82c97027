package renew

import (
	"errors"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

var notFound = &secrets.Error{Kind: secrets.ErrNotFound, Op: "GetSecretValue",
	Code: "ResourceNotFoundException"}

// A credential that cannot be read stops a run only where the run needs it: a session with
// a refresh token needs none.
func TestAnUnreadableCredentialStopsOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		session credential.Session
		change  func(w *stored)
		stops   bool
	}{
		"a session with a refresh token": {refreshable, func(*stored) {}, false},
		"a session without one":          {credential.Session{}, func(*stored) {}, true},
		"a candidate":                    {refreshable, func(w *stored) { w.job.Candidate = true }, true},
		"no sessions":                    {refreshable, func(w *stored) { w.traits.Session = exchange.NoSession }, true},
	} {
		w := newStored(t, tt.session)
		w.job.Provider = opener{grants: []exchange.Grant{client}}
		w.job.Credential = &secrets.Read{Err: errDenied}
		w.job.Token = secrets.Read{Err: notFound}
		tt.change(w)
		err := w.read(t.Context())
		if (err != nil) != tt.stops || tt.stops && !strings.Contains(err.Error(), "the credential "+credentialID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run reports missing secrets together, before any other fault.
func TestMissingSecretsAreReportedFirst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *stored)
		want   string // of the reason
	}{
		"everything is there": {func(*stored) {}, ""},
		"no session": {func(w *stored) {
			w.conn.Session, w.job.Session = "evertoken/c/gone", nil
			w.job.Credential = &secrets.Read{Err: errDenied}
		}, "the session secret evertoken/c/gone does not exist"},
		"no token": {func(w *stored) {
			w.conn.Token, w.job.Session = "evertoken/c/gone", &secrets.Read{Err: errDenied}
		}, "the token secret evertoken/c/gone does not exist"},
		"no credential":    {func(w *stored) { w.conn.Credential, w.job.Credential = "evertoken/c/gone", nil }, "the credential secret evertoken/c/gone does not exist"},
		"a denied session": {func(w *stored) { w.job.Session = &secrets.Read{Err: errDenied} }, "the session " + sessionID},
		"a denied token":   {func(w *stored) { w.job.Token = secrets.Read{Err: errDenied} }, "the token " + tokenID},
		"a credential without a value": {func(w *stored) {
			w.aws.CreateSecret("evertoken/c/empty", nil, nil)
			w.conn.Credential, w.job.Credential = "evertoken/c/empty", nil
			w.session.Exists, w.job.Session, w.traits.Session = false, nil, exchange.NoSession
		}, "no credential is stored yet"},
		"a credential that cannot be described": {func(w *stored) {
			w.job.Credential = &secrets.Read{Err: notFound}
			w.refuse("DescribeSecret", credentialID, "AccessDeniedException")
			w.traits.Session = exchange.NoSession
		}, "the credential " + credentialID + ": DescribeSecret"},
		"a token that cannot be described": {func(w *stored) {
			w.refuse("DescribeSecret", tokenID, "AccessDeniedException")
		}, "the token " + tokenID + ": DescribeSecret"},
		"a session that cannot be described": {func(w *stored) {
			w.job.Session = &secrets.Read{Err: notFound}
			w.refuse("DescribeSecret", sessionID, "AccessDeniedException")
		}, "the session " + sessionID + ": DescribeSecret"},
	} {
		w := newStored(t, refreshable)
		w.job.Provider = opener{grants: []exchange.Grant{client}}
		w.job.Token = secrets.Read{Err: notFound}
		tt.change(w)
		err := w.read(t.Context())
		if tt.want == "" {
			if err != nil || len(w.grants) != 1 ||
				w.session.Session().RefreshToken.Reveal() != "r" || w.tokenVersion.ARN == "" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A session secret that a connection does not declare is not missing, and one without a
// value exists.
func TestOnlyADeclaredSessionSecretIsMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		use      exchange.SessionUse
		declared bool
		err      *secrets.Error
		exists   bool
		fails    bool
	}{
		"optional, denied":             {exchange.OptionalSession, false, errDenied, false, false},
		"optional, not found":          {exchange.OptionalSession, false, notFound, false, false},
		"optional, throttled":          {exchange.OptionalSession, false, &secrets.Error{Kind: secrets.ErrThrottled}, false, true},
		"optional, declared, denied":   {exchange.OptionalSession, true, errDenied, false, true},
		"required, denied":             {exchange.RequiredSession, false, errDenied, false, true},
		"required, without a value":    {exchange.RequiredSession, false, notFound, true, false},
		"optional, declared, no value": {exchange.OptionalSession, true, notFound, true, false},
	} {
		w := newStored(t, refreshable)
		w.session.Exists, w.traits.Session, w.conn.SessionDeclared = false, tt.use, tt.declared
		w.job.Session = &secrets.Read{Err: tt.err}
		if err := w.readSession(t.Context()); (err != nil) != tt.fails || w.session.Exists != tt.exists {
			t.Errorf("%s: exists %t: %v", name, w.session.Exists, err)
		}
		if tt.exists && (w.session.Version().ARN != w.aws.Secret(sessionID).ARN || w.session.Version().ID != "") {
			t.Errorf("%s: %+v", name, w.session.Version())
		}
	}
}

// A session secret that does not exist is no place for a session.
func TestASessionSecretThatIsGoneIsNotUsed(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	w.session.Exists, w.conn.Session, w.job.Session = false, "evertoken/c/gone", nil
	if err := w.readSession(t.Context()); err != nil || w.session.Exists || len(w.missing) != 1 {
		t.Errorf("exists %t, missing %v: %v", w.session.Exists, w.missing, err)
	}
}

// A run reports an overwritten document, but not an empty one.
func TestAnOverwrittenDocumentIsReported(t *testing.T) {
	t.Parallel()
	for value, told := range map[string]bool{"": false, " \n": false, "{}": false, "junk": true, `{"refresh_token":"r"}`: false} {
		w := newStored(t, refreshable)
		w.job.Session = &secrets.Read{Version: secrets.Version{ID: "v", Value: redact.New(value)}}
		if err := w.readSession(t.Context()); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if got := strings.Contains(Sentences(w.hints...), "Somebody overwrote the session document"); got != told {
			t.Errorf("session %q: hints %q", value, w.hints)
		}
	}
	mine, others := tokenOf("a", at), tokenOf("a", at)
	others.Connection = "other"
	for value, want := range map[string]string{
		"junk": "holds no token document", "{}": "", " {} ": "",
		mine.Encode(false).Reveal(): "", others.Encode(false).Reveal(): "belongs to another connection",
	} {
		w := newStored(t, refreshable)
		w.token = nil
		w.parseToken(secrets.Version{Value: redact.New(value)})
		if got := Sentences(w.hints...); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("token %q: hints %q", value, got)
		}
		if (w.token != nil) != (value == mine.Encode(false).Reveal()) {
			t.Errorf("token %q counts: %t", value, w.token != nil)
		}
	}
}

// A missing token parameter is created; a missing secret is an error.
func TestATokenThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	w.conn.Token, w.conn.TokenParameter = "", "/evertoken/c"
	w.job.Token = secrets.Read{Err: notFound}
	if err := w.readToken(t.Context()); err != nil || len(w.missing) > 0 || w.token != nil {
		t.Errorf("a parameter: %v, missing %v", err, w.missing)
	}
	if err := w.readTokenAgain(t.Context()); err != nil || len(w.missing) > 0 {
		t.Errorf("a parameter, again: %v, missing %v", err, w.missing)
	}
	w.conn.Token, w.conn.TokenParameter = "evertoken/c/gone", ""
	if err := w.readToken(t.Context()); err != nil || len(w.missing) != 1 {
		t.Errorf("a secret: %v, missing %v", err, w.missing)
	}
}

// A password that ends in a line break is refused; other members may.
func TestAPasswordThatEndsInALineBreakIsRefused(t *testing.T) {
	t.Parallel()
	for value, refused := range map[string]bool{"p": false, "p\n": true, "p\r\n": true, "p ": false} {
		for _, g := range []exchange.Grant{password, client} {
			w := newStored(t, refreshable)
			doc := `{"client_id":"i","client_secret":"s","username":"u","password":` + strings.ReplaceAll(strings.ReplaceAll(`"`+value+`"`, "\r", `\r`), "\n", `\n`) + `}`
			w.job.Credential = &secrets.Read{Version: secrets.Version{ID: "v", Value: redact.New(doc)}}
			w.job.Provider = opener{grants: []exchange.Grant{g}}
			w.readCredential(t.Context())
			if want := refused && g.Password; (w.noCredential != nil) != want || (len(w.grants) == 0) != want {
				t.Errorf("%q for the %s grant: %+v", value, g.Type, w.noCredential)
			}
		}
	}
}

// Only a run that may use it searches for a session that is stored elsewhere.
func TestOnlyARunThatMayUseItSearchesForAnotherSession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *stored)
		want   bool
	}{
		"a run":       {func(*stored) {}, true},
		"a dry run":   {func(w *stored) { w.job.DryRun = true }, false},
		"a candidate": {func(w *stored) { w.job.Candidate = true }, false},
		"no sessions": {func(w *stored) { w.traits.Session = exchange.NoSession }, false},
	} {
		w := newStored(t, refreshable)
		w.session.Rescue = "/evertoken/rescue/c"
		w.aws.PutParameter("/evertoken/rescue/c", "SecureString", `{"based_on":"`+w.session.Version().ID+
			`","session":{"refresh_token":"rescued","opened_by":"other"}}`)
		tt.change(w)
		if got, err := w.elsewhere(t.Context()); got != tt.want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

// The session's keeper learns when the token is about to die, and counts versions where an
// earlier exchange went wrong.
func TestTheSessionsKeeperLearnsWhenTheTokenDies(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	run := w.turns(t.Context())
	for stage, odd := range map[session.Stage]bool{session.Lost: true, session.Orphaned: true, session.Idle: false, session.Busy: false} {
		if err := run.Check(secrets.Description{ARN: w.aws.Secret(sessionID).ARN}, stage); err != nil || w.odd != odd {
			t.Errorf("%v: odd %t, %v", stage, w.odd, err)
		}
	}
	for _, tt := range []struct{ emergency, token, dying bool }{{true, true, true}, {false, true, false}, {true, false, false}} {
		w.decision.Emergency = tt.emergency
		if w.token = nil; tt.token {
			w.token = &TokenTimes{at, at}
		}
		if got := run.Terms().Dying; got != tt.dying {
			t.Errorf("%+v: dying %t", tt, got)
		}
	}
}

// A run that finds the session changed reads the token again, and ends where another run
// has published one that is fresh.
func TestARunEndsWhereAnotherHasJustRenewed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		left   time.Duration // of the token that is now published
		denied bool
		waits  bool
		fails  bool
	}{
		"a fresh token":           {time.Hour, false, true, false},
		"a token that is due":     {time.Minute, false, false, false},
		"it cannot be read again": {time.Hour, true, false, true},
	} {
		w := newStored(t, refreshable)
		published := tokenOf("a", at.Add(tt.left))
		published.IssuedAt = at.Add(tt.left - 2*time.Hour)
		w.meanwhile(secrets.FreshID(), published)
		w.token = nil
		if tt.denied {
			w.refuse("GetSecretValue", tokenID, "AccessDeniedException")
		}
		err := w.turns(t.Context()).Changed(t.Context())
		if _, waits := errors.AsType[*session.Waiting](err); waits != tt.waits || (err != nil) != (tt.waits || tt.fails) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
