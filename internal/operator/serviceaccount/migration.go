package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// migration is one run. It reads everything first and decides, then acts; after each act
// another run can continue.
type migration struct {
	World
	Options

	conn      connection.Connection
	parameter string   // that declares the connection
	others    []string // connections that the credential serves too
	settings  accountSettings
	provider  exchange.Provider
	iam       *providers.FlexeraOrganization // the organization

	secret       secrets.Description
	currentValue redact.Secret
	current      version   // AWSCURRENT
	history      []version // all versions, newest first

	access     redact.Secret // the user's access token
	accessEnds time.Time
	apiURL     string
	account    providers.ServiceAccount // its ID is 0 until it is made
	clients    []providers.Client
	proving    string   // the version with [labelProving], once known
	use        *version // holds a client of the account; nil if one has to be made
}

func (m *migration) run(ctx context.Context) error {
	if err := m.readConnection(ctx); err != nil {
		return err
	}
	if err := m.readCredential(ctx); err != nil {
		return err
	}
	err := m.userToken(ctx)
	if m.current.hasClient() && noUser(err) {
		return m.proveOnly(ctx)
	}
	if err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	if err := m.choose(ctx); err != nil {
		return err
	}
	m.showPlan()
	if m.CLI != nil {
		m.showCommands()
		return nil
	}
	if err := m.Confirm(); err != nil {
		return err
	}
	// From here on an interrupt ends the run between two steps only.
	return begun(m.act(ctx))
}

func (m *migration) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(m.Out, format, args...)
}

// errNoRefreshToken: no version of the credential has one.
var errNoRefreshToken = errors.New("no refresh token of a user is stored")

// noUser reports whether no user can manage the account: there is no refresh token, or it
// is dead.
func noUser(err error) bool {
	e, ok := errors.AsType[*exchange.Error](err)
	return errors.Is(err, errNoRefreshToken) || ok && e.Class == exchange.GrantDead
}

// userToken gets an access token by the user's refresh token: that of AWSCURRENT, or,
// once a client has replaced it, the newest one in an older version.
func (m *migration) userToken(ctx context.Context) error {
	source := m.current
	for _, v := range m.history {
		if source.doc.Has(credential.RefreshToken) {
			break
		}
		source = v
	}
	if !source.doc.Has(credential.RefreshToken) {
		return stop("Store one: "+m.storeCommand(), errNoRefreshToken)
	}
	sent := source.doc.Get(credential.RefreshToken)
	issued, err := m.exchange(ctx, source.doc.Only(credential.RefreshToken))
	if err != nil {
		return err
	}
	m.access, m.accessEnds, m.apiURL = issued.AccessToken, issued.ExpiresAt, issued.APIURL
	// Flexera returns the refresh token that it was sent. Should it begin to return
	// another, the stored one may be dead: the command stores the new one.
	if back := issued.RefreshToken; source.id == m.current.id && !back.IsZero() && !back.Equal(sent) {
		return m.keepRefreshToken(ctx, back)
	}
	return nil
}

// exchange makes the one exchange that the members allow.
func (m *migration) exchange(ctx context.Context, members credential.Credential) (
	exchange.Issued, error,
) {
	grants, err := m.provider.Grants(members)
	if err != nil {
		return exchange.Issued{}, err
	}
	return m.provider.Exchange(ctx, exchange.Request{Grant: grants[0], Credential: members})
}

// clientToken gets an access token by the client that a version holds.
func (m *migration) clientToken(ctx context.Context, v version) (exchange.Issued, error) {
	return m.exchange(ctx, v.doc.Only(credential.ClientID, credential.ClientSecret))
}

// dead reports whether the provider refuses what was sent.
func dead(err error) bool {
	e, ok := errors.AsType[*exchange.Error](err)
	return ok && (e.Class == exchange.CredentialDead || e.Class == exchange.GrantDead)
}

// proveOnly does what is possible without a user.
func (m *migration) proveOnly(ctx context.Context) error {
	m.printf("%s already holds the client %s, and no refresh token that works: "+
		"this command does not check the service account and its roles.\n",
		m.credentialName(), m.current.client())
	if _, err := m.prove(ctx, m.current); err != nil {
		return stop("Make a new refresh token in Flexera One, store it, and run this again: "+
			m.storeCommand(), err)
	}
	m.printf("The client works: Flexera issued it a token.\n")
	m.unlabel(ctx)
	return nil
}
