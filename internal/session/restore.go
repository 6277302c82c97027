package session

import (
	"context"
	"encoding/json"
	"slices"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// Elsewhere reports whether a session that was received may be stored elsewhere
// than in what is in force. It changes nothing; the next [Keeper.Begin] then
// looks closer.
func (k *Keeper) Elsewhere(ctx context.Context) (bool, error) {
	found, _, err := k.readRescue(ctx)
	if err != nil {
		return false, err
	}
	token := found.RefreshToken
	if k.look = !token.IsZero() && !token.Equal(k.doc.RefreshToken); k.look || !k.Exists {
		return k.look, nil
	}
	d, err := k.Describe(ctx)
	if err != nil || d.Holder(secrets.Current) != k.version.ID {
		return false, err
	}
	v, _, err := k.newer(ctx, d, secrets.Previous, LabelKept, secrets.Pending)
	k.look = v.ID != ""
	return k.look, err
}

// Recover brings forward a session that was received and is not in force, after
// what is in force was refused. It reports whether there was one.
func (k *Keeper) Recover(ctx context.Context) (bool, error) {
	found, err := k.restore(ctx, false)
	if found || err != nil || !k.Exists {
		return found, err
	}
	d, err := k.Describe(ctx)
	if err != nil {
		return false, err
	}
	return k.bringForward(ctx, d, secrets.Previous, LabelKept, secrets.Pending)
}

// restore takes the session that the rescue parameter holds as what is in force,
// and stores it under [LabelKept]: whoever claims it empties the parameter first. The
// parameter is deleted when the run ends. Only a session that is based on the version
// in force is newer than that; another is kept beside it, and is used where usable is
// not set: what is in force was refused.
func (k *Keeper) restore(ctx context.Context, usable bool) (bool, error) {
	doc, base, err := k.readRescue(ctx)
	switch {
	case err != nil || doc.RefreshToken.IsZero():
		return false, err
	case doc.RefreshToken.Equal(k.doc.RefreshToken): // it was stored after all
		k.rescued = true
		return false, k.emptyRescue(ctx)
	case !k.ours(doc):
		return false, nil
	case !k.find(ctx): // there is still nothing to store it in
		k.doc, k.rescued = doc, true
		return true, nil
	}
	value := doc.Encode()
	put := func(id string, labels ...string) error {
		return k.Wait.Try(ctx, func(ctx context.Context) error {
			return k.Secrets.Put(ctx, k.ID, id, value, labels...)
		})
	}
	usable = usable && !k.doc.RefreshToken.IsZero() && !k.Refused(k.version.Labels)
	if usable && base != k.version.ID {
		stored, err := k.wasStored(ctx, doc, base)
		if err == nil && !stored {
			err = put(k.child("kept "+credential.Sum(value)), LabelKept)
		}
		if err != nil {
			return false, err
		}
		k.rescued = true
		return false, k.emptyRescue(ctx)
	}
	id := k.child("")
	err = put(id, secrets.Current, LabelKept)
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		id = k.child(credential.Sum(value))
		err = put(id, secrets.Current, LabelKept)
	}
	if err != nil {
		return false, unsent(err)
	}
	k.stands(doc, id, value)
	k.Hint("Evertoken restored the session from the rescue parameter " + k.Rescue +
		", and you need to do nothing.")
	k.rescued = true
	return true, nil
}

// wasStored reports whether the session from the rescue parameter became a version
// after all, by a write whose answer was lost. Its refresh token is then spent, and
// what came of it is in force.
func (k *Keeper) wasStored(ctx context.Context, rescued credential.Session, base string) (
	bool, error,
) {
	v, err := k.Secrets.GetVersion(ctx, k.ID, childOf(k.version.ARN, base, ""))
	if secrets.ErrorKind(err) == secrets.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	doc, err := credential.ParseSession(v.Value)
	return err == nil && doc.RefreshToken.Equal(rescued.RefreshToken), nil
}

// readRescue reads the rescue parameter. The session is empty if there is none;
// only "not found" means that.
func (k *Keeper) readRescue(ctx context.Context) (doc credential.Session, base string, err error) {
	value, err := k.Parameters.Get(ctx, k.Rescue)
	if secrets.ErrorKind(err) == secrets.ErrNotFound {
		return credential.Session{}, "", nil
	}
	if err != nil {
		return credential.Session{}, "", &Unreadable{k.Rescue, err}
	}
	var found rescued
	if !Holds(value) {
		return credential.Session{}, "", nil
	}
	if err = json.Unmarshal([]byte(value.Reveal()), &found); err == nil {
		doc, err = credential.ParseSession(redact.New(string(found.Session)))
	}
	if err != nil || doc.RefreshToken.IsZero() {
		return credential.Session{}, "", &Unreadable{Parameter: k.Rescue}
	}
	return doc, found.Base, nil
}

// emptied is what the rescue parameter holds once its session is stored, until it
// is deleted.
const emptied = "{}"

// Holds reports whether a rescue parameter of this value holds a session, or something
// that Evertoken did not write. One that is emptied holds none; it stays where a run ended
// or lacked the right before it could delete it.
func Holds(rescue redact.Secret) bool { return !rescue.Trim().Equal(redact.New(emptied)) }

