package renew

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// read turns what was read into documents. It returns a result where the
// connection can go no further.
func (r *renewal) read(ctx context.Context) *Result {
	tokenStop := r.readSessionAndToken(ctx)
	if stop := r.readCredential(ctx); stop != nil {
		return stop
	}
	return tokenStop
}

func (r *renewal) readCredential(ctx context.Context) *Result {
	id := r.conn.Credential
	read := r.job.Credential
	if errors.Is(read.Err, secrets.ErrNotFound) {
		if _, err := r.Secrets.Describe(ctx, id); err != nil {
			return r.awsFailure("credential", id, err)
		}
		return &Result{Outcome: Waiting, Reason: "no credential is stored yet", Hint: "store it: " + putCommand(id)}
	}
	if read.Err != nil {
		return r.awsFailure("credential", id, read.Err)
	}
	var err error
	if r.credential, err = credential.Parse(read.Version.Value); err == nil {
		r.grants, err = r.job.Provider.Grants(r.credential)
	}
	if err != nil {
		return r.documentFailure(err)
	}
	return nil
}

func (r *renewal) readSessionAndToken(ctx context.Context) *Result {
	if r.needsSession() || r.traits.Session == exchange.OptionalSession {
		if stop := r.readSession(ctx); stop != nil {
			return stop
		}
	}
	return r.readToken(ctx)
}

// needsSession reports whether nothing may be exchanged without a session
// secret.
func (r *renewal) needsSession() bool {
	return r.traits.Session == exchange.RequiredSession || r.conn.Format == connection.Plain
}

func (r *renewal) readSession(ctx context.Context) *Result {
	id, read := r.conn.Session, r.job.Session
	r.sessionVersion = read.Version
	optional := !r.needsSession() && !r.conn.SessionDeclared
	switch {
	case optional && (errors.Is(read.Err, secrets.ErrNotFound) || errors.Is(read.Err, secrets.ErrDenied)):
		return nil // never declared, and perhaps not granted: looked for when there is something to keep
	case errors.Is(read.Err, secrets.ErrNotFound):
		d, err := r.Secrets.Describe(ctx, id)
		if err != nil {
			return r.awsFailure("session", id, err)
		}
		r.hasSession, r.sessionVersion.ARN = true, d.ARN
		return nil
	case read.Err != nil:
		return r.awsFailure("session", id, read.Err)
	}
	r.hasSession = true
	session, err := credential.ParseSession(read.Version.Value)
	if err != nil && strings.TrimSpace(read.Version.Value.Reveal()) != "" {
		r.hint("the session document was overwritten: " + err.Error())
	}
	r.session = session
	r.spent = slices.Contains(read.Version.Labels, labelSpent)
	return nil
}

func (r *renewal) readToken(ctx context.Context) *Result {
	read := r.job.Token
	inParameter := r.conn.TokenParameter != ""
	r.tokenVersion = read.Version
	switch {
	case errors.Is(read.Err, secrets.ErrNotFound) && inParameter:
		return nil
	case errors.Is(read.Err, secrets.ErrNotFound):
		d, err := r.Secrets.Describe(ctx, r.conn.Token)
		if err != nil {
			return r.awsFailure("token", r.conn.Token, err)
		}
		r.tokenVersion.ARN = d.ARN
		return nil
	case read.Err != nil:
		return r.awsFailure("token", r.conn.Token+r.conn.TokenParameter, read.Err)
	}
	r.parseToken(read.Version)
	return nil
}

// Compare orders jobs by what is left of the published token's life, least
// first, so that what is urgent is done while there is time; dead and missing
// tokens come last, since those of a provider that does not answer would take
// the time of all others.
func (j Job) Compare(other Job, now time.Time) int {
	a, b := j.tokenEnds(), other.tokenEnds()
	switch aDead, bDead := !a.After(now), !b.After(now); {
	case aDead && bDead:
		return 0
	case aDead:
		return 1
	case bDead:
		return -1
	}
	return a.Compare(b)
}

// tokenEnds is the end of the published token, zero where none can be read.
func (j Job) tokenEnds() time.Time {
	if j.Connection.Format == connection.Plain {
		session, err := credential.ParseSession(j.Session.Version.Value)
		if err != nil || session.Token == nil {
			return time.Time{}
		}
		return session.Token.ExpiresAt
	}
	token, err := credential.ParseToken(j.Token.Version.Value)
	if err != nil {
		return time.Time{}
	}
	return token.ExpiresAt
}

// parseToken reads the published token. One that cannot be read does not count,
// and is replaced.
func (r *renewal) parseToken(v secrets.Version) {
	if r.conn.Format == connection.Plain {
		p := r.session.Token
		if p != nil && p.SHA256 == credential.Sum(v.Value) {
			r.published, r.token = v.Value, &TokenTimes{p.IssuedAt, p.ExpiresAt}
		}
		return
	}
	token, err := credential.ParseToken(v.Value)
	if err != nil {
		r.hint("what was published is no token document and is replaced: " + err.Error())
		return
	}
	r.published, r.token = token.AccessToken, &TokenTimes{token.IssuedAt, token.ExpiresAt}
}

// checkToken looks, before anything is spent, at the secret that is to be
// written: it must be in this Region and not in the hands of a rotation.
func (r *renewal) checkToken(ctx context.Context) *Result {
	if r.conn.TokenParameter != "" || r.keep != nil {
		return nil
	}
	d, err := r.Secrets.Describe(ctx, r.conn.Token)
	if err != nil {
		return r.awsFailure("token", r.conn.Token, err)
	}
	if stop := r.checkWritable("token", d); stop != nil {
		return stop
	}
	return r.checkBudget(ctx, "token", d)
}

// checkPlainSession looks at the session that speaks for a plain token, where no
// claim does.
func (r *renewal) checkPlainSession(ctx context.Context) *Result {
	if r.conn.Format != connection.Plain || (r.usesSession() && r.traits.SingleUse) {
		return nil
	}
	d, err := r.Secrets.Describe(ctx, r.conn.Session)
	if err != nil {
		return r.awsFailure("session", r.conn.Session, err)
	}
	if stop := r.checkWritable("session", d); stop != nil {
		return stop
	}
	return r.checkBudget(ctx, "session", d)
}

// checkWritable refuses a replica, and a secret that a rotation is at work on
// unless the token is about to die.
func (r *renewal) checkWritable(document string, d secrets.Description) *Result {
	if d.PrimaryRegion != "" {
		return &Result{Outcome: Failed, Class: exchange.Misconfigured, Reason: "the " + document + " secret is a replica",
			Hint: "run Evertoken in its primary Region, " + d.PrimaryRegion}
	}
	pending, current := d.Holder(secrets.Pending), d.Holder(secrets.Current)
	if pending == "" || pending == current || !d.RotationEnabled { // without a schedule nobody is at work on it
		return nil
	}
	pressing := r.decision.Emergency || r.decision.Reason == reasonRefreshEnding ||
		r.token != nil && r.token.ExpiresAt.Sub(r.now) < r.facts().minRemaining()+r.Every
	if !pressing {
		return &Result{Outcome: Deferred, Reason: "a rotation of the " + document + " is under way"}
	}
	r.hint("a rotation of the " + document + " was under way and is abandoned, because the token was about to die")
	return nil
}
