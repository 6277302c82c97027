package redact

import (
	"fmt"
	"io"
	"log/slog"
)

// Box contains a value of any type that no formatter, logger or encoder prints, such as a
// private key or the headers of an answer. The zero Box is empty.
//
// The value is behind two pointers: if a verb does not fit, package fmt follows a single
// pointer to a struct, a slice or a map.
type Box[T any] struct{ p **T }

// Wrap puts the value that p points to into a Box. Wrap(nil) is the zero Box.
func Wrap[T any](p *T) Box[T] {
	if p == nil {
		return Box[T]{}
	}
	return Box[T]{&p}
}

// Reveal returns the value itself, nil if there is none.
func (b Box[T]) Reveal() *T {
	if b.p == nil {
		return nil
	}
	return *b.p
}

// IsZero reports whether there is no value.
func (b Box[T]) IsZero() bool { return b.p == nil }

// String returns a placeholder, never the value.
func (b Box[T]) String() string { return placeholder }

// GoString is String, for %#v.
func (b Box[T]) GoString() string { return placeholder }

// Format is String, for every verb and flag.
func (b Box[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue is String, for log/slog.
func (b Box[T]) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText is String, for encoding/json and similar encoders.
func (b Box[T]) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
