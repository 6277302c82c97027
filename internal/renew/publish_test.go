package renew

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// prover is a provider that says which access tokens work.
type prover struct {
	provider
	works map[string]bool
}

func (p prover) Prove(_ context.Context, _ credential.Credential, token redact.Secret) error {
	if p.works[token.Reveal()] {
		return nil
	}
	return errors.New("refused")
}

func tokenOf(access string, expiresAt time.Time) credential.Token {
	return credential.Token{AccessToken: redact.New(access), Connection: "c", IssuedAt: at,
		ExpiresAt: expiresAt, RenewAfter: at, LookAfter: at}
}

// publishedNow is the access token that applications read, and how many versions there are.
func (w *stored) publishedNow() (string, int) {
	x := w.aws.Secret(tokenID)
	v, _ := x.Labelled(secrets.Current)
	doc, err := credential.ParseToken(redact.New(v.Value))
	if err != nil {
		return "", len(x.Versions)
	}
	return doc.AccessToken.Reveal(), len(x.Versions)
}

// meanwhile stores a token that another run published.
func (w *stored) meanwhile(id string, token credential.Token) {
	w.t.Helper()
	if err := w.Secrets.Put(w.t.Context(), tokenID, id, token.Encode(false)); err != nil {
		w.t.Fatal(err)
	}
}

// Of two tokens made from the same base at a provider without sessions the one that lives
// longer stays; where tokens end each other, the one that works.
func TestOfTwoSimultaneousTokensTheLivingOneIsPublished(t *testing.T) {
	t.Parallel()
	ours := tokenOf("ours", at.Add(time.Hour))
	otherConnections := tokenOf("theirs", at.Add(2*time.Hour))
	otherConnections.Connection = "other"
	for name, tt := range map[string]struct {
		theirs credential.Token
		works  map[string]bool // nil where the provider cannot say
		want   string
		left   bool
	}{
		"theirs lives longer":            {tokenOf("theirs", at.Add(2*time.Hour)), nil, "theirs", true},
		"theirs lives as long":           {tokenOf("theirs", at.Add(time.Hour)), nil, "theirs", true},
		"theirs ends earlier":            {tokenOf("theirs", at.Add(time.Hour-time.Second)), nil, "ours", false},
		"theirs is another connection's": {otherConnections, nil, "ours", false},
		"theirs works":                   {tokenOf("theirs", at.Add(2*time.Hour)), map[string]bool{"theirs": true}, "theirs", true},
		"ours works":                     {tokenOf("theirs", at.Add(2*time.Hour)), map[string]bool{"ours": true}, "ours", false},
		"neither works":                  {tokenOf("theirs", at.Add(2*time.Hour)), map[string]bool{}, "theirs", true},
		"theirs works, and ends earlier": {tokenOf("theirs", at.Add(time.Minute)), map[string]bool{"theirs": true}, "ours", false},
	} {
		w := newStored(t, credential.Session{})
		w.token = nil
		if tt.works != nil {
			w.job.Provider = prover{works: tt.works}
		}
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		w.meanwhile(secrets.DeriveID(w.tokenVersion.ARN, "base", "token"), tt.theirs)
		result, err := w.publish(t.Context(), ours, Result{Outcome: Issued})
		if err != nil || result.Outcome != Issued || !result.ExpiresAt.Equal(ours.ExpiresAt) {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		if got, _ := w.publishedNow(); got != tt.want {
			t.Errorf("%s: %s is published", name, got)
		}
		if told := strings.Contains(Sentences(w.hints...), "Evertoken keeps that one"); told != tt.left {
			t.Errorf("%s: hints %q", name, w.hints)
		}
		if (w.token == nil) != tt.left {
			t.Errorf("%s: the run counts %v as published", name, w.token)
		}
	}
}

// A run that stored a session publishes its token while that session is in force, and
// looks again before it publishes if it was slow.
func TestATokenIsPublishedWhileItsSessionIsInForce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		slow, overtaken, collides bool
		want                      string
	}{
		"at once":                      {false, false, false, "ours"},
		"at once, and overtaken":       {false, true, false, "ours"}, // the other run waits half a minute for it
		"slow":                         {true, false, false, "ours"},
		"slow and overtaken":           {true, true, false, ""},
		"another run's token is there": {false, false, true, "ours"},
		"another run's token and session are there": {false, true, true, "theirs"},
	} {
		w := newStored(t, refreshable)
		w.token = nil
		next := refreshable
		next.RefreshToken, next.RefreshedAt = redact.New("next"), at
		if tt.slow {
			next.RefreshedAt = at.Add(-publishing)
		}
		w.session.Store(t.Context(), next)
		if !w.session.StoredHere() {
			t.Fatal("the session was not stored")
		}
		if tt.overtaken {
			other := refreshable
			other.RefreshToken = redact.New("other")
			if err := w.Secrets.Put(t.Context(), sessionID, secrets.FreshID(), other.Encode()); err != nil {
				t.Fatal(err)
			}
		}
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		if tt.collides {
			w.meanwhile(secrets.DeriveID(w.tokenVersion.ARN, "base", "token"), tokenOf("theirs", at.Add(2*time.Hour)))
		}
		if _, err := w.publish(t.Context(), tokenOf("ours", at.Add(time.Hour)), Result{Outcome: Issued}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, _ := w.publishedNow(); got != tt.want {
			t.Errorf("%s: %q is published, want %q", name, got, tt.want)
		}
	}
}

