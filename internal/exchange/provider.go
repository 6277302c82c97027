package exchange

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// Provider is one connection's token issuer: package providers makes it, and the
// core exchanges through it. It is safe for concurrent use.
type Provider interface {
	// Traits are the facts that the core decides by.
	Traits() Traits
	// Grants returns the grants that a credential allows, weakest first,
	// without that of the session. Its error is a [*credential.Error] that
	// names the member at fault.
	Grants(c credential.Credential) ([]Grant, error)
	// Exchange turns what is stored into a token. For a grant that is
	// FromSession it sends r.RefreshToken; the client's own members come from
	// r.Credential in any case. Its error is an [*Error] or a
	// [*credential.Error], the latter always before anything is sent.
	// It may come with a refresh token in Issued: one that was received beside
	// an answer of no other use.
	Exchange(ctx context.Context, r Request) (Issued, error)
	// Host is the host that is spoken to, empty if unknown: connections with
	// the same host share its limits.
	Host() string
	// Allowed returns nil if everything that the settings name may be sent this
	// credential and what is obtained with it. With the zero credential, one
	// that cannot be read, it is told for a refresh, which needs none. Its error
	// is the [*Error] that an exchange would return, unsent.
	Allowed(c credential.Credential) error
}

// Finisher is a [Provider] whose Exchange yields the session's token only, and
// that makes the token to publish from it by a second request, sent after that
// session is stored.
type Finisher interface {
	// Finish returns the token to publish, with the refresh token of user.
	// Nothing single-use is spent by it.
	Finish(ctx context.Context, r Request, user Issued) (Issued, error)
}

// Prover is a [Provider] that can show, by a call that changes nothing, whether
// an access token works.
type Prover interface {
	// Prove returns nil if the provider accepts the access token. The
	// credential authenticates the call where the provider wants that.
	Prove(ctx context.Context, c credential.Credential, accessToken redact.Secret) error
}

// Prober is a [Provider] of a connection that may declare a probe.
type Prober interface {
	// Probe makes a harmless call with an access token, once, and returns the
	// status of the answer: 401 means that the token was revoked (RFC 6750
	// section 3.1), and no other answer means anything. The credential says
	// where the token may go; nothing of it is sent. Its error is an [*Error]
	// and says that there was no answer.
	Probe(ctx context.Context, c credential.Credential, accessToken redact.Secret) (status int, err error)
}
