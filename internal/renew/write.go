package renew

import (
	"context"
	"encoding/json"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	firstWait = 200 * time.Millisecond
	longWait  = 5 * time.Second
	// fewTries is how often a write is tried that nothing is lost by.
	fewTries = 4
)

// write tries a write a few times: what fails then is told and done by a later
// run.
func (r *renewal) write(ctx context.Context, op func(context.Context) error) error {
	return r.retry(ctx, fewTries, op)
}

// writeHard tries a write that holds the only copy of something until the time
// left is needed for what comes after.
func (r *renewal) writeHard(ctx context.Context, reserve time.Duration, op func(context.Context) error) error {
	// A call that never answers must not take the time that is kept for the
	// next resort.
	ctx, cancel := context.WithTimeout(ctx, remaining(ctx)-reserve)
	defer cancel()
	return r.retry(ctx, 1000, op)
}

func (r *renewal) retry(ctx context.Context, tries int, op func(context.Context) error) error {
	budget := min(remaining(ctx), r.RunLasts)
	var waited time.Duration
	for try, wait := 1, firstWait; ; try, wait = try+1, min(2*wait, longWait) {
		err := op(ctx)
		switch secrets.ErrorKind(err) {
		case secrets.NoError, secrets.ErrConflict, secrets.ErrLabelMoved:
			return err
		}
		if waited += wait; try >= r.tries(tries, err) || waited > budget || remaining(ctx) < wait {
			return err
		}
		if r.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// tries is how often a write is tried that has failed with err. What is no
// passing trouble may still be the service being slow to see a right or a
// version, so it is tried again too, but not until the deadline: there is the
// rescue parameter.
func (r *renewal) tries(most int, err error) int {
	switch secrets.ErrorKind(err) {
	case secrets.ErrTransient, secrets.ErrThrottled:
		return most
	}
	return min(most, fewTries)
}

// keepSession stores a session, and where that cannot be done puts it into the
// rescue parameter. It is never given up without a word.
func (r *renewal) keepSession(ctx context.Context, next credential.Session) {
	if !r.hasSession && !r.findSession(ctx) {
		r.rescue(ctx, next, "there is no session secret to keep the changed refresh token in: aws secretsmanager create-secret --name "+r.conn.Session)
		return
	}
	base := r.sessionVersion.ID
	value := next.Encode()
	id := secrets.DeriveID(r.sessionVersion.ARN, base, "session")
	err := r.writeHard(ctx, storeReserve/2, func(ctx context.Context) error {
		return r.Secrets.Put(ctx, r.conn.Session, id, value, r.burst["session"]...)
	})
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		id, err = r.keepBeside(ctx, base, value)
	}
	if err != nil {
		r.rescue(ctx, next, "the session could not be stored: "+err.Error())
		return
	}
	if r.fromRescue || r.passedBy {
		r.deleteRescue(ctx)
	}
	r.claimed = nil // the label stays behind on the old version
	r.sessionVersion.ID, r.sessionVersion.Value, r.sessionVersion.Labels = id, value, nil
}

// findSession looks for the session secret of a provider that seldom needs one.
func (r *renewal) findSession(ctx context.Context) bool {
	d, err := r.Secrets.Describe(ctx, r.conn.Session)
	if err == nil {
		r.hasSession, r.sessionVersion.ARN = true, d.ARN
	}
	return err == nil
}

// keepBeside stores a session whose derived id is taken. If the version it was
// based on is still current, somebody moved AWSCURRENT back, and a fresh id
// will do. If AWSCURRENT has moved on, another run was faster: ours is kept
// under a label of its own.
func (r *renewal) keepBeside(ctx context.Context, base string, value redact.Secret) (string, error) {
	var labels []string
	v, err := r.Secrets.Get(ctx, r.conn.Session, secrets.Current)
	if err != nil || v.ID != base {
		labels = []string{labelKept}
		r.hint("another run stored a session meanwhile; this one's is kept under the label " + labelKept)
	}
	id := secrets.FreshID()
	return id, r.writeHard(ctx, storeReserve/2, func(ctx context.Context) error {
		return r.Secrets.Put(ctx, r.conn.Session, id, value, labels...)
	})
}

// rescued is what the rescue parameter holds.
type rescued struct {
	Base    string          `json:"base"` // the version that was claimed
	Session json.RawMessage `json:"session"`
}

func (r *renewal) rescueName() string { return r.RescuePrefix + r.conn.Name }

// rescue puts a session that cannot be stored into a parameter. The claim stays
// on the session: it makes the next run look here.
func (r *renewal) rescue(ctx context.Context, s credential.Session, why string) {
	if s.RefreshToken.IsZero() { // nothing in it is the only copy of anything
		r.hint(why)
		r.release(ctx)
		return
	}
	b, err := json.Marshal(rescued{r.sessionVersion.ID, json.RawMessage(s.Encode().Reveal())})
	if err == nil {
		err = r.writeHard(ctx, 0, func(ctx context.Context) error {
			return r.Parameters.Put(ctx, r.rescueName(), r.RescueKey, redact.New(string(b)))
		})
	}
	r.claimed = nil
	if err != nil {
		r.hint(why + "; nor could the rescue parameter be written, so the new refresh token is lost: " + err.Error())
		return
	}
	r.hint(why + "; it is kept in the parameter " + r.rescueName())
}

// restore stores a session found in the rescue parameter, if it is newer than
// what is in force, and deletes the parameter.
func (r *renewal) restore(ctx context.Context) (bool, *Result) {
	value, found, session, stop := r.readRescue(ctx)
	if stop != nil || session.RefreshToken.IsZero() {
		return false, stop
	}
	newer := session.RefreshedAt.After(r.session.RefreshedAt)
	if newer {
		id := secrets.DeriveID(r.sessionVersion.ARN, found.Base, "rescue "+credential.Sum(value))
		if err := r.Secrets.Put(ctx, r.conn.Session, id, session.Encode()); err != nil {
			return false, r.awsFailure("session", r.conn.Session, err)
		}
		r.session, r.spent = session, false
		r.sessionVersion = secrets.Version{ARN: r.sessionVersion.ARN, ID: id, Value: session.Encode()}
		r.hint("the session was brought back from the rescue parameter")
	}
	r.deleteRescue(ctx)
	return newer, nil
}

func (r *renewal) deleteRescue(ctx context.Context) {
	err := r.write(ctx, func(ctx context.Context) error { return r.Parameters.Delete(ctx, r.rescueName()) })
	if err != nil {
		r.hint("the rescue parameter is stored and could not be deleted: " + err.Error())
	}
}

// readRescue reads the rescue parameter. The session is empty if there is none;
// only "not found" means that.
func (r *renewal) readRescue(ctx context.Context) (redact.Secret, rescued, credential.Session, *Result) {
	name := r.rescueName()
	var found rescued
	value, err := r.Parameters.Get(ctx, name)
	if secrets.ErrorKind(err) == secrets.ErrNotFound {
		return value, found, credential.Session{}, nil
	}
	if err != nil {
		return value, found, credential.Session{}, r.awsFailure("rescue parameter", name, err)
	}
	var session credential.Session
	if err = json.Unmarshal([]byte(value.Reveal()), &found); err == nil {
		session, err = credential.ParseSession(redact.New(string(found.Session)))
	}
	if err != nil || session.RefreshToken.IsZero() {
		return value, found, credential.Session{}, &Result{Outcome: Failed, Class: exchange.Misconfigured, Reason: "the rescue parameter cannot be read",
			Hint: "look at it and delete it: aws ssm delete-parameter --name " + name}
	}
	return value, found, session, nil
}

// rescuedSession takes what the rescue parameter holds as the session, for a
// provider that works without a session secret: its refresh tokens do not
// change as a rule, and one that did had nowhere else to go.
func (r *renewal) rescuedSession(ctx context.Context) bool {
	if r.traits.Session != exchange.OptionalSession || !r.session.RefreshToken.IsZero() {
		return false
	}
	_, _, session, stop := r.readRescue(ctx)
	if stop != nil {
		r.hint(stop.Reason)
		return false
	}
	if session.RefreshToken.IsZero() || !r.openedByUs(session) {
		return false
	}
	r.session, r.fromRescue = session, true
	return true
}

// publish makes the token readable. The session is stored by now; a token that
// cannot be published costs a later run another exchange and nothing else.
func (r *renewal) publish(ctx context.Context, token credential.Token, result Result) Result {
	if r.keep != nil {
		if err := r.keep(ctx, token); err != nil {
			return *r.awsFailure("token", r.conn.Token, err)
		}
		result.ExpiresAt = token.ExpiresAt
		return result
	}
	value := token.Encode(r.conn.TokenParameter != "")
	document, id := "token", r.conn.Token
	var err error
	if r.conn.TokenParameter != "" {
		id = r.conn.TokenParameter
		err = r.writeHard(ctx, 0, func(ctx context.Context) error {
			return r.Parameters.Put(ctx, id, r.conn.TokenParameterKey, value)
		})
	} else {
		err = r.publishSecret(ctx, token, value)
	}
	if err != nil {
		failed := r.awsFailure(document, id, err)
		failed.Reason = "a new token was received and could not be published: " + failed.Reason
		return *failed
	}
	r.token = &TokenTimes{token.IssuedAt, token.ExpiresAt}
	if r.conn.PlainCopy != "" && !r.otherPublished {
		var over secrets.Version
		if r.job.Copy != nil {
			over = r.job.Copy.Version
		}
		if over.ARN == "" {
			over.ARN = r.conn.PlainCopy
		}
		r.copyToken(ctx, over, token.AccessToken)
	}
	result.ExpiresAt = token.ExpiresAt
	if promised := r.facts().minRemaining(); promised < r.conn.MinRemaining {
		r.hint("min_remaining is more than half of the token's life: readers are promised " + promised.Round(time.Second).String())
	}
	if life := token.ExpiresAt.Sub(token.IssuedAt); r.conn.TokenParameter == "" && life-r.facts().minRemaining() < floor+r.Every {
		r.hint("the token lives " + life.Round(time.Second).String() + ", too short for a secret, which takes one version per 15 minutes: publish it in a parameter (token_parameter)")
	}
	return result
}

func (r *renewal) publishSecret(ctx context.Context, token credential.Token, value redact.Secret) error {
	base := r.tokenVersion.ID
	put := func(id string) error {
		return r.writeHard(ctx, 0, func(ctx context.Context) error {
			return r.Secrets.Put(ctx, r.conn.Token, id, value, r.burst["token"]...)
		})
	}
	err := put(secrets.DeriveID(r.tokenVersion.ARN, base, "token"))
	if secrets.ErrorKind(err) != secrets.ErrConflict {
		return err
	}
	v, getErr := r.Secrets.Get(ctx, r.conn.Token, secrets.Current)
	if getErr == nil && v.ID != base && r.otherServes(ctx, v, token) {
		r.hint("another run published a token meanwhile, which serves as well")
		r.otherPublished = true
		return nil
	}
	return put(secrets.FreshID())
}

// otherServes reports whether what another run published may stay in place of
// ours. At a provider whose tokens kill each other (FlexNet, which knows two
// names) only one of the two lives, so they are asked about.
func (r *renewal) otherServes(ctx context.Context, v secrets.Version, ours credential.Token) bool {
	theirs, err := credential.ParseToken(v.Value)
	if err != nil || theirs.ExpiresAt.Before(ours.ExpiresAt) {
		return false
	}
	prover, ok := r.job.Provider.(exchange.Prover)
	if !ok || prover.Prove(ctx, r.credential, theirs.AccessToken) == nil {
		return true
	}
	return prover.Prove(ctx, r.credential, ours.AccessToken) != nil
}
