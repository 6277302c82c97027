package renew_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// TestAFreshConnectionIsAnsweredFromItsTokenAlone: for a fresh connection, from the token alone.
func TestAFreshConnectionIsAnsweredFromItsTokenAlone(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	names := w.All()
	w.Run(issue.Event{})
	parts := w.Parts()
	engine := parts.Engine()
	parameters, err := parts.Parameters.ByPath(t.Context(), w.Config.ConnectionsPath)
	if err != nil {
		t.Fatal(err)
	}
	var declared []connection.Parameter
	for name, value := range parameters {
		declared = append(declared, connection.Parameter{Name: name, Value: value.Value, Secure: value.Secure})
	}
	for _, d := range connection.Load(declared, connection.Rules{Path: w.Config.ConnectionsPath, ParameterPrefix: w.Config.ParameterPrefix}) {
		provider, err := parts.Provider(d.Connection)
		if err != nil {
			t.Fatal(err)
		}
		j := renew.Job{Connection: d.Connection, Provider: provider,
			Token: parts.Secrets.Batch(t.Context(),
				[]string{d.Connection.Token})[d.Connection.Token]}
		needs, got := engine.Glance(j)
		if needs != (renew.Reads{}) || needs != renew.Needs(j, w.Config.Every, w.Clock.Now()) {
			t.Errorf("%s: needs %+v", d.Name, needs)
		}
		if diff := cmp.Diff(engine.Renew(t.Context(), j), got); diff != "" ||
			got.Outcome != renew.Fresh || got.ExpiresAt.IsZero() {
			t.Errorf("%s (-renewal +glance):\n%s", d.Name, diff)
		}
		j.Token = secrets.Read{Err: secrets.ErrNotFound}
		if needs, got = engine.Glance(j); !needs.Credential || !got.ExpiresAt.IsZero() {
			t.Errorf("%s without a token: %+v, %+v", d.Name, needs, got)
		}
	}
	if len(names) == 0 {
		t.Fatal("nothing was compared")
	}
}
