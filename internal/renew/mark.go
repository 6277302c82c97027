package renew

import (
	"context"
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// readOthers reads the other versions of the credential that have notes, unless the current
// one itself has proved to work. If an operator stores a refused credential again with the same
// members, the notes on the earlier version still count.
func (r *renewal) readOthers(ctx context.Context) error {
	if err := r.readProof(ctx); err != nil {
		return err
	}
	proven := r.sessionFits() && r.refreshable()
	if r.provenByToken() {
		proven = r.proof.id == "" &&
			!slices.ContainsFunc(r.grants, func(g exchange.Grant) bool { return !r.worked(g) })
	}
	if proven {
		return nil
	}
	return r.readNotes(ctx)
}

// readProof reads the version of the credential that the published token came from, if it is
// not the current one and a password must be judged by it. A pipeline may store the same
// password every hour, while a token lives for a day: the present version then is newer than
// the token, and its password has worked all the same.
func (r *renewal) readProof(ctx context.Context) error {
	r.proof = otherCredential{}
	named := r.published.CredentialVersion
	byPassword := slices.ContainsFunc(r.grants, func(g exchange.Grant) bool { return g.Password })
	if !r.provenByToken() || !byPassword || named == "" || named == r.job.Credential.Version.ID {
		return nil
	}
	v, err := r.Secrets.GetVersion(ctx, r.conn.Credential, named)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
	case secrets.ErrThrottled, secrets.ErrTransient:
		return r.awsFailure("credential", r.conn.Credential, err)
	case secrets.ErrNotFound: // it is gone, and nothing proves the password
		return nil
	default:
		failed := r.awsFailure("credential", r.conn.Credential, err)
		r.hint("Evertoken cannot read the version of the credential that got the token, so the " +
			"password may count as one that has never worked: " + failed.Reason)
		r.hint(failed.Hint)
		return nil
	}
	if doc, err := credential.Parse(v.Value); err == nil {
		r.proof = otherCredential{id: named, doc: doc}
	}
	return nil
}

// readNotes reads the labels of the credential as they are now.
func (r *renewal) readNotes(ctx context.Context) error {
	version := r.job.Credential.Version
	r.others = nil
	d, err := r.Secrets.Describe(ctx, r.conn.Credential)
	if err != nil {
		return r.awsFailure("credential", r.conn.Credential, err)
	}
	r.described["credential"] = &d
	for id, labels := range d.Labels {
		if id == version.ID {
			r.job.Credential.Version.Labels = labels
			continue
		}
		if !slices.ContainsFunc(labels, IsNote) {
			continue
		}
		v, err := r.Secrets.GetVersion(ctx, r.conn.Credential, id)
		if secrets.ErrorKind(err) == secrets.ErrNotFound {
			continue
		}
		if err != nil {
			return r.awsFailure("credential", r.conn.Credential, err)
		}
		if doc, err := credential.Parse(v.Value); err == nil { // otherwise it was never sent
			r.others = append(r.others, otherCredential{id, labels, doc})
		}
	}
	return nil
}

// refreshable reports whether no note says that the session's refresh token may be dead.
func (r *renewal) refreshable() bool {
	return !r.session.Session().RefreshToken.IsZero() && r.memoryOfRefresh() == (memory{}) &&
		r.session.Doubt().Sent == 0
}

// labelsFor are the labels that are about a grant of the credential: those of the current
// version, and those of versions with the same members.
func (r *renewal) labelsFor(g exchange.Grant) []string {
	labels := slices.Clone(r.job.Credential.Version.Labels)
	for _, other := range r.others {
		if r.sameFor(other.doc, g) {
			labels = append(labels, other.labels...)
		}
	}
	return labels
}

func (r *renewal) sameFor(other credential.Credential, g exchange.Grant) bool {
	if len(g.Members) == 0 { // not about one grant: the whole documents are compared
		return other.Encode().Equal(r.credential.Encode())
	}
	return other.Fingerprint(g.Members...) == r.credential.Fingerprint(g.Members...)
}

// memoryOf is what the labels say about a grant of the credential.
func (r *renewal) memoryOf(g exchange.Grant) memory {
	k := r.key(g.Type)
	m := recall(r.labelsFor(g), k)
	if g.Password { // if the credential could not be labelled, the session was
		note := recall(r.session.Version().Labels, k)
		if note.last.After(r.job.Credential.Version.Created) {
			m = m.merge(note)
		}
	}
	return m
}

// memoryOfRefresh is what the labels say about the session's refresh token.
func (r *renewal) memoryOfRefresh() memory {
	return recall(r.session.Version().Labels, r.key(exchange.Refresh.Type))
}

