package issue

import (
	"context"
	"sync"

	"evertoken/internal/exchange"
	"evertoken/internal/renew"
)

// silences is how many exchanges at one provider may go unanswered in a run
// before it is left alone: each takes as long as an exchange may last, which is
// taken from the connections of other providers.
const silences = 3

// host is what a run has learned of one provider's host, shared by the
// connections that use it. It is closed for the rest of the run when the
// provider asks for fewer requests or does not answer. The zero host is open.
type host struct {
	mu     sync.Mutex
	silent int
	closed *exchange.Error
}

// closedBy returns why the host is closed, or nil.
func (h *host) closedBy() *exchange.Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// told takes in how an exchange went; x is nil for one that succeeded.
func (h *host) told(x *exchange.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case x == nil || (x.Status != 0 && x.Class != exchange.Throttled):
		h.silent = 0
	case x.Class == exchange.Throttled:
		h.closed = x
	case x.Class == exchange.Transient:
		if h.silent++; h.silent >= silences {
			h.closed = x
		}
	}
}

// turn lets the connections that share a credential send its password one after
// the other in a run, and once it was refused no more: tries at the same moment
// lock an account. The zero turn is ready for use.
type turn struct {
	mu      sync.Mutex
	refused *exchange.Error
}

// gate is a connection's way to its provider; see [renew.Gate]. Both parts may
// be nil.
type gate struct {
	host *host
	turn *turn
}

var _ renew.Gate = gate{}

func (g gate) Closed() *exchange.Error {
	if g.host == nil {
		return nil
	}
	return g.host.closedBy()
}

func (g gate) Enter(_ context.Context, grant exchange.Grant) (func(*exchange.Error), *exchange.Error) {
	shared := g.turn != nil && grant.Password
	if shared {
		g.turn.mu.Lock()
		refused := g.turn.refused
		if refused == nil { // what has changed while others had their turn
			if x := g.Closed(); x != nil {
				refused = &exchange.Error{Class: x.Class, Doing: x.Doing, Status: x.Status, Hint: x.Hint,
					Problem: "not tried, because another connection to this provider was just answered so"}
			}
		}
		if refused != nil {
			g.turn.mu.Unlock()
			return nil, refused
		}
	}
	return func(x *exchange.Error) {
		if g.host != nil {
			g.host.told(x)
		}
		if !shared {
			return
		}
		if x != nil && x.Class == exchange.CredentialDead {
			g.turn.refused = x
		}
		g.turn.mu.Unlock()
	}, nil
}
