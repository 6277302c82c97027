package issue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
)

// shelf holds documents and connections in memory. It notes what a run reads, and the
// deadlines of the reads.
type shelf struct {
	documents   map[string]string
	connections map[string]secrets.Listed

	mu      sync.Mutex
	read    []string
	listing time.Time // the deadline of ByPath
	reading time.Time // the deadline of the last Batch
}

func (s *shelf) ByPath(ctx context.Context, _ string) (map[string]secrets.Listed, error) {
	s.listing, _ = ctx.Deadline()
	return s.connections, nil
}

func (s *shelf) Batch(ctx context.Context, ids []string) map[string]secrets.Read {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, _ = ctx.Deadline()
	if len(ids) == 0 {
		s.read = append(s.read, "nothing")
	}
	s.read = append(s.read, ids...)
	out := map[string]secrets.Read{}
	for _, id := range ids {
		out[id] = secrets.Read{Version: secrets.Version{ID: id, Value: redact.New(s.documents[id])}}
	}
	return out
}

// on is a run over the shelf's documents. do renews a task in place of the engine.
func (s *shelf) on(e Event, do func(*task)) *run {
	r := (&Runner{Secrets: s, Parameters: s, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Config: config.Config{Every: every}}).newRun(e, time.Minute)
	r.pool = &pool{most: 1, sleep: secrets.Sleep, do: do}
	return r
}

