package issue_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// TestWhatARenewalCosts pins the calls to AWS that docs/architecture.md names.
func TestWhatARenewalCosts(t *testing.T) {
	t.Parallel()
	read := []string{"GetParametersByPath", "BatchGetSecretValue token"}
	tests := []struct {
		name    string
		connect func(*fakeworld.World)
		want    []string
	}{
		{"flexera, a user's refresh token", func(w *fakeworld.World) { w.Flexera("a", false) }, []string{"BatchGetSecretValue", "DescribeSecret token", "PutSecretValue token"}},
		{"oauth2, client_credentials", func(w *fakeworld.World) { w.OAuth2("a", "client_credentials") }, []string{"BatchGetSecretValue credential", "DescribeSecret token", "PutSecretValue token"}},
		{"apiax, a single-use refresh token", func(w *fakeworld.World) { w.Apiax("a") }, []string{
			"BatchGetSecretValue", "DescribeSecret token", "DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session", "PutSecretValue session", "PutSecretValue token",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			tt.connect(w)
			w.Run(issue.Event{})
			w.AWS.ResetCalls()
			w.Run(issue.Event{}) // fresh
			if diff := cmp.Diff(read, made(w)); diff != "" {
				t.Errorf("calls while nothing is due (-want +got):\n%s", diff)
			}
			token, _ := w.Token("a")
			w.Clock.Advance(token.RenewAfter.Sub(token.IssuedAt) + time.Minute)
			w.AWS.ResetCalls()
			w.Run(issue.Event{})
			if diff := cmp.Diff(append(slices.Clip(read), tt.want...), made(w)); diff != "" {
				t.Errorf("calls of a renewal (-want +got):\n%s", diff)
			}
		})
	}
}

// made are the calls to AWS, those about one document with its name.
func made(w *fakeworld.World) []string {
	documents := map[string]string{"evertoken/a/token": " token", "evertoken/a/session": " session", "evertoken/a/credential": " credential"}
	var out []string
	for _, c := range w.AWS.Calls() {
		out = append(out, c.Operation+documents[c.Resource])
	}
	return out
}
