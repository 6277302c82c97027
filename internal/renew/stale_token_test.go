package renew_test

import (
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/issue"
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
		"every read":                 {"GetSecretValue", 2, issue.Event{}, "deferred", "two reads of the token differ, because another run is publishing one", false},
		"the description":            {"DescribeSecret", 1, issue.Event{Force: true}, "deferred", "two reads of the token differ, because another run is publishing one", false},
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