// TestATaskGetsOnlyTheDocumentsItNeeds, even if another task in the batch needs others.
// A scheduled run without time for an exchange reads none, because it cannot use them.
func TestATaskGetsOnlyTheDocumentsItNeeds(t *testing.T) {
	t.Parallel()
	reads := map[string]renew.Reads{
		"credential": {Credential: true}, "session": {Session: true}, "both": {Credential: true, Session: true},
	}
	for name, tt := range map[string]struct {
		event Event
		left  time.Duration
		want  map[string]string
	}{
		"scheduled": {Event{}, time.Minute, map[string]string{"credential": "k ", "session": " s", "both": "k s"}},
		"scheduled, without time": {
			Event{}, limits.LeastExchange + limits.Store - 1, map[string]string{"credential": " ",
				"session": " ", "both": " "},
		},
		"named, without time": {
			Event{Connections: []string{"both"}}, time.Second, map[string]string{"credential": "k ",
				"session": " s", "both": "k s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.left)
				defer cancel()
				got := map[string]string{}
				r := (&shelf{}).on(tt.event, func(done *task) {
					id := func(read *secrets.Read) string {
						if read == nil {
							return ""
						}
						return read.Version.ID
					}
					got[done.job.Connection.Name] = id(done.job.Credential) + " " + id(done.job.Session)
				})
				h := r.pool.newHost(0)
				var some []needing
				for name, needs := range reads { // all of them use the same documents
					c := connection.Connection{Name: name, Credential: "k", Session: "s"}
					some = append(some, needing{&task{host: h, dead: true, job: renew.Job{Connection: c}}, needs})
				}
				r.readRest(ctx, some)
				r.pool.wait()
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("credential and session (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAFaultyConnectionReportsOnlyItsOwnToken: its result does not have the life of
// another connection's token, nor of a document that is not a token.
func TestAFaultyConnectionReportsOnlyItsOwnToken(t *testing.T) {
	t.Parallel()
	end := now.Add(time.Hour).Truncate(time.Second)
	token := credential.Token{AccessToken: redact.New("canary"), TokenType: "Bearer",
		Connection: "owner", IssuedAt: end.Add(-2 * time.Hour), ExpiresAt: end}
	s := &shelf{documents: map[string]string{"theirs": token.Encode(false).Reveal(),
		"garbage": `{"connection":"broken"`}}
	r := s.on(Event{}, nil)
	declared := func(name, token string) connection.Declared {
		return connection.Declared{Name: name, Parameter: "/c/" + name,
			Connection: connection.Connection{Name: name, Token: token}, Err: errors.New("e")}
	}
	r.tellFaulty(t.Context(),
		[]connection.Declared{declared("owner", "theirs"), declared("other", "theirs"),
			declared("broken", "garbage"), declared("", "garbage")})
	got := map[string]time.Time{}
	for _, result := range r.results {
		got[result.Name] = result.ExpiresAt
	}
	if diff := cmp.Diff(map[string]time.Time{"owner": end, "other": {}, "broken": {}, "": {}}, got); diff != "" {
		t.Errorf("ends of tokens (-want +got):\n%s", diff)
	}
}

// faultyTraits is a provider whose traits panic.
type faultyTraits struct{ exchange.Provider }

func (faultyTraits) Traits() exchange.Traits { panic("canary") }
func (faultyTraits) Host() string            { return "idp.example" }

// TestAProviderThatCannotBeMadeFailsItsConnection: the error names the wrong setting, or
// says that the provider panicked.
func TestAProviderThatCannotBeMadeFailsItsConnection(t *testing.T) {
	t.Parallel()
	wrong := errors.New("settings.zone must be one of eu, nam, apac")
	for name, tt := range map[string]struct {
		provider exchange.Provider
		err      error
		want     error
	}{
		"a setting is wrong": {nil, wrong, wrong},
		"its traits panic":   {faultyTraits{}, nil, errInternalFault},
		"it can be made":     {atHost{name: "idp.example"}, nil, nil},
	} {
		r := (&shelf{}).on(Event{}, nil)
		r.Provider = func(connection.Connection) (exchange.Provider, error) { return tt.provider, tt.err }
		p, err := r.provider(t.Context(), connection.Connection{Name: "c"})
		if !errors.Is(err, tt.want) || (p != nil) != (tt.want == nil) {
			t.Errorf("%s: provider %v, error %v", name, p, err)
		}
	}
}

// TestARunKeepsTimeToReport: listing the connections ends 1.5 seconds before the
// function's timeout. Reading and renewing end 0.3 ms earlier for each connection.
func TestARunKeepsTimeToReport(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5000} {
		synctest.Test(t, func(t *testing.T) {
			s := &shelf{connections: map[string]secrets.Listed{}}
			for i := range n {
				s.connections[fmt.Sprintf("/c/c-%04d", i)] = secrets.Listed{Value: "no JSON"}
			}
			r := s.on(Event{}, nil).Runner
			r.Config.ConnectionsPath, r.Metrics = "/c/", telemetry.NewMetrics(new(strings.Builder), "test", time.Now)
			end := time.Now().Add(time.Minute)
			ctx, cancel := context.WithDeadline(t.Context(), end)
			defer cancel()
			if report, err := r.Run(ctx, Event{}); err != nil || report.Failed != n {
				t.Fatalf("%d of %d failed: %v", report.Failed, n, err)
			}
			if got := end.Sub(s.listing); got != 1500*time.Millisecond {
				t.Errorf("listing ends %s before the run", got)
			}
			if got, want := end.Sub(s.reading), 1500*time.Millisecond+time.Duration(n)*300*time.Microsecond; n > 0 && got != want {
				t.Errorf("with %d connections reading ends %s before the run, want %s", n, got, want)
			}
		})
	}
}

// TestAnExchangeBeginsOnlyIfItsResultCanBeStored: an exchange may take twice as long as
// the host's slowest answer, and each of the two writes may wait for other writes.
func TestAnExchangeBeginsOnlyIfItsResultCanBeStored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		slowest, wait time.Duration
		needs         time.Duration
	}{
		{"a host that nothing is known of", 0, 0, 15 * time.Second},
		{"a quick host", 2 * time.Second, 0, 15 * time.Second},
		{"a slow host", 4 * time.Second, 0, 18 * time.Second},
		{"writes that wait", 0, 3 * time.Second, 21 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := (&shelf{}).on(Event{}, nil)
			r.WriteDelay = func() time.Duration { return tt.wait }
			h := r.pool.newHost(0)
			h.told(t.Context(), nil, tt.slowest)
			for left, want := range map[time.Duration]bool{tt.needs + 1: false, tt.needs: false, tt.needs - 1: true} {
				ctx, cancel := context.WithTimeout(t.Context(), left)
				defer cancel()
				if got := r.tooLate(ctx, h); got != want {
					t.Errorf("%s, %s left: too late %t", tt.name, left, got)
				}
			}
		})
	}
}

// TestEveryTaskIsRead, whatever the number of tasks and wherever their tokens are. Each
// document is read once, and no call is empty.
func TestEveryTaskIsRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 19, 20, 21, 230} {
		synctest.Test(t, func(t *testing.T) {
			s := &shelf{}
			var done []string
			r := s.on(Event{}, nil)
			r.engine.Now = time.Now
			r.pool.do = func(one *task) { done = append(done, one.job.Connection.Name) }
			h := r.pool.newHost(0)
			var all []*task
			var names, documents []string
			for i := range n {
				c := connection.Connection{Name: fmt.Sprintf("c-%03d", i),
					Credential: fmt.Sprintf("k-%03d", i), Token: fmt.Sprintf("t-%03d", i)}
				if i%3 == 0 {
					c.Token, c.TokenParameter = "", fmt.Sprintf("t-%03d", i)
				}
				names, documents = append(names, c.Name), append(documents, "k"+c.Name[1:], "t"+c.Name[1:])
				all = append(all,
					&task{host: h, turn: i,
						job: renew.Job{Connection: c, Provider: atHost{name: "idp.example"}}})
			}
			r.readAll(t.Context(), all)
			r.pool.wait()
			slices.Sort(done)
			slices.Sort(documents)
			if diff := cmp.Diff(names, done); diff != "" {
				t.Errorf("tasks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(documents, slices.Sorted(slices.Values(s.read))); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}
