package renew

import (
	"context"
	"errors"

	"evertoken/internal/credential"
	"evertoken/internal/secrets"
)

// Labels on the versions of a session.
const (
	// labelExchange is on the version whose refresh token is being exchanged.
	// Moving it onto AWSCURRENT, naming its holder, is the claim: Secrets
	// Manager refuses the second of two claimants. A stored exchange leaves it
	// behind on the version that it started from.
	labelExchange = "EVERTOKEN_EXCHANGE"
	// labelLeftover and a time, as in EVERTOKEN_LEFTOVER_20261121T160000Z, say
	// when a claim on AWSCURRENT was first seen without anybody known to be
	// behind it. No source tells whether moving a label changes
	// LastChangedDate, so the age of a claim cannot be read from that alone.
	labelLeftover = "EVERTOKEN_LEFTOVER_"
	// labelSpent is on a version whose refresh token was sent without its
	// answer being stored, and may not be sent again.
	labelSpent = "EVERTOKEN_SPENT"
	// labelKept is on a session that was received but could not become
	// AWSCURRENT, because another had.
	labelKept = "EVERTOKEN_KEPT"
)

// claim is the right of this run to exchange what the session's current version
// holds.
type claim struct {
	current string // the version claimed, where the label now is
	prior   string // where the label was; empty if the claim made it
}

// claim proves that the session can be written and claims it. It returns the
// attempts that are now allowed, or a result if the run must stop.
func (r *renewal) claim(ctx context.Context, attempts []attempt) ([]attempt, *Result) {
	for range 4 { // each turn ends, or changes the state that the next one reads
		d, err := r.Secrets.Describe(ctx, r.conn.Session)
		if err != nil {
			return nil, r.awsFailure("session", r.conn.Session, err)
		}
		if stop := r.checkWritable("session", d); stop != nil {
			return nil, stop
		}
		if stop := r.checkBudget(ctx, "session", d); stop != nil {
			return nil, stop
		}
		r.sessionVersion.ARN = d.ARN
		current := d.Holder(secrets.Current)
		if current == "" {
			return attempts, r.open(ctx, d, attempts)
		}
		if current != r.sessionVersion.ID {
			var stop *Result
			if attempts, stop = r.readAgain(ctx, d); stop != nil {
				return nil, stop
			}
			continue
		}
		adopted, stop := r.adoptNewer(ctx, d, attempts)
		if stop != nil {
			return nil, stop
		}
		if adopted {
			if attempts, stop = r.plan(ctx); stop != nil {
				return nil, stop
			}
			continue
		}
		switch holder := d.Holder(labelExchange); holder {
		case current:
			return r.leftover(ctx, d, attempts)
		case "":
			if stop := r.makeLabel(ctx, d.ARN, current); stop != nil {
				return nil, stop
			}
		default:
			if d.Holder(labelSpent) == current {
				r.spent = true
				if attempts, stop = r.plan(ctx); stop != nil {
					return nil, stop
				}
			}
			if r.openingWithOther() {
				return attempts, r.open(ctx, d, attempts)
			}
			return attempts, r.take(ctx, current, holder)
		}
	}
	return nil, &Result{Outcome: Deferred, Reason: "the session keeps changing: another run is at it"}
}

// readAgain reads the session anew after Describe showed another current
// version than what was read, and decides again.
func (r *renewal) readAgain(ctx context.Context, d secrets.Description) ([]attempt, *Result) {
	v, err := r.Secrets.Get(ctx, r.conn.Session, secrets.Current)
	if err != nil {
		return nil, r.awsFailure("session", r.conn.Session, err)
	}
	if v.ID != d.Holder(secrets.Current) {
		return nil, &Result{Outcome: Deferred, Reason: "two reads of the session disagree: another run is at it"}
	}
	if stop := r.readTokenAgain(ctx); stop != nil { // who renewed the session has published one by now
		return nil, stop
	}
	return r.useSession(ctx, v)
}

func (r *renewal) readTokenAgain(ctx context.Context) *Result {
	var read secrets.Read
	if r.conn.TokenParameter != "" {
		read.Version.Value, read.Err = r.Parameters.Get(ctx, r.conn.TokenParameter)
	} else {
		read.Version, read.Err = r.Secrets.Get(ctx, r.conn.Token, secrets.Current)
	}
	r.job.Token = read
	return r.readToken(ctx)
}

// useSession takes a version of the session as what is in force and plans
// again.
func (r *renewal) useSession(ctx context.Context, v secrets.Version) ([]attempt, *Result) {
	session, err := credential.ParseSession(v.Value)
	if err != nil {
		session = credential.Session{}
	}
	r.session, r.sessionVersion = session, v
	if r.decision = Decide(r.facts()); !r.decision.Due {
		return nil, &Result{Outcome: Deferred, Reason: "another run has just renewed the session"}
	}
	return r.plan(ctx)
}