// clientCorrected reports whether the credential was stored again since the provider refused
// the client with which the session's refresh token was sent. Perhaps the client is right now,
// and the refusal said nothing about the refresh token.
func (r *renewal) clientCorrected() bool {
	m := r.memoryOfRefresh()
	return r.noCredential == nil && m.rejected == "" && m.answer != nil &&
		m.answer.class == exchange.CredentialDead && r.job.Credential.Version.Created.After(m.last)
}

// memoryOfAnswers is what the labels say about answers that could not be used.
func (r *renewal) memoryOfAnswers() memory {
	if r.job.Credential == nil {
		return memory{}
	}
	return recall(r.labelsFor(exchange.Grant{}), r.key(anyGrant))
}

// refreshRefused reports whether a version's labels say that the provider refused its
// refresh token.
func (r *renewal) refreshRefused(labels []string) bool {
	return recall(labels, r.key(exchange.Refresh.Type)).rejected != ""
}

// note labels a version with the result of sending it. A refused candidate gets no label.
func (r *renewal) note(ctx context.Context, f failure) {
	says := f.verdict == passing || f.x.Unusable || r.job.Candidate && !f.x.Lost
	if r.hasCounted(f.grant) && says {
		r.uncount(ctx)
	}
	if r.job.Candidate || f.verdict == passing {
		return
	}
	id, versionID, m := r.conn.Credential, "", memory{}
	if r.job.Credential != nil {
		versionID = r.job.Credential.Version.ID
	}
	k := r.key(f.grant.Type)
	switch {
	case f.x.Unusable:
		k = r.key(anyGrant)
		m = r.memoryOfAnswers()
	case f.grant.FromSession():
		id, versionID, m = r.conn.Session, r.session.Version().ID, r.memoryOfRefresh()
	default:
		m = r.memoryOf(f.grant)
	}
	label := labelRejected + today(r.now) + "_" + string(k)
	if f.verdict == unsure {
		inARow := m.unsure
		if !f.grant.Password && m.stale(r.now) {
			inARow = 0
		}
		label = unsureLabel(inARow+1, r.Now(), k)
		if r.hasCounted(f.grant) {
			label = r.counted
		}
	}
	told := answerLabel(answer{f.x.Status, f.x.Class, f.x.Code, f.x.Hint}, k)
	err := r.mark(ctx, id, versionID, k, label, told)
	if err == nil {
		return
	}
	if f.grant.Password && r.session.Version().ID != "" {
		label = unsureLabel(max(unproven, m.unsure+1), r.Now(), k)
		if r.mark(ctx, r.conn.Session, r.session.Version().ID, k, label, "") == nil {
			return
		}
	}
	r.hint("The provider's answer could not be noted, so Evertoken may send the same again: " +
		err.Error() + ". Allow the function's role secretsmanager:UpdateSecretVersionStage on the " +
		"connection's credential and session.")
}

// mark attaches labels about a key to a version. It removes the version's other labels about
// that key, and labels beyond the number that a secret may have.
func (r *renewal) mark(ctx context.Context, id, versionID string, k key, labels ...string) error {
	if versionID == "" {
		return &secrets.Error{Kind: secrets.ErrNotFound, Op: "UpdateSecretVersionStage",
			Code: "NoVersion"}
	}
	var d secrets.Description
	for _, label := range labels {
		if label == "" {
			continue
		}
		var err error
		if d, err = r.attach(ctx, id, versionID, label); err != nil {
			return err
		}
	}
	gone := slices.DeleteFunc(slices.Clone(d.Labels[versionID]), func(label string) bool {
		about := strings.HasSuffix(label, "_"+string(k)) || strings.Contains(label, "."+string(k)+".")
		return !about || slices.Contains(labels, label)
	})
	all := slices.Clone(labels)
	for _, on := range d.Labels {
		for _, label := range on {
			if !slices.Contains(gone, label) && !slices.Contains(all, label) {
				all = append(all, label)
			}
		}
	}
	gone = append(gone, surplus(all, k, today(r.now))...)
	r.dropLabels(ctx, id, d, append(gone, longPast(d.Labels)...))
	return nil
}

// attach moves a label onto a version from wherever it is. It returns the secret's labels as
// they were before.
func (r *renewal) attach(ctx context.Context, id, versionID, label string) (
	d secrets.Description, err error,
) {
	err = r.Sleep.Try(ctx, func(ctx context.Context) (err error) {
		if d, err = r.Secrets.Describe(ctx, id); err != nil {
			return err
		}
		if d.Holder(label) == versionID {
			return nil
		}
		err = r.Secrets.MoveLabel(ctx, id, label, versionID, d.Holder(label))
		if secrets.ErrorKind(err) == secrets.ErrLabelMoved { // look again for the label
			err = &secrets.Error{Kind: secrets.ErrTransient, Op: "UpdateSecretVersionStage",
				Code: "LabelMoved"}
		}
		return err
	})
	return d, err
}

