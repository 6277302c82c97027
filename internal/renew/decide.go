package renew

import (
	"fmt"
	"hash/fnv"
	"time"

	"evertoken/internal/exchange"
)

const (
	// floor is the least time between two versions of one secret. Secrets Manager
	// keeps every version for 24 hours and allows about 100 of them (botocore
	// model, PutSecretValue), one per 14.4 minutes.
	floor = 15 * time.Minute
	// slack is how early a heartbeat may come and still count as on time. It applies where
	// heartbeats are so rare that the early ones cannot add up.
	slack = time.Minute
)

// floorOf is the floor less the slack.
func floorOf(every time.Duration) time.Duration {
	if every < 5*time.Minute {
		return floor
	}
	return floor - slack
}

// lostLife is how much shorter a token's life may be than the provider says: Evertoken counts
// it from when the request was sent, and providers give whole seconds. A connection whose
// token lives exactly as long as a limit is within the limit.
const lostLife = time.Minute

// TokenTimes are the times of the published token.
type TokenTimes struct{ IssuedAt, ExpiresAt time.Time }

// Facts are the whole input of the decision.
type Facts struct {
	Now time.Time
	// Name spreads connections over time.
	Name string
	// MinRemaining is as declared; 0 means a sixth of the token's life.
	MinRemaining time.Duration
	// Every is how often a run happens.
	Every time.Duration
	// InParameter is set for a token published in a parameter, for which there is no floor.
	InParameter bool
	// ByRotation is set if rotation renews the token. A run then renews it only in an
	// emergency.
	ByRotation bool
	// Force is set for a run that an operator forced on this connection.
	Force bool
	// Revoked is set if the provider refuses the published token.
	Revoked bool
	// Token is nil if there is no usable token.
	Token *TokenTimes
	// LastWrite is when the token's secret was last written, if what it holds is no usable
	// token; otherwise zero.
	LastWrite time.Time
	// RefreshedAt and RefreshExpiresAt are the session's; zero if unknown.
	RefreshedAt, RefreshExpiresAt time.Time
	// SessionStartedAt is when the session was opened, and SessionEndsAt its absolute end if
	// the provider has shown it; otherwise zero.
	SessionStartedAt, SessionEndsAt time.Time
	// CanRemint is set if a new session can be opened. The end of the session counts only
	// then.
	CanRemint bool
	Traits    exchange.Traits
}

// Why a token is renewed or is not.
const (
	reasonMissing       = "missing"
	reasonExpired       = "expired"
	reasonForced        = "forced"
	reasonRevoked       = "the provider answered 401 to the probe, so the token was revoked"
	reasonEmergency     = "emergency"
	reasonDue           = "due"
	reasonRefreshEnding = "refresh token ending"
	reasonSessionEnding = "session ending"
	reasonFresh         = "not due"
	reasonFloor         = "due, but written less than 15 minutes ago"
	reasonRotation      = "renewed by rotation"
	reasonUnpublished   = "the session was renewed and no token with it"
	reasonBackOff       = "the token is dead; tries are spread out, at most three heartbeats apart"
)

// Decision says whether to renew, and under which conditions.
type Decision struct {
	Due    bool
	Reason string
	// Emergency is set if the token has expired or is so close to it that Evertoken no longer
	// waits for other work, such as a rotation in progress.
	Emergency bool
	// WithinFloor is set if a document was written less than floor ago. Its versions must be
	// counted first.
	WithinFloor bool
	// Unpublished is set if an earlier run stored a session and did not publish its token.
	Unpublished bool
	// Often is set if the token is renewed about once in 15 minutes. Its versions must be
	// counted too, because there is almost no room for others.
	Often bool
	// Late is set if the token is so long overdue that renewals must have failed repeatedly.
	// The versions must be counted then too.
	Late bool
	// BackOff is set if the token has expired and this run does not try to renew it.
	BackOff bool
}

