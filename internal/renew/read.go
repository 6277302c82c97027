package renew

import (
	"context"
	"errors"
	"slices"
	"strings"

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
	read := r.readNow(ctx, &r.job.Credential, id)
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
	// Before anything is claimed, and in a dry run too.
	if err := r.job.Provider.Allowed(r.credential); err != nil {
		result := exchangeFailure(err)
		return &result
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

// readNow is a document of the job, read here where it was not read yet.
func (r *renewal) readNow(ctx context.Context, document **secrets.Read, id string) secrets.Read {
	if *document == nil {
		v, err := r.Secrets.Get(ctx, id, secrets.Current)
		*document = &secrets.Read{Version: v, Err: err}
	}
	return **document
}

// needsSession reports whether nothing may be exchanged without a session
// secret.
func (r *renewal) needsSession() bool {
	return r.traits.Session == exchange.RequiredSession
}

func (r *renewal) readSession(ctx context.Context) *Result {
	id, read := r.conn.Session, r.readNow(ctx, &r.job.Session, r.conn.Session)
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

// parseToken reads the published token. One that cannot be read does not count,
// and is replaced.
func (r *renewal) parseToken(v secrets.Version) {
	token, err := credential.ParseToken(v.Value)
	if err != nil {
		r.hint("what was published is no token document and is replaced: " + err.Error())
		return
	}
	if token.Connection != r.conn.Name {
		r.hint("what was published belongs to another connection and is replaced")
		return
	}
	r.published, r.token = token.AccessToken, &TokenTimes{token.IssuedAt, token.ExpiresAt}
	r.needsPerson = token.NeedsPersonAt
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
