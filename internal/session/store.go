package session

import (
	"context"
	"encoding/json"

	"evertoken/internal/credential"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// Store stores the session that an exchange returned. If that fails, it puts the session into
// the rescue parameter. If that fails too, a hint says so.
func (k *Keeper) Store(ctx context.Context, next credential.Session) {
	if !k.find(ctx) {
		k.rescue(ctx, next, "The provider changed the refresh token, and no session secret "+
			"exists to keep it. Create it: `aws secretsmanager create-secret --name "+k.ID+"`")
		k.doc = next
		return
	}
	value := next.Encode()
	id, err := k.put(ctx, value)
	if err != nil {
		k.rescue(ctx, next, "The session could not be stored: "+err.Error())
		k.Lose(ctx)
		k.doc = next
		return
	}
	k.rescued = k.rescued || k.beside
	k.dropRescue(ctx)
	k.stands(next, id, value)
}

// stands takes the session that was just stored as the current one. LabelExchange stays on
// the version before it.
func (k *Keeper) stands(doc credential.Session, id string, value redact.Secret) {
	k.doc, k.version = doc, secrets.Version{ARN: k.version.ARN, ID: id, Value: value}
	k.claimed, k.bumped, k.doubt, k.stored = false, false, note{}, true
}

// put stores a value as the next version. Its id is derived from the version that it is based
// on, so that a repetition changes nothing and two runs with the same base collide.
func (k *Keeper) put(ctx context.Context, value redact.Secret) (id string, err error) {
	base := k.version.ID
	insist := func(id string, labels ...string) (string, error) {
		return id, k.Wait.Insist(ctx, limits.Store/2, func(ctx context.Context) error {
			return k.Secrets.Put(ctx, k.ID, id, value, labels...)
		})
	}
	if id, err = insist(k.child("")); secrets.ErrorKind(err) != secrets.ErrConflict {
		return id, err
	}
	// If the base is still current, somebody moved AWSCURRENT back. If it is not, another run
	// was faster, and this run's session is kept beside.
	sum := credential.Sum(value)
	v, err := k.Secrets.Get(ctx, k.ID, secrets.Current)
	if err == nil && v.ID == base {
		return insist(k.child(sum))
	}
	k.Hint("Another run stored a session meanwhile. " +
		"Evertoken keeps this run's session under the label " + LabelKept + ". " +
		"It uses that one if the other fails, and you need to do nothing.")
	return insist(k.child("kept "+sum), LabelKept)
}

// child is the id of a version that is based on the current one.
func (k *Keeper) child(more string) string { return childOf(k.version.ARN, k.version.ID, more) }

func childOf(arn, base, more string) string { return secrets.DeriveID(arn, base, "session"+more) }

// rescued is what the rescue parameter holds.
type rescued struct {
	Base    string          `json:"base"` // the version that it is based on; empty if there was none
	Session json.RawMessage `json:"session"`
}

// rescue puts a session that cannot be stored into a parameter. why is a hint without its
// full stop.
func (k *Keeper) rescue(ctx context.Context, s credential.Session, why string) {
	if s.RefreshToken.IsZero() { // it holds nothing that would be lost
		k.Hint(why)
		return
	}
	b, err := json.Marshal(rescued{k.version.ID, json.RawMessage(s.Encode().Reveal())})
	if err == nil {
		err = k.Wait.Insist(ctx, 0, func(ctx context.Context) error {
			return k.Parameters.Put(ctx, k.Rescue, k.RescueKey, redact.New(string(b)))
		})
	}
	if err != nil {
		k.Hint(why + ". The rescue parameter could not be written either, " +
			"so the new refresh token is lost: " + err.Error() + ". " +
			"Evertoken opens a new session with the stored credential. " +
			"If that holds only a refresh token, log in again at the provider and store the new one.")
		return
	}
	k.rescued = false // the parameter holds the only copy
	k.Hint(why + ". Evertoken keeps it in the parameter " + k.Rescue +
		", and a later run moves it to the session secret once that can be written.")
}
