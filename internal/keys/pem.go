package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"evertoken/internal/lazyregexp"
	"evertoken/internal/redact"
)

// unwrap removes what copying adds around a key: a byte order mark, white space, a pair of
// quotes, and the two characters \n or \r in place of a line break, as in an environment
// variable or the console's form.
func unwrap(text string) string {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "\ufeff"))
	for _, quote := range []string{`"`, `'`, "`"} {
		if len(text) >= 2 && strings.HasPrefix(text, quote) && strings.HasSuffix(text, quote) {
			text = strings.TrimSpace(text[1 : len(text)-1])
		}
	}
	if text != "" && text[0] != '{' {
		text = strings.NewReplacer(`\\r`, "", `\\n`, "\n", `\r`, "", `\n`, "\n").Replace(text)
	}
	return text
}

// block matches one PEM block: everything between its BEGIN and END lines, however its
// lines are broken. encoding/pem requires correct line breaks, but text pasted into a
// console's single line has spaces or nothing in their place.
var block = lazyregexp.New(`(?s)-----BEGIN ([A-Z0-9 ]+?)-----(.*?)-----END ([A-Z0-9 ]+?)-----`)

func armoured(text string) bool { return strings.Contains(text, "-----BEGIN ") }

// parsePEM reads the first private key in a text and the certificates next to it: openssl
// pkcs12 writes certificates first, and openssl ecparam the curve.
func parsePEM(text string) (Key, string) {
	var key Key
	var problem string
	for _, b := range blocks(text) {
		kind := b.Type
		switch {
		case strings.HasSuffix(kind, "CERTIFICATE"):
			if c, err := x509.ParseCertificate(b.Bytes); err == nil {
				key.Certificates = append(key.Certificates, c)
			}
		case !key.signer.IsZero():
		case strings.HasSuffix(kind, "PRIVATE KEY"):
			var one Key
			if one, problem = parsePrivate(b); problem == "" {
				key.signer = one.signer
			}
		}
	}
	switch {
	case !key.signer.IsZero():
		return key, ""
	case problem != "":
		return Key{}, problem
	case !strings.Contains(text, "-----END "):
		return Key{}, "is cut off: its last line, -----END PRIVATE KEY-----, is missing"
	case strings.Contains(text, "PUBLIC KEY-----"):
		return Key{}, "is a public key: store the private key that belongs to it"
	case len(key.Certificates) > 0:
		return Key{}, "is a certificate: store the private key here, and the certificate in the " +
			"member certificate"
	}
	return Key{}, "holds no private key: the PEM text must begin with -----BEGIN PRIVATE " +
		"KEY----- and end with -----END PRIVATE KEY-----"
}

// parsePrivate reads one block whose type says that it is a private key.
func parsePrivate(b *pem.Block) (Key, string) {
	switch {
	case b.Type == "OPENSSH PRIVATE KEY":
		return Key{}, "is an OpenSSH key: copy the file and convert the copy to PEM with " +
			"ssh-keygen -p -m PKCS8 -N '' -f FILE"
	case b.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
		return Key{}, "is an encrypted private key: remove its password with openssl pkey -in FILE"
	}
	return parseDER(b.Bytes)
}

// blocks returns the PEM blocks in a text whose base64 is valid.
func blocks(text string) []*pem.Block {
	var out []*pem.Block
	for _, m := range block().FindAllStringSubmatch(text, -1) {
		b := &pem.Block{Type: m[1], Headers: map[string]string{}}
		body := m[2]
		// RFC 1421 headers: encrypted keys and openssl's bags have them.
		if strings.Contains(body, ":") {
			if strings.Contains(body, "ENCRYPTED") {
				b.Headers["Proc-Type"] = "4,ENCRYPTED"
			}
			if _, after, ok := strings.Cut(strings.ReplaceAll(body, "\r", ""), "\n\n"); ok {
				body = after
			}
		}
		b.Bytes, _ = decode(body)
		out = append(out, b)
	}
	return out
}

// decode reads base64 in either alphabet, padded or not, however its lines are broken.
func decode(text string) ([]byte, bool) {
	joined := strings.Join(strings.Fields(text), "")
	joined = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(joined), "=")
	b, err := base64.RawStdEncoding.DecodeString(joined)
	return b, err == nil && len(b) > 0
}

// parseDER reads PKCS #8, PKCS #1 or SEC 1, whatever type the PEM block claims.
func parseDER(der []byte) (Key, string) {
	var key crypto.PrivateKey
	for _, read := range []func([]byte) (crypto.PrivateKey, error){
		func(b []byte) (crypto.PrivateKey, error) { return x509.ParsePKCS8PrivateKey(b) },
		func(b []byte) (crypto.PrivateKey, error) { return x509.ParsePKCS1PrivateKey(b) },
		func(b []byte) (crypto.PrivateKey, error) { return x509.ParseECPrivateKey(b) },
	} {
		if k, err := read(der); err == nil {
			key = k
			break
		}
	}
	signer, ok := key.(crypto.Signer)
	switch {
	case ok:
		return Key{signer: redact.Wrap(&signer)}, ""
	case key != nil: // X25519, which can agree on keys but not sign
		return Key{}, "is of a kind that Evertoken cannot sign with: " +
			"use RSA, EC (P-256, P-384, P-521) or Ed25519"
	case pkcs12(der):
		return Key{}, "is a PKCS #12 file (.p12, .pfx): extract the key with openssl pkcs12 -in " +
			"FILE -nodes"
	}
	return Key{}, "must be an unencrypted private key (PKCS #8, PKCS #1 or SEC 1)"
}

// pkcs12 reports whether DER data is a PKCS #12 file: a sequence that begins with version 3
// (RFC 7292 section 4).
func pkcs12(der []byte) bool {
	return len(der) > 8 && der[0] == 0x30 && bytes.Contains(der[:8], []byte{0x02, 0x01, 0x03})
}

// parseCertificates reads one or more certificates, as PEM or as base64 of DER.
func parseCertificates(document redact.Secret) ([]*x509.Certificate, string) {
	text := unwrap(document.Reveal())
	var out []*x509.Certificate
	if armoured(text) {
		for _, b := range blocks(text) {
			if !strings.HasSuffix(b.Type, "CERTIFICATE") {
				continue // a key stored with the certificates
			}
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, "holds a certificate that cannot be read: store it again from its file"
			}
			out = append(out, c)
		}
	} else if der, ok := decode(text); ok {
		if armoured(string(der)) { // a whole file, in base64 once more
			return parseCertificates(redact.New(string(der)))
		}
		if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, "is not a certificate in PEM: it must begin with -----BEGIN CERTIFICATE-----"
	}
	return out, ""
}
