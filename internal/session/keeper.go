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
	// Rescue is the parameter that a session goes to which cannot be stored, and
	// RescueKey the KMS key that it is encrypted with, "" for the account's.
	Rescue, RescueKey string
	// RunLasts is the longest that a run can last.
	RunLasts time.Duration
	// Fits reports whether a session was opened by what the credential holds.
	Fits func(credential.Session) bool
	// Refused reports whether labels say that the provider refused what a
	// version holds.
	Refused func(labels []string) bool
	// IsNote reports whether a label of the caller's says only what became of a
	// version: such labels go with it.
	IsNote func(label string) bool
	// Hint tells the operator something.
	Hint func(string)

	// Exists is set where the session secret is known to exist.
	Exists bool

	doc     credential.Session
	version secrets.Version // ID is empty where nothing is stored
	claimed bool
	prior   string // where LabelExchange was before the claim, "" if unknown
	beside  bool   // a session is being opened beside somebody's claim
	doubt   note   // of the version in force
	bumped  bool   // this run has counted its own send in doubt
	before  note   // doubt before that
	stored  bool   // this run has stored what is now in version
	rescued bool   // the rescue parameter holds doc, or what doc came from
	look    bool   // something better may be stored elsewhere
}

// Waiting says that another run, or a rotation, is changing the session.
type Waiting struct{ Reason string }

func (e *Waiting) Error() string { return e.Reason }

// Unreadable says that the rescue parameter could not be read, or holds
// something else.
type Unreadable struct {
	Parameter string
	Err       error // of package secrets; nil if the parameter holds something else
}

func (e *Unreadable) Error() string {
	return "the rescue parameter " + e.Parameter + " cannot be read"
}

// Unwrap returns the cause.
func (e *Unreadable) Unwrap() error { return e.Err }

// Use takes a version as what is in force.
func (k *Keeper) Use(v secrets.Version) {
	doc, err := credential.ParseSession(v.Value)
	if err != nil { // overwritten: it holds no session
		doc = credential.Session{}
	}
	k.doc, k.version, k.doubt, k.stored = doc, v, sentNote(v.Labels), false
}

// Session is the session in force.
func (k *Keeper) Session() credential.Session { return k.doc }

// Version is the version in force; its ID is empty where nothing is stored.
func (k *Keeper) Version() secrets.Version { return k.version }

// Claimed reports whether this run has the right to send what the session
// holds.
func (k *Keeper) Claimed() bool { return k.claimed }

// Beside reports whether this run passes by another's claim: it must not send
// the session's refresh token.
func (k *Keeper) Beside() bool { return k.beside }

// Doubt is how often what is in force was sent without its answer being stored,
// not counting what this run is about to send.
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

// find looks for the secret of a provider that seldom needs one.
func (k *Keeper) find(ctx context.Context) bool {
	if k.Exists {
		return true
	}
	_, err := k.Describe(ctx)
	return err == nil
}

// Stands reports whether what this run stored is still in force: whoever stored
// a session since has a newer token too.
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

// StoredHere reports whether this run has stored the session in force.
func (k *Keeper) StoredHere() bool { return k.stored }

// move moves a label, naming the version that has it.
func (k *Keeper) move(ctx context.Context, label, to, from string) error {
	return k.Secrets.MoveLabel(ctx, k.ID, label, to, from)
}

// drop takes a label off; one that is off already is no error.
func (k *Keeper) drop(ctx context.Context, label, from string) error {
	err := k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, label, "", from) })
	if kind := secrets.ErrorKind(err); kind == secrets.ErrLabelMoved || kind == secrets.ErrNotFound {
		return nil
	}
	return err
}
