package issue_test

import (
	"strings"
	"testing"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// TestACredentialThatIsNoJSONSaysWhatIsNeeded, by provider and grant.
func TestACredentialThatIsNoJSONSaysWhatIsNeeded(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	want := map[string]string{
		"flexera-user": "flexera needs it, or client_id and client_secret", "flexnet": "flexnet needs username and password",
		"apiax": "apiax needs username and password", "sharetribe-integration": "needs client_id and client_secret",
		"oauth2-client": "client_secret_post needs client_id and client_secret",
	}
	w.All()
	for name := range want {
		w.PutSecret("evertoken/"+name+"/credential", canary)
	}
	report := w.Run(issue.Event{})
	for name, needs := range want {
		e := fakeworld.Entry(report, name)
		if e.Outcome != "failed" || !strings.HasPrefix(e.Hint, "Store a JSON object (") ||
			!strings.Contains(e.Hint,
				needs+"): `evertoken credential "+name+"`, or `aws secretsmanager put-secret-value") {
			t.Errorf("%s: %+v", name, e)
		}
		if strings.Contains(e.Hint+e.Reason, canary) {
			t.Errorf("%s: the document is shown", name)
		}
	}
}
