package corpus

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// made are the keys of all entries, one pair of each kind: tests only read them, and
// making them takes long.
var made = map[string]func() madeKey{
	"rsa": sync.OnceValue(func() madeKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return newKey(key, err)
	}),
	"p256": sync.OnceValue(func() madeKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return newKey(key, err)
	}),
}

type madeKey struct {
	key         crypto.Signer
	pkcs8, cert string
	err         error
}

func newKey(key crypto.Signer, err error) madeKey {
	if err != nil {
		return madeKey{err: err}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return madeKey{err: err}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return madeKey{key, armour("PRIVATE KEY", private), armour("CERTIFICATE", der), err}
}

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// storedKey is a key in one of the forms in which operators store it: a string, or the
// object of a JWK.
func storedKey(t *testing.T, kind, as string) any {
	t.Helper()
	k := made[kind]()
	if k.err != nil {
		t.Fatal(k.err)
	}
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
		return armour("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.key.(*rsa.PrivateKey)))
	case "SEC 1", "SEC 1 behind its parameters":
		der, err := x509.MarshalECPrivateKey(k.key.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		text := armour("EC PRIVATE KEY", der)
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
