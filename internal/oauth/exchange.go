package oauth

import (
	"context"
	"errors"
	"time"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/redact"
)

// Exchange sends the request once and reads the answer. policy decides where it may go; see
// [Client.Do]. Its error is an [*exchange.Error]. If an answer is otherwise of no use but
// contains a refresh token, Exchange returns that token with the error.
func (c *Client) Exchange(ctx context.Context, policy hosts.Policy, r Request) (
	exchange.Issued, error,
) {
	doing := Doing(r.Form.Get("grant_type")+" grant", r.TokenURL)
	request, sent, err := r.build(ctx, doing)
	if err != nil {
		return exchange.Issued{}, err
	}
	from := c.now()
	answer, err := c.send(ctx, policy, request, doing, r.Certificate)
	if err != nil {
		return rescued(answer, r, sent, from, err)
	}
	if !answer.OK() {
		return exchange.Issued{}, c.Refused(answer, r.refusal(doing, sent))
	}
	return c.issued(answer, r, doing, sent, from)
}

// rescued extracts the refresh token from a success that could not be read whole.
func rescued(a Answer, r Request, sent []redact.Secret, from time.Time, err error) (
	exchange.Issued, error,
) {
	x, ok := errors.AsType[*exchange.Error](err)
	if !ok || a.Body.IsZero() {
		return exchange.Issued{}, err
	}
	g := &reading{request: r, sent: sent, now: from, from: from, body: parseBody(a.Body.Reveal())}
	g.kept.IssuedAt = from
	holder, _, _ := g.accessToken()
	if g.keepRefreshToken(holder); g.kept.RefreshToken.IsZero() {
		return exchange.Issued{}, err
	}
	x.Lost, x.Unusable = false, true
	return g.kept, err
}

// refusal returns the facts about the request that classify its refusal.
func (r Request) refusal(doing string, sent []redact.Secret) Refusal {
	id, secret := r.ClientID.Reveal(), r.ClientSecret.Reveal()
	encoded := basicEncode(id)+basicEncode(secret) != id+secret
	return Refusal{Doing: doing, Kind: r.Kind, DeadOn400: r.DeadOn400, Sent: sent,
		ClientAuth: r.ClientAuth, encoded: r.Auth == AuthBasic && !r.PlainBasic && encoded}
}
