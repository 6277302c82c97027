package session

import (
	"context"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// Store is Secrets Manager. Its errors are those of package secrets.
type Store interface {
	Get(ctx context.Context, id, label string) (secrets.Version, error)
	GetVersion(ctx context.Context, id, versionID string) (secrets.Version, error)
	Describe(ctx context.Context, id string) (secrets.Description, error)
	Put(ctx context.Context, id, versionID string, value redact.Secret, labels ...string) error
	MoveLabel(ctx context.Context, id, label, to, from string) error
}

// Parameters is SSM. Its errors are those of package secrets.
type Parameters interface {
	Get(ctx context.Context, name string) (redact.Secret, error)
	Put(ctx context.Context, name, keyID string, value redact.Secret) error
	Delete(ctx context.Context, name string) error
}

// Keeper keeps one connection's session in one run. Its errors are [*Waiting],
// [*Unreadable], or those of package secrets about the session secret.
type Keeper struct {
	Secrets    Store
	Parameters Parameters
	Now        func() time.Time
	Wait       secrets.Wait
	// ID is the session secret's name or ARN.
	ID string
	// Rescue is the parameter for a session that cannot be stored. RescueKey is the KMS key
	// that encrypts it; empty for the account's default key.
	Rescue, RescueKey string
	// RunLasts is the longest time that a run can last.
	RunLasts time.Duration
	// Fits reports whether the credential's present values opened a session.
	Fits func(credential.Session) bool
	// Refused reports whether a version's labels say that the provider refused its refresh
	// token.
	Refused func(labels []string) bool
	// IsNote reports whether a label of the caller's only records the result of sending a
	// version. Such labels may be removed with the version.
	IsNote func(label string) bool
	// Hint reports something to the operator.
	Hint func(string)

	// Exists is set if the session secret is known to exist.
	Exists bool

	doc     credential.Session
	version secrets.Version // its ID is empty if nothing is stored
	claimed bool
	prior   string // the version that had LabelExchange before the claim; empty if unknown
	beside  bool   // this run opens a session beside the claim of another run
	doubt   note   // the note LabelSent of the current version
	bumped  bool   // doubt counts this run's own sending too
	before  note   // doubt without that
	stored  bool   // this run has stored version
	rescued bool   // the rescue parameter holds doc, or the session that doc came from
	look    bool   // a newer session may be stored elsewhere
}

// Waiting says that another run, or a rotation, is changing the session.
type Waiting struct{ Reason string }

func (e *Waiting) Error() string { return e.Reason }

// Unreadable says that the rescue parameter could not be read, or does not hold a session.
type Unreadable struct {
	Parameter string
	Err       error // of package secrets; nil if the parameter does not hold a session
}

func (e *Unreadable) Error() string {
	return "the rescue parameter " + e.Parameter + " cannot be read"
}

// Unwrap returns the cause.
func (e *Unreadable) Unwrap() error { return e.Err }

// Use takes a version as the current one.
func (k *Keeper) Use(v secrets.Version) {
	doc, err := credential.ParseSession(v.Value)
	if err != nil { // somebody overwrote it with something else
		doc = credential.Session{}
	}
	k.doc, k.version, k.doubt, k.stored = doc, v, sentNote(v.Labels), false
}

// Session is the current session.
func (k *Keeper) Session() credential.Session { return k.doc }

// Version is the current version; its ID is empty if nothing is stored.
func (k *Keeper) Version() secrets.Version { return k.version }

// Claimed reports whether this run may send the session's refresh token.
func (k *Keeper) Claimed() bool { return k.claimed }

// Beside reports whether this run passes by the claim of another run. It must then not send
// the session's refresh token.
func (k *Keeper) Beside() bool { return k.beside }

// Doubt says how often the current refresh token was sent without an answer being stored. It
// does not count this run.
func (k *Keeper) Doubt() Doubt {
	n := k.doubt.n
	if k.bumped {
		n--
	}
	return Doubt{n, k.doubt.at}
}

// Describe reads the secret's labels.
func (k *Keeper) Describe(ctx context.Context) (secrets.Description, error) {
	d, err := k.Secrets.Describe(ctx, k.ID)
	if err == nil {
		k.Exists, k.version.ARN = true, d.ARN
	}
	return d, err
}

// find reports whether the session secret exists. Some providers seldom need one.
func (k *Keeper) find(ctx context.Context) bool {
	if k.Exists {
		return true
	}
	_, err := k.Describe(ctx)
	return err == nil
}

// Stands reports whether the session that this run stored is still current. If another run
// has stored one since, that run has a newer token too.
func (k *Keeper) Stands(ctx context.Context) (bool, error) {
	if !k.stored {
		return true, nil
	}
	d, err := k.Describe(ctx)
	if err != nil {
		return false, err
	}
	return d.Holder(secrets.Current) == k.version.ID, nil
}

// StoredHere reports whether this run has stored the current session.
func (k *Keeper) StoredHere() bool { return k.stored }

// move moves a label, naming the version that has it.
func (k *Keeper) move(ctx context.Context, label, to, from string) error {
	return k.Secrets.MoveLabel(ctx, k.ID, label, to, from)
}

// drop removes a label. It is no error if the label is gone already.
func (k *Keeper) drop(ctx context.Context, label, from string) error {
	err := k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, label, "", from) })
	if kind := secrets.ErrorKind(err); kind == secrets.ErrLabelMoved || kind == secrets.ErrNotFound {
		return nil
	}
	return err
}