func (r *renewal) dropLabels(ctx context.Context, id string, d secrets.Description,
	labels []string,
) {
	for _, label := range labels {
		holder := d.Holder(label)
		if holder == "" {
			continue
		}
		err := r.Sleep.Try(ctx, func(ctx context.Context) error {
			return r.Secrets.MoveLabel(ctx, id, label, "", holder)
		})
		switch secrets.ErrorKind(err) {
		case secrets.NoError, secrets.ErrLabelMoved, secrets.ErrNotFound:
		default:
			r.hint("The label of an earlier answer could not be removed: " + err.Error() +
				". Allow the function's role secretsmanager:UpdateSecretVersionStage on the " +
				"connection's credential and session.")
		}
	}
}

// accept removes the notes about a grant that works again.
func (r *renewal) accept(ctx context.Context, g exchange.Grant) {
	if r.hasCounted(g) {
		r.uncount(ctx)
	}
	if !g.FromSession() {
		r.forgetFor(ctx, g, r.key(anyGrant), r.key(g.Type))
		return
	}
	r.forgetFor(ctx, exchange.Grant{}, r.key(anyGrant))
	// The version of the session stays current if its refresh token does not change.
	r.forget(ctx, r.conn.Session, r.session.Version(), r.key(g.Type))
}

// forgetFor removes the notes about the keys from the versions whose labels count for a grant
// (see labelsFor). A note that stayed on an earlier version would make the next failure count
// as one of many.
func (r *renewal) forgetFor(ctx context.Context, g exchange.Grant, keys ...key) {
	if r.job.Credential == nil {
		return
	}
	r.forget(ctx, r.conn.Credential, r.job.Credential.Version, keys...)
	for _, other := range r.others {
		if r.sameFor(other.doc, g) {
			r.forget(ctx, r.conn.Credential, secrets.Version{ID: other.id, Labels: other.labels}, keys...)
		}
	}
}

// forget removes a version's notes about the keys.
func (r *renewal) forget(ctx context.Context, id string, v secrets.Version, keys ...key) {
	var gone []string
	for _, label := range v.Labels {
		if IsNote(label) && slices.ContainsFunc(keys, func(k key) bool {
			return strings.HasSuffix(label, "_"+string(k)) || strings.Contains(label, "."+string(k)+".")
		}) {
			gone = append(gone, label)
		}
	}
	if len(gone) > 0 {
		r.dropLabels(ctx, id, secrets.Description{Labels: map[string][]string{v.ID: gone}}, gone)
	}
}

// seedTaken reports whether a refresh token of the credential has opened another session.
// Sending it again would end that session.
func (r *renewal) seedTaken(g exchange.Grant) bool {
	if !singleUse(g) || r.traits.Session == exchange.NoSession {
		return false
	}
	ours := SeedLabel(r.session.Version().ARN)
	return slices.ContainsFunc(r.labelsOfSeed(), func(label string) bool {
		return strings.HasPrefix(label, SeedPrefix) && label != ours
	})
}

// takeSeed labels the credential with the session that its refresh token opens, before it
// is sent.
func (r *renewal) takeSeed(ctx context.Context, g exchange.Grant) error {
	version := r.job.Credential.Version
	label := SeedLabel(r.session.Version().ARN)
	if !singleUse(g) || !r.keepsSession() || slices.Contains(version.Labels, label) {
		return nil
	}
	err := error(&secrets.Error{Kind: secrets.ErrLabelMoved})
	if d := r.described["credential"]; d != nil {
		err = r.Secrets.MoveLabel(ctx, r.conn.Credential, label, version.ID, d.Holder(label))
	}
	if secrets.ErrorKind(err) == secrets.ErrLabelMoved { // look for the label
		err = r.mark(ctx, r.conn.Credential, version.ID, "", label)
	}
	if err != nil {
		stopped := r.awsFailure("credential", r.conn.Credential, err)
		stopped.Reason = "nothing was sent, because the refresh token could not be marked as this " +
			"session's: " + stopped.Reason
		return stopped
	}
	r.job.Credential.Version.Labels = append(slices.Clone(version.Labels), label)
	return nil
}

// singleUse reports whether a grant sends a refresh token of the credential that can be used
// only once.
func singleUse(g exchange.Grant) bool { return g.Seed && !g.Reusable }

// repeatable reports whether a grant may be sent any number of times.
func repeatable(g exchange.Grant) bool { return !singleUse(g) }
