package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// unrotatable says, by provider, why no API can change its credential and what
// to do instead.
var unrotatable = map[string][2]string{
	"apiax":      {"no API changes a user's password", "change it at Apiax and store it"},
	"flexnet":    {"no API changes a user's password", "change it in FlexNet Operations and store it"},
	"sharetribe": {"no API changes what is stored for Sharetribe", "make a new application (or password) in Sharetribe Console, store it, then delete the old one"},
	"oauth2":     {"no standard API changes a client's secret, a key, a password or a refresh token", "change it at the provider and store it"},
}

// manager is the provider by which the credential's clients are managed.
type manager struct {
	user
	providers.ClientManager
	account serviceAccount
}

// serviceAccount are the settings of a flexera connection that name the account.
type serviceAccount struct {
	OrgID            int64 `json:"org_id"`
	ServiceAccountID int64 `json:"service_account_id"`
}

// manager finds the connection whose settings name the service account, or says
// why the credential is not rotated.
func (r *rotation) manager() (manager, error) {
	for _, u := range r.users {
		if m, ok := u.provider.(providers.ClientManager); ok {
			out := manager{user: u, ClientManager: m}
			if err := json.Unmarshal(u.conn.Settings, &out.account); err != nil { // the provider has read them already
				return manager{}, r.misconfigured("the settings of connection "+u.conn.Name+" cannot be read", "")
			}
			return out, nil
		}
	}
	c := r.users[0].conn
	if why, known := unrotatable[c.Provider]; known {
		return manager{}, r.refused(why[0], why[1]+": "+putCommand(r.name)+"; and take the rotation off: "+cancelCommand(r.name))
	}
	return manager{}, r.misconfigured("connection "+c.Name+" does not name the service account whose client is to be rotated",
		"add settings.org_id and settings.service_account_id; a user's refresh token cannot be rotated at all, since Flexera One makes those in its web UI only")
}

// clientOf returns the client pair's grant, or says why there is none.
func (r *rotation) clientOf(u user, doc credential.Credential) (exchange.Grant, error) {
	if !doc.Has(credential.ClientID, credential.ClientSecret) {
		return exchange.Grant{}, r.refused("the credential has no client_id and client_secret: a refresh token cannot be rotated, since Flexera One makes those in its web UI only",
			"make a new one there and store it: "+putCommand(r.name)+"; and take the rotation off: "+cancelCommand(r.name))
	}
	grants, err := u.provider.Grants(doc)
	if err != nil {
		return exchange.Grant{}, r.misconfigured(err.Error(), "store it again: "+putCommand(r.name))
	}
	for _, g := range grants {
		if !g.Seed && !g.Password {
			return g, nil
		}
	}
	return exchange.Grant{}, r.misconfigured("connection "+u.conn.Name+" has no client credentials grant", "")
}

// checkCredential looks at whether the credential could be rotated.
func (r *rotation) checkCredential(ctx context.Context) error {
	m, err := r.manager()
	if err != nil {
		return err
	}
	current, err := r.current(ctx)
	if err != nil || current.ID == "" {
		return err
	}
	doc, err := credential.Parse(current.Value)
	if err != nil {
		return r.misconfigured(err.Error(), "store it again: "+putCommand(r.name))
	}
	_, err = r.clientOf(m.user, doc)
	return err
}

// createCredential makes a new client and stores it before anything else is done
// with it: its secret is told once.
func (r *rotation) createCredential(ctx context.Context) error {
	m, err := r.manager()
	if err != nil {
		return err
	}
	current, err := r.current(ctx)
	if err != nil {
		return err
	}
	if current.ID == "" {
		return r.refused("no credential is stored yet, so there is nothing to rotate", "store the service account's client: "+putCommand(r.name))
	}
	doc, err := credential.Parse(current.Value)
	if err != nil {
		return r.misconfigured(err.Error(), "store it again: "+putCommand(r.name))
	}
	access, err := r.access(ctx, m, doc)
	if err != nil {
		return err
	}
	if err := r.freeSlot(ctx, m, access); err != nil {
		return err
	}
	if remaining(ctx) < leastTime {
		return r.transient("no time left in this invocation, so no client was made")
	}
	made, err := r.makeClient(ctx, m, access)
	if err != nil {
		return err
	}
	value := doc.With(credential.ClientID, redact.New(made.ID)).With(credential.ClientSecret, made.Secret).Encode()
	err = r.keep(ctx, value)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		return nil
	case secrets.ErrConflict: // another invocation has stored one, which is used
		return r.drop(ctx, m, access, made.ID)
	}
	return r.unkept("the client "+made.ID+" was made and its secret could not be stored, so it is of no use; the next try deletes it", err)
}