// take proves the write and moves the label.
func (r *renewal) take(ctx context.Context, current, holder string) *Result {
	// The current value under its own id: a no-op that AWS still authorizes
	// (botocore model, PutSecretValue: "this operation is idempotent").
	if err := r.Secrets.Put(ctx, r.conn.Session, current, r.sessionVersion.Value); err != nil {
		stop := r.awsFailure("session", r.conn.Session, err)
		stop.Reason = "nothing was sent, because the session could not be stored: " + stop.Reason
		return stop
	}
	err := r.Secrets.MoveLabel(ctx, r.conn.Session, labelExchange, current, holder)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		r.claimed = &claim{current: current, prior: holder}
		return nil
	case secrets.ErrLabelMoved:
		return &Result{Outcome: Deferred, Reason: "another run has claimed the session"}
	}
	return r.awsFailure("session", r.conn.Session, err)
}

// open writes the version that says only that a session is being opened, and
// with what: proof and claim in one. Its id is derived from what is there, as a
// rule nothing, so that the second of two runs is refused.
func (r *renewal) open(ctx context.Context, d secrets.Description, attempts []attempt) *Result {
	opening := credential.Session{OpeningAt: r.now, OpeningWith: r.credential.Fingerprint(attempts[0].grant.Members...)}
	id := secrets.DeriveID(d.ARN, d.Holder(secrets.Current), "opening")
	value := opening.EncodeUnique(secrets.FreshID())
	err := r.Secrets.Put(ctx, r.conn.Session, id, value, secrets.Current, labelExchange)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		r.session, r.sessionVersion = opening, secrets.Version{ARN: d.ARN, ID: id, Value: value}
		r.claimed, r.spent = &claim{current: id}, false
		return nil
	case secrets.ErrConflict:
		return &Result{Outcome: Deferred, Reason: "another run is opening the session"}
	}
	stop := r.awsFailure("session", r.conn.Session, err)
	stop.Reason = "nothing was sent, because the session could not be stored: " + stop.Reason
	return stop
}

// makeLabel creates labelExchange on a version that says nothing, where the
// secret has none, so that a claim always moves it: whether AWS refuses to
// attach a label to the version that already has it is not known. The id is
// derived, so that one of two runs makes it and the other finds it made.
func (r *renewal) makeLabel(ctx context.Context, arn, base string) *Result {
	value := credential.Session{OpeningAt: r.now}.EncodeUnique(secrets.FreshID())
	for _, purpose := range []string{"holder", "holder 2", "holder 3"} { // a person may have taken it away again
		err := r.Secrets.Put(ctx, r.conn.Session, secrets.DeriveID(arn, base, purpose), value, labelExchange)
		if err == nil {
			return nil
		}
		if secrets.ErrorKind(err) != secrets.ErrConflict {
			return r.awsFailure("session", r.conn.Session, err)
		}
		d, err := r.Secrets.Describe(ctx, r.conn.Session)
		if err != nil {
			return r.awsFailure("session", r.conn.Session, err)
		}
		if d.Holder(labelExchange) != "" {
			return nil
		}
	}
	return &Result{Outcome: Deferred, Reason: "the label " + labelExchange + " keeps disappearing from the session"}
}

// release gives the claim back, where nothing was spent: the label returns to
// where it was.
func (r *renewal) release(ctx context.Context) {
	if r.claimed == nil {
		return
	}
	c := *r.claimed
	r.claimed = nil
	var err error = secrets.ErrNotFound
	if c.prior != "" {
		err = r.write(ctx, func(ctx context.Context) error {
			return r.Secrets.MoveLabel(ctx, r.conn.Session, labelExchange, c.prior, c.current)
		})
	}
	if errors.Is(err, secrets.ErrNotFound) { // there was no other version, or it is gone
		_, err = r.park(ctx, c.current)
	}
	if err = r.ignoreMoved(err); err != nil {
		r.hint("the claim could not be given back; it settles by itself: " + err.Error())
	}
}

// labelHolder is on a version that was made only to hold labelExchange while
// nobody claims it.
const labelHolder = "EVERTOKEN_HOLDER"

// park moves labelExchange from the current version to one made for it.
func (r *renewal) park(ctx context.Context, current string) (holder string, err error) {
	holder = secrets.FreshID()
	value := credential.Session{OpeningAt: r.now}.EncodeUnique(secrets.FreshID())
	if err := r.Secrets.Put(ctx, r.conn.Session, holder, value, labelHolder); err != nil {
		return "", err
	}
	return holder, r.Secrets.MoveLabel(ctx, r.conn.Session, labelExchange, holder, current)
}
