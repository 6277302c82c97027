// Package redact defines the types that carry what must never be printed: a [Secret] is a
// token, a password, a client secret or a stored document, [Values] are the parameters of a
// request, and a [Box] contains a value of another type, such as a private key.
//
// Redaction is by type, so that no caller has to remember it. The value is behind a pointer
// because methods alone are not enough: fmt and log/slog print an unexported struct field
// by reflection, without calling its methods, and then show only the pointer.
package redact

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// placeholder is what every way of printing a Secret shows.
const placeholder = "[redacted]"

// Secret is a string that no formatter, logger or encoder prints. The zero
// Secret is empty. Secrets are compared with [Secret.Equal], not with ==.
type Secret struct{ p *string }

// New wraps s. New("") is the zero Secret.
func New(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{p: &s}
}

// Reveal returns the value itself. Call it only where the value goes onto the
// wire or into a store.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.p == nil }

// Equal reports whether both hold the same value, in time that does not depend
// on where they differ.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Trim returns the value without surrounding white space: a trailing newline is the most
// common mistake in a secret pasted by hand. Never trim a password.
func (s Secret) Trim() Secret { return New(strings.TrimSpace(s.Reveal())) }

// String returns a placeholder, never the value.
func (s Secret) String() string { return placeholder }

// GoString is String, for %#v.
func (s Secret) GoString() string { return placeholder }

// Format is String, for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue is String, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText is String, for encoding/json and similar encoders. Documents that must
// contain the value use separate types for the wire.
func (s Secret) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