func (r *rotation) makeClient(ctx context.Context, m manager, access redact.Secret) (providers.Client, error) {
	bounded, cancel := bounded(ctx)
	defer cancel()
	made, err := m.CreateClient(bounded, access)
	if err == nil {
		return made, nil
	}
	x := asExchange(err)
	hint := x.Hint
	if x.Lost {
		hint = joinHints(hint, "a client may have been made whose secret nobody has: the next try deletes it")
	}
	return providers.Client{}, r.classified(x.Class, x.Error(), hint)
}

// drop deletes a client that was made and is not needed.
func (r *rotation) drop(ctx context.Context, m manager, access redact.Secret, id string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := m.DeleteClient(ctx, access, id); err != nil {
		r.Log.WarnContext(ctx, "a client that is not needed was left; the next rotation deletes it", "secret_id", r.name, "client_id", id, "error", asExchange(err).Error())
	}
	return nil
}

// access is an access token of the service account itself. Where AWSCURRENT was
// moved back to a client that is gone, that of AWSPREVIOUS serves.
func (r *rotation) access(ctx context.Context, m manager, doc credential.Credential) (redact.Secret, error) {
	grant, err := r.clientOf(m.user, doc)
	if err != nil {
		return redact.Secret{}, err
	}
	issued, err := r.exchange(ctx, m.provider, exchange.Request{Grant: grant, Credential: doc})
	if err == nil {
		return issued.AccessToken, nil
	}
	refusal := r.provider("a token to manage the clients with", err)
	if !dead(err) {
		return redact.Secret{}, refusal
	}
	previous, getErr := r.Secrets.Get(ctx, r.event.SecretID, secrets.Previous)
	if getErr != nil {
		return redact.Secret{}, refusal
	}
	old, parseErr := credential.Parse(previous.Value)
	if parseErr != nil || !old.Has(credential.ClientID, credential.ClientSecret) || old.Get(credential.ClientSecret).Equal(doc.Get(credential.ClientSecret)) {
		return redact.Secret{}, refusal
	}
	issued, err = r.exchange(ctx, m.provider, exchange.Request{Grant: grant, Credential: old})
	if err != nil {
		return redact.Secret{}, refusal
	}
	r.Log.WarnContext(ctx, "the client of AWSCURRENT is refused; the clients are managed with that of AWSPREVIOUS", "secret_id", r.name)
	return issued.AccessToken, nil
}

// checkPendingCredential says why a credential can never be promoted, or "".
// Rotation changes the client and nothing else.
func checkPendingCredential(pending, current secrets.Version) string {
	doc, err := credential.Parse(pending.Value)
	if err != nil {
		return "what is stored under AWSPENDING is no credential document: " + err.Error()
	}
	if !doc.Has(credential.ClientID, credential.ClientSecret) {
		return "the credential under AWSPENDING has no client_id and client_secret"
	}
	if current.ID == "" {
		return ""
	}
	now, err := credential.Parse(current.Value)
	if err != nil {
		return ""
	}
	same := redact.New("-")
	if !doc.With(credential.ClientID, same).With(credential.ClientSecret, same).Encode().
		Equal(now.With(credential.ClientID, same).With(credential.ClientSecret, same).Encode()) {
		return "AWSCURRENT and AWSPENDING differ in more than the client: one of them was changed meanwhile"
	}
	return ""
}

// testCredential has every connection that uses the credential exchange the new
// client.
func (r *rotation) testCredential(ctx context.Context, pending secrets.Version) error {
	doc, err := credential.Parse(pending.Value)
	if err != nil {
		return r.takeOff(ctx, "what is stored under AWSPENDING is no credential document")
	}
	for _, u := range r.users {
		grant, err := r.clientOf(u, doc)
		if err != nil {
			return err
		}
		err = r.try(ctx, pending, "proving the new client for connection "+u.conn.Name, func(ctx context.Context) error {
			_, err := r.exchange(ctx, u.provider, exchange.Request{Grant: grant, Credential: doc})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// where says where a person finds the clients.
func (m manager) where() string {
	return fmt.Sprintf("organization %d, service account %d", m.account.OrgID, m.account.ServiceAccountID)
}

// readClient is the client id that a version holds, "" where it holds none or
// cannot be understood.
func (r *rotation) readClient(ctx context.Context, versionID string) (clientID string, hasValue bool, err error) {
	v, err := r.Secrets.GetVersion(ctx, r.event.SecretID, versionID)
	switch {
	case errors.Is(err, secrets.ErrNotFound):
		return "", false, nil
	case errors.Is(err, secrets.ErrBinary):
		return "", true, nil
	case err != nil:
		return "", false, r.aws(string(r.role), r.name, err)
	}
	doc, err := credential.Parse(v.Value)
	if err != nil {
		return "", true, nil
	}
	return doc.Get(credential.ClientID).Reveal(), true, nil
}
