package renew

import (
	"slices"

	"evertoken/internal/exchange"
)

// verdict is what a failed exchange shows about what was sent.
type verdict int

const (
	// passing: nothing. The next run sends it again.
	passing verdict = iota
	// unsure: it may be refused. Evertoken sends it again with growing pauses.
	unsure
	// refused: the provider does not accept it.
	refused
)

// judge says what a failed exchange means for what the grant sent. worked says that
// exactly these values have worked before. judge looks at the status alone for a
// password, because a provider locks an account after refusals in any words.
func judge(g exchange.Grant, x *exchange.Error, worked bool) verdict {
	dead := x.Class == exchange.GrantDead || x.Class == exchange.CredentialDead
	refresh := g.FromSession() || g.Seed
	switch {
	case x.Unusable:
		return unsure
	case x.Status == 0 && !x.Lost: // it was never sent
		return passing
	case x.Status == 408 || x.Status == 425 || x.Status == 429 && !dead,
		x.Class == exchange.Throttled:
		return passing
	case g.Password && (x.Lost || x.Status >= 500):
		return unsure
	case g.Password && x.Class == exchange.Transient: // the answer names a temporary cause
		return passing
	case g.Password && (dead || x.Status >= 400):
		return refused
	case g.Password:
		return unsure
	case x.Class == exchange.CredentialDead && g.FromSession():
		return unsure // the provider refuses the client, which says nothing about the refresh token
	case refresh && x.Unsure && worked && slices.Contains([]int{400, 401, 410, 422}, x.Status):
		return refused // the words are unknown, but the token has worked until now
	case x.Unsure:
		return unsure
	case dead:
		return refused
	}
	return passing
}

// failure is an exchange that failed.
type failure struct {
	attempt
	x       *exchange.Error
	verdict verdict
	noted   bool // labels already say so
}

// failures are the attempts that failed in this run, in order.
type failures []failure

// of returns the last failure with the verdict that keep accepts, or nil.
func (f failures) of(v verdict, keep func(failure) bool) *failure {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].verdict == v && keep(f[i]) {
			return &f[i]
		}
	}
	return nil
}

func ofCredential(f failure) bool { return !f.grant.FromSession() }

func ofSession(f failure) bool { return f.grant.FromSession() }
