package renew

import (
	"context"
	"errors"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// read parses the documents, and reads those that were not read yet. Its error names all
// secrets that do not exist.
func (r *renewal) read(ctx context.Context) error {
	err := r.readSession(ctx)
	tokenErr := r.readToken(ctx)
	r.readCredential(ctx)
	switch {
	case len(r.missing) > 0:
		return r.missingSecrets()
	case err != nil:
		return err
	case tokenErr != nil:
		return tokenErr
	}
	// A credential that cannot be read does not stop a refresh that needs none.
	refreshes := r.keepsSession() && !r.session.Session().RefreshToken.IsZero()
	if r.noCredential != nil && (r.job.Candidate || !refreshes) {
		return r.noCredential
	}
	if r.noCredential == nil {
		return r.readOthers(ctx)
	}
	return nil
}

// exists describes a secret in which a read found no value. The secret may exist all the
// same.
func (r *renewal) exists(ctx context.Context, document, id string) (arn string, err error) {
	d, err := r.Secrets.Describe(ctx, id)
	if errors.Is(err, secrets.ErrNotFound) {
		r.missing = append(r.missing, missing{document, id})
		return "", nil
	}
	if err != nil {
		return "", r.awsFailure(document, id, err)
	}
	r.described[document] = &d
	return d.ARN, nil
}

// readNow returns a document of the job. It reads it if it was not read yet.
func (r *renewal) readNow(ctx context.Context, document **secrets.Read, id string) secrets.Read {
	if *document == nil {
		v, err := r.Secrets.Get(ctx, id, secrets.Current)
		*document = &secrets.Read{Version: v, Err: err}
	}
	return **document
}

func (r *renewal) readCredential(ctx context.Context) {
	id := r.conn.Credential
	read := r.readNow(ctx, &r.job.Credential, id)
	if errors.Is(read.Err, secrets.ErrNotFound) {
		if _, err := r.exists(ctx, "credential", id); err != nil {
			r.noCredential = asStopped(err)
			return
		}
		r.noCredential = &Stopped{Outcome: Waiting, Reason: "no credential is stored yet",
			Hint: "Store it: " + putCommand(r.conn) + "."}
		return
	}
	if read.Err != nil {
		r.noCredential = r.awsFailure("credential", id, read.Err)
		return
	}
	var err error
	if r.credential, err = credential.Parse(read.Version.Value); err == nil {
		r.grants, err = r.job.Provider.Grants(r.credential)
	}
	for _, g := range r.grants {
		password := r.credential.Get(credential.Password).Reveal()
		if g.Password && strings.TrimRight(password, "\r\n") != password {
			err = &credential.Error{Document: "credential", Member: credential.Password,
				Problem: "ends in a line break, which is never part of a password that a person " +
					"types: store it without one"}
		}
	}
	if err != nil {
		r.grants, r.noCredential = nil, r.documentFailure(err)
		return
	}
	// This is checked before anything is claimed, and in a dry run too.
	if err := r.job.Provider.Allowed(r.credential); err != nil {
		r.grants, r.noCredential = nil, refusal(asExchange(err))
		r.forbidden = true
	}
}

func (r *renewal) readSession(ctx context.Context) error {
	if r.traits.Session == exchange.NoSession {
		return nil
	}
	id := r.conn.Session
	read := r.readNow(ctx, &r.job.Session, id)
	if read.Err != nil && r.traits.Session == exchange.OptionalSession && !r.conn.SessionDeclared {
		switch secrets.ErrorKind(read.Err) {
		case secrets.ErrNotFound, secrets.ErrDenied, secrets.ErrDeleted, secrets.ErrRefused:
			// It was never declared, and perhaps not granted. Evertoken looks for it when
			// there is something to keep.
			return nil
		}
	}
	if errors.Is(read.Err, secrets.ErrNotFound) {
		arn, err := r.exists(ctx, "session", id)
		if err == nil && arn != "" {
			r.session.Exists = true
			r.session.Use(secrets.Version{ARN: arn})
		}
		return err
	}
	if read.Err != nil {
		return r.awsFailure("session", id, read.Err)
	}
	r.session.Exists = true
	r.session.Use(read.Version)
	_, err := credential.ParseSession(read.Version.Value)
	if err != nil && strings.TrimSpace(read.Version.Value.Reveal()) != "" {
		r.hint("Somebody overwrote the session document: " + err.Error())
	}
	return nil
}

func (r *renewal) readToken(ctx context.Context) error {
	read := r.job.Token
	inParameter := r.conn.TokenParameter != ""
	r.tokenVersion, r.token, r.published = read.Version, nil, credential.Token{}
	switch {
	case errors.Is(read.Err, secrets.ErrNotFound) && inParameter:
		return nil
	case errors.Is(read.Err, secrets.ErrNotFound):
		var err error
		r.tokenVersion.ARN, err = r.exists(ctx, "token", r.conn.Token)
		return err
	case read.Err != nil:
		return r.awsFailure("token", r.conn.Token+r.conn.TokenParameter, read.Err)
	}
	r.parseToken(read.Version)
	return nil
}

func (r *renewal) readTokenAgain(ctx context.Context) error {
	var read secrets.Read
	if r.conn.TokenParameter != "" {
		read.Version.Value, read.Err = r.Parameters.Get(ctx, r.conn.TokenParameter)
	} else {
		read.Version, read.Err = r.Secrets.Get(ctx, r.conn.Token, secrets.Current)
	}
	r.job.Token = read
	return r.readToken(ctx)
}

// parseToken parses the published token. Evertoken replaces one that cannot be parsed, or
// that belongs to another connection.
func (r *renewal) parseToken(v secrets.Version) {
	token, err := credential.ParseToken(v.Value)
	if err != nil {
		if strings.TrimSpace(v.Value.Reveal()) != "{}" {
			r.hint("The token secret holds no token document, and Evertoken replaces it: " + err.Error())
		}
		return
	}
	if token.Connection != r.conn.Name {
		r.hint("The published token belongs to another connection, and Evertoken replaces it.")
		return
	}
	r.published, r.token = token, &TokenTimes{token.IssuedAt, token.ExpiresAt}
}

// checkToken checks the token's secret before anything is spent: it must be in this Region,
// no rotation of it may be in progress, and its version in force must be the one that was read.
func (r *renewal) checkToken(ctx context.Context) error {
	if r.conn.TokenParameter != "" {
		return nil
	}
	if r.described["token"] == nil {
		d, err := r.Secrets.Describe(ctx, r.conn.Token)
		if err != nil {
			return r.awsFailure("token", r.conn.Token, err)
		}
		r.described["token"] = &d
	}
	d := *r.described["token"]
	if r.keep == nil { // else this run is the rotation that is in progress
		if err := r.check(ctx, "token", d); err != nil {
			return err
		}
	}
	return r.tokenInForce(ctx, d.Holder(secrets.Current))
}

// tokenInForce reads the token again if AWS shows that another version of it is in force than
// the one that was read, and decides again. A run that took an earlier token for the published
// one would renew for nothing. At FlexNet it would even replace the value that applications
// have: the name that the earlier token does not have.
func (r *renewal) tokenInForce(ctx context.Context, current string) error {
	if current == r.tokenVersion.ID {
		return nil
	}
	first := r.tokenVersion.ID
	if err := r.readTokenAgain(ctx); err != nil {
		return err
	}
	// In an emergency two equal reads outweigh one description.
	sure := current == r.tokenVersion.ID || r.decision.Emergency && first == r.tokenVersion.ID
	if !sure {
		return &session.Waiting{Reason: "AWS shows two states of the token, as it does for a " +
			"moment after it was published"}
	}
	r.revoked = false // that was the earlier token
	if r.noCredential == nil {
		if err := r.readOthers(ctx); err != nil {
			return err
		}
	}
	if reason := r.fresh(ctx); reason != "" {
		return &Stopped{Outcome: Fresh, Reason: reason}
	}
	return nil
}

// check refuses a replica, a secret that has no room for another version, and a secret that
// a rotation is changing, unless the token is about to die.
func (r *renewal) check(ctx context.Context, document string, d secrets.Description) error {
	if d.PrimaryRegion != "" {
		return &Stopped{Failed, exchange.Misconfigured, "the " + document + " secret is a replica",
			"Evertoken writes in one Region only: run it in the secret's primary Region, " +
				d.PrimaryRegion + "."}
	}
	r.tokenRotates = r.tokenRotates || document == "token" && d.RotationEnabled
	pending, current := d.Holder(secrets.Pending), d.Holder(secrets.Current)
	// Without a schedule no rotation is in progress.
	if pending != "" && pending != current && d.RotationEnabled {
		dead := r.decision.Unpublished && r.traits.RenewLate // the refresh ended the published token
		pressing := dead || r.decision.Emergency || r.decision.Reason == reasonRefreshEnding ||
			r.token != nil && r.token.ExpiresAt.Sub(r.now) < r.facts().minRemaining()+r.Every
		if !pressing {
			return &Stopped{Outcome: Deferred, Reason: "a rotation of the " + document + " is under way",
				Hint: "You need to do nothing unless it stays: `evertoken explain " + r.conn.Name +
					"` says what it waits for."}
		}
		r.hint("Evertoken abandoned a rotation of the " + document + " that was in progress, " +
			"because the token was about to die. Secrets Manager begins the next one on its schedule.")
	}
	return r.checkBudget(ctx, document, d)
}
