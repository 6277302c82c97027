package issue

import (
	"context"
	"sync"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/renew"
)

// gate lets one task's exchanges through to the provider; see [renew.Gate].
type gate struct {
	host   *host
	shared *shared // nil if no other connection uses the credential
	// settings are the connection's provider and settings. A refusal may be about them
	// instead of the credential.
	settings string
	// pressing reports whether the connection would break its promise.
	pressing func() bool
	// late says that there was no time left for an exchange.
	late bool
}

var _ renew.Gate = (*gate)(nil)

// Closed says why no exchange may begin at the host; nil if one may.
func (g *gate) Closed() *exchange.Error { return g.host.closedTo(g.pressing()) }

// Enter waits for its turn at a credential that other connections use too.
func (g *gate) Enter(ctx context.Context, grant exchange.Grant) (
	func(*exchange.Error), *exchange.Error,
) {
	began := time.Now()
	leave := func(x *exchange.Error) { g.host.told(ctx, x, time.Since(began)) }
	if g.shared == nil || grant.FromSession() {
		return leave, nil
	}
	done, refused := g.shared.enter(ctx, grant, g.settings)
	if refused == nil && !limits.Enough(ctx) { // the wait was long
		done(renew.NotSent)
		refused = outOfTime
	}
	if refused == nil {
		if x := g.Closed(); x != nil { // it may have closed meanwhile
			done(renew.NotSent)
			refused = notTried(x, x.Class, "another connection to this provider was just answered so")
		}
	}
	if refused != nil {
		g.late = g.late || refused == outOfTime
		return nil, refused
	}
	began = time.Now()
	return func(x *exchange.Error) { leave(x); done(x) }, nil
}

var outOfTime = &exchange.Error{Class: exchange.Transient, Doing: "exchanging", Problem: noTimeLeft}

func notTried(x *exchange.Error, class exchange.Class, why string) *exchange.Error {
	return &exchange.Error{
		Class: class, Doing: x.Doing, Status: x.Status, Code: x.Code, Hint: x.Hint,
		RetryAfter: x.RetryAfter, Problem: "not tried, because " + why,
	}
}

// shared lets the connections that share a credential find out with one exchange whether
// the provider accepts it. They send a password one at a time in any case, because tries at
// the same moment can lock an account. Once the provider has refused a credential, no other
// connection sends it in this run. Only connections with exactly the same settings count
// the refusal as their own: a connection with a wrong client or realm must not mark a
// password that is right.
type shared struct {
	alone chan struct{} // holds an element while a connection has its turn

	mu      sync.Mutex
	taken   bool // the provider accepted it in this run
	refused *exchange.Error
	by      string // the settings with which the provider refused it
}

func newShared() *shared { return &shared{alone: make(chan struct{}, 1)} }

// enter waits until the grant may be sent, and returns what must be called with the result.
func (s *shared) enter(ctx context.Context, grant exchange.Grant, settings string) (
	done func(*exchange.Error), refused *exchange.Error,
) {
	learn := func(x *exchange.Error) { s.learn(x, settings) }
	if _, _, taken := s.known(); taken && !grant.Password {
		return learn, nil
	}
	select {
	case s.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, outOfTime
	}
	x, by, taken := s.known()
	switch {
	case x == nil && (grant.Password || !taken):
		return func(x *exchange.Error) { learn(x); <-s.alone }, nil
	case x == nil:
		<-s.alone
		return learn, nil
	case grant.Password && by == settings:
		<-s.alone
		return nil, x
	}
	<-s.alone
	// The other connection's settings may be the cause, so this proves nothing here.
	return nil, notTried(x, exchange.Transient,
		"the provider just refused this credential to another connection")
}

func (s *shared) known() (refused *exchange.Error, by string, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.by, s.taken
}

func (s *shared) learn(x *exchange.Error, settings string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case x == nil:
		s.taken = true
	case x.Class == exchange.CredentialDead && !s.taken:
		s.refused, s.by = x, settings
	}
}
