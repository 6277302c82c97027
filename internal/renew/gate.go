package renew

import (
	"sync"

	"evertoken/internal/exchange"
)

// silences is how many exchanges at one provider may go unanswered in a run
// before it is left alone: each takes up to exchangeTimeout, which is taken from
// the connections of other providers.
const silences = 3

// Gate is what a run has learned of one provider's host, shared by the
// connections that use it. It is closed for the rest of the run when the
// provider asks for fewer requests or does not answer. The zero Gate is open; a
// nil one always is.
type Gate struct {
	mu     sync.Mutex
	silent int
	closed *exchange.Error
}

// Turn lets the connections that share a credential send its password one after
// the other in a run, and once it was refused no more: tries at the same moment
// lock an account. The zero Turn is ready for use.
type Turn struct {
	mu      sync.Mutex
	refused *exchange.Error
}

// take waits for the turn and returns what gives it back. Where the password was
// refused meanwhile it returns that in place of a turn.
func (t *Turn) take() (done func(*exchange.Error), refused *exchange.Error) {
	if t == nil {
		return func(*exchange.Error) {}, nil
	}
	t.mu.Lock()
	if t.refused != nil {
		defer t.mu.Unlock()
		return nil, t.refused
	}
	return func(x *exchange.Error) {
		defer t.mu.Unlock()
		if x != nil && x.Class == exchange.CredentialDead {
			t.refused = x
		}
	}, nil
}

// blockedBy returns why the gate is closed, or nil.
func (g *Gate) blockedBy() *exchange.Error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// told takes in how an exchange went; x is nil for one that succeeded.
func (g *Gate) told(x *exchange.Error) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case x == nil || (x.Status != 0 && x.Class != exchange.Throttled):
		g.silent = 0
	case x.Class == exchange.Throttled:
		g.closed = x
	case x.Class == exchange.Transient:
		if g.silent++; g.silent >= silences {
			g.closed = x
		}
	}
}
