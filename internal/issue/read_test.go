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

// shelf holds documents and connections in memory. It notes what is read, and by
// when the reader must be done.
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

// on is a run over what the shelf holds; its pool does as it is told.
func (s *shelf) on(e Event, do func(*task)) *run {
	r := (&Runner{Secrets: s, Parameters: s, Log: slog.New(slog.DiscardHandler), Now: time.Now, Config: config.Config{Every: every}}).newRun(e, time.Minute)
	r.pool = &pool{most: 1, sleep: secrets.Sleep, do: do}
	return r
}

// TestOnlyWhatIsNeededIsRead: a task gets the documents that it needs and no
// others, though another task in the batch reads them. Without time for an exchange
// a scheduled run reads none: nothing could be done with them.
func TestOnlyWhatIsNeededIsRead(t *testing.T) {
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
			Event{}, limits.LeastExchange + limits.Store - 1, map[string]string{"credential": " ", "session": " ", "both": " "},
		},
		"named, without time": {
			Event{Connections: []string{"both"}}, time.Second, map[string]string{"credential": "k ", "session": " s", "both": "k s"},
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

// TestAFaultyConnectionTellsOfItsOwnTokenAlone: a declaration that names another
// connection's token learns nothing from it, nor from what is no token.
func TestAFaultyConnectionTellsOfItsOwnTokenAlone(t *testing.T) {
	t.Parallel()
	end := now.Add(time.Hour).Truncate(time.Second)
	token := credential.Token{AccessToken: redact.New("canary"), TokenType: "Bearer", Connection: "owner", IssuedAt: end.Add(-2 * time.Hour), ExpiresAt: end}
	s := &shelf{documents: map[string]string{"theirs": token.Encode(false).Reveal(), "garbage": `{"connection":"broken"`}}
	r := s.on(Event{}, nil)
	declared := func(name, token string) connection.Declared {
		return connection.Declared{Name: name, Parameter: "/c/" + name, Connection: connection.Connection{Name: name, Token: token}, Err: errors.New("e")}
	}
	r.tellFaulty(t.Context(), []connection.Declared{declared("owner", "theirs"), declared("other", "theirs"), declared("broken", "garbage"), declared("", "garbage")})
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

// TestAProviderThatCannotBeMadeFailsItsConnection with the error that names the
// setting; one that panics, with that of an internal fault.
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

// TestTimeIsKeptToTell: what a run reads and renews ends a second and a half before
// the function does, and 0.3 ms more for each connection.
func TestTimeIsKeptToTell(t *testing.T) {
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

// TestWhenItIsTooLate: an exchange begins while there is time for it and for
// storing what it yields. It may take twice what the host's slowest answer took, and
// each of the two writes waits for others.
func TestWhenItIsTooLate(t *testing.T) {
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

// TestEveryTaskIsRead, whatever their number and where their tokens are, and each
// document once. No call asks for nothing.
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
				c := connection.Connection{Name: fmt.Sprintf("c-%03d", i), Credential: fmt.Sprintf("k-%03d", i), Token: fmt.Sprintf("t-%03d", i)}
				if i%3 == 0 {
					c.Token, c.TokenParameter = "", fmt.Sprintf("t-%03d", i)
				}
				names, documents = append(names, c.Name), append(documents, "k"+c.Name[1:], "t"+c.Name[1:])
				all = append(all, &task{host: h, turn: i, job: renew.Job{Connection: c, Provider: atHost{name: "idp.example"}}})
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
