package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// manager is the provider by which the credential's clients are managed.
type manager struct {
	user
	providers.ClientManager
	doc credential.Credential // AWSCURRENT: its tokens go only where it may go
}

// manager finds the connection by whose account the client is replaced, or says
// why the credential is not rotated.
func (r *rotation) manager() (manager, error) {
	var found []manager
	for _, u := range r.users {
		if m, ok := u.provider.(providers.ClientManager); ok {
			found = append(found, manager{user: u, ClientManager: m})
		}
	}
	if len(found) == 0 {
		return manager{}, r.fixed(r.users[0])
	}
	for _, m := range found[1:] {
		if m.Account() != found[0].Account() {
			return manager{}, r.misconfigured(
				fmt.Sprintf("connection %s names %s for this credential, "+
					"and connection %s names %s: a client belongs to one of them",
					found[0].conn.Name, found[0].Account(), m.conn.Name, m.Account()),
				"Correct the settings of the connection that names the wrong one: "+
					"`evertoken check "+found[0].conn.Name+" "+m.conn.Name+"`.")
		}
	}
	return found[0], nil
}

// fixed says why no API can change the credential.
func (r *rotation) fixed(u user) error {
	f, ok := u.provider.(providers.FixedCredential)
	switch {
	case !ok:
		return r.refused("connection "+u.conn.Name+": no API changes this credential",
			"Turn the rotation off: "+cancelCommand(r.name)+".")
	case f.FixedCredential().Setting != "":
		why := f.FixedCredential()
		return r.misconfigured("connection "+u.conn.Name+": "+why.Why,
			"Add "+why.Setting+". Otherwise "+why.Instead+" and store it: "+putCommand(r.name)+
				". Then turn the rotation off: "+cancelCommand(r.name)+".")
	}
	why := f.FixedCredential()
	return r.refused(why.Why, renew.Sentences(why.Instead+" and store it: "+putCommand(r.name),
		"Turn the rotation off: "+cancelCommand(r.name)))
}

// clientOf returns the client pair's grant, or says why there is none.
func (r *rotation) clientOf(u user, doc credential.Credential) (exchange.Grant, error) {
	if !doc.Has(credential.ClientID, credential.ClientSecret) {
		return exchange.Grant{}, r.refused(
			"the credential has no client_id and client_secret, which are all that rotation can replace",
			"Store a client: "+putCommand(r.name)+". Or turn the rotation off: "+cancelCommand(r.name)+".")
	}
	grants, err := u.provider.Grants(doc)
	if err != nil {
		return exchange.Grant{}, r.misconfigured(err.Error(), "Store it again: "+putCommand(r.name)+".")
	}
	for _, g := range grants {
		if !g.Seed && !g.Password {
			return g, nil
		}
	}
	return exchange.Grant{}, r.misconfigured("connection "+u.conn.Name+" does not use the "+
		"client_id and client_secret of this credential, which are all that rotation can replace",
		"Store the client alone, without a refresh token or password beside it: "+putCommand(r.name)+
			". Or turn the rotation off: "+cancelCommand(r.name)+".")
}

// checkCredential says why the credential cannot be rotated, if it cannot.
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
		return r.misconfigured(err.Error(), "Store it again: "+putCommand(r.name)+".")
	}
	if _, err = r.clientOf(m.user, doc); err != nil {
		return err
	}
	r.tellForeign(ctx, doc)
	return nil
}

// tellForeign warns early that the stored client will block a later rotation, because
// nothing proves that only this secret uses it.
func (r *rotation) tellForeign(ctx context.Context, doc credential.Credential) {
	id := doc.Get(credential.ClientID).Reveal()
	if doc.OwnsClient(r.secret.ARN) || slices.Contains(r.named(), id) {
		return
	}
	r.Log.WarnContext(ctx, "hint", "secret_id", r.name, "client_id", id,
		"hint", "A person stored this client, so other systems may use it too. "+
			"Evertoken does not delete it after it has replaced it. "+
			"Delete it then, or confirm now that it is this secret's "+
			"alone: "+nameCommand(r.name, append(r.named(), id)...)+".")
}

// createCredential makes a new client and stores it before it uses it: the provider
// shows the client's secret only once.
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
		return r.refused("no credential is stored yet, so there is nothing to rotate",
			"Store the service account's client: "+putCommand(r.name)+".")
	}
	doc, err := credential.Parse(current.Value)
	if err != nil {
		return r.misconfigured(err.Error(), "Store it again: "+putCommand(r.name)+".")
	}
	m.doc = doc
	access, err := r.access(ctx, m, doc)
	if err != nil {
		return err
	}
	if err := r.freeSlot(ctx, m, access); err != nil {
		return err
	}
	r.tellForeign(ctx, doc)
	if !limits.Enough(ctx) {
		return r.transient("no time left in this invocation, so no client was made")
	}
	made, err := r.makeClient(ctx, m, access)
	if err != nil {
		return err
	}
	next := doc.WithOwnClient(r.secret.ARN, made.ID, made.Secret)
	return r.keepClient(ctx, m, access, made, next.Encode())
}

