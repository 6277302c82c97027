package oauth

import (
	"context"

	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
)

// Exchange sends the request, once, and reads the answer. policy says where it
// may go; see [Client.Do]. Its error is an [*exchange.Error]. A refresh token that came with an answer of no other use
// is returned beside the error.
func (c *Client) Exchange(ctx context.Context, policy hosts.Policy, r Request) (exchange.Issued, error) {
	doing := Doing(r.Form.Get("grant_type")+" grant", r.TokenURL)
	request, sent, err := r.build(ctx, doing)
	if err != nil {
		return exchange.Issued{}, err
	}
	answer, err := c.send(ctx, policy, request, doing, r.Certificate)
	if err != nil {
		return exchange.Issued{}, err
	}
	if !answer.OK() {
		return exchange.Issued{}, c.Refused(answer, Refusal{Doing: doing, Kind: r.Kind, DeadOn400: r.DeadOn400, Sent: sent})
	}
	return c.issued(answer, r, doing, sent)
}
