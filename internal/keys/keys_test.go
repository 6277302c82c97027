package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"evertoken/internal/credential"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/keys"
	"evertoken/internal/redact"
)

type pair struct {
	key  crypto.Signer
	cert []byte // DER
}

func generate(t testing.TB, kind string) pair {
	t.Helper()
	key := fakekeys.Generate(t, kind)
	return pair{key, fakekeys.Certificate(t, key, kind, time.Time{}, time.Now().Add(time.Hour)).Raw}
}

func sec1(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return fakekeys.PEM("EC PRIVATE KEY", der)
}

func jwk(t testing.TB, key any, id string) string {
	t.Helper()
	b, err := jose.JSONWebKey{Key: key, KeyID: id}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func read(private, id, certificate string) (keys.Key, error) {
	return keys.Read(keys.Member{Name: "private_key", Value: redact.New(private)}, redact.New(id),
		keys.Member{Name: "certificate", Value: redact.New(certificate)})
}

// quoted is a text as the inside of a JSON string.
func quoted(t testing.TB, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAKeyIsReadInEveryStoredForm(t *testing.T) {
	t.Parallel()
	rsaPair, ecPair, edPair, other := generate(t, "rsa"), generate(t, "p256"),
		generate(t, "ed25519"), generate(t, "p384")
	eight := fakekeys.PKCS8(t, rsaPair.key)
	one := fakekeys.PEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPair.key.(*rsa.PrivateKey)))
	cert := fakekeys.PEM("CERTIFICATE", rsaPair.cert)
	authority := fakekeys.PEM("CERTIFICATE", other.cert)
	body := strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(eight, "\n", ""),
		"-----BEGIN PRIVATE KEY-----"), "-----END PRIVATE KEY-----")
	for _, tt := range []struct {
		name, private string
		want          pair
		certificates  int
	}{
		{"PKCS #8", eight, rsaPair, 0},
		{"PKCS #1", one, rsaPair, 0},
		{"PKCS #1 under the name of PKCS #8", strings.ReplaceAll(one, "RSA PRIVATE", "PRIVATE"), rsaPair, 0},
		{"PKCS #8 under the name of PKCS #1", strings.ReplaceAll(eight, " PRIVATE", " RSA PRIVATE"),
			rsaPair, 0},
		{"SEC 1", sec1(t, ecPair.key), ecPair, 0},
		{"P-384", fakekeys.PKCS8(t, other.key), other, 0},
		{"Ed25519", fakekeys.PKCS8(t, edPair.key), edPair, 0},
		{"EC PARAMETERS first", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + sec1(t, ecPair.key), ecPair, 0},

		{"the two characters \\n", strings.ReplaceAll(eight, "\n", `\n`), rsaPair, 0},
		{"the characters \\r\\n", strings.ReplaceAll(eight, "\n", `\r\n`), rsaPair, 0},
		{"\\n escaped twice", strings.ReplaceAll(eight, "\n", `\\n`), rsaPair, 0},
		{"blanks for line breaks", strings.ReplaceAll(eight, "\n", " "), rsaPair, 0},
		{"nothing for line breaks", strings.ReplaceAll(eight, "\n", ""), rsaPair, 0},
		{"tabs for line breaks", strings.ReplaceAll(eight, "\n", "\t"), rsaPair, 0},
		{"Windows' line breaks", strings.ReplaceAll(eight, "\n", "\r\n"), rsaPair, 0},
		{"an old Mac's line breaks", strings.ReplaceAll(eight, "\n", "\r"), rsaPair, 0},
		{"indented, as in YAML", "  " + strings.ReplaceAll(eight, "\n", "\n    "), rsaPair, 0},
		{"in quotes", `"` + strings.ReplaceAll(eight, "\n", `\n`) + `"`, rsaPair, 0},
		{"in single quotes", `'` + eight + `'`, rsaPair, 0},
		{"a byte order mark", "\ufeff" + eight, rsaPair, 0},
		{"text around it", "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n" +
			eight + "\nthe end", rsaPair, 0},
		{"without its armour", body, rsaPair, 0},
		{"the file in base64", base64.StdEncoding.EncodeToString([]byte(eight)), rsaPair, 0},
		{"the file in base64, in lines", base64.StdEncoding.EncodeToString([]byte(eight))[:64] +
			"\n" + base64.StdEncoding.EncodeToString([]byte(eight))[64:], rsaPair, 0},

		{"its certificate first", cert + eight, rsaPair, 1},
		{"its certificate after it", eight + cert, rsaPair, 1},
		{"its certificate and the authority", eight + authority + cert, rsaPair, 2},
		{"certificate first, all in one line", strings.ReplaceAll(cert+eight, "\n", " "), rsaPair, 1},
		{"an authority alone", authority + eight, rsaPair, 0},
		{"another key after it", eight + fakekeys.PKCS8(t, other.key), rsaPair, 0},
		{"a certificate that cannot be read", fakekeys.PEM("CERTIFICATE", []byte("x")) + eight, rsaPair, 0},

		{"an RSA JWK", jwk(t, rsaPair.key, "kid-1"), rsaPair, 0},
		{"an EC JWK", jwk(t, ecPair.key, "kid-1"), ecPair, 0},
		{"an Ed25519 JWK", jwk(t, edPair.key, "kid-1"), edPair, 0},
		{"a JWK in base64", base64.RawURLEncoding.EncodeToString([]byte(jwk(t, ecPair.key,
			"kid-1"))), ecPair, 0},
		{"a set of one", `{"keys":[` + jwk(t, ecPair.key, "kid-1") + `]}`, ecPair, 0},
		{"a set of several", `{"keys":[` + jwk(t, rsaPair.key, "x") + `,` +
			jwk(t, ecPair.key, "kid-1") + `]}`, ecPair, 0},
		{"a service account's file", `{"type":"service_account","private_key_id":"kid-1","private_key":` + quoted(t, eight) + `}`, rsaPair, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(tt.private, "kid-1", "")
			if err != nil {
				t.Fatal(err)
			}
			public, ok := tt.want.key.Public().(interface{ Equal(crypto.PublicKey) bool })
			if !ok || !public.Equal(got.Signer().Public()) {
				t.Error("another key was read")
			}
			if got.ID != "kid-1" || len(got.Certificates) != tt.certificates {
				t.Errorf("id %q, %d certificates, want %d", got.ID, len(got.Certificates), tt.certificates)
			}
			shown := got.TLS().Reveal()
			if (shown != nil) != (tt.certificates > 0) || shown != nil &&
				!shown.Leaf.Equal(mustParse(t, tt.want.cert)) {
				t.Errorf("for TLS: %+v", shown)
			}
		})
	}
}

