package serviceaccount

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/providers"
	"evertoken/internal/secrets"
)

// maxClients: "A maximum of 2 service account clients may exist for each service
// account at any one time" (flexera-public/unified-openapi,
// generator/sources/flexera/iam/v1/openapi.json).
const maxClients = 2

// look reads what exists at Flexera One.
func (m *migration) look(ctx context.Context) error {
	accounts, err := m.iam.ServiceAccounts(ctx, m.access)
	if err != nil {
		return err
	}
	var named []providers.ServiceAccount
	for _, a := range accounts {
		if strings.TrimSpace(a.Name) == m.Name {
			named = append(named, a)
		}
	}
	switch {
	case len(named) > 1:
		var ids []string
		for _, a := range named {
			ids = append(ids, fmt.Sprint(a.ID))
		}
		return refuse("Delete or rename all but one, or choose another --name.",
			"organization %d has %d service accounts named %q: %s", m.Org, len(named), m.Name,
			strings.Join(ids, ", "))
	case len(named) == 1:
		m.account = named[0]
	}
	if set := m.settings.ServiceAccountID; set != 0 && set != m.account.ID {
		return refuse("Give the name of that one, or remove org_id and service_account_id from "+
			"the settings.",
			"the connection's settings.service_account_id is %d, which is not the service "+
				"account %q", set, m.Name)
	}
	if err := m.checkRoles(ctx); err != nil {
		return err
	}
	if m.account.ID != 0 {
		m.clients, err = m.iam.Clients(m.account.ID).ListClients(ctx, m.current.doc, m.access)
	}
	return err
}

// checkRoles refuses a role that the organization does not have.
func (m *migration) checkRoles(ctx context.Context) error {
	have, err := m.iam.RoleNames(ctx, m.access)
	if err != nil {
		return err
	}
	for _, role := range m.Roles {
		if !slices.Contains(have, role) {
			slices.Sort(have)
			return refuse(fmt.Sprintf("Give one of these with --role: %q", have),
				"organization %d has no role %q", m.Org, role)
		}
	}
	return nil
}

// listed reports whether the account has the client of a version.
func (m *migration) listed(v version) bool {
	return v.hasClient() &&
		slices.ContainsFunc(m.clients, func(c providers.Client) bool { return c.ID == v.client() })
}

// choose finds the client to use: one whose secret is stored already, or else a
// new one.
func (m *migration) choose(ctx context.Context) error {
	for _, v := range append([]version{m.current}, m.history...) {
		if m.listed(v) {
			m.use = &v
			break
		}
	}
	if m.current.hasClient() && !m.listed(m.current) {
		if err := m.checkForeign(ctx); err != nil {
			return err
		}
	}
	pending := m.secret.Holder(secrets.Pending)
	if m.mustStore() && pending != "" && pending != m.current.id {
		return refuse("Wait until it ends, or remove AWSPENDING: "+
			"aws secretsmanager update-secret-version-stage --secret-id "+m.credentialName()+
			" --version-stage AWSPENDING --remove-from-version-id "+pending,
			"a rotation of %s is in progress", m.credentialName())
	}
	if m.use != nil || len(m.clients) < maxClients {
		return nil
	}
	var all []string
	for _, c := range m.clients {
		all = append(all, c.ID)
	}
	return refuse("Delete one that nothing uses, then run this again: "+m.deletions(all...),
		"service account %q (%d) has two clients, as many as Flexera allows, "+
			"and the secret of neither is stored in %s: %s",
		m.Name, m.account.ID, m.credentialName(), providers.DescribeClients(m.clients, ", "))
}

// checkForeign checks a client in AWSCURRENT that the account does not have. One that
// works is in use elsewhere; a dead one can be replaced.
func (m *migration) checkForeign(ctx context.Context) error {
	_, err := m.clientToken(ctx, m.current)
	switch {
	case err == nil:
		return refuse("Give that one's name, or store a credential with a refresh token alone.",
			"%s already holds a client that works, %s, of another service account than %q",
			m.credentialName(), m.current.client(), m.Name)
	case dead(err):
		return nil
	}
	return err
}

// mustStore reports whether AWSCURRENT must still be replaced.
func (m *migration) mustStore() bool {
	return m.use == nil || m.use.id != m.current.id || m.current.doc.Has(credential.RefreshToken)
}

// strangers are the clients that no version of the credential holds: made by a run that
// ended before it could store the secret, or by another person.
func (m *migration) strangers() []providers.Client {
	var out []providers.Client
	for _, c := range m.clients {
		if !slices.ContainsFunc(m.history, func(v version) bool { return v.client() == c.ID }) {
			out = append(out, c)
		}
	}
	return out
}

// showPlan prints what the command will do.
func (m *migration) showPlan() {
	m.printf("Connection %s: flexera, zone %s, organization %d, credential %s.\n", m.conn.Name,
		m.settings.Zone, m.Org, m.credentialName())
	if len(m.others) > 0 {
		m.printf("The credential also serves %s, which move with it.\n", strings.Join(m.others, ", "))
	}
	m.printf("\nThis command will\n")
	step := 0
	item := func(format string, args ...any) {
		step++
		m.printf("  %d. "+format+"\n", append([]any{step}, args...)...)
	}
	if m.account.ID == 0 {
		item("create the service account %q", m.Name)
	} else {
		m.printf("  -  use the service account %q (%d), which exists\n", m.Name, m.account.ID)
	}
	item("grant it, unless it has them, the roles %s", strings.Join(m.Roles, ", "))
	if m.use == nil {
		item("create a client of it, and store its secret at once")
	} else {
		m.printf("  -  use its client %s, whose secret is stored already\n", m.use.client())
	}
	item("prove the client by requesting a token with it")
	if m.mustStore() {
		item("make it the credential in place of the refresh token: AWSCURRENT of %s moves, "+
			"other members are kept,\n     and the present version stays as AWSPREVIOUS",
			m.credentialName())
	}
	m.warnOfStrangers()
	m.printf("\n")
}

// showCommands prints the commands of the AWS CLI that change what is stored. The changes
// at Flexera One are requests to its API, which the plan lists.
func (m *migration) showCommands() {
	if !m.mustStore() {
		return
	}
	name, next := m.credentialName(), secrets.FreshID()
	if m.use != nil && !m.current.doc.Has(credential.RefreshToken) {
		next = m.use.id
	} else {
		m.printf("# Store the client. The value comes from standard input: paste the "+
			"credential's document with client_id and client_secret in place of refresh_token, "+
			"then press Ctrl-D.\n%s\n",
			m.CLI("secretsmanager", "put-secret-value", "--secret-id", name, "--client-request-token",
				next, "--secret-string", "file:///dev/stdin", "--version-stages", labelProving))
	}
	m.printf("# Once it is proven, make it the credential.\n%s\n",
		m.CLI("secretsmanager", "update-secret-version-stage", "--secret-id", name, "--version-stage",
			secrets.Current, "--move-to-version-id", next, "--remove-from-version-id", m.current.id))
	m.printf("# Remove the label.\n%s\n",
		m.CLI("secretsmanager", "update-secret-version-stage", "--secret-id", name, "--version-stage",
			labelProving, "--remove-from-version-id", next))
}

func (m *migration) warnOfStrangers() {
	for _, c := range m.strangers() {
		m.printf("\nWarning: the secret of the client %s\nis stored nowhere in %s. "+
			"If nothing else uses it, delete it: a rotation needs room for a client.\n  %s\n",
			c, m.credentialName(), m.deletions(c.ID))
	}
}