// Decide says whether a connection's token is due. It is a pure function.
func Decide(f Facts) Decision {
	d := Decision{Reason: reasonMissing, Emergency: true, Due: true}
	if f.Token != nil {
		d.Reason, d.Due, d.Emergency = f.due()
	}
	lastWrite := f.RefreshedAt
	if f.Token != nil && !f.InParameter && f.Token.IssuedAt.After(lastWrite) {
		lastWrite = f.Token.IssuedAt
	}
	if f.LastWrite.After(lastWrite) {
		lastWrite = f.LastWrite
	}
	d.WithinFloor = !lastWrite.IsZero() && f.Now.Before(lastWrite.Add(floorOf(f.Every)))
	d.Late = f.Token != nil && f.Now.After(f.RenewAfter().Add(floor))
	d.Often = f.Token != nil && f.renewAt().Sub(f.Token.IssuedAt) < floor+f.Every
	d.Unpublished = f.Token != nil && f.RefreshedAt.After(f.Token.IssuedAt)
	switch {
	case f.Force:
		d.Due, d.Reason = true, reasonForced
	case f.Revoked:
		d.Due, d.Reason = true, reasonRevoked
	case d.Unpublished && f.Traits.RenewLate && (!d.Due || f.ByRotation): // a refresh ended it
		d.Due, d.Reason = true, reasonUnpublished
	case f.ByRotation && !d.Emergency && d.Reason != reasonRefreshEnding:
		d.Due, d.Reason = false, reasonRotation
	case d.Due && d.WithinFloor && !d.Emergency && !d.Unpublished:
		d.Due, d.Reason = false, reasonFloor
	case d.Due && d.Reason == reasonExpired && !f.backOffOver():
		d.Due, d.Reason, d.BackOff = false, reasonBackOff, true
	}
	return d
}

// due says whether the token, its refresh token or its session is due.
func (f Facts) due() (reason string, due, emergency bool) {
	left := f.Token.ExpiresAt.Sub(f.Now)
	emergency = left < f.emergencyLead()
	switch {
	case left <= 0:
		return reasonExpired, true, true
	case emergency:
		return reasonEmergency, true, true
	case !f.Now.Before(f.renewAt()) && !f.ByRotation:
		return reasonDue, true, false
	case f.refreshTokenEnding():
		return reasonRefreshEnding, true, false
	case f.SessionEnding():
		return reasonSessionEnding, true, false
	}
	return reasonFresh, false, false
}

// renewAt is when this connection is renewed: RenewAfter less its spread.
func (f Facts) renewAt() time.Time {
	if f.Traits.RenewLate {
		return f.RenewAfter()
	}
	return f.RenewAfter().Add(-spread(f.Name, f.life()))
}

// emergencyLead is the remaining life below which there is an emergency.
func (f Facts) emergencyLead() time.Duration { return max(f.minRemaining()/2, 2*f.Every) }

// LookAfter is the earliest time at which anything can be due. Until then a run needs to
// read only the published token.
func (f Facts) LookAfter() time.Time {
	at := f.Token.ExpiresAt.Add(-f.emergencyLead())
	if renewAt := f.renewAt(); !f.ByRotation && renewAt.Before(at) {
		at = renewAt
	}
	for _, other := range []time.Time{f.refreshEndingAt(), f.sessionEndingAt()} {
		if !other.IsZero() && other.Before(at) {
			at = other
		}
	}
	return at
}

func (f Facts) life() time.Duration { return f.Token.ExpiresAt.Sub(f.Token.IssuedAt) }

// tooShort reports whether the token would be due before a secret may be written again.
func (f Facts) tooShort() bool { return f.life()-f.minRemaining()+lostLife < floor+f.Every }

func (f Facts) minRemaining() time.Duration { return Promised(f.MinRemaining, f.life()) }