func mustParse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAStoredKeyIDGoesBeforeTheKeysOwn(t *testing.T) {
	t.Parallel()
	key := generate(t, "p256").key
	for _, tt := range []struct{ private, id, want string }{
		{jwk(t, key, "own"), "", "own"},
		{jwk(t, key, "own"), "stored", "stored"},
		{`{"private_key_id":"own","private_key":` + quoted(t, fakekeys.PKCS8(t, key)) + `}`, "", "own"},
		{fakekeys.PKCS8(t, key), "", ""},
	} {
		got, err := read(tt.private, tt.id, "")
		if err != nil || got.ID != tt.want {
			t.Errorf("id %q, %v, want %q", got.ID, err, tt.want)
		}
	}
}

func TestACertificateIsReadInEveryStoredForm(t *testing.T) {
	t.Parallel()
	own, other := generate(t, "rsa"), generate(t, "p256")
	cert, authority := fakekeys.PEM("CERTIFICATE", own.cert), fakekeys.PEM("CERTIFICATE", other.cert)
	key := fakekeys.PKCS8(t, own.key)
	for name, text := range map[string]string{
		"PEM": cert, "one line": strings.ReplaceAll(cert, "\n", " "),
		"escaped":            strings.ReplaceAll(cert, "\n", `\n`),
		"DER in base64":      base64.StdEncoding.EncodeToString(own.cert),
		"the file in base64": base64.StdEncoding.EncodeToString([]byte(cert)),
		"a chain":            cert + authority, "a chain the wrong way": authority + cert, "with the key": key + cert,
	} {
		got, err := read(key, "", text)
		if err != nil || len(got.Certificates) == 0 || !got.Certificates[0].Equal(mustParse(t, own.cert)) {
			t.Errorf("%s: %d certificates, %v", name, len(got.Certificates), err)
		}
	}
	for text, problem := range map[string]string{
		authority: "belongs to a different key than private_key",
		"canary":  "is not a certificate in PEM",
		key:       "is not a certificate in PEM",
		fakekeys.PEM("CERTIFICATE", []byte("canary")): "holds a certificate that cannot be read",
	} {
		_, err := read(key, "", text)
		refused(t, err, "certificate", problem)
	}
	// The stored certificate counts, not the one in the key's text.
	if _, err := read(key+cert, "", authority); err == nil {
		t.Error("a stored certificate of another key was ignored")
	}
}

