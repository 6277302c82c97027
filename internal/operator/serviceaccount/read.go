package serviceaccount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/oauth"
	"evertoken/internal/providers"
	"evertoken/internal/secrets"
)

// accountSettings are the settings of a flexera connection that matter here.
type accountSettings struct {
	Zone             string `json:"zone"`
	OrgID            int64  `json:"org_id"`
	ServiceAccountID int64  `json:"service_account_id"`
	RefreshTokenID   string `json:"refresh_token_id"`
}

// version is a version of the credential secret.
type version struct {
	id  string
	doc credential.Credential
}

func (v version) hasClient() bool {
	return v.doc.Has(credential.ClientID, credential.ClientSecret)
}

func (v version) client() string { return v.doc.Get(credential.ClientID).Reveal() }

// readConnection finds the connection, and the others that its credential
// serves.
func (m *migration) readConnection(ctx context.Context) error {
	path := m.Config.ConnectionsPath
	values, err := m.Parameters.ByPath(ctx, path)
	if err != nil {
		return fmt.Errorf("reading the connections below %s: %w", path, err)
	}
	var parameters []connection.Parameter
	for name, p := range values {
		parameters = append(parameters,
			connection.Parameter{Name: name, Value: p.Value, Secure: p.Secure})
	}
	declared := connection.Load(parameters, connection.Rules{
		Path: path, ParameterPrefix: m.Config.ParameterPrefix, Region: m.Config.Region,
	})
	found := false
	for _, d := range declared {
		if d.Name != m.Connection {
			continue
		}
		if d.Err != nil {
			return d.Err
		}
		m.conn, m.parameter, found = d.Connection, d.Parameter, true
	}
	switch {
	case !found:
		return fmt.Errorf("no connection %q is declared below %s", m.Connection, path)
	case m.conn.Provider != "flexera":
		return fmt.Errorf("connection %s has the provider %[2]s: "+
			"this command moves only connections of flexera", m.conn.Name, m.conn.Provider)
	}
	for _, d := range declared {
		same := connection.SecretName(d.Connection.Credential) == m.credentialName()
		if d.Err == nil && d.Name != m.conn.Name && same {
			m.others = append(m.others, d.Name)
		}
	}
	return m.openProvider()
}

// openProvider reads the settings.
func (m *migration) openProvider() error {
	var err error
	m.provider, err = providers.New(m.conn, providers.Options{
		Client: &oauth.Client{Now: m.Now}, Now: m.Now, AllowLoopbackHTTP: m.Config.AllowLoopbackHTTP,
		AllowedHosts: m.Config.AllowedHosts,
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(m.conn.Settings, &m.settings); err != nil { // the provider read them
		return fmt.Errorf("connection %s: its settings cannot be read", m.conn.Name)
	}
	switch {
	case m.Org == 0 && m.settings.OrgID == 0:
		return errors.New("--org is missing: give the organization's number, " +
			"since the connection's settings have no org_id")
	case m.Org == 0:
		m.Org = m.settings.OrgID
	case m.settings.OrgID != 0 && m.settings.OrgID != m.Org:
		return fmt.Errorf("--org is %d, and the connection's settings.org_id is %d: "+
			"one of them is wrong", m.Org, m.settings.OrgID)
	}
	return nil
}

// credentialName is the credential secret's name in messages.
func (m *migration) credentialName() string { return connection.SecretName(m.conn.Credential) }

// readCredential reads every version of the credential secret: an earlier run
// may have stored a client that is not in use yet.
func (m *migration) readCredential(ctx context.Context) error {
	id := m.conn.Credential
	fail := func(err error) error { return fmt.Errorf("reading %s: %w", m.credentialName(), err) }
	var err error
	if m.secret, err = m.Secrets.Describe(ctx, id); err != nil {
		return fail(err)
	}
	if m.secret.PrimaryRegion != "" {
		return fmt.Errorf("%s is a replica: run this in its primary Region, %s", m.credentialName(),
			m.secret.PrimaryRegion)
	}
	current, err := m.Secrets.Get(ctx, id, secrets.Current)
	switch {
	case errors.Is(err, secrets.ErrNotFound):
		return refuse("Store the user's refresh token first: "+m.storeCommand(),
			"%s has no value yet", m.credentialName())
	case err != nil:
		return fail(err)
	}
	m.currentValue = current.Value
	doc, err := credential.Parse(current.Value)
	if err != nil {
		return fail(err)
	}
	m.current = version{current.ID, doc}
	iam, ok := providers.NewFlexeraOrganization(m.provider, doc, m.Org)
	if !ok {
		return fmt.Errorf("connection %s has another provider than flexera", m.conn.Name)
	}
	m.iam = iam
	versions, err := m.Secrets.Versions(ctx, id)
	if err != nil {
		return fail(err)
	}
	for _, v := range versions {
		one, err := m.Secrets.GetVersion(ctx, id, v.ID)
		switch {
		case errors.Is(err, secrets.ErrNotFound), errors.Is(err, secrets.ErrBinary):
			continue // prepared by a rotation, gone meanwhile, or nothing of ours
		case err != nil:
			return fail(err)
		}
		if doc, err := credential.Parse(one.Value); err == nil {
			m.history = append(m.history, version{one.ID, doc})
		}
	}
	return nil
}

func (m *migration) storeCommand() string {
	return "evertoken credential " + m.conn.Name
}

// deletions are the requests by which clients are deleted: no page of Flexera One is
// known that deletes one.
func (m *migration) deletions(ids ...string) string {
	var out []string
	for _, id := range ids {
		out = append(out, fmt.Sprintf("DELETE %s/iam/v1/orgs/%d/service-accounts/%d/clients/%s",
			m.apiURL, m.Org, m.account.ID, id))
	}
	return strings.Join(out, " or ")
}