// Promised is the remaining life that Evertoken promises to applications for a token of this
// life. minRemaining is as declared; 0 means the default.
func Promised(minRemaining, life time.Duration) time.Duration {
	if minRemaining > 0 {
		return min(minRemaining, life/2) // no renewal could keep more than that
	}
	return life / 6
}

// RenewAfter is when the token should be renewed, before connections are spread over time.
// It leaves min_remaining, and before that a quarter of the life or one floor, whichever is
// more, for failed renewals.
func (f Facts) RenewAfter() time.Time {
	lead := f.minRemaining() + max(floor, f.life()/4)
	if f.Traits.RenewLate { // the refresh ends the published token
		lead = max(f.minRemaining(), 2*f.Every)
	}
	at := f.Token.ExpiresAt.Add(-lead)
	earliest := f.Token.IssuedAt
	if !f.InParameter {
		earliest = earliest.Add(floor)
	}
	if at.Before(earliest) {
		return earliest
	}
	return at
}

// spread is up to a tenth of the token's life, chosen by the connection's name, so that
// connections which were declared together are not renewed together.
func spread(name string, life time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails (hash.Hash)
	return time.Duration(float64(life) / 10 * float64(h.Sum32()%1000) / 1000)
}

// refreshEndingAt is when a run must use the refresh token, because it would soon expire
// unused. It is zero if that end is not known, or if a run used the token that close to its
// end and the end did not move.
func (f Facts) refreshEndingAt() time.Time {
	if f.RefreshExpiresAt.IsZero() || f.RefreshedAt.IsZero() {
		return time.Time{}
	}
	at := f.RefreshExpiresAt.Add(-max(f.RefreshExpiresAt.Sub(f.RefreshedAt)/3, 2*f.Every))
	if f.Token != nil && !f.Token.IssuedAt.Before(at) && f.Token.IssuedAt.After(f.RefreshedAt) {
		return time.Time{}
	}
	return at
}

func (f Facts) refreshTokenEnding() bool {
	at := f.refreshEndingAt()
	return !at.IsZero() && !f.Now.Before(at)
}

// sessionEndingAt is when a new session must be opened; zero if the session has no absolute
// end.
func (f Facts) sessionEndingAt() time.Time {
	var at time.Time
	if !f.CanRemint {
		return at
	}
	if end := sessionEnd(f.SessionStartedAt, f.Traits); !end.IsZero() {
		at = end.Add(-f.Traits.RemintBefore)
	}
	// If only the provider shows the session's end, that ends the session's tokens too. The
	// last of them must still have its whole life.
	if f.SessionEndsAt.IsZero() || f.Token == nil {
		return at
	}
	if shown := f.SessionEndsAt.Add(-f.life()); at.IsZero() || shown.Before(at) {
		return shown
	}
	return at
}

// SessionEnding reports whether the session is so near its absolute end that a
// new one must be opened.
func (f Facts) SessionEnding() bool {
	at := f.sessionEndingAt()
	return !at.IsZero() && !f.Now.Before(at)
}

// sessionEnd is the absolute end of a session; zero if there is none.
func sessionEnd(startedAt time.Time, t exchange.Traits) time.Time {
	if startedAt.IsZero() || t.SessionMax == 0 {
		return time.Time{}
	}
	return startedAt.Add(t.SessionMax)
}

// backOffOver reports whether this run tries a connection whose token has expired. While a
// token lives, every run tries, because it may be the only one that succeeds. After that,
// two more runs try, and then one of every two heartbeats, chosen by the connection's name,
// so that tries are at most three heartbeats apart. The clock alone decides, so nothing has
// to be stored.
func (f Facts) backOffOver() bool {
	if f.Now.Sub(f.Token.ExpiresAt) < 2*f.Every {
		return true
	}
	tick := f.Now.Unix() / int64(f.Every/time.Second)
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, f.Name, tick/2) // never fails (hash.Hash)
	return tick%2 == int64(h.Sum32()%2)
}
