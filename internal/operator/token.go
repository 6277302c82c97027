package operator

import (
	"context"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func (a *app) tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "token NAME", Short: "Print the Authorization header's value, " +
			"for curl", Args: names(1),
		Long: `Token prints the published token of a connection as the value of the header
Authorization, and nothing else. It is the one subcommand that prints a secret.
It does not print an expired token.`,
		Example:           `  curl -H "Authorization: $(evertoken token flexera-prod)" https://api.flexera.com/…`,
		ValidArgsFunction: a.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return a.token(c.Context(), args[0]) },
	}
}

func (a *app) token(ctx context.Context, name string) error {
	all, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	d, err := all.connection(name)
	if err != nil {
		return err
	}
	value, err := a.published(ctx, d.Connection)
	if err != nil {
		return err
	}
	t, err := credential.ParseToken(value)
	if err != nil {
		return person("Something else wrote it. Evertoken replaces it: evertoken renew "+name,
			"%s: %w", tokenName(d.Connection), err)
	}
	if !t.ExpiresAt.After(a.Now()) {
		return person("`evertoken explain "+name+"` says why. Renew it now with: evertoken renew "+name,
			"the token of %s expired %s ago", name, span(a.Now().Sub(t.ExpiresAt)))
	}
	header := t.TokenType + " " + t.AccessToken.Reveal()
	if a.output == "json" {
		return a.json(map[string]any{"authorization": header, "expires_at": t.ExpiresAt,
			"renew_after": t.RenewAfter})
	}
	a.printf("%s\n", header)
	return nil
}

// tokenName is where a token is published.
func tokenName(c connection.Connection) string {
	if c.Token == "" {
		return c.TokenParameter
	}
	return connection.SecretName(c.Token)
}

// published reads the token document. A missing one is a failure that says what to do.
func (a *app) published(ctx context.Context, c connection.Connection) (redact.Secret, error) {
	var value redact.Secret
	var err error
	action := "secretsmanager:GetSecretValue"
	if c.Token == "" {
		action = "ssm:GetParameter"
		value, err = a.aws.values.Get(ctx, c.TokenParameter)
	} else {
		var v secrets.Version
		v, err = a.aws.store.Get(ctx, c.Token, secrets.Current)
		value = v.Value
	}
	if missing(err) || err == nil && value.IsZero() {
		return value, person("`evertoken explain "+c.Name+"` says why. Ask for a token now with: "+
			"evertoken renew "+c.Name,
			"no token of %s is published yet", c.Name)
	}
	return value, refused(err, action, tokenName(c))
}
