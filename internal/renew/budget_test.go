package renew

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// filled is a secret with so many versions: the first at t0, and one a minute.
func filled(t *testing.T, name string, versions int) (*fakeaws.Server, *secrets.Store,
	secrets.Description,
) {
	t.Helper()
	clock := t0
	server, err := fakeaws.New(fakeaws.Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	store := secrets.NewStore(secretsmanager.NewFromConfig(server.AWSConfig()), nil)
	server.CreateSecret(name, nil, nil)
	for range versions {
		if err := store.Put(t.Context(), name, secrets.FreshID(), redact.New("{}")); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(m)
	}
	described, err := store.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return server, store, described
}

// TestNoVersionIsWrittenThatWouldUseUpTheLimit checks for a secret with so many versions
// younger than a day whether one more may be written.
func TestNoVersionIsWrittenThatWouldUseUpTheLimit(t *testing.T) {
	t.Parallel()
	server, store, described := filled(t, "evertoken/c1/token", fullBudget)
	// when is the time at which so many of them are younger than a day.
	when := func(versions int) time.Time {
		return t0.Add(24*h + time.Duration(fullBudget-versions)*m - m/2)
	}
	token := &TokenTimes{t0, t0.Add(h)}
	for _, tt := range []struct {
		name string
		d    Decision
		odd  bool
		// first is the least number of versions that is refused; 0 where none is.
		token *TokenTimes
		first int
	}{
		{"in time", Decision{Due: true}, false, token, 0},
		{"written just now", Decision{WithinFloor: true}, false, token, earlyBudget},
		{"written just now, and dying", Decision{WithinFloor: true, Emergency: true}, false, token, earlyBudget},
		{"written just now, without its token", Decision{WithinFloor: true, Unpublished: true}, false, token, oddBudget},
		{"written just now, without its token, and dying", Decision{WithinFloor: true, Unpublished: true, Emergency: true}, false, token, oddBudget},
		{"written just now, without its token, and late", Decision{WithinFloor: true, Unpublished: true, Late: true}, false, token, lateBudget},
		{"written long ago, without its token", Decision{Unpublished: true}, false, token, 0},
		{"late", Decision{Late: true}, false, token, lateBudget},
		{"dying", Decision{Emergency: true}, false, token, fullBudget},
		{"late and dying", Decision{Late: true, Emergency: true}, false, token, lateBudget},
		{"the first", Decision{Emergency: true}, false, nil, 0},
		{"the first, late", Decision{Emergency: true, Late: true}, false, nil, lateBudget},
		{"out of the order", Decision{}, true, token, oddBudget},
		{"out of the order, and the first", Decision{Emergency: true}, true, nil, oddBudget},
		{"out of the order, and dying", Decision{Emergency: true}, true, token, oddBudget},
		{"out of the order, and late", Decision{Late: true}, true, token, lateBudget},
	} {
		for _, versions := range []int{earlyBudget - 1, earlyBudget, lateBudget - 1, lateBudget, oddBudget,
			fullBudget} {
			r := &renewal{Engine: &Engine{Secrets: store}, now: when(versions), decision: tt.d,
				odd: tt.odd, token: tt.token, session: &session.Keeper{}}
			err := r.checkBudget(t.Context(), "token secret", described)
			if want := tt.first != 0 && versions >= tt.first; (err != nil) != want {
				t.Errorf("%s, %d versions: %v", tt.name, versions, err)
			}
			if err != nil && !strings.Contains(err.Error(), "versions younger than 24 hours") {
				t.Errorf("%s, %d versions: %v", tt.name, versions, err)
			}
		}
	}

	for versions, refused := range map[int]bool{earlyBudget: false, lateBudget - 1: false, lateBudget: true} {
		r := &renewal{Engine: &Engine{Secrets: store}, now: when(versions), token: token,
			decision: Decision{WithinFloor: true}, session: &session.Keeper{}}
		r.job.Candidate = true
		if err := r.checkBudget(t.Context(), "token secret", described); (err != nil) != refused {
			t.Errorf("a candidate, %d versions: %v", versions, err)
		}
	}

	server.Inject(&fakeaws.Fault{Operation: "ListSecretVersionIds", Kind: fakeaws.Refuse,
		Code: "AccessDeniedException"})
	r := &renewal{Engine: &Engine{Secrets: store}, now: t0, decision: Decision{Late: true}, session: &session.Keeper{}}
	if err := r.checkBudget(t.Context(), "token secret", described); err == nil ||
		strings.Contains(err.Error(), "versions younger") {
		t.Errorf("versions that cannot be counted: %v", err)
	}
}

// Only a token that is due in time waits for room. One that was revoked, that rotation mints, or
// that an operator forces does not.
func TestOnlyATokenThatIsDueWaitsForRoom(t *testing.T) {
	t.Parallel()
	_, store, described := filled(t, "evertoken/c1/token", halfDayBudget)
	for _, tt := range []struct {
		name     string
		d        Decision
		document string
		versions int
		left     time.Duration
		waits    bool
	}{
		{"due", Decision{Often: true, Reason: reasonDue}, "token", halfDayBudget, 10 * m, true},
		{"due, with less than min_remaining and a heartbeat left", Decision{Often: true, Reason: reasonDue}, "token", halfDayBudget, 10*m - 1, false},
		{"due, with room", Decision{Often: true, Reason: reasonDue}, "token", halfDayBudget - 1, 15 * m, false},
		{"due, seldom", Decision{Reason: reasonDue}, "token", halfDayBudget, 15 * m, false},
		{"due, the secret that is not counted", Decision{Often: true, Reason: reasonDue}, "session", halfDayBudget, 15 * m, false},
		{"revoked", Decision{Often: true, Reason: reasonRevoked}, "token", halfDayBudget, 15 * m, false},
		{"forced, or minted by rotation", Decision{Often: true, Reason: reasonForced}, "token", halfDayBudget, 15 * m, false},
		{"session ending", Decision{Often: true, Reason: reasonSessionEnding}, "token", halfDayBudget, 15 * m, false},
	} {
		now := t0.Add(12*h + time.Duration(halfDayBudget-tt.versions)*m - m/2)
		end := now.Add(tt.left)
		r := &renewal{Engine: &Engine{Secrets: store, Every: 5 * m}, decision: tt.d, now: now,
			token: &TokenTimes{end.Add(-30 * m), end}, session: &session.Keeper{}}
		err := r.checkBudget(t.Context(), tt.document, described)
		if (err != nil) != tt.waits || tt.waits && asStopped(err).Outcome != Fresh {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Runs store sessions and cannot publish a token of them. From a number of versions on, only a run
// after the floor, or one that an operator forces, stores another session.
func TestRunsThatCannotPublishLeaveRoom(t *testing.T) {
	t.Parallel()
	_, store, described := filled(t, "evertoken/c1/session", stuckBudget)
	published := &TokenTimes{t0, t0.Add(h)}
	soon := Decision{WithinFloor: true, Unpublished: true}
	for _, tt := range []struct {
		name     string
		d        Decision
		token    *TokenTimes
		document string
		forced   bool
		versions int
		waits    bool
	}{
		{"an older token is published", soon, published, "session", false, stuckBudget, true},
		{"no token is published", Decision{WithinFloor: true}, nil, "session", false, stuckBudget, true},
		{"with room", soon, published, "session", false, stuckBudget - 1, false},
		{"forced", soon, published, "session", true, stuckBudget, false},
		{"after the floor", Decision{Unpublished: true}, published, "session", false, stuckBudget, false},
		{"the token's secret", soon, published, "token", false, stuckBudget, false},
		{"its token is published", Decision{WithinFloor: true}, published, "session", false, stuckBudget, false},
	} {
		r := &renewal{Engine: &Engine{Secrets: store}, decision: tt.d, token: tt.token,
			now: t0.Add(12*h + time.Duration(stuckBudget-tt.versions)*m - m/2), session: &session.Keeper{}}
		r.job.Force = tt.forced
		stored := credential.Session{RefreshToken: redact.New("r"), RefreshedAt: t0}
		r.session.Use(secrets.Version{Value: stored.Encode()})
		err := r.checkBudget(t.Context(), tt.document, described)
		if (err != nil) != tt.waits ||
			tt.waits && !strings.Contains(err.Error(), "52 versions younger than 12 hours") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestARefusalOfShortLivedTokensNamesTheirLife(t *testing.T) {
	t.Parallel()
	r := &renewal{Engine: &Engine{}, token: &TokenTimes{t0, t0.Add(5 * m)}}
	if got := r.used("token secret", 98); !strings.Contains(got.Reason, "98 versions") ||
		!strings.Contains(got.Reason, "life is 5m0s") || got.Class != exchange.Misconfigured {
		t.Errorf("%+v", got)
	}
	r.token = nil
	if got := r.used("token secret", 98); !strings.Contains(got.Reason, "life is unknown") {
		t.Errorf("%+v", got)
	}
}
