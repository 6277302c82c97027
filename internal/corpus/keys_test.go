package corpus

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	fakekeys "evertoken/internal/fake/keys"
)

// made are the keys of all entries, one pair of each kind: tests only read them, and
// making them takes long.
var made = map[string]func() madeKey{"rsa": once("rsa"), "p256": once("p256")}

type madeKey struct {
	key         crypto.Signer
	pkcs8, cert string
}

// once makes a key at the first call.
func once(kind string) func() madeKey {
	return sync.OnceValue(func() madeKey {
		var t fakekeys.Must
		key := fakekeys.Generate(t, kind)
		cert := fakekeys.Certificate(t, key, "x", time.Time{}, time.Now().Add(time.Hour))
		return madeKey{key, fakekeys.PKCS8(t, key), fakekeys.PEM("CERTIFICATE", cert.Raw)}
	})
}

// storedKey is a key in one of the forms in which operators store it: a string, or the
// object of a JWK.
func storedKey(t *testing.T, kind, as string) any {
	t.Helper()
	k := made[kind]()
	jwk := func() string {
		b, err := jose.JSONWebKey{Key: k.key, KeyID: "k1"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	switch as {
	case "PKCS #8":
		return k.pkcs8
	case "PKCS #1":
		return fakekeys.PEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.key.(*rsa.PrivateKey)))
	case "SEC 1", "SEC 1 behind its parameters":
		der, err := x509.MarshalECPrivateKey(k.key.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		text := fakekeys.PEM("EC PRIVATE KEY", der)
		if as != "SEC 1" {
			text = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + text
		}
		return text
	case "escaped":
		return strings.ReplaceAll(k.pkcs8, "\n", `\n`)
	case "escaped, in quotes":
		return `"` + strings.ReplaceAll(k.pkcs8, "\n", `\n`) + `"`
	case "one line":
		return strings.ReplaceAll(k.pkcs8, "\n", " ")
	case "no breaks":
		return strings.ReplaceAll(k.pkcs8, "\n", "")
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(k.pkcs8))
	case "certificate first":
		return k.cert + k.pkcs8
	case "certificate":
		return k.cert
	case "PKCS #12's text":
		return "Bag Attributes\n    localKeyID: 01 00\nsubject=CN=x\n\n" + k.cert + "Bag Attributes\n    localKeyID: 01 00\nKey Attributes: <No Attributes>\n" + k.pkcs8
	case "JWK":
		return jwk()
	case "JWK object":
		return json.RawMessage(jwk())
	case "JWK set":
		return `{"keys":[` + jwk() + `]}`
	}
	t.Fatalf("%q is not a form of a stored key", as)
	return nil
}
