package renew_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// AWS may show a run the token that was published before. FlexNet tokens have two names in
// turn: a run that took the earlier one for the published one would replace the value that
// applications have.
func TestARunThatIsShownAnEarlierTokenEndsNoOther(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		stale   string // the call that AWS answers from the state before the last renewal
		times   int
		event   issue.Event
		outcome string
		reason  string
		sends   bool
	}{
		"the read":                   {"BatchGetSecretValue", 1, issue.Event{}, "fresh", "not due", false},
		"the read, for a dead token": {"BatchGetSecretValue", 1, issue.Event{Force: true, IssuedAt: time.Unix(0, 0)}, "fresh", "another token was published since", false},
		"the read, forced":           {"BatchGetSecretValue", 1, issue.Event{Force: true}, "issued", "forced", true},
		"every read":                 {"GetSecretValue", 2, issue.Event{}, "deferred", "AWS shows two states of the token, as it does for a moment after it was published", false},
		"the description":            {"DescribeSecret", 1, issue.Event{Force: true}, "deferred", "AWS shows two states of the token, as it does for a moment after it was published", false},
	} {
		w := world(t, connects["flexnet"])
		want(t, w, "issued", "")
		first, _ := w.Token(name)
		advance(t, w)
		want(t, w, "issued", "")
		w.IDP.ResetRequests()
		w.AWS.Inject(&fakeaws.Fault{Operation: tt.stale, Resource: token, Kind: fakeaws.Stale, Times: tt.times})
		if tt.stale == "GetSecretValue" { // the batch comes first
			w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: token, Kind: fakeaws.Stale, Times: 1})
		}
		tt.event.Connections = []string{name}
		if !tt.event.IssuedAt.IsZero() {
			tt.event.IssuedAt = first.IssuedAt
		}
		e := w.Run(tt.event).Connections[0]
		sends := len(w.IDP.Requests()) > 0
		if e.Outcome != tt.outcome || e.Reason != tt.reason || sends != tt.sends {
			t.Errorf("%s: sends %t, %+v", what, sends, e)
		}
		published, _ := w.Token(name)
		if !w.IDP.Accepts("flexnet", published.AccessToken.Reveal()) {
			t.Errorf("%s: FlexNet no longer accepts the published token", what)
		}
	}
}

// The rotation of the token ends no token that applications have either, whichever of its
// reads AWS answers from an earlier state.
func TestARotationThatIsShownAnEarlierTokenEndsNoOther(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		w := world(t, connects["flexnet"])
		want(t, w, "issued", "")
		advance(t, w)
		want(t, w, "issued", "")
		w.Clock.Advance(5 * time.Minute)
		rotator := w.Rotator()
		created := false
		w.OnRotation = fakeworld.Steps(func(e events.SecretsManagerSecretRotationEvent) error {
			if e.Step != "createSecret" {
				return fakeworld.Handle(rotator, e)
			}
			w.AWS.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Resource: token, Kind: fakeaws.Stale,
				Skip: n, Times: 1, StaleBy: 10 * time.Minute})
			err := fakeworld.Handle(rotator, e)
			created = true
			published, _ := w.Token(name)
			if !w.IDP.Accepts("flexnet", published.AccessToken.Reveal()) {
				t.Errorf("read %d: FlexNet no longer accepts the token that applications have", n)
			}
			return err
		})
		_ = w.Rotate(token, secrets.FreshID()) // a stale read may fail it: Secrets Manager repeats it
		if !created {
			t.Errorf("read %d: the rotation made no token", n)
		}
	}
}

// A stale token names an earlier version of the credential. After the token was read again,
// its own version proves the password.
func TestAPasswordIsProvenByTheTokenThatWasReadAgain(t *testing.T) {
	t.Parallel()
	w := world(t, connects["flexnet"])
	want(t, w, "issued", "")
	stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
	w.Clock.Advance(time.Hour)
	w.PutSecret(cred, stored.Value)
	w.Run(issue.Event{Connections: []string{name}, Force: true})
	w.PutSecret(cred, stored.Value)
	advance(t, w)
	silence(w)
	w.Config.Every = 15 * time.Minute
	for range 4 * 24 {
		w.AWS.Inject(&fakeaws.Fault{Operation: "BatchGetSecretValue", Resource: token, Kind: fakeaws.Stale,
			Times: 1}) // from before the last publication
		if e := fakeworld.Entry(w.Tick(), name); e.Outcome == "blocked" || strings.Contains(e.Reason, "never worked") {
			t.Fatalf("at %s: %+v", w.Clock.Now(), e)
		}
		w.AWS.ClearFaults()
	}
}
