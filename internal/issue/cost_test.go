package issue_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// TestARenewalMakesTheDocumentedCalls pins the calls to AWS that docs/architecture.md names.
func TestARenewalMakesTheDocumentedCalls(t *testing.T) {
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
			"BatchGetSecretValue", "DescribeSecret token", "DescribeSecret session", "ListSecretVersionIds session", "PutSecretValue session",
			"UpdateSecretVersionStage session", "PutSecretValue session", "PutSecretValue token",
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

// TestAPasswordCostsOneCallMore, which reads the labels of the credential, and two more if
// the password was stored again since it got the token: one reads the version that got it.
func TestAPasswordCostsOneCallMore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		again bool
		want  []string
	}{
		"as it got the token": {false, []string{"DescribeSecret token", "DescribeSecret credential", "PutSecretValue token"}},
		"stored again": {true, []string{"GetSecretValue credential", "DescribeSecret credential",
			"DescribeSecret token", "DescribeSecret credential", "PutSecretValue token"}},
	} {
		w := fakeworld.New(t)
		w.FlexNet("a")
		w.Run(issue.Event{})
		if tt.again {
			stored, _ := w.AWS.Secret("evertoken/a/credential").Labelled(secrets.Current)
			w.PutSecret("evertoken/a/credential", stored.Value)
		}
		for first, _ := w.Token("a"); ; {
			w.AWS.ResetCalls()
			w.Tick()
			if now, _ := w.Token("a"); !now.AccessToken.Equal(first.AccessToken) {
				break
			}
		}
		want := append([]string{"GetParametersByPath", "BatchGetSecretValue token",
			"BatchGetSecretValue credential"}, tt.want...)
		if diff := cmp.Diff(want, made(w)); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", name, diff)
		}
	}
}

// TestANamedRunReadsTheCredentialInOneCall: one call reads the credential, and the
// session if the provider has one.
func TestANamedRunReadsTheCredentialInOneCall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		connect func(*fakeworld.World)
		want    string
	}{
		"with a session":    {func(w *fakeworld.World) { w.Apiax("a") }, "BatchGetSecretValue"},
		"without a session": {func(w *fakeworld.World) { w.OAuth2("a", "client_credentials") }, "BatchGetSecretValue credential"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			tt.connect(w)
			w.Run(issue.Event{})
			w.AWS.ResetCalls()
			if report := w.Run(issue.Event{Connections: []string{"a"}}); report.Fresh != 1 {
				t.Fatalf("%+v", report)
			}
			if diff := cmp.Diff([]string{"GetParametersByPath", "BatchGetSecretValue token", tt.want}, made(w)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryRunComparesThePlainCopyWithTheToken, even if the token is fresh.
func TestEveryRunComparesThePlainCopyWithTheToken(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	w.Connect("a", "oauth2", map[string]string{"client_id": id, "client_secret": secret},
		map[string]any{"token_url": o.TokenURL(),
			"grant": "client_credentials"}, map[string]any{"plain_copy": "copy"})
	w.AWS.CreateSecret("copy", nil, nil)
	w.Run(issue.Event{})
	w.PutSecret("copy", "something else")
	w.Clock.Advance(16 * time.Minute) // a copy is written once a quarter of an hour at most
	if report := w.Run(issue.Event{}); report.Fresh != 1 {
		t.Fatalf("%+v", report)
	}
	token, _ := w.Token("a")
	if copied, _ := w.AWS.Secret("copy").Labelled(secrets.Current); copied.Value != token.AccessToken.Reveal() {
		t.Error("the copy is not the token")
	}
}

// made are the calls to AWS, those about one document with its name.
func made(w *fakeworld.World) []string {
	documents := map[string]string{"evertoken/a/token": " token", "evertoken/a/session": " session",
		"evertoken/a/credential": " credential"}
	var out []string
	for _, c := range w.AWS.Calls() {
		out = append(out, c.Operation+documents[c.Resource])
	}
	return out
}
