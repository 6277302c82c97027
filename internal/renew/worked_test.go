package renew

import (
	"context"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

var at = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// silent is a provider without grants and without a host.
type silent struct{ exchange.Provider }

func (silent) Host() string { return "" }

// holding is a renewal with a credential, a session document that its labels describe,
// and a token that was issued a minute after the credential was stored.
func holding(t *testing.T, document string, s credential.Session, labels ...string) *renewal {
	t.Helper()
	doc, err := credential.Parse(redact.New(document))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Every: 5 * time.Minute, Now: func() time.Time { return at }}
	r := e.begin(Job{
		Connection: connection.Connection{Name: "c", Token: "evertoken/c/token"}, Provider: provider{},
		Credential: &secrets.Read{Version: secrets.Version{ID: "v", Created: at.Add(-time.Hour)}},
	})
	r.credential = doc
	r.session.Exists = true
	r.session.Use(secrets.Version{ID: "s", Value: s.Encode(), Labels: labels})
	r.token = &TokenTimes{at.Add(-59 * time.Minute), at.Add(time.Hour)}
	return r
}

// provider is one whose sessions are required.
type provider struct{ silent }

func (provider) Traits() exchange.Traits {
	return exchange.Traits{Session: exchange.RequiredSession, SingleUse: true}
}

const both = `{"client_id":"i","client_secret":"s","username":"u","password":"p"}`

