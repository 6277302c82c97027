package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
)

func (a *app) removeCommand() *cobra.Command {
	var keep bool
	c := a.asking(&cobra.Command{
		Use: "remove NAME", Short: "Remove a connection; its secrets can be restored " +
			"for 30 days", Args: names(1),
		Long: `Remove deletes the declaration of a connection and marks its secrets for
deletion. It asks first, and prints the declaration. For 30 days "evertoken add"
with the same name restores the secrets. A credential that other connections use
stays. Nothing is revoked at the provider.`,
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return a.remove(c.Context(), args[0],
				keep)
		},
	})
	c.Flags().BoolVar(&keep, "keep-secrets", false, "delete the declaration alone")
	return c
}

func (a *app) remove(ctx context.Context, name string, keep bool) error {
	t, err := a.removable(ctx, name)
	if err != nil {
		return err
	}
	var secrets []string
	var kept []string
	for _, d := range documents(t.Connection) {
		if d.role == "credential" && usedByOthers(t.all, name, d.name()) {
			kept = append(kept, d.name()+" (other connections use it)")
			continue
		}
		h, err := a.look(ctx, d.id)
		if err != nil {
			return err
		}
		if err := a.owned(h, d.name()); err != nil {
			return err
		}
		if h.exists && !h.deleted && !keep {
			secrets = append(secrets, d.id)
		}
	}
	if text := declarationIn(t.all.parameters[t.Parameter], name); text != "" {
		a.say("The declaration of %s, in case it is needed again:\n  %s\n", name, text)
	}
	for _, k := range kept {
		a.say("The secret %s is kept.\n", k)
	}
	question := fmt.Sprintf("Remove %s? Its declaration is deleted now, and these secrets in "+
		"%d days: %s.",
		name, recoveryDays, orDash(shownSecrets(secrets)))
	if err := a.confirm(question); err != nil {
		return err
	}
	return a.change(func(ch changes) error {
		if err := a.undeclare(ctx, ch, t); err != nil {
			return err
		}
		for _, s := range secrets {
			if err := ch.deleteSecret(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func shownSecrets(ids []string) string {
	var out []string
	for _, id := range ids {
		out = append(out, connection.SecretName(id))
	}
	return strings.Join(out, ", ")
}

// removable finds a connection to remove. Where an earlier run has already deleted the
// declaration, only the secrets with its tag remain.
func (a *app) removable(ctx context.Context, name string) (target, error) {
	t, err := a.target(ctx, name)
	if err == nil || t.stack.name == "" || t.Name != "" || !connection.ValidName(name) {
		return t, err
	}
	parameter := t.all.path + name
	prefix := t.stack.secretPrefix + name + "/"
	c := connection.Connection{Name: name, Credential: prefix + "credential", Session: prefix + "session",
		Token: prefix + "token"}
	for _, d := range documents(c) {
		h, lookErr := a.look(ctx, d.id)
		if lookErr != nil {
			return t, lookErr
		}
		if h.exists && !h.deleted && h.tag == parameter {
			a.say("The declaration of %s is deleted already. "+
				"This command continues from there.\n", name)
			t.Declared = connection.Declared{Name: name, Parameter: parameter, Connection: c}
			return t, nil
		}
	}
	return t, err
}

func usedByOthers(all fleet, name, credential string) bool {
	return slices.ContainsFunc(all.declared, func(d connection.Declared) bool {
		return d.Name != name && d.Err == nil && connection.SecretName(d.Connection.Credential) == credential
	})
}

// undeclare takes a connection out of its parameter, or deletes the parameter
// where it holds no other.
func (a *app) undeclare(ctx context.Context, ch changes, t target) error {
	text, declared := t.all.parameters[t.Parameter]
	if !declared {
		return nil
	}
	rest, others := without(text, t.Name)
	if !others {
		return ch.deleteParameter(ctx, t.Parameter)
	}
	return ch.putParameter(ctx, t.Parameter, rest, true)
}

// without is a parameter of several connections less one; others is false where none
// remains, or where the parameter holds only one.
func without(text, name string) (rest string, others bool) {
	var several map[string]map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &several) != nil || several["connections"] == nil {
		return "", false
	}
	delete(several["connections"], name)
	return string(encoded(several)), len(several["connections"]) > 0
}
