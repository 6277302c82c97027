package session

import (
	"context"
	"encoding/json"
	"slices"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// Elsewhere reports whether a session that was received may be stored outside AWSCURRENT. It
// changes nothing. The next [Keeper.Begin] looks more closely.
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

// Recover makes a session current that was received and is stored elsewhere, after the
// provider refused the current one. It reports whether there was one.
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

// restore makes the session in the rescue parameter current, and stores it with [LabelKept]:
// a run that claims it empties the parameter first. The parameter is deleted when the run
// ends. Only a session that is based on the current version is newer than that version. Any
// other is stored beside it, and becomes current only if usable is false, because the
// provider refused the current one.
func (k *Keeper) restore(ctx context.Context, usable bool) (bool, error) {
	doc, base, err := k.readRescue(ctx)
	switch {
	case err != nil || doc.RefreshToken.IsZero():
		return false, err
	case doc.RefreshToken.Equal(k.doc.RefreshToken): // it is stored already
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

// wasStored reports whether the session from the rescue parameter became a version, by a
// write whose answer was lost. Its refresh token has then been used, and the session that
// came of it is current.
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

// readRescue reads the rescue parameter. The session is empty if there is no parameter, which
// only "not found" means.
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

// emptied is the value of the rescue parameter after its session was stored, until the
// parameter is deleted.
const emptied = "{}"

// Holds reports whether a rescue parameter with this value holds a session, or something that
// Evertoken did not write. An emptied parameter stays if a run ended before it could delete
// it, or lacked the right to.
func Holds(rescue redact.Secret) bool { return !rescue.Trim().Equal(redact.New(emptied)) }

// emptyRescue removes the current session from the rescue parameter before its refresh token
// is sent. After that the token is spent, and restoring it could end the session. It
// overwrites the parameter and does not delete it, because Parameter Store wants half a
// minute between deleting a parameter and creating one with the same name (AWS CLI
// reference, ssm delete-parameter), and this run may need it again.
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

// dropRescue deletes the rescue parameter if its session is stored.
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

// adopt makes a session current that was received but is not AWSCURRENT, because somebody
// moved the label back or overwrote the document. It looks only if something is unusual: a
// claim on AWSCURRENT, an AWSCURRENT that does not come from the last exchange, or an
// AWSCURRENT without a session if no stronger grant is stored. LabelExchange on AWSPREVIOUS
// is unusual too if AWSCURRENT does not come from the exchange there: it may be a claim from
// which somebody moved AWSCURRENT back.
func (k *Keeper) adopt(ctx context.Context, d secrets.Description, t Terms) (bool, error) {
	current, previous := d.Holder(secrets.Current), d.Holder(secrets.Previous)
	left := d.Holder(LabelExchange)
	empty := k.doc.RefreshToken.IsZero()
	elsewhere := left == current || previous != "" && left != previous
	switch {
	case empty && t.Stronger:
		return false, nil
	case empty, elsewhere, k.look:
		k.look = true // look at the rescue parameter too, after the claim
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
	k.stored = claimed // a run that has the claim counts the session as its own
	return true, nil
}

// newer finds a session, under one of the labels, that was received after the current one;
// its ID is empty if there is none. The order in which AWS created the versions, and their
// ids, say which is newer, never the clocks of two runs. A version that was sent already or
// refused does not count. But AWSPREVIOUS counts, with its claim or its note, if there is no
// other, because everything older than it is certainly spent.
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
			continue // a rotation prepared this version and left it empty
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

// follows reports whether a version holds a session that comes after the current one.
func (k *Keeper) follows(v secrets.Version) bool {
	doc, err := credential.ParseSession(v.Value)
	token := doc.RefreshToken
	if err != nil || token.IsZero() || token.Equal(k.doc.RefreshToken) || !k.ours(doc) {
		return false
	}
	return k.doc.RefreshToken.IsZero() || k.after(v)
}

// after reports whether a version was created after the current one.
func (k *Keeper) after(v secrets.Version) bool {
	if k.version.Created.IsZero() { // this run created the current one
		return false
	}
	return v.Created.After(k.version.Created) ||
		v.Created.Equal(k.version.Created) && v.ID == k.child("")
}

// ours reports whether a session belongs to the credential's present values, or to the
// current session.
func (k *Keeper) ours(s credential.Session) bool {
	return k.Fits(s) || s.OpenedBy == k.doc.OpenedBy
}
