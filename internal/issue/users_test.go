package issue

import (
	"log/slog"
	"testing"
	"time"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/providers"
	"evertoken/internal/secrets"
)

// Connections wait for each other only where they use one secret: another
// account's of the same name is another.
func TestUsersOfACredentialAreCountedByAccount(t *testing.T) {
	t.Parallel()
	const own, foreign = "123456789012", "210987654321"
	arn := func(account string) string {
		return "arn:aws:secretsmanager:us-east-1:" + account + ":secret:crm-AbCdEf"
	}
	for name, tt := range map[string]struct {
		credential string
		shared     bool
	}{"by name": {"crm", true}, "by ARN": {arn(own), true}, "another account's": {arn(foreign), false}} {
		r := (&Runner{Config: config.Config{Every: time.Minute}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Secrets:  (*secrets.Store)(nil), // nothing is read
			Provider: func(c connection.Connection) (exchange.Provider, error) { return providers.New(c, providers.Options{}) },
		}).newRun(Event{}, time.Minute)
		r.pool = &pool{most: 1}
		tasks := r.prepare(t.Context(), connection.Load([]connection.Parameter{
			{Name: "/c/a", Value: `{"provider":"apiax","credential":"crm"}`},
			{Name: "/c/b", Value: `{"provider":"apiax","credential":"` + tt.credential + `"}`},
		}, connection.Rules{Path: "/c/", Account: own}))
		if len(tasks) != 2 {
			t.Fatalf("%s: %d tasks", name, len(tasks))
		}
		if one, other := tasks[0].gate.shared, tasks[1].gate.shared; (one != nil && one == other) != tt.shared {
			t.Errorf("%s: shared %t", name, !tt.shared)
		} else if !tt.shared && (one != nil || other != nil) {
			t.Errorf("%s: a connection waits for its turn at a credential that no other uses", name)
		}
	}
}
