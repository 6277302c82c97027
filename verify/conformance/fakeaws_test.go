package conformance

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	fakeaws "evertoken/internal/fake/aws"
)

// facts is the whole table.
var facts = slices.Concat(labelFacts, putFacts, readFacts, lifeFacts, parameterFacts, openFacts)

// TestTheFakeHasEveryFact compares the fake with the table.
func TestTheFakeHasEveryFact(t *testing.T) {
	t.Parallel()
	for n, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			server, err := fakeaws.New(fakeaws.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			c := server.AWSConfig()
			c.RetryMaxAttempts = 1
			w := newWorld(t, c, "evertoken-conformance", n)
			w.keyed = func(ctx context.Context, w *world) error {
				err := w.with(ctx)
				server.SetKMS(w.secret, true, true)
				return err
			}
			if diff := cmp.Diff(f.want, f.see(t.Context(), w)); diff != "" {
				t.Errorf("%s (-want +fake):\n%s", f.source, diff)
			}
		})
	}
}

// TestAFactCostsFewCalls: a fact takes only a few calls to a real account. A call costs
// 0.000005 dollars (aws.amazon.com/secrets-manager/pricing).
func TestAFactCostsFewCalls(t *testing.T) {
	t.Parallel()
	server, err := fakeaws.New(fakeaws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	asked := 0
	for n, f := range facts {
		if f.real {
			asked++
			t.Run(f.name,
				func(t *testing.T) {
					f.see(t.Context(),
						newWorld(t, server.AWSConfig(), "evertoken-conformance", n))
				})
		}
	}
	t.Logf("%d facts, %d calls", asked, len(server.Calls()))
	if calls := len(server.Calls()); asked == 0 || calls > 80 {
		t.Errorf("%d calls for %d facts", calls, asked)
	}
}

// TestEveryFactHasItsOwnName: the list of moto's differences uses the names.
func TestEveryFactHasItsOwnName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range facts {
		if seen[f.name] || f.name == "" || f.source == "" || f.want == "" {
			t.Errorf("fact %q is named twice or incomplete", f.name)
		}
		seen[f.name] = true
	}
}
