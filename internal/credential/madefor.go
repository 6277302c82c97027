package credential

import (
	"crypto/sha256"
	"encoding/hex"

	"evertoken/internal/redact"
)

// MadeFor is the member that marks a client as made for the secret that contains it.
// Evertoken writes it with each client that it creates, and deletes no client without it.
const MadeFor = "client_made_for"

// WithOwnClient returns a copy with a client that was made for the secret with this ARN,
// and marks it so.
func (c Credential) WithOwnClient(secretARN, clientID string,
	clientSecret redact.Secret,
) Credential {
	return c.With(ClientID, redact.New(clientID)).With(ClientSecret, clientSecret).
		With(MadeFor, redact.New(madeFor(secretARN, clientID)))
}

// OwnsClient reports whether the document's client was made for the secret with this ARN.
// It is false if the document was copied from another secret, account or Region, or if a
// person replaced the client.
func (c Credential) OwnsClient(secretARN string) bool {
	id := c.Get(ClientID)
	return !id.IsZero() && c.Get(MadeFor).Equal(redact.New(madeFor(secretARN, id.Reveal())))
}

// madeFor returns a value that binds a client to one secret without revealing the secret's
// ARN.
func madeFor(secretARN, clientID string) string {
	sum := sha256.Sum256([]byte(secretARN + "\x00" + clientID))
	return hex.EncodeToString(sum[:16])
}