func refused(t *testing.T, err error, member, problem string) {
	t.Helper()
	e, ok := errors.AsType[*credential.Error](err)
	if !ok {
		t.Fatalf("error %v, want a *credential.Error: %s", err, problem)
	}
	if e.Document != "credential" || e.Member != member || !strings.Contains(e.Problem, problem) {
		t.Errorf("%s %s, want %s %s", e.Member, e.Problem, member, problem)
	}
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "Y2FuYXJ5") {
		t.Errorf("the error shows what was read: %v", err)
	}
}

func TestAnUnusableKeyIsRefusedWithoutItsText(t *testing.T) {
	t.Parallel()
	short, odd, ec := generate(t, "short"), generate(t, "p224"), generate(t, "p256")
	for name, tt := range map[string]struct{ key, problem string }{
		"nothing": {"", "is missing or empty"},
		"quotes":  {`""`, "is missing or empty"},
		"text":    {"canary.key", "is neither PEM nor a JSON Web Key"},
		"no key": {"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
			"must be an unencrypted private key"},
		"not base64": {"-----BEGIN PRIVATE KEY-----\n!canary!\n-----END PRIVATE KEY-----",
			"must be an unencrypted private key"},
		"encrypted":       {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nY2FuYXJ5\n-----END ENCRYPTED PRIVATE KEY-----", "remove its password"},
		"encrypted early": {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nY2FuYXJ5\n-----END RSA PRIVATE KEY-----", "remove its password"},
		"OpenSSH":         {"-----BEGIN OPENSSH PRIVATE KEY-----\nY2FuYXJ5\n-----END OPENSSH PRIVATE KEY-----", "ssh-keygen"},
		"cut off":         {"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5", "is cut off"},
		"a public key": {"-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----",
			"is a public key"},
		"a certificate": {fakekeys.PEM("CERTIFICATE", ec.cert), "is a certificate"},
		"a parameter":   {"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----", "holds no private key"},
		"PKCS #12": {base64.StdEncoding.EncodeToString([]byte{0x30, 0x82, 0x09, 0x51, 0x02,
			0x01, 0x03, 0x30, 0x82, 0x09}), "PKCS #12"},
		"a short key":     {fakekeys.PKCS8(t, short.key), "is too short"},
		"an odd curve":    {fakekeys.PKCS8(t, odd.key), "is of a kind"},
		"JSON":            {`{"canary":1}`, "kty is missing"},
		"broken JSON":     {`{"kty":"canary`, "cannot be read"},
		"a public JWK":    {jwk(t, ec.key.Public(), "x"), "is a public JSON Web Key"},
		"a symmetric JWK": {`{"kty":"oct","k":"Y2FuYXJ5"}`, "is a symmetric"},
		"half a JWK":      {`{"kty":"EC","crv":"P-256","d":"Y2FuYXJ5"}`, "cannot be read"},
		"no primes":       {`{"kty":"RSA","n":"Y2FuYXJ5","e":"AQAB","d":"Y2FuYXJ5"}`, "without its primes"},
		"which of a set":  {`{"keys":[{"kty":"RSA"},{"kty":"EC"}]}`, "does not select exactly one"},
		"an empty set":    {`{"keys":[7]}`, "an empty set of JSON Web Keys"},
		"itself in JSON":  {`{"private_key":"{\"private_key\":\"canary\"}"}`, "kty is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(tt.key, "", "")
			refused(t, err, "private_key", tt.problem)
		})
	}
}

// FuzzRead holds for every text: no panic, an error that quotes nothing, and
// only keys that can sign.
func FuzzRead(f *testing.F) {
	ec := generate(f, "p256")
	key, cert := fakekeys.PKCS8(f, ec.key), fakekeys.PEM("CERTIFICATE", ec.cert)
	for _, seed := range []string{key, sec1(f, ec.key), strings.ReplaceAll(key, "\n", `\n`),
		cert + key, jwk(f, ec.key, "k"),
		`{"keys":[` + jwk(f, ec.key, "k") + `]}`, base64.StdEncoding.EncodeToString([]byte(key)),
		"-----BEGIN A-----x-----END A-----", "{}", ""} {
		f.Add(seed, cert)
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, private, certificate string) {
		const marked = "cAnArY51f0"
		got, err := read(private, marked, certificate)
		if err != nil {
			e, ok := errors.AsType[*credential.Error](err)
			if !ok || e.Member != "private_key" && e.Member != "certificate" {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), marked) {
				t.Fatal("the error quotes the id")
			}
			return
		}
		switch got.Signer().(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		default:
			t.Fatalf("a key of type %T", got.Signer())
		}
	})
}
