package renew_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// story lists what one run does, in order: calls to AWS and, between them, requests to
// the provider.
func story(w *fakeworld.World, e issue.Event) []string {
	w.AWS.ResetCalls()
	var marks []int
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook,
		Hook: func(fakeidp.Request) { marks = append(marks, len(w.AWS.Calls())) }})
	w.Run(e)
	w.IDP.ClearFaults()
	var out []string
	for i, c := range w.AWS.Calls() {
		for len(marks) > 0 && marks[0] == i {
			out, marks = append(out, "exchange"), marks[1:]
		}
		line := c.Operation
		if c.Operation != "BatchGetSecretValue" && c.Operation != "GetParametersByPath" {
			line += " " + c.Resource[strings.LastIndex(c.Resource, "/")+1:]
		}
		if c.Code != "" {
			line += " " + c.Code
		}
		out = append(out, line)
	}
	for range marks {
		out = append(out, "exchange")
	}
	return out
}

func TestARenewalStoresTheSessionBeforeItPublishes(t *testing.T) {
	t.Parallel()
	renewal := []string{
		"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue", "DescribeSecret token",
		"DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session",
		"exchange", "PutSecretValue session", "PutSecretValue token",
	}
	for _, tt := range []struct {
		name    string
		connect func(*fakeworld.World)
		first   []string
		renewal []string
	}{
		{
			name: "apiax", connect: func(w *fakeworld.World) { w.Apiax("c") },
			first: []string{
				"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue",
				"DescribeSecret session", "DescribeSecret token", // no value: is there a secret?
				"DescribeSecret credential",                                                            // was this password refused before?
				"DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session", // proof, then claim
				"DescribeSecret credential", // was it refused meanwhile?
				"exchange", "PutSecretValue session", "PutSecretValue token",
			},
			// A token of half an hour is renewed 96 times a day, so its versions are counted.
			renewal: slices.Insert(slices.Clone(renewal), 5, "ListSecretVersionIds session"),
		},
		{
			name: "oauth2 refresh", connect: func(w *fakeworld.World) { w.OAuth2("c", "refresh_token") },
			first: []string{
				"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue",
				"DescribeSecret session", "DescribeSecret token", "DescribeSecret credential",
				"DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session",
				"UpdateSecretVersionStage credential", // whose seed this is
				"exchange", "PutSecretValue session", "PutSecretValue token",
			},
			renewal: renewal,
		},
		{
			name: "flexera service account", connect: func(w *fakeworld.World) { w.Flexera("c", true) },
			first:   []string{"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue", "DescribeSecret token", "DescribeSecret credential", "exchange", "PutSecretValue token"},
			renewal: []string{"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue", "DescribeSecret token", "exchange", "PutSecretValue token"},
		},
		{
			name: "sharetribe trusted", connect: func(w *fakeworld.World) { w.Sharetribe("c", "trusted") },
			first: []string{
				"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue",
				"DescribeSecret session", "DescribeSecret token", "DescribeSecret credential",
				"DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session", "DescribeSecret credential",
				"exchange", "PutSecretValue session", "exchange", "PutSecretValue token",
			},
			renewal: []string{
				"GetParametersByPath", "BatchGetSecretValue", "BatchGetSecretValue", "DescribeSecret token",
				"DescribeSecret session", "PutSecretValue session", "UpdateSecretVersionStage session",
				"exchange", "PutSecretValue session", "exchange", "PutSecretValue token",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			tt.connect(w)
			if diff := cmp.Diff(tt.first, story(w, issue.Event{})); diff != "" {
				t.Errorf("first run (-want +got):\n%s", diff)
			}
			token, _ := w.Token("c")
			w.Clock.Advance(token.RenewAfter.Sub(w.Clock.Now()))
			if diff := cmp.Diff(tt.renewal, story(w, issue.Event{})); diff != "" {
				t.Errorf("renewal (-want +got):\n%s", diff)
			}
			if got := story(w, issue.Event{}); len(got) != 2 {
				t.Errorf("a run with nothing due made more than two calls: %q", got)
			}
		})
	}
}