// The credential that opened the session in force has worked. Without a session, a token
// that was issued since the credential was stored proves it.
func TestTheCredentialThatOpenedTheSessionHasWorked(t *testing.T) {
	t.Parallel()
	doc, err := credential.Parse(redact.New(both))
	if err != nil {
		t.Fatal(err)
	}
	byPassword := doc.Fingerprint(password.Members...)
	for _, tt := range []struct {
		name     string
		use      exchange.SessionUse
		noSecret bool
		openedBy string
		issued   time.Time
		want     bool
	}{
		{"a session that it opened", exchange.RequiredSession, false, byPassword, at, true},
		{"a session that something else opened", exchange.RequiredSession, false, "other", at, false},
		{"a session of unknown origin", exchange.RequiredSession, false, "", at, false},
		{"an optional session that it opened", exchange.OptionalSession, false, byPassword, at.Add(-2 * time.Hour), true},
		{"an optional session that something else opened", exchange.OptionalSession, false, "other", at, false},
		{"an optional session of unknown origin", exchange.OptionalSession, false, "", at, true},
		{"no session secret", exchange.RequiredSession, true, "other", at, true},
		{"no sessions", exchange.NoSession, false, "other", at, true},
		{"an older token", exchange.NoSession, false, "", at.Add(-2 * time.Hour), false},
		{"a token as old as the credential", exchange.NoSession, false, "", at.Add(-time.Hour), true},
		{"no token", exchange.NoSession, false, "", time.Time{}, false},
	} {
		r := holding(t, both, credential.Session{OpenedBy: tt.openedBy})
		r.traits.Session = tt.use
		r.session.Exists = !tt.noSecret
		if r.token.IssuedAt = tt.issued; tt.issued.IsZero() {
			r.token = nil
		}
		if got := r.worked(password); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// A token names the version of the credential whose password got it. The password of another
// version has worked if it is the same one.
func TestAPasswordThatGotTheTokenHasWorked(t *testing.T) {
	t.Parallel()
	const other = `{"client_id":"i","client_secret":"s","username":"u","password":"typo"}`
	for name, tt := range map[string]struct {
		grant        exchange.Grant
		named        string // by the token
		readID, read string // the other version that was read
		noToken      bool
		stored       time.Time
		want         bool
	}{
		"the version in force":                     {password, "v", "", "", false, at.Add(time.Hour), true},
		"a version with the same password":         {password, "old", "old", both, false, at.Add(time.Hour), true},
		"a version with another password":          {password, "old", "old", other, false, at.Add(time.Hour), false},
		"another one, but moved back to":           {password, "old", "old", other, false, at.Add(-48 * time.Hour), true},
		"a version that cannot be read":            {password, "old", "", "", false, at.Add(time.Hour), false},
		"a version that is not the one read":       {password, "old", "older", both, false, at.Add(time.Hour), false},
		"no version, stored before the token":      {password, "", "", "", false, at.Add(-48 * time.Hour), true},
		"no version, stored after the token":       {password, "", "", "", false, at.Add(time.Hour), false},
		"no token":                                 {password, "v", "", "", true, at.Add(-48 * time.Hour), false},
		"another one, stored with the token":       {password, "old", "old", other, false, at.Add(-59 * time.Minute), false},
		"a client, stored after the token":         {client, "v", "", "", false, at.Add(time.Hour), false},
		"a client, stored before the token":        {client, "old", "old", other, false, at.Add(-48 * time.Hour), true},
		"a client, stored at an unknown time":      {client, "v", "", "", false, time.Time{}, false},
		"a password, stored again at unknown time": {password, "old", "old", both, false, time.Time{}, true},
	} {
		r := holding(t, both, credential.Session{})
		r.traits.Session = exchange.NoSession
		r.job.Credential.Version.Created = tt.stored
		r.published.CredentialVersion = tt.named
		if tt.read != "" {
			doc, err := credential.Parse(redact.New(tt.read))
			if err != nil {
				t.Fatal(err)
			}
			r.proof = otherCredential{id: tt.readID, doc: doc}
		}
		if tt.noToken {
			r.token = nil
		}
		if got := r.worked(tt.grant); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
		r.job.Credential.Version.Labels = []string{labelRejected + "20261121_" + string(r.key(tt.grant.Type))}
		if got := r.worked(tt.grant); got != (tt.want && name != "another one, but moved back to") {
			t.Errorf("%s, refused since: %t", name, got)
		}
	}
}

// A session fits the credential that opened it. An unreadable credential does not
// contradict it.
func TestASessionFitsTheCredentialThatOpenedIt(t *testing.T) {
	t.Parallel()
	doc, err := credential.Parse(redact.New(both))
	if err != nil {
		t.Fatal(err)
	}
	for openedBy, want := range map[string]bool{"": false, "other": false, doc.Fingerprint(password.Members...): true} {
		r := holding(t, both, credential.Session{OpenedBy: openedBy})
		r.grants = []exchange.Grant{client, password}
		if got := r.sessionFits(); got != want {
			t.Errorf("opened by %q: %t", openedBy, got)
		}
		r.noCredential = &Stopped{}
		if !r.sessionFits() {
			t.Errorf("opened by %q: an unreadable credential speaks against it", openedBy)
		}
	}
}

// The grant of an opening in doubt is sent again a few times at most. Doubt about a
// refresh token says nothing about the password.
func TestAnOpeningInDoubtIsRepeatedAFewTimesAtMost(t *testing.T) {
	t.Parallel()
	doc, err := credential.Parse(redact.New(both))
	if err != nil {
		t.Fatal(err)
	}
	sent := map[int]string{1: "EVERTOKEN_SENT_1_20261121T150000Z",
		2: "EVERTOKEN_SENT_2_20261121T150000Z", 3: "EVERTOKEN_SENT_3_20261121T150000Z"}
	byPassword := doc.Fingerprint(password.Members...)
	for _, tt := range []struct {
		name    string
		session credential.Session
		sends   int
		grant   exchange.Grant
		want    bool
	}{
		{"never sent", credential.Session{OpeningAt: at, OpeningWith: byPassword}, 0, password, true},
		{"sent twice", credential.Session{OpeningAt: at, OpeningWith: byPassword}, 2, password, true},
		{"sent three times", credential.Session{OpeningAt: at, OpeningWith: byPassword}, 3, password, false},
		{"sent three times, nobody knows what", credential.Session{OpeningAt: at}, 3, password, false},
		{"another value sent three times", credential.Session{OpeningAt: at, OpeningWith: "other"}, 3, password, true},
		{"the refresh token sent three times", credential.Session{RefreshToken: redact.New("r"), OpenedBy: "other"}, 3, password, true},
		{"a client sent three times", credential.Session{OpeningAt: at}, 3, client, true},
		{"a seed sent once", credential.Session{OpeningAt: at}, 1, seed, false},
	} {
		var labels []string
		if tt.sends > 0 {
			labels = []string{sent[tt.sends]}
		}
		r := holding(t, both, tt.session, labels...)
		r.grants = []exchange.Grant{tt.grant}
		if got := r.mayOpen(tt.grant); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// A token is needed where none is published, or the published one is about to expire.
func TestATokenIsNeededWhenMissingOrAboutToExpire(t *testing.T) {
	t.Parallel()
	r := holding(t, both, credential.Session{})
	r.published = credential.Token{IssuedAt: at.Add(-time.Hour), ExpiresAt: at.Add(time.Hour)}
	r.now = at
	lead := tokenFacts(r.conn, r.traits, r.Every, r.published).emergencyLead()
	for left, want := range map[time.Duration]bool{lead - time.Second: true, lead: false, lead + time.Second: false, -time.Minute: true} {
		r.token = &TokenTimes{at.Add(-time.Hour), at.Add(left)}
		if got := r.needsToken(); got != want {
			t.Errorf("%s left: %t", left, got)
		}
	}
	r.token = nil
	if !r.needsToken() {
		t.Error("no token is needed where there is none")
	}
}

// recorder is a gate that records the result with which it was left.
type recorder struct {
	noGate
	left *exchange.Error
}

func (g *recorder) Enter(context.Context, exchange.Grant) (func(*exchange.Error), *exchange.Error) {
	return func(x *exchange.Error) { g.left = x }, nil
}

// A run that sends nothing for lack of time says nothing about the credential: counted as
// a success, it would let the connections that share it send it after a refusal.
func TestARunThatSendsNothingIsNoSuccess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	gate := &recorder{left: nil}
	r := holding(t, both, credential.Session{})
	r.job.Gate = gate
	if _, err := r.exchange(ctx, password); err == nil || gate.left != NotSent {
		t.Errorf("%v, left with %v", err, gate.left)
	}
}

// A run is on time in the heartbeat in which the token becomes due, and late afterwards.
// It is never on time where something other than the token's age makes it due.
func TestOnTimeIsTheFirstHeartbeat(t *testing.T) {
	t.Parallel()
	r := holding(t, both, credential.Session{})
	dueAt := r.facts().renewAt()
	for after, want := range map[time.Duration]bool{0: true, r.Every - time.Second: true, r.Every: false, r.Every + time.Second: false} {
		r.now = dueAt.Add(after)
		for reason, counts := range map[string]bool{reasonDue: true, "forced": false} {
			r.decision.Reason = reason
			if got := r.onTime(); got != (want && counts) {
				t.Errorf("%s after, %s: %t", after, reason, got)
			}
		}
	}
}
