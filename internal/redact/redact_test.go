package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"evertoken/internal/redact"
)

const canary = "canary-value-7f3a"

// wrapper keeps a Secret where reflection finds it without its methods.
type wrapper struct {
	Exported redact.Secret
	hidden   redact.Secret
	nested   struct{ deep []redact.Secret }
	byName   map[string]redact.Secret
}

func newWrapper() wrapper {
	s := redact.New(canary)
	h := wrapper{Exported: s, hidden: s, byName: map[string]redact.Secret{"k": s}}
	h.nested.deep = []redact.Secret{s}
	return h
}

func TestNoFormatterShowsTheValue(t *testing.T) {
	t.Parallel()
	h := newWrapper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", h.Exported)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	fmt.Fprintln(&out, fmt.Errorf("using %v: %w", h, fmt.Errorf("%s", h.hidden)))
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("m", "wrapper", h, "secret", h.hidden, slog.Group("g", "s", h.Exported))
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatalf("marshaling: %v", err)
	}
	out.Write(b)
	func() {
		defer func() { fmt.Fprintf(&out, "%v %+v", recover(), h) }()
		panic(h)
	}()
	if got := out.String(); strings.Contains(got, canary) ||
		strings.Contains(got, fmt.Sprintf("%x", canary)) {
		t.Errorf("the value was printed in:\n%s", got)
	}
}

func TestASecretIsTrimmedAndComparedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	if !redact.New("").IsZero() || redact.New("x").IsZero() {
		t.Error("only the empty secret is zero")
	}
	if got := redact.New(" a b\n").Trim().Reveal(); got != "a b" {
		t.Errorf("Trim = %q", got)
	}
	if !redact.New("a").Equal(redact.New("a")) || redact.New("a").Equal(redact.New("b")) ||
		redact.New("").Equal(redact.New("b")) {
		t.Error("Equal compares values")
	}
}
