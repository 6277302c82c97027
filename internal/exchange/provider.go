package exchange

import (
	"context"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// Provider is one connection's token issuer. Package providers builds it, and the core
// exchanges through it. It is safe for concurrent use.
type Provider interface {
	// Traits returns the facts from which the core decides.
	Traits() Traits
	// Grants returns the grants that a credential allows, weakest first, without the
	// session's. Its error is a [*credential.Error] that names the member at fault.
	Grants(c credential.Credential) ([]Grant, error)
	// Exchange turns what is stored into a token. For a grant whose FromSession is true it
	// sends r.RefreshToken; the client's own members always come from r.Credential.
	//
	// Its error is an [*Error] or a [*credential.Error]. A credential.Error means that
	// nothing was sent. With an error, Issued may contain a refresh token that came in an
	// answer that was otherwise of no use.
	Exchange(ctx context.Context, r Request) (Issued, error)
	// Host is the host that the provider sends requests to, empty if unknown. Connections
	// with the same host share its limits.
	Host() string
	// Allowed returns nil if Evertoken may send this credential, and what it obtains with
	// it, to every URL in the settings. The zero credential stands for one that cannot be
	// read; Allowed then decides for a refresh, which needs none. Its error is the [*Error]
	// that Exchange would return. Allowed sends nothing.
	Allowed(c credential.Credential) error
}

// Finisher is a [Provider] that needs two requests: Exchange yields the session's token
// only, and Finish makes the token to publish from it once the session is stored.
type Finisher interface {
	// Finish returns the token to publish, with the refresh token of user. It spends
	// nothing that is single-use.
	Finish(ctx context.Context, r Request, user Issued) (Issued, error)
}

// Prover is a [Provider] that can show, by a call that changes nothing, whether
// an access token works.
type Prover interface {
	// Prove returns nil if the provider accepts the access token. The credential
	// authenticates the call if the provider requires that.
	Prove(ctx context.Context, c credential.Credential, accessToken redact.Secret) error
}

// Prober is a [Provider] of a connection that may declare a probe.
type Prober interface {
	// Probe makes one harmless call with an access token and returns the status of the
	// answer. Status 401 means that the token was revoked (RFC 6750 section 3.1); no other
	// status means anything. The credential only decides where the token may go; nothing of
	// it is sent. Its error is an [*Error] and means that there was no answer.
	Probe(ctx context.Context, c credential.Credential,
		accessToken redact.Secret) (status int, err error)
}
