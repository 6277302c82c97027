package rotate

import (
	"context"
	"errors"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// propagation is how long a provider may take until it accepts everywhere what it has
// just issued. Evertoken gives up a value only if the provider refuses it after that.
const propagation = 15 * time.Minute

// leastLife is the shortest life of a token that rotation alone can renew in time:
// Secrets Manager rotates at most every four hours.
const leastLife = 12 * time.Hour

// job reads what an exchange for the connection needs.
func (r *rotation) job(ctx context.Context) renew.Job {
	c, p := r.users[0].conn, r.users[0].provider
	read := func(id string) *secrets.Read {
		v, err := r.Secrets.Get(ctx, id, secrets.Current)
		return &secrets.Read{Version: v, Err: err}
	}
	j := renew.Job{Connection: c, Provider: p, Credential: read(c.Credential)}
	if p.Traits().Session != exchange.NoSession {
		j.Session = read(c.Session)
	}
	if c.TokenParameter != "" {
		// Only the session can be rotated, and that does not depend on the token.
		j.Token = secrets.Read{Err: secrets.ErrNotFound}
	} else {
		j.Token = *read(c.Token)
	}
	return j
}

func (r *rotation) engine() *renew.Engine {
	engine := r.Engine
	// The claim may belong to a run of the other function, whose timeout is not known here.
	engine.RunLasts = limits.Run
	return &engine
}

func (r *rotation) createToken(ctx context.Context) error {
	c := r.users[0].conn
	j := r.job(ctx)
	stored := false
	var superseded error
	result := r.engine().Mint(ctx, j, func(ctx context.Context, t credential.Token) error {
		err := r.keep(ctx, t.Encode(false), tellReserve)
		if gone, ok := errors.AsType[Superseded](err); ok {
			superseded = gone
			r.publishLiving(ctx, t)
		}
		// On a conflict another invocation has stored a token, and that one is used.
		if stored = err == nil || secrets.ErrorKind(err) == secrets.ErrConflict; stored {
			r.warnShortLived(ctx, c, t)
			return nil
		}
		return err
	})
	if result.Outcome == renew.Issued && stored {
		if result.Hint != "" {
			r.Log.WarnContext(ctx, "hint", "secret_id", r.name, "hint", result.Hint)
		}
		return nil
	}
	if superseded != nil {
		return superseded
	}
	return r.fromResult(result)
}

// publishLiving publishes a token whose rotation was abandoned, if it is the one that
// serves. A run abandons a rotation where a token is missing or about to die. At FlexNet
// the exchange of this rotation may have ended what that run has published.
func (r *rotation) publishLiving(ctx context.Context, ours credential.Token) {
	p, ok := r.users[0].provider.(exchange.Prover)
	if !ok {
		return
	}
	if err := r.publishIfLiving(ctx, p, ours); err != nil {
		r.Log.WarnContext(ctx, "the published token may be dead: the rotation was abandoned, "+
			"and its token could not be compared or published",
			"secret_id", r.name, "error", err.Error(),
			"hint", "Renew the token now: `evertoken renew "+r.users[0].conn.Name+"`.")
	}
}

func (r *rotation) publishIfLiving(ctx context.Context, p exchange.Prover,
	ours credential.Token,
) error {
	doc, _, err := r.needCredential(ctx)
	if err != nil {
		return err
	}
	current, err := r.current(ctx)
	if err != nil {
		return err
	}
	theirs, err := credential.ParseToken(current.Value)
	if err != nil || r.prove(ctx, p, doc, theirs.AccessToken) == nil ||
		r.prove(ctx, p, doc, ours.AccessToken) != nil {
		return nil // a run replaces what is no token
	}
	return r.Secrets.PutAs(ctx, r.event.SecretID, secrets.FreshID(), r.event.RotationToken,
		ours.Encode(false))
}

func (r *rotation) warnShortLived(ctx context.Context, c connection.Connection,
	t credential.Token,
) {
	if life := t.ExpiresAt.Sub(t.IssuedAt); c.RenewedBy == connection.ByRotation && life < leastLife {
		r.Log.WarnContext(ctx, "hint", "secret_id", r.name,
			"hint", "The token lives "+life.Round(time.Second).String()+", which is too short "+
				"for renewed_by rotation: Secrets Manager rotates at most every 4 hours. "+
				"Declare renewed_by issue.")
	}
}

// checkToken says why a token document can never be promoted, or "".
func (r *rotation) checkToken(pending, current secrets.Version) string {
	c := r.users[0].conn
	t, err := credential.ParseToken(pending.Value)
	switch {
	case err != nil:
		return "the value under AWSPENDING is not a token document: " + err.Error()
	case t.Connection != c.Name || t.Provider != c.Provider:
		return "the token under AWSPENDING is of another connection"
	case !t.ExpiresAt.After(r.Now()):
		return "the token under AWSPENDING has expired"
	}
	now, err := credential.ParseToken(current.Value)
	if err == nil && now.ExpiresAt.After(t.ExpiresAt) {
		return "AWSCURRENT has a token that lives longer than the one under AWSPENDING"
	}
	return ""
}

// testToken sends the token to the provider, if the provider has a call that proves it.
func (r *rotation) testToken(ctx context.Context, pending secrets.Version) error {
	p, ok := r.users[0].provider.(exchange.Prover)
	if !ok {
		return nil
	}
	t, err := credential.ParseToken(pending.Value)
	if err != nil {
		return r.takeOff(ctx, "the value under AWSPENDING is not a token document")
	}
	doc, _, err := r.needCredential(ctx)
	if err != nil {
		return err
	}
	return r.try(ctx, pending, "proving the new token", func(ctx context.Context) error {
		return r.prove(ctx, p, doc, t.AccessToken)
	})
}

func (r *rotation) prove(ctx context.Context, p exchange.Prover, doc credential.Credential,
	access redact.Secret,
) error {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	return p.Prove(ctx, doc, access)
}

// tries of a proof take about 45 seconds in all.
const (
	tries        = 7
	firstTryWait = time.Second
	longTryWait  = 15 * time.Second
)

// try proves a value that the provider issued a moment ago and may not accept everywhere
// yet. A value that it still refuses after propagation never works: then try removes
// AWSPENDING.
func (r *rotation) try(ctx context.Context, pending secrets.Version, doing string,
	proof func(context.Context) error,
) error {
	var err error
	for try, wait := 1, firstTryWait; ; try, wait = try+1, min(2*wait, longTryWait) {
		if !limits.Enough(ctx) {
			return r.transient("no time left in this invocation for " + doing)
		}
		if err = proof(ctx); err == nil {
			return nil
		}
		ends := limits.Remaining(ctx) < wait+limits.LeastExchange+limits.Store
		if !r.worthAgain(err) || try == tries || ends || r.Sleep(ctx, wait) != nil {
			break
		}
	}
	x := asExchange(err)
	switch {
	case !refusedForGood(x):
		return r.provider(doing, err)
	case r.Now().Sub(pending.Created) < propagation:
		return Transient{r.failure(doing+": "+x.Error(), "It is new, and the provider may not "+
			"know it everywhere yet: Secrets Manager tries the rotation again.")}
	}
	return CredentialDead{r.failure(doing+": "+x.Error(), renew.Sentences(x.Hint, r.takenOff(ctx)))}
}

// worthAgain reports whether this invocation repeats a failed proof. It does not if the
// provider asked for fewer requests.
func (r *rotation) worthAgain(err error) bool {
	x := asExchange(err)
	return x.Class == exchange.Transient || refusedForGood(x)
}

// refusedForGood reports whether the provider knows the value and refuses it. The error's
// class says so for a grant, and its status for an access token (RFC 6750 section 3.1).
func refusedForGood(x *exchange.Error) bool {
	return x.Class == exchange.CredentialDead || x.Class == exchange.GrantDead || x.Status == 401
}

// errNoCredential says that the connection's credential has no value yet.
var errNoCredential = errors.New("no credential is stored yet")

// credential reads the credential from which the connection's tokens and sessions come.
// The error is errNoCredential if no value is stored yet.
func (r *rotation) credential(ctx context.Context) (
	credential.Credential, []exchange.Grant, error,
) {
	c, p := r.users[0].conn, r.users[0].provider
	v, err := r.Secrets.Get(ctx, c.Credential, secrets.Current)
	if errors.Is(err, secrets.ErrNotFound) {
		if _, err = r.Secrets.Describe(ctx, c.Credential); err == nil {
			return credential.Credential{}, nil, errNoCredential
		}
	}
	if err != nil {
		return credential.Credential{}, nil, r.aws("credential", c.Credential, err)
	}
	doc, err := credential.Parse(v.Value)
	var grants []exchange.Grant
	if err == nil {
		grants, err = p.Grants(doc)
	}
	if err != nil {
		return doc, nil, r.misconfigured(err.Error(),
			"Store it again: "+putCommand(secretName(c.Credential))+".")
	}
	return doc, grants, nil
}

// needCredential is credential for a step that needs one.
func (r *rotation) needCredential(ctx context.Context) (
	credential.Credential, []exchange.Grant, error,
) {
	doc, grants, err := r.credential(ctx)
	if errors.Is(err, errNoCredential) {
		err = r.refused(err.Error(), "Store it: "+putCommand(secretName(r.users[0].conn.Credential))+".")
	}
	return doc, grants, err
}

// setupCredential is credential for a check of the set-up, which may come before a person
// has stored a value. Then grants is empty.
func (r *rotation) setupCredential(ctx context.Context) ([]exchange.Grant, error) {
	_, grants, err := r.credential(ctx)
	if errors.Is(err, errNoCredential) {
		r.Log.WarnContext(ctx, "hint", "secret_id", r.name, "hint",
			renew.Sentences(err.Error(), "Store it: "+
				putCommand(secretName(r.users[0].conn.Credential))))
		return nil, nil
	}
	return grants, err
}
