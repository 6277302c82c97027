package credential

import (
	"crypto/sha256"
	"encoding/hex"

	"evertoken/internal/redact"
)

// MadeFor is the member that says that the document's client was made for the
// secret that holds it. Evertoken writes it together with a client that it made
// itself, and deletes no client without it.
const MadeFor = "client_made_for"

// WithOwnClient returns a copy that holds a client which was made for the secret
// with this ARN, and says so.
func (c Credential) WithOwnClient(secretARN, clientID string, clientSecret redact.Secret) Credential {
	return c.With(ClientID, redact.New(clientID)).With(ClientSecret, clientSecret).
		With(MadeFor, redact.New(madeFor(secretARN, clientID)))
}

// OwnsClient reports whether the document's client was made for the secret with
// this ARN. It is false for a document that was copied from another secret,
// account or Region, and for one whose client a person replaced.
func (c Credential) OwnsClient(secretARN string) bool {
	id := c.Get(ClientID)
	return !id.IsZero() && c.Get(MadeFor).Equal(redact.New(madeFor(secretARN, id.Reveal())))
}

// madeFor binds a client to one secret without telling the secret's ARN.
func madeFor(secretARN, clientID string) string {
	sum := sha256.Sum256([]byte(secretARN + "\x00" + clientID))
	return hex.EncodeToString(sum[:16])
}
