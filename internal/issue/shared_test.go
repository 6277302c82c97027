package issue

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evertoken/internal/exchange"
)

// entering counts the tasks that use a shared credential at the same time.
type entering struct {
	shared    *shared
	mu        sync.Mutex
	now, most int
	sent      int
	refused   int
}

func (e *entering) all(t *testing.T, n int, grant exchange.Grant, takes time.Duration,
	answer *exchange.Error) {
	t.Helper()
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			done, x := e.shared.enter(t.Context(), grant, "")
			if x != nil {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.refused++
				return
			}
			e.mu.Lock()
			e.sent++
			e.now++
			e.most = max(e.most, e.now)
			e.mu.Unlock()
			time.Sleep(takes)
			e.mu.Lock()
			e.now--
			e.mu.Unlock()
			done(answer)
		})
	}
	group.Wait()
}

func TestASharedCredentialIsTriedByOneFirst(t *testing.T) {
	t.Parallel()
	secret := exchange.Grant{Type: "client_credentials", Members: []string{"client_id", "client_secret"}}
	password := exchange.Grant{Type: "password", Members: []string{"username", "password"}, Password: true}
	for name, tt := range map[string]struct {
		grant               exchange.Grant
		answer              *exchange.Error
		sent, refused, most int
	}{
		"a client secret that is taken":   {secret, nil, 20, 0, 19},
		"a client secret that is refused": {secret, &exchange.Error{Class: exchange.CredentialDead}, 1, 19, 1},
		"a client secret, no answer":      {secret, &exchange.Error{Class: exchange.Transient}, 20, 0, 1},
		"a password that is taken":        {password, nil, 20, 0, 1},
		"a password that is refused":      {password, &exchange.Error{Class: exchange.CredentialDead}, 1, 19, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := &entering{shared: newShared()}
				e.all(t, 20, tt.grant, time.Second, tt.answer)
				if e.sent != tt.sent || e.refused != tt.refused || e.most != tt.most {
					t.Errorf("sent %d, refused %d, %d at a time; want %d, %d, %d", e.sent,
						e.refused, e.most, tt.sent, tt.refused, tt.most)
				}
			})
		})
	}
}

func TestARefusalDoesNotCountAgainstAnotherConnection(t *testing.T) {
	t.Parallel()
	secret := exchange.Grant{Type: "client_credentials", Members: []string{"client_id"}}
	s := newShared()
	done, _ := s.enter(t.Context(), secret, "")
	done(&exchange.Error{Class: exchange.CredentialDead})
	_, x := s.enter(t.Context(), secret, "")
	if x == nil || x.Class != exchange.Transient {
		t.Fatalf("the next task got %v: its own settings may be right", x)
	}
	s = newShared()
	done, _ = s.enter(t.Context(), secret, "")
	done(nil)
	done, _ = s.enter(t.Context(), secret, "")
	done(&exchange.Error{Class: exchange.CredentialDead})
	if _, x := s.enter(t.Context(), secret, ""); x != nil {
		t.Errorf("after a success and a refusal: %v", x)
	}
}

func TestWaitingForATurnEndsWithTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorkbench(1, nil)
		s := newShared()
		password := exchange.Grant{Password: true, Members: []string{"password"}}
		if _, x := s.enter(t.Context(), password, ""); x != nil { // and never leaves
			t.Fatal(x)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		g := &gate{host: w.newHost(0), shared: s, pressing: func() bool { return false }}
		if _, x := g.Enter(ctx, password); x != outOfTime || !g.late {
			t.Errorf("got %v, late %t", x, g.late)
		}
	})
}

// TestAConnectionThatWaitedAsksTheHostAgain: it does not send to a host that was
// throttled during the wait, and gives its turn to the next connection.
func TestAConnectionThatWaitedAsksTheHostAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := newWorkbench(1, nil).newHost(0), newShared()
		password := exchange.Grant{Password: true, Members: []string{"password"}}
		enter := func() (func(*exchange.Error), *exchange.Error) {
			return (&gate{host: h, shared: s, pressing: func() bool { return false }}).Enter(t.Context(), password)
		}
		done, x := enter()
		if x != nil {
			t.Fatal(x)
		}
		var next *exchange.Error
		var waiting sync.WaitGroup
		waiting.Go(func() { _, next = enter() })
		synctest.Wait()
		throttled := &exchange.Error{Class: exchange.Throttled, Status: 429, RetryAfter: time.Minute}
		done(throttled)
		waiting.Wait()
		if next == nil || next.Class != exchange.Throttled || next.RetryAfter != time.Minute ||
			next.Problem != "not tried, because another connection to this provider was just answered so" {
			t.Errorf("the next task got %v", next)
		}
		if _, x := s.enter(t.Context(), password, ""); x != nil {
			t.Errorf("the turn after it: %v", x)
		}
	})
}
