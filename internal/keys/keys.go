// Package keys reads private keys and certificates in the forms in which people
// store them in a credential. It never quotes what it reads.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// minRSABits is the least size of an RSA key that RFC 7518 sections 3.3 and 3.5 allow for
// RS256 and PS256.
const minRSABits = 2048

// Key is a private key from a credential. The zero Key has no signer.
type Key struct {
	signer redact.Box[crypto.Signer]
	// ID is the credential's id for the key, else the kid of a JSON Web Key; empty if there
	// is neither.
	ID string
	// Certificates are the certificates stored with the key, the key's own first; nil if
	// none are stored.
	Certificates []*x509.Certificate
}

// Signer returns the key itself: an *rsa.PrivateKey of at least 2048 bits, an
// *ecdsa.PrivateKey on P-256, P-384 or P-521, or an ed25519.PrivateKey. It is nil for the
// zero Key.
func (k Key) Signer() crypto.Signer {
	if s := k.signer.Reveal(); s != nil {
		return *s
	}
	return nil
}

// Member is a member of a credential: its name, for errors, and its value.
type Member struct {
	Name  string
	Value redact.Secret
}

// Read reads a private key, the credential's id for it (zero if none), and its certificates
// (zero if none). Its error is a [*credential.Error] that names the member at fault.
func Read(private Member, id redact.Secret, certificate Member) (Key, error) {
	key, problem := parse(private.Value, id.Reveal())
	if problem == "" {
		problem = unusable(key.Signer())
	}
	if problem != "" {
		return Key{}, wrong(private.Name, problem)
	}
	if !id.IsZero() {
		key.ID = id.Reveal()
	}
	if !certificate.Value.IsZero() {
		if key.Certificates, problem = parseCertificates(certificate.Value); problem != "" {
			return Key{}, wrong(certificate.Name, problem)
		}
	}
	var ok bool
	if key.Certificates, ok = ownFirst(key.Signer(), key.Certificates); !ok && !certificate.Value.IsZero() {
		return Key{}, wrong(certificate.Name,
			"belongs to a different key than "+private.Name+
				": store the certificate that was issued for this key")
	}
	return key, nil
}

// TLS returns the key and its certificates for mutual TLS (RFC 8705), or the zero Box if
// the key has no certificate.
func (k Key) TLS() redact.Box[tls.Certificate] {
	if len(k.Certificates) == 0 {
		return redact.Box[tls.Certificate]{}
	}
	out := &tls.Certificate{PrivateKey: k.Signer(), Leaf: k.Certificates[0]}
	for _, c := range k.Certificates {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return redact.Wrap(out)
}

func wrong(member, problem string) error {
	return &credential.Error{Document: "credential", Member: member, Problem: problem}
}

// ownFirst moves the key's own certificate to the front and keeps the order of the others.
// It reports whether the key's own is among them; without any certificates it reports true.
func ownFirst(key crypto.Signer, certificates []*x509.Certificate) ([]*x509.Certificate, bool) {
	if len(certificates) == 0 {
		return nil, true
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, false
	}
	for i, c := range certificates {
		if public.Equal(c.PublicKey) {
			sorted := append([]*x509.Certificate{c}, certificates[:i]...)
			return append(sorted, certificates[i+1:]...), true
		}
	}
	return nil, false
}

// unusable says why a key cannot sign what a provider accepts; empty if it can.
func unusable(key crypto.Signer) string {
	const kinds = "use RSA, EC (P-256, P-384, P-521) or Ed25519"
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSABits {
			return "is too short: an RSA key needs 2048 bits"
		}
		if k.Validate() != nil {
			return "is an RSA key whose numbers contradict each other: store it again from its file"
		}
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return "is of a kind that Evertoken cannot sign with: " + kinds
		}
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return "is an Ed25519 key of the wrong length: store it again from its file"
		}
	default:
		return "is of a kind that Evertoken cannot sign with: " + kinds
	}
	return ""
}

// parse reads a private key. id selects a key of a JSON Web Key set.
func parse(document redact.Secret, id string) (Key, string) {
	text := unwrap(document.Reveal())
	switch {
	case text == "":
		return Key{}, "is missing or empty"
	case text[0] == '{':
		return parseJSON(text, id)
	case armoured(text):
		return parsePEM(text)
	}
	if der, ok := decode(text); ok {
		if inner := string(der); armoured(inner) || len(inner) > 0 && inner[0] == '{' {
			return parse(redact.New(inner), id) // a whole file in another layer of base64
		}
		return parseDER(der)
	}
	return Key{}, "is neither PEM nor a JSON Web Key: it must begin with -----BEGIN PRIVATE " +
		"KEY-----, or be a JSON object with the member kty"
}
