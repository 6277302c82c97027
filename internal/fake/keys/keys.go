// Package fakekeys makes the private keys and certificates with which tests sign and
// authenticate. Only tests and the fakes' world use it.
package fakekeys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// TB is the part of testing.TB that this package needs; rapid.T has it too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Must is the TB of set-up outside a test: it panics.
type Must struct{}

// Helper does nothing.
func (Must) Helper() {}

// Fatalf panics.
func (Must) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// rsaKey is made once, because that takes a tenth of a second.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Generate makes a private key of a kind: rsa (2048 bits; always the same key), short (RSA
// of 1024 bits, which Evertoken refuses), p224, p256, p384 or ed25519.
func Generate(t TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsaKey()
	case "short":
		key, err = rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // Evertoken must refuse it
	case "p224":
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("there is no kind of key %q", kind)
	}
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return key
}

// PKCS8 returns a private key in PEM, as PKCS #8.
func PKCS8(t TB, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("writing a key: %v", err)
	}
	return PEM("PRIVATE KEY", der)
}

// Certificate makes a self-signed certificate of a key, by which a client can authenticate.
func Certificate(t TB, key crypto.Signer, name string, from, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("making a certificate: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("reading a certificate: %v", err)
	}
	return certificate
}

// PEM returns a block of PEM.
func PEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