// keepClient stores a new client. It deletes the client again if it is certain that no
// version holds it.
func (r *rotation) keepClient(ctx context.Context, m manager, access redact.Secret,
	made providers.Client, value redact.Secret,
) error {
	err := r.keep(ctx, value, dropReserve)
	if err == nil {
		return nil
	}
	superseded, late := errors.AsType[Superseded](err)
	stored, found, readErr := r.pending(ctx)
	switch {
	case readErr == nil && found && stored.Value.Equal(value) && late:
		return superseded // a later rotation deletes it: the version says whose it is
	case readErr == nil && found && stored.Value.Equal(value): // only the answer was lost
		return r.confirm(ctx)
	case readErr != nil:
		return r.unkept("the client "+made.ID+" was made, and whether its secret could be stored "+
			"is not known", err)
	}
	left := r.drop(ctx, m, access, made.ID)
	if late {
		superseded.Hint = renew.Sentences(left, superseded.Hint)
		return superseded
	}
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		return nil // another invocation has stored one, and rotation uses that one
	}
	return r.unkept("the client "+made.ID+" was made and its secret could not be stored, "+
		"so Evertoken deleted it again", err, left)
}

func (r *rotation) makeClient(ctx context.Context, m manager, access redact.Secret) (
	providers.Client, error,
) {
	bounded, cancel := limits.Bounded(ctx)
	defer cancel()
	made, err := m.CreateClient(bounded, m.doc, access)
	if err == nil {
		return made, nil
	}
	x := asExchange(err)
	hint := x.Hint
	if x.Lost {
		hint = renew.Sentences(hint, "The provider may have made a client whose secret is lost. "+
			"If the service account has no place left, the next attempt names that client, "+
			"and the command that lets Evertoken delete it.")
	}
	return providers.Client{}, r.classified(x.Class, x.Error(), hint)
}

// drop deletes a client that this invocation made. It returns "", or what an operator
// must do.
func (r *rotation) drop(ctx context.Context, m manager, access redact.Secret, id string) (
	left string,
) {
	ctx, cancel := context.WithTimeout(ctx, max(limits.Remaining(ctx)-tellReserve, 0))
	defer cancel()
	err := m.DeleteClient(ctx, m.doc, access, id)
	if err == nil {
		return ""
	}
	r.Log.WarnContext(ctx, "an unused client could not be deleted", "secret_id", r.name,
		"client_id", id, "error", asExchange(err).Error())
	return "The client " + id + " could not be deleted, and its secret is lost. " +
		"Let the next rotation delete it: " + nameCommand(r.name, append(r.named(), id)...) + "."
}

// access is an access token of the service account itself. If somebody moved AWSCURRENT
// back to a client that no longer exists, the client of AWSPREVIOUS gets the token.
func (r *rotation) access(ctx context.Context, m manager, doc credential.Credential) (
	redact.Secret, error,
) {
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
	if parseErr != nil || !old.Has(credential.ClientID, credential.ClientSecret) ||
		old.Get(credential.ClientSecret).Equal(doc.Get(credential.ClientSecret)) {
		return redact.Secret{}, refusal
	}
	issued, err = r.exchange(ctx, m.provider, exchange.Request{Grant: grant, Credential: old})
	if err != nil {
		return redact.Secret{}, refusal
	}
	r.Log.WarnContext(ctx, "the client of AWSCURRENT is refused; "+
		"the clients are managed with that of AWSPREVIOUS", "secret_id", r.name)
	return issued.AccessToken, nil
}

// checkPendingCredential says why a credential can never be promoted, or "".
// Rotation changes the client and nothing else.
func checkPendingCredential(pending, current secrets.Version) string {
	doc, err := credential.Parse(pending.Value)
	if err != nil {
		return "the value under AWSPENDING is not a credential document: " + err.Error()
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
	rest := func(c credential.Credential) redact.Secret {
		return c.WithOwnClient("", "", redact.Secret{}).Encode()
	}
	if !rest(doc).Equal(rest(now)) {
		return "AWSCURRENT and AWSPENDING differ in more than the client: " +
			"one of them was changed meanwhile"
	}
	return ""
}

// testCredential makes one exchange with the new client for each connection that uses
// the credential.
func (r *rotation) testCredential(ctx context.Context, pending secrets.Version) error {
	doc, err := credential.Parse(pending.Value)
	if err != nil {
		return r.takeOff(ctx, "the value under AWSPENDING is not a credential document")
	}
	for _, u := range r.users {
		grant, err := r.clientOf(u, doc)
		if err != nil {
			return err
		}
		prove := func(ctx context.Context) error {
			_, err := r.exchange(ctx, u.provider, exchange.Request{Grant: grant, Credential: doc})
			return err
		}
		doing := "proving the new client for connection " + u.conn.Name
		if err := r.try(ctx, pending, doing, prove); err != nil {
			return err
		}
	}
	return nil
}

// readClient is the client id that a version holds, or "" if it holds none or cannot be
// parsed. own says that a rotation made the client for this secret.
func (r *rotation) readClient(ctx context.Context, versionID string) (
	clientID string, own bool, err error,
) {
	v, err := r.Secrets.GetVersion(ctx, r.event.SecretID, versionID)
	switch {
	case errors.Is(err, secrets.ErrNotFound), errors.Is(err, secrets.ErrBinary):
		return "", false, nil
	case err != nil:
		return "", false, r.aws(string(r.role), r.name, err)
	}
	doc, err := credential.Parse(v.Value)
	if err != nil {
		return "", false, nil
	}
	return doc.Get(credential.ClientID).Reveal(), doc.OwnsClient(r.secret.ARN), nil
}
