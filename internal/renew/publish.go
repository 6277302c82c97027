package renew

import (
	"context"
	"fmt"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// publish stores the token where applications read it. The session is stored by now, so a
// token that cannot be published only costs a later run another exchange. If another run has
// stored a session since, that run's token is the valid one, and this run's is not published.
func (r *renewal) publish(ctx context.Context, token credential.Token, result Result) (
	Result, error,
) {
	result.ExpiresAt = token.ExpiresAt
	if r.keep != nil {
		if err := r.keep(ctx, token); err != nil {
			return Result{}, r.awsFailure("token", r.conn.Token, err)
		}
		return result, nil
	}
	if r.token != nil && r.published.AccessToken.Equal(token.AccessToken) &&
		!token.ExpiresAt.After(r.token.ExpiresAt) {
		r.hint("The provider returned the published token: it gives no new one before that one " +
			"ends, so Evertoken cannot keep min_remaining. Applications must read the token again " +
			"when it expires.")
		return Result{Outcome: Fresh, Grant: result.Grant,
			Reason: "the provider gives no new token before this one ends"}, nil
	}
	id, publish := r.conn.Token, r.publishSecret
	if r.conn.TokenParameter != "" {
		id, publish = r.conn.TokenParameter, r.publishParameter
	}
	if err := publish(ctx, token); err != nil {
		failed := r.awsFailure("token", id, err)
		failed.Reason = "a new token was received and could not be published: " + failed.Reason
		return Result{}, failed
	}
	if r.left {
		r.hint("Another run published a token meanwhile, and Evertoken keeps that one.")
		return result, nil
	}
	r.token, r.published = &TokenTimes{token.IssuedAt, token.ExpiresAt}, token
	r.copyPublished(ctx)
	r.warnShort()
	return result, nil
}

// overtaken reports whether another run has stored a session since this run did. It is false
// if that cannot be found out.
func (r *renewal) overtaken(ctx context.Context) bool {
	stands, err := r.session.Stands(ctx)
	r.left = r.left || err == nil && !stands
	return r.left
}

func (r *renewal) publishParameter(ctx context.Context, token credential.Token) error {
	// A parameter has no versions that collide.
	return r.Sleep.Insist(ctx, 0, func(ctx context.Context) error {
		if r.overtaken(ctx) {
			return nil
		}
		return r.Parameters.Put(ctx, r.conn.TokenParameter, r.conn.TokenParameterKey, token.Encode(true))
	})
}

func (r *renewal) publishSecret(ctx context.Context, token credential.Token) error {
	base := r.tokenVersion.ID
	put := func(id string, check bool) error {
		return r.Sleep.Insist(ctx, 0, func(ctx context.Context) error {
			if check && r.overtaken(ctx) {
				return nil
			}
			check = true
			return r.Secrets.Put(ctx, r.conn.Token, id, token.Encode(false))
		})
	}
	id := secrets.DeriveID(r.tokenVersion.ARN, base, "token")
	// Other runs wait that long for this run's token (see justStored). A second request to
	// the provider may have taken longer.
	slow := r.session.StoredHere() && r.Now().Sub(r.session.Session().RefreshedAt) >= publishing
	err := put(id, slow)
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		v, getErr := r.Secrets.Get(ctx, r.conn.Token, secrets.Current)
		if getErr == nil && v.ID != base && !r.session.StoredHere() && r.otherServes(ctx, v, token) {
			r.left = true
			return nil
		}
		id = secrets.FreshID()
		err = put(id, true)
	}
	if err == nil && r.tokenRotates && !r.session.StoredHere() {
		r.giveWay(ctx, base, id, token)
	}
	return err
}

// giveWay makes a rotation's token current again if this run published over it and the
// rotation's token is the valid one. It is called only if no session says which is newer.
// The versions of two runs have the same id and collide, but a rotation's version has its
// own id.
func (r *renewal) giveWay(ctx context.Context, base, id string, ours credential.Token) {
	v, err := r.Secrets.Get(ctx, r.conn.Token, secrets.Previous)
	if err == nil && v.ID != base && r.otherServes(ctx, v, ours) {
		err = r.Sleep.Try(ctx, func(ctx context.Context) error {
			return r.Secrets.MoveLabel(ctx, r.conn.Token, secrets.Current, v.ID, id)
		})
		r.left = err == nil
	}
	if err != nil && secrets.ErrorKind(err) != secrets.ErrNotFound {
		r.hint("A rotation may have published a token meanwhile, and Evertoken could not give way to " +
			"it: " + err.Error())
	}
}

// otherServes reports whether another run's token may stay published in place of ours, if no
// session says which is newer. At a provider where a new token ends the other (FlexNet, which
// has two names for them), only one of the two is valid, so otherServes asks the provider.
func (r *renewal) otherServes(ctx context.Context, v secrets.Version, ours credential.Token) bool {
	theirs, err := credential.ParseToken(v.Value)
	if err != nil || theirs.Connection != r.conn.Name || theirs.ExpiresAt.Before(ours.ExpiresAt) {
		return false
	}
	prover, ok := r.job.Provider.(exchange.Prover)
	if !ok || prover.Prove(ctx, r.credential, theirs.AccessToken) == nil {
		return true
	}
	return prover.Prove(ctx, r.credential, ours.AccessToken) != nil
}

// warnShort adds hints if tokens are too short-lived for what is declared.
func (r *renewal) warnShort() {
	f := r.facts()
	life, promised := f.life(), f.minRemaining()
	if promised < r.conn.MinRemaining {
		r.hint("min_remaining is more than half of the token's life: Evertoken promises " +
			promised.Round(time.Second).String() + " instead. Declare at most that.")
	}
	if r.conn.TokenParameter == "" && f.tooShort() {
		r.hint("The token lives " + life.Round(time.Second).String() + ", which is too short for " +
			"a secret, because a secret takes one version in 15 minutes. " +
			"Publish it in a parameter (token_parameter).")
	}
	changes := r.claims() && r.traits.Session == exchange.RequiredSession && r.session.StoredHere()
	if r.conn.TokenParameter != "" && changes && f.tooShort() {
		a := max(life-promised, r.Every)
		r.hint(fmt.Sprintf("The token lives %s and its session changes with each refresh, "+
			"which makes about %d versions of the session a day; "+
			"Secrets Manager takes about 100. Declare a shorter min_remaining, "+
			"make the provider issue tokens of at least 20 minutes, "+
			"or use a grant that needs no session.",
			life.Round(time.Second), int(day/a)))
	}
}
