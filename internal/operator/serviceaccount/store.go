package serviceaccount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// labelProving is on the version with the new client until the client is proven: a
// function that used it earlier would record it as refused, and not send it again for a
// day.
const labelProving = "EVERTOKEN_SERVICE_ACCOUNT"

// keepFor is how long the command tries to store the client's secret, which Flexera shows
// only once.
const keepFor = 3 * time.Minute

// maxWait is the longest wait between two tries of a write.
const maxWait = 15 * time.Second

// next is the next version: AWSCURRENT with the client in place of the refresh token,
// which would be used before it. Its id follows from both, so that a repetition stores
// nothing new. A client that was made for this secret is recorded as such, so that a
// rotation may delete it once it is replaced.
func (m *migration) next(clientID, clientSecret redact.Secret, own bool) version {
	doc := without(m.current.doc, credential.RefreshToken).
		With(credential.ClientID, clientID).With(credential.ClientSecret, clientSecret)
	if own {
		doc = doc.WithOwnClient(m.secret.ARN, clientID.Reveal(), clientSecret)
	}
	of := "service account client " + clientID.Reveal()
	return version{secrets.DeriveID(m.secret.ARN, m.current.id, of), doc}
}

// without is a document less one member.
func without(doc credential.Credential, member string) credential.Credential {
	var members map[string]json.RawMessage
	err := json.Unmarshal([]byte(doc.Encode().Reveal()), &members)
	if err == nil {
		delete(members, member)
		var rest []byte
		if rest, err = json.Marshal(members); err == nil {
			doc, err = credential.Parse(redact.New(string(rest)))
		}
	}
	if err != nil {
		panic("a parsed credential cannot fail to be parsed again")
	}
	return doc
}

// proveWritable puts AWSCURRENT under its own version id again, which changes nothing,
// but which AWS must authorize: so no client is made that cannot be stored.
func (m *migration) proveWritable(ctx context.Context) error {
	if err := m.Secrets.Put(ctx, m.conn.Credential, m.current.id, m.currentValue); err != nil {
		return fmt.Errorf("%s cannot be written, so nothing was changed: %w", m.credentialName(), err)
	}
	return nil
}

// keep stores a version under a separate label.
func (m *migration) keep(ctx context.Context, v version) error {
	err := m.write(ctx, func() error {
		return m.Secrets.Put(ctx, m.conn.Credential, v.id, v.doc.Encode(), labelProving)
	})
	if err != nil {
		// An answer may have been lost.
		stored, getErr := m.Secrets.GetVersion(ctx, m.conn.Credential, v.id)
		if getErr != nil || !stored.Value.Equal(v.doc.Encode()) {
			return err
		}
	}
	m.proving = v.id
	return nil
}

// keepRefreshToken stores a refresh token that replaces the stored one.
func (m *migration) keepRefreshToken(ctx context.Context, token redact.Secret) error {
	ctx = context.WithoutCancel(ctx)
	doc := m.current.doc.With(credential.RefreshToken, token)
	id := secrets.FreshID()
	err := m.write(ctx, func() error {
		return m.Secrets.Put(ctx, m.conn.Credential, id, doc.Encode())
	})
	if err != nil {
		return stop("Make a new one in Flexera One and store it: "+m.storeCommand(),
			fmt.Errorf("another refresh token came back and could not be stored, "+
				"and the old one may be dead: %w", err))
	}
	m.current, m.currentValue = version{id, doc}, doc.Encode()
	m.history = append([]version{m.current}, m.history...)
	m.printf("Another refresh token came back, and was stored in %s.\n", m.credentialName())
	return nil
}

// write repeats a write for as long as the fault may pass.
func (m *migration) write(ctx context.Context, write func() error) error {
	end := m.Now().Add(keepFor)
	for wait := time.Second; ; wait = min(2*wait, maxWait) {
		err := write()
		switch secrets.ErrorKind(err) {
		case secrets.ErrTransient, secrets.ErrThrottled:
		default:
			return err // nil too
		}
		if m.Now().Add(wait).After(end) || m.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// promote moves AWSCURRENT from the version that the plan is based on to the one with the
// client, in one step: AWSPREVIOUS follows.
func (m *migration) promote(ctx context.Context, v version) error {
	err := m.write(ctx, func() error {
		return m.Secrets.MoveLabel(ctx, m.conn.Credential, secrets.Current, v.id, m.current.id)
	})
	if errors.Is(err, secrets.ErrLabelMoved) { // by a try whose answer was lost, or by another person
		now, describeErr := m.Secrets.Describe(ctx, m.conn.Credential)
		switch {
		case describeErr != nil:
			err = describeErr
		case now.Holder(secrets.Current) == v.id:
			return nil
		default:
			return stop(runAgain, fmt.Errorf("somebody stored another credential in %s in the meantime",
				m.credentialName()))
		}
	}
	if err != nil {
		return stop(runAgain, fmt.Errorf("moving AWSCURRENT of %s to the client's version: %w",
			m.credentialName(), err))
	}
	return nil
}

// unlabel removes the label: because of it a rotation would keep the client.
func (m *migration) unlabel(ctx context.Context) {
	if m.proving == "" {
		m.proving = m.secret.Holder(labelProving)
	}
	if m.proving == "" {
		return
	}
	err := m.Secrets.MoveLabel(ctx, m.conn.Credential, labelProving, "", m.proving)
	if err != nil && !errors.Is(err, secrets.ErrLabelMoved) {
		m.printf("\nWarning: the label %s could not be removed (%v). It blocks a rotation. "+
			"Remove it:\n  aws secretsmanager update-secret-version-stage --secret-id %s "+
			"--version-stage %s --remove-from-version-id %s\n",
			labelProving, err, m.credentialName(), labelProving, m.proving)
	}
}
