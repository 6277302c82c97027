package issue

import (
	"context"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/renew"
)

// tellFaulty ends the tasks of connections whose declaration cannot work, each with its
// error. If such a connection has a token from before an edit broke it, the result has the
// life that is left, so that the alarm fires before the token ends.
func (r *run) tellFaulty(ctx context.Context, declared []connection.Declared) {
	var ids []string
	for _, d := range declared {
		ids = append(ids, tokenOf(d))
	}
	read := batch(ctx, ids, r.Secrets.Batch)
	for _, d := range declared {
		result := misconfigured(d.Name, d.Err.Error(), howToCorrect(d))
		token, err := credential.ParseToken(read[tokenOf(d)].Version.Value)
		if err == nil && token.Connection == d.Name {
			result.ExpiresAt, result.RenewAfter = token.ExpiresAt, token.RenewAfter
			result.NeedsPersonAt = token.NeedsPersonAt
			result.MinRemaining = renew.Promised(d.Connection.MinRemaining,
				token.ExpiresAt.Sub(token.IssuedAt))
		}
		r.done(ctx, result)
	}
}

// howToCorrect is the command that corrects a declaration, if the error names none.
func howToCorrect(d connection.Declared) string {
	if strings.Contains(d.Err.Error(), "aws ssm ") {
		return "The reason names the command that corrects it."
	}
	return connection.Correct(d.Parameter)
}

// tokenOf is the secret of a faulty connection's token: the one that it names, if that
// could be read, or else the default one.
func tokenOf(d connection.Declared) string {
	if d.Connection.Token != "" {
		return d.Connection.Token
	}
	return connection.DefaultToken(d.Name)
}