// A provider that returns the published token issues no new one yet: nothing is written.
func TestTheSameTokenIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		access   string
		ends     time.Duration // after the published token's end
		versions int
		outcome  Outcome
	}{
		"the same token":               {"a", 0, 0, Fresh},
		"the same token, ends earlier": {"a", -time.Second, 0, Fresh},
		"the same token, lives longer": {"a", time.Second, 1, Issued},
		"another token":                {"b", 0, 1, Issued},
	} {
		w := newStored(t, credential.Session{})
		w.published = tokenOf("a", w.token.ExpiresAt)
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		result, err := w.publish(t.Context(), tokenOf(tt.access, w.token.ExpiresAt.Add(tt.ends)),
			Result{Outcome: Issued, Grant: "g"})
		if _, n := w.publishedNow(); err != nil || result.Outcome != tt.outcome ||
			result.Grant != "g" || n != tt.versions {
			t.Errorf("%s: %+v, %v, %d versions", name, result, err, n)
		}
	}
	w := newStored(t, credential.Session{})
	w.token = nil
	w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN}
	if result, err := w.publish(t.Context(), tokenOf("", at), Result{Outcome: Issued}); err != nil || result.Outcome != Issued {
		t.Errorf("without a published token: %+v, %v", result, err)
	}
}