// emptyRescue makes the rescue parameter forget the session in force before its
// refresh token is sent: afterwards that token is spent, and restoring it could end
// the session. The parameter is overwritten and not deleted, because Parameter Store
// wants half a minute between deleting a parameter and making one of that name (AWS
// CLI reference, ssm delete-parameter), and this run may need it again.
func (k *Keeper) emptyRescue(ctx context.Context) error {
	err := k.Wait.Try(ctx, func(ctx context.Context) error {
		return k.Parameters.Put(ctx, k.Rescue, k.RescueKey, redact.New(emptied))
	})
	if err == nil {
		return nil
	}
	if k.tryDelete(ctx) == nil {
		return nil
	}
	return &Unreadable{k.Rescue, err}
}

// dropRescue deletes the rescue parameter where what it holds is stored.
func (k *Keeper) dropRescue(ctx context.Context) {
	if k.rescued && k.Exists {
		k.deleteRescue(ctx)
	}
}

func (k *Keeper) deleteRescue(ctx context.Context) {
	k.rescued = false
	err := k.tryDelete(ctx)
	if err != nil && secrets.ErrorKind(err) != secrets.ErrNotFound {
		k.Hint("Evertoken stored the session from the rescue parameter, but could not delete the " +
			"parameter " + k.Rescue + ", which does no harm: " + err.Error())
	}
}

func (k *Keeper) tryDelete(ctx context.Context) error {
	return k.Wait.Try(ctx, func(ctx context.Context) error {
		return k.Parameters.Delete(ctx, k.Rescue)
	})
}

// adopt brings forward a session that was received but is not AWSCURRENT: the
// label was moved back by hand, or the document overwritten. It looks only where
// something is odd: a claim on AWSCURRENT, an AWSCURRENT that came from
// elsewhere than from the last exchange, or one that holds nothing where nothing
// else is stored to go by. LabelExchange on AWSPREVIOUS is odd too where AWSCURRENT
// is not what the exchange there yielded: it may be a claim from which AWSCURRENT
// was moved back.
func (k *Keeper) adopt(ctx context.Context, d secrets.Description, t Terms) (bool, error) {
	current, previous := d.Holder(secrets.Current), d.Holder(secrets.Previous)
	left := d.Holder(LabelExchange)
	empty := k.doc.RefreshToken.IsZero()
	elsewhere := left == current || previous != "" && left != previous
	switch {
	case empty && t.Stronger:
		return false, nil
	case empty, elsewhere, k.look:
		k.look = true // for the rescue parameter too, once the session is claimed
		return k.bringForward(ctx, d, secrets.Previous, LabelKept, secrets.Pending)
	case previous != "" && current != childOf(d.ARN, previous, ""):
		return k.bringForward(ctx, d, secrets.Previous)
	}
	return false, nil
}

func (k *Keeper) bringForward(ctx context.Context, d secrets.Description, from ...string) (
	bool, error,
) {
	v, label, err := k.newer(ctx, d, from...)
	if err != nil || v.ID == "" {
		return false, err
	}
	if err := k.exclusive(k.move(ctx, secrets.Current, v.ID, k.version.ID)); err != nil {
		return false, err
	}
	k.Hint("Evertoken found a newer session under " + label + " and made it current, " +
		"and you need to do nothing.")
	v.Labels = append(slices.Clone(d.Labels[v.ID]), secrets.Current)
	claimed := k.claimed
	k.Use(v)
	k.claimed, k.bumped = false, false
	k.stored = claimed // by a run that held the claim: what it brought forward is its own
	return true, nil
}

// newer finds a session that was received after the one in force, under one of the
// labels; its ID is empty if there is none. Which is newer is told by the order in
// which AWS made the versions, and by their ids, never by the clocks of two runs. A
// version that was sent already, or refused, is none. But AWSPREVIOUS is, with its
// claim or its doubt, where there is no other: what is older than it is spent for
// certain.
func (k *Keeper) newer(ctx context.Context, d secrets.Description, from ...string) (
	secrets.Version, string, error,
) {
	var unsent, doubtful []string
	for _, label := range from {
		labels := d.Labels[d.Holder(label)]
		sent := slices.Contains(labels, LabelExchange) || sentNote(labels).n > 0
		switch {
		case !sent:
			unsent = append(unsent, label)
		case label == secrets.Previous:
			doubtful = append(doubtful, label)
		}
	}
	for _, label := range append(unsent, doubtful...) {
		id := d.Holder(label)
		if id == "" || id == k.version.ID || k.Refused(d.Labels[id]) {
			continue
		}
		v, err := k.Secrets.GetVersion(ctx, k.ID, id)
		if secrets.ErrorKind(err) == secrets.ErrNotFound {
			continue // a version that a rotation prepared and left empty
		}
		if err != nil {
			return secrets.Version{}, "", err
		}
		if k.follows(v) {
			return v, label, nil
		}
	}
	return secrets.Version{}, "", nil
}

// follows reports whether a version holds a session that comes after the one in
// force.
func (k *Keeper) follows(v secrets.Version) bool {
	doc, err := credential.ParseSession(v.Value)
	token := doc.RefreshToken
	if err != nil || token.IsZero() || token.Equal(k.doc.RefreshToken) || !k.ours(doc) {
		return false
	}
	return k.doc.RefreshToken.IsZero() || k.after(v)
}

// after reports whether a version was made after the one in force.
func (k *Keeper) after(v secrets.Version) bool {
	if k.version.Created.IsZero() { // made by this run
		return false
	}
	return v.Created.After(k.version.Created) ||
		v.Created.Equal(k.version.Created) && v.ID == k.child("")
}

// ours reports whether a session belongs to what the credential holds, or to the
// session in force.
func (k *Keeper) ours(s credential.Session) bool {
	return k.Fits(s) || s.OpenedBy == k.doc.OpenedBy
}
