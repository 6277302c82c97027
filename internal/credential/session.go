package credential

import (
	"encoding/json"
	"slices"
	"time"

	"evertoken/internal/redact"
)

// Session is Evertoken's own document: the current refresh token, and when its session
// began.
type Session struct {
	RefreshToken redact.Secret
	// StartedAt is when the grant that opened the session was made. A refresh does not
	// change it.
	StartedAt time.Time
	// RefreshedAt is when RefreshToken was received.
	RefreshedAt time.Time
	// ExpiresAt is when RefreshToken expires if it is not used; zero if unknown.
	ExpiresAt time.Time
	// EndsAt is the absolute end of the session, which Evertoken learns when a refresh no
	// longer moves ExpiresAt. Zero if unknown.
	EndsAt time.Time
	// OpenedBy is the [Credential.Fingerprint] of the members that the grant which opened
	// the session used.
	OpenedBy string
	// OpenedBySeed is the [Credential.Fingerprint] of the refresh token alone, if a refresh token
	// of the credential that can be used only once opened the session.
	OpenedBySeed string
	// OpeningAt is set, and everything else except OpeningWith is empty, in a version that
	// only marks that Evertoken is opening a session.
	OpeningAt time.Time
	// OpeningWith is the fingerprint of the members with which Evertoken is opening a
	// session.
	OpeningWith string
}

type sessionWire struct {
	RefreshToken string     `json:"refresh_token,omitempty"`
	StartedAt    *time.Time `json:"started_at,omitempty"`
	RefreshedAt  *time.Time `json:"refreshed_at,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	EndsAt       *time.Time `json:"ends_at,omitempty"`
	OpenedBy     string     `json:"opened_by,omitempty"`
	OpenedBySeed string     `json:"opened_by_seed,omitempty"`
	OpeningAt    *time.Time `json:"opening_at,omitempty"`
	OpeningWith  string     `json:"opening_with,omitempty"`
	Nonce        string     `json:"nonce,omitempty"`
}

// ParseSession reads a session document. Its error is an [*Error]. A document without
// members is an empty session; operators create it that way.
func ParseSession(document redact.Secret) (Session, error) {
	if _, err := object("session", document); err != nil {
		return Session{}, err
	}
	var w sessionWire
	if err := json.Unmarshal([]byte(document.Reveal()), &w); err != nil {
		return Session{}, &Error{"session", wrongMember(err), "has the wrong type. Only " +
			"Evertoken writes this document: store {} in its place to have a new session opened"}
	}
	s := Session{
		RefreshToken: redact.New(w.RefreshToken).Trim(),
		StartedAt:    value(w.StartedAt), RefreshedAt: value(w.RefreshedAt),
		ExpiresAt: value(w.ExpiresAt), EndsAt: value(w.EndsAt), OpeningAt: value(w.OpeningAt),
		OpenedBy: w.OpenedBy, OpenedBySeed: w.OpenedBySeed, OpeningWith: w.OpeningWith,
	}
	if !writable(s.StartedAt, s.RefreshedAt, s.ExpiresAt, s.EndsAt, s.OpeningAt) {
		return Session{}, &Error{"session", "", notATime}
	}
	return s, nil
}

// Encode returns the document. Times are written in UTC, to the second.
func (s Session) Encode() redact.Secret { return s.encode("") }

// EncodeUnique returns the document with a nonce, so that two writers of the same facts
// never write the same bytes. Secrets Manager treats a second put of equal bytes under one
// version id as a repetition, and refuses different bytes.
func (s Session) EncodeUnique(nonce string) redact.Secret { return s.encode(nonce) }

func (s Session) encode(nonce string) redact.Secret {
	w := sessionWire{
		RefreshToken: s.RefreshToken.Reveal(), OpenedBy: s.OpenedBy, OpenedBySeed: s.OpenedBySeed,
		OpeningWith: s.OpeningWith, Nonce: nonce,
		StartedAt: pointer(s.StartedAt), RefreshedAt: pointer(s.RefreshedAt),
		ExpiresAt: pointer(s.ExpiresAt), EndsAt: pointer(s.EndsAt), OpeningAt: pointer(s.OpeningAt),
	}
	return encode(w)
}

// Opening reports whether this version only marks that Evertoken is opening a session.
func (s Session) Opening() bool {
	return !s.OpeningAt.IsZero() && s.RefreshToken.IsZero() && s.OpenedBy == ""
}

func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = second(t)
	return &t
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return second(*t)
}

const notATime = "has a date that does not exist"

// writable reports whether all the times can be written in JSON: RFC 3339 years have four
// digits, and converting a time to UTC may change its year.
func writable(times ...time.Time) bool {
	return !slices.ContainsFunc(times, func(t time.Time) bool {
		return t.Year() < 1 || t.Year() > 9999
	})
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