// A run and a rotation report with the reason what they cannot publish.
func TestATokenThatCannotBePublishedIsReported(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *stored)
		want   string
	}{
		"a secret": {func(w *stored) { w.refuse("PutSecretValue", tokenID, "AccessDeniedException") },
			"a new token was received and could not be published: the token " + tokenID},
		"a parameter": {func(w *stored) {
			w.conn.TokenParameter = "/evertoken/c"
			w.refuse("PutParameter", "/evertoken/c", "AccessDeniedException")
		}, "a new token was received and could not be published: the token /evertoken/c"},
		"a rotation": {func(w *stored) {
			w.keep = func(context.Context, credential.Token) error { return errDenied }
		}, "the token " + tokenID},
	} {
		w := newStored(t, credential.Session{})
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		tt.change(w)
		_, err := w.publish(t.Context(), tokenOf("b", at.Add(time.Hour)), Result{Outcome: Issued})
		if err == nil || !strings.HasPrefix(asStopped(err).Reason, tt.want) || asStopped(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token is published in a parameter as in a secret: it does not replace a newer
// session's.
func TestAParameterIsNotWrittenOverANewerSessionsToken(t *testing.T) {
	t.Parallel()
	for _, overtaken := range []bool{false, true} {
		w := newStored(t, refreshable)
		w.conn.TokenParameter = "/evertoken/c"
		next := refreshable
		next.RefreshToken = redact.New("next")
		w.session.Store(t.Context(), next)
		if overtaken {
			if err := w.Secrets.Put(t.Context(), sessionID, secrets.FreshID(), refreshable.Encode()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.publish(t.Context(), tokenOf("ours", at.Add(2*time.Hour)), Result{Outcome: Issued}); err != nil {
			t.Fatal(err)
		}
		if _, written := w.aws.Parameter("/evertoken/c"); written == overtaken {
			t.Errorf("overtaken %t: written %t", overtaken, written)
		}
	}
}

// A run reports tokens that live too short for the declaration, with the figures.
func TestTokensThatLiveTooShortAreReported(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		life, promised time.Duration
		parameter      bool
		session        bool // it changed in this run
		want           string
	}{
		"long enough":                         {time.Hour, 0, false, true, ""},
		"min_remaining of half the life":      {2 * time.Hour, time.Hour, false, true, ""},
		"min_remaining of more than half":     {2 * time.Hour, time.Hour + 1, false, true, "Evertoken promises 1h0m0s instead."},
		"too short for a secret":              {20 * time.Minute, 0, false, true, "too short for a secret"},
		"just long enough for a secret":       {secretLife, 0, false, true, ""},
		"a second too short for a secret":     {secretLife - 6*time.Second, 0, false, true, "too short for a secret"},
		"short, in a parameter":               {20 * time.Minute, 0, true, false, ""},
		"short, in a parameter, and sessions": {20 * time.Minute, 0, true, true, "makes about 86 versions of the session a day"},
		"very short, in a parameter":          {2 * time.Minute, 0, true, true, "makes about 288 versions of the session a day"},
		"long, in a parameter, and sessions":  {secretLife, 0, true, true, ""},
	} {
		w := newStored(t, refreshable)
		if tt.session {
			next := refreshable
			next.RefreshToken = redact.New("next")
			w.session.Store(t.Context(), next)
		}
		w.conn.MinRemaining = tt.promised
		if tt.parameter {
			w.conn.TokenParameter = "/evertoken/c"
		}
		w.token = &TokenTimes{at, at.Add(tt.life)}
		w.warnShort()
		got := Sentences(w.hints...)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, change := range map[string]func(w *stored){
		"sessions that need not change": func(w *stored) { w.traits.Session = exchange.OptionalSession },
		"sessions that are not claimed": func(w *stored) { w.traits.SingleUse = false },
	} {
		w := newStored(t, refreshable)
		next := refreshable
		next.RefreshToken = redact.New("next")
		w.session.Store(t.Context(), next)
		w.conn.TokenParameter, w.token = "/evertoken/c", &TokenTimes{at, at.Add(20 * time.Minute)}
		change(w)
		if w.warnShort(); len(w.hints) > 0 {
			t.Errorf("%s: %q", name, w.hints)
		}
	}
}

// secretLife is the shortest life of a token that a secret can hold at a heartbeat of
// five minutes: a sixth is promised, and the rest spans the floor and the heartbeat.
const secretLife = (floor + 5*time.Minute - lostLife) * 6 / 5

// A token that was published over a rotation's is replaced by it, if that one works.
func TestARotationsTokenReplacesTheOnePublishedOverIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		theirs string // what AWSPREVIOUS holds; "" where it is the base
		works  string
		refuse string
		left   bool
		hinted bool
	}{
		"theirs serves":        {"theirs", "theirs", "", true, false},
		"ours serves":          {"theirs", "ours", "", false, false},
		"nothing came between": {"", "theirs", "", false, false},
		"it cannot be read":    {"theirs", "theirs", "GetSecretValue", false, true},
		"it cannot be moved":   {"theirs", "theirs", "UpdateSecretVersionStage", false, true},
	} {
		w := newStored(t, credential.Session{})
		w.job.Provider = prover{works: map[string]bool{tt.works: true}}
		base, ours := secrets.FreshID(), secrets.FreshID()
		w.meanwhile(base, tokenOf("base", at.Add(time.Hour)))
		between := base
		if tt.theirs != "" {
			between = secrets.FreshID()
			w.meanwhile(between, tokenOf(tt.theirs, at.Add(2*time.Hour)))
		}
		w.meanwhile(ours, tokenOf("ours", at.Add(time.Hour)))
		if tt.refuse != "" {
			w.refuse(tt.refuse, tokenID, "AccessDeniedException")
		}
		w.giveWay(t.Context(), base, ours, tokenOf("ours", at.Add(time.Hour)))
		v, _ := w.aws.Secret(tokenID).Labelled(secrets.Current)
		if w.left != tt.left || (v.ID == between) != tt.left || (len(w.hints) > 0) != tt.hinted {
			t.Errorf("%s: left %t, hints %q", name, w.left, w.hints)
		}
	}
	w := newStored(t, credential.Session{})
	w.meanwhile(secrets.FreshID(), tokenOf("first", at.Add(time.Hour)))
	if w.giveWay(t.Context(), "", "", tokenOf("first", at.Add(time.Hour))); len(w.hints) > 0 || w.left {
		t.Errorf("without AWSPREVIOUS: left %t, hints %q", w.left, w.hints)
	}
}

// Only a run without a session checks whether it published over a rotation.
func TestOnlyARunWithoutASessionChecksForARotation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rotates, session, denied bool
		asks                     bool
	}{
		"a token that rotates":                {true, false, false, true},
		"a token that does not":               {false, false, false, false},
		"a session that was stored":           {true, true, false, false},
		"a token that could not be published": {true, false, true, false},
	} {
		w := newStored(t, refreshable)
		w.tokenRotates = tt.rotates
		w.tokenVersion = secrets.Version{ARN: w.aws.Secret(tokenID).ARN, ID: "base"}
		if tt.session {
			next := refreshable
			next.RefreshToken, next.RefreshedAt = redact.New("next"), at
			w.session.Store(t.Context(), next)
		}
		if tt.denied {
			w.refuse("PutSecretValue", tokenID, "AccessDeniedException")
		}
		w.aws.ResetCalls()
		err := w.publishSecret(t.Context(), tokenOf("ours", at.Add(time.Hour)))
		asks := false
		for _, c := range w.aws.Calls() {
			asks = asks || c.Operation == "GetSecretValue" && c.Resource == tokenID
		}
		if asks != tt.asks || (err != nil) != tt.denied {
			t.Errorf("%s: asks %t, %v", name, asks, err)
		}
	}
}
