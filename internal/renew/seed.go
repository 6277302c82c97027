package renew

import (
	"slices"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/session"
)

// spentSeed reports whether the seed is the refresh token of the session in force, or the one
// that opened it. Stored again with another client secret it is another credential, and still
// the same refresh token: sending it would look like theft, and end the session
// (RFC 9700 section 4.14.2).
func (r *renewal) spentSeed(g exchange.Grant) bool {
	s := r.session.Session()
	if !singleUse(g) || s.RefreshToken.IsZero() {
		return false
	}
	return r.credential.Get(credential.RefreshToken).Equal(s.RefreshToken) || r.openedBySeed(s)
}

// openedBySeed reports whether the credential's refresh token opened a session, with whatever
// client.
func (r *renewal) openedBySeed(s credential.Session) bool {
	return s.OpenedBySeed != "" && s.OpenedBySeed == r.credential.Fingerprint(credential.RefreshToken)
}

// belongs reports whether a session that is stored elsewhere may be put in force again: the
// credential fits it, or only the client beside its seed has changed since. Otherwise the spent
// seed would be sent.
func (r *renewal) belongs(s credential.Session) bool {
	return r.fits(s) || slices.ContainsFunc(r.grants, singleUse) && r.openedBySeed(s)
}

// labelsOfSeed are the labels of the versions of the credential that hold the same refresh
// token, with whatever client.
func (r *renewal) labelsOfSeed() []string {
	labels := slices.Clone(r.job.Credential.Version.Labels)
	seed := r.credential.Get(credential.RefreshToken)
	for _, other := range r.others {
		if other.doc.Get(credential.RefreshToken).Equal(seed) {
			labels = append(labels, other.labels...)
		}
	}
	return labels
}

// opensOver reports whether a grant sends a single-use refresh token of the credential while
// another session is in force.
func (r *renewal) opensOver(g exchange.Grant) bool {
	return singleUse(g) && !r.session.Session().RefreshToken.IsZero()
}

// seedDoubt says how often a changed seed was sent without an answer while another session was
// in force. An unclear refusal is an answer: the provider has not used the seed up.
func (r *renewal) seedDoubt(g exchange.Grant) session.Doubt {
	m := recall(r.labelsOfSeed(), r.key(g.Type))
	if m.answer != nil && m.answer.status >= 300 {
		return session.Doubt{}
	}
	return session.Doubt{Sent: m.unsure, Last: m.last}
}

// replaySeed are the conditions for sending a changed seed again. It need not wait until the
// published token is about to expire, because that token belongs to another session.
func (r *renewal) replaySeed() session.Replay {
	return session.Replay{Now: r.now, NeedsToken: true}
}
