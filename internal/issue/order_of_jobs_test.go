package issue_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// TestLivingTokensGoFirstAndMissingOnesTakeTurns has three tokens that live and three
// that are missing, and a provider that fails them all, so that only the time changes.
func TestLivingTokensGoFirstAndMissingOnesTakeTurns(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	left := map[string]time.Duration{"m1": 2 * time.Hour, "m2": 80 * time.Minute, "m3": 100 * time.Minute}
	names := map[string]string{} // :: client id → connection
	for _, name := range []string{"a", "k", "m1", "m2", "m3", "z"} {
		w.OAuth2(name, "client_credentials")
		stored, _ := w.AWS.Secret("evertoken/" + name + "/credential").Labelled(secrets.Current)
		var members map[string]string
		if err := json.Unmarshal([]byte(stored.Value), &members); err != nil {
			t.Fatal(err)
		}
		names[members["client_id"]] = name
		if left[name] == 0 {
			continue
		}
		end := w.Clock.Now().Add(left[name])
		token := credential.Token{AccessToken: redact.New("canary-" + name), Connection: name,
			TokenType: "Bearer", IssuedAt: end.Add(-6 * time.Hour), ExpiresAt: end, RenewAfter: end.Add(-3 * time.Hour)}
		w.PutSecret("evertoken/"+name+"/token", token.Encode(false).Reveal())
	}
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusServiceUnavailable})
	first := map[string]bool{}
	for range len(names) {
		w.IDP.ResetRequests()
		w.Tick()
		var order []string
		for _, r := range w.IDP.Requests() {
			order = append(order, names[r.Form.Get("client_id")])
		}
		if len(order) != len(names) {
			t.Fatalf("%d of %d were tried: %q", len(order), len(names), order)
		}
		if diff := cmp.Diff([]string{"m2", "m3", "m1"}, order[:3]); diff != "" {
			t.Errorf("those that live (-want +got):\n%s", diff)
		}
		dead := slices.Sorted(slices.Values(order[3:]))
		if diff := cmp.Diff([]string{"a", "k", "z"}, dead); diff != "" {
			t.Errorf("those that are missing (-want +got):\n%s", diff)
		}
		first[order[3]] = true
	}
	if len(first) != 3 {
		t.Errorf("in as many runs as there are connections not every missing one was the first of them: %v", first)
	}
	w.IDP.ClearFaults()
	if report := w.Run(issue.Event{}); report.Issued != len(names) {
		t.Errorf("once the provider answers: %+v", report)
	}
}
