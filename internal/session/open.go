package session

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/secrets"
)

// prove shows, before anything is sent, that the session can be written. It puts the current
// value again under its own version id: AWS authorizes that call and changes nothing
// (botocore model, PutSecretValue: "this operation is idempotent").
func (k *Keeper) prove(ctx context.Context) error {
	return unsent(k.Secrets.Put(ctx, k.ID, k.version.ID, k.version.Value))
}

// NotSent is an error that occurred before anything was sent.
type NotSent struct{ Err error }

func (e *NotSent) Error() string {
	return "nothing was sent, because the session could not be stored: " + e.Err.Error()
}

// Unwrap returns the cause, of package secrets.
func (e *NotSent) Unwrap() error { return e.Err }

func unsent(err error) error {
	if err == nil {
		return nil
	}
	return &NotSent{err}
}

// open writes a version that only says that a session is being opened, and with what. Its id
// is derived from an empty base, so AWS refuses one of two runs. Then the label follows.
func (k *Keeper) open(ctx context.Context, d secrets.Description, with string) error {
	return k.openAs(ctx, secrets.DeriveID(d.ARN, "", "opening"), with, d.Holder(LabelExchange))
}

// openOver does the same over a version that this run has claimed and that holds no session,
// so that nobody takes what is sent now for what was sent before.
func (k *Keeper) openOver(ctx context.Context, with string) error {
	return k.openAs(ctx, secrets.DeriveID(k.version.ARN, k.version.ID, "opening"), with, k.version.ID)
}

func (k *Keeper) openAs(ctx context.Context, id, with, holder string) error {
	doc := credential.Session{OpeningAt: k.Now(), OpeningWith: with}
	value := doc.EncodeUnique(secrets.FreshID())
	err := k.Secrets.Put(ctx, k.ID, id, value)
	if k.claimed && secrets.ErrorKind(err) == secrets.ErrConflict {
		id = secrets.FreshID() // somebody moved AWSCURRENT back to the version before
		err = k.Secrets.Put(ctx, k.ID, id, value)
	}
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		return &Waiting{"another run is opening the session"}
	}
	if err != nil {
		return unsent(err)
	}
	if err := k.exclusive(k.move(ctx, LabelExchange, id, holder)); err != nil {
		return err
	}
	k.doc, k.version = doc, secrets.Version{ARN: k.version.ARN, ID: id, Value: value}
	k.claimed, k.prior, k.doubt = true, "", note{}
	return nil
}
