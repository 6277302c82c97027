package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

const runAgain = "Run this again: it continues from here."

// freshEnough is how long the user's access token must live for the next steps.
const freshEnough = 15 * time.Minute

func (m *migration) act(ctx context.Context) error {
	if m.accessEnds.Sub(m.Now()) < freshEnough { // the question may have been open for long
		if err := m.userToken(ctx); err != nil {
			return err
		}
	}
	if m.mustStore() {
		if err := m.proveWritable(ctx); err != nil {
			return err
		}
	}
	if err := m.ensureAccount(ctx); err != nil {
		return stop(runAgain, err)
	}
	for _, role := range m.Roles {
		if err := m.iam.GrantRole(ctx, m.access, m.account.ID, role); err != nil {
			return stop(runAgain, fmt.Errorf("role %q: %w", role, err))
		}
		m.printf("granted the role %s\n", role)
	}
	if err := ctx.Err(); err != nil {
		return stop(runAgain, errors.New("interrupted"))
	}
	next, err := m.ensureClient(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	issued, err := m.prove(ctx, next)
	if err != nil {
		return m.unproven(next, err)
	}
	m.printf("proved the client: Flexera issued it a token for %v\n",
		issued.ExpiresAt.Sub(m.Now()).Round(time.Second))
	if next.id != m.current.id {
		if err := m.promote(context.WithoutCancel(ctx), next); err != nil {
			return err
		}
		m.printf("moved AWSCURRENT of %s to it\n", m.credentialName())
	}
	m.unlabel(ctx)
	m.showNext()
	return nil
}

// ensureAccount makes the service account unless it exists.
func (m *migration) ensureAccount(ctx context.Context) error {
	if m.account.ID != 0 {
		return nil
	}
	id, err := m.iam.CreateServiceAccount(ctx, m.access, m.Name, m.Description)
	if err != nil {
		return err
	}
	m.printf("created the service account %q (%d)\n", m.Name, id)
	shown, err := m.iam.ServiceAccount(ctx, m.access, id)
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(shown.Name) != m.Name:
		return fmt.Errorf("the new service account's id, %d, is that of another one", id)
	}
	m.account = shown
	return nil
}

// ensureClient returns the version that holds the client, which is stored and
// not yet AWSCURRENT unless it was before.
func (m *migration) ensureClient(ctx context.Context) (version, error) {
	if !m.mustStore() {
		return m.current, nil
	}
	if m.use != nil {
		next := m.next(m.use.doc.Get(credential.ClientID), m.use.doc.Get(credential.ClientSecret),
			m.use.doc.OwnsClient(m.secret.ARN))
		if err := m.keep(ctx, next); err != nil {
			return version{}, stop(runAgain, fmt.Errorf("storing the client %s: %w", next.client(), err))
		}
		return next, nil
	}
	made, err := m.iam.Clients(m.account.ID).CreateClient(ctx, m.current.doc, m.access)
	if err != nil {
		hint := runAgain
		if e, ok := errors.AsType[*exchange.Error](err); ok && e.Lost {
			hint = "Flexera may have created a client whose secret nobody has: " +
				"the next run names it. " + runAgain
		}
		return version{}, stop(hint, err)
	}
	next := m.next(redact.New(made.ID), made.Secret, true)
	if err := m.keep(ctx, next); err != nil {
		return version{}, m.undo(ctx, made.ID, err)
	}
	m.printf("created the client %s and stored its secret\n", made.ID)
	return next, nil
}

// deleteTries is how often the deletion of a useless client is tried.
const deleteTries = 4

// undo deletes a new client whose secret is lost.
func (m *migration) undo(ctx context.Context, client string, why error) error {
	var err error
	for n := range deleteTries {
		clients := m.iam.Clients(m.account.ID)
		if err = clients.DeleteClient(ctx, m.current.doc, m.access, client); err == nil {
			return stop(runAgain, fmt.Errorf("the client %s was created, its secret could not be "+
				"stored, and it was deleted again: %w", client, why))
		}
		if passing(err) == 0 || m.Sleep(ctx, time.Second<<n) != nil {
			break
		}
	}
	return stop("Delete it, since nobody has its secret: "+m.deletions(client)+". "+runAgain,
		fmt.Errorf("the client %s was created, its secret could not be stored, "+
			"and it could not be deleted again: %w", client, errors.Join(why, err)))
}

// passing is how long to wait before a failed request is worth another try; 0
// means never.
func passing(err error) time.Duration {
	e, ok := errors.AsType[*exchange.Error](err)
	if !ok || e.Class != exchange.Transient && e.Class != exchange.Throttled {
		return 0
	}
	return min(max(e.RetryAfter, time.Second), time.Minute)
}

// proveTries is how often a new client is tried, 31 seconds in all: it must first become
// known in all of Flexera's systems.
const proveTries = 6

// prove gets a token with the client.
func (m *migration) prove(ctx context.Context, v version) (exchange.Issued, error) {
	for n := 0; ; n++ {
		issued, err := m.clientToken(ctx, v)
		again := passing(err)
		if dead(err) {
			again = time.Second << n
		}
		if err == nil || again == 0 || n == proveTries-1 {
			return issued, err
		}
		if m.Sleep(ctx, again) != nil {
			return issued, err
		}
	}
}

// unproven is the error of a client that is stored and does not work.
func (m *migration) unproven(v version, err error) error {
	hint := "AWSCURRENT of " + m.credentialName() + " is unchanged. "
	if v.id == m.current.id {
		hint = ""
	}
	if !dead(err) {
		return stop(hint+runAgain, fmt.Errorf("proving the client %s: %w", v.client(), err))
	}
	return stop(hint+"Run this again in a few minutes. If Flexera still refuses the client then, "+
		"delete it, and run this once more: "+m.deletions(v.client()),
		fmt.Errorf("the client %s is stored, but Flexera refuses it: %w", v.client(), err))
}

// showNext prints what the operator still has to do.
func (m *migration) showNext() {
	m.printf("\nConnection %s now uses the service account %q (%d).\n", m.conn.Name, m.Name,
		m.account.ID)
	if m.settings.ServiceAccountID == 0 {
		m.printf("\nAdd this to the settings of the connection, in the parameter %s, "+
			"so that its client can be rotated:\n  \"org_id\": %d, \"service_account_id\": %d\n",
			m.parameter, m.Org, m.account.ID)
		m.printf("(a rotation needs a role with iam:service_account_client:index, " +
			"create and delete)\n")
	}
	where := "API Credentials, as the user who made it"
	if id := m.settings.RefreshTokenID; id != "" {
		where += "; its id is " + id
		m.printf("\nRemove \"refresh_token_id\" from the settings.\n")
	}
	m.printf("\nThen delete the user's refresh token in Flexera One (%s). "+
		"The version AWSPREVIOUS of %s\nstill holds it: "+
		"until you delete it, you can move AWSCURRENT back.\n", where, m.credentialName())
	m.warnOfStrangers()
	m.printf("\nThe ITAM data API accepts no service accounts: " +
		"an application that calls it needs a user's refresh token, in a\nconnection of its own.\n")
}
