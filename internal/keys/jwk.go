package keys

import (
	"crypto"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"evertoken/internal/redact"
)

// parseJSON reads a JSON Web Key (RFC 7517), a set of them, or a service account's JSON
// file, whose member private_key contains the key. problem is empty if it succeeds.
func parseJSON(text, id string) (Key, string) {
	var object struct {
		KeyType    string            `json:"kty"`
		KeyID      string            `json:"kid"`
		D          string            `json:"d"`
		P          string            `json:"p"`
		Keys       []json.RawMessage `json:"keys"`
		PrivateKey string            `json:"private_key"`
		FileKeyID  string            `json:"private_key_id"`
	}
	if json.Unmarshal([]byte(text), &object) != nil {
		return Key{}, "is not a JSON Web Key: its JSON cannot be read"
	}
	switch {
	case len(object.Keys) > 0:
		return oneOf(object.Keys, id)
	case object.KeyType == "" && strings.TrimSpace(object.PrivateKey) != "" &&
		!strings.HasPrefix(strings.TrimSpace(object.PrivateKey), "{"):
		key, problem := parse(redact.New(object.PrivateKey), id)
		key.ID = object.FileKeyID
		return key, problem
	case object.KeyType == "":
		return Key{}, "is not a JSON Web Key: its member kty is missing"
	case object.KeyType == "oct":
		return Key{}, "is a symmetric JSON Web Key: store the private key of a pair, of kty RSA, " +
			"EC or OKP"
	case object.D == "":
		return Key{}, "is a public JSON Web Key: store the private one, which has the member d"
	case object.KeyType == "RSA" && object.P == "":
		return Key{}, "is an RSA JSON Web Key without its primes: " +
			"store one with the members p and q, or PEM"
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON([]byte(text)) != nil {
		return Key{}, "is a JSON Web Key that cannot be read: store it again from its file"
	}
	signer, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return Key{}, "is a JSON Web Key of a kind that Evertoken cannot sign with: use kty RSA, " +
			"EC or OKP (Ed25519)"
	}
	return Key{signer: redact.Wrap(&signer), ID: jwk.KeyID, Certificates: jwk.Certificates}, ""
}

// oneOf picks a key from a set: the one with the credential's key_id, or the only one.
func oneOf(set []json.RawMessage, id string) (Key, string) {
	if len(set) > 1 {
		var fitting []json.RawMessage
		for _, raw := range set {
			var k struct {
				KeyID string `json:"kid"`
			}
			if json.Unmarshal(raw, &k) == nil && id != "" && k.KeyID == id {
				fitting = append(fitting, raw)
			}
		}
		set = fitting
	}
	if len(set) != 1 {
		return Key{}, "is a set of JSON Web Keys, and key_id does not select exactly one: " +
			"store one key alone, or set key_id to its kid"
	}
	if text := strings.TrimSpace(string(set[0])); strings.HasPrefix(text, "{") &&
		!strings.Contains(text, `"keys"`) {
		return parseJSON(text, id)
	}
	return Key{}, "is an empty set of JSON Web Keys: store a set with at least one key"
}
