package lazyregexp_test

import (
	"testing"

	"evertoken/internal/lazyregexp"
)

func TestNew(t *testing.T) {
	t.Parallel()
	re := lazyregexp.New(`^a+$`)
	if !re().MatchString("aaa") || re().MatchString("b") || re() != re() {
		t.Error("not one and the same pattern")
	}
	wrong := lazyregexp.New(`(`)
	defer func() {
		if recover() == nil {
			t.Error("a wrong pattern was taken")
		}
	}()
	wrong()
}
