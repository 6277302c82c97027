package lazyregexp_test

import (
	"testing"

	"evertoken/internal/lazyregexp"
)

func TestAPatternIsCompiledOnceAtItsFirstUse(t *testing.T) {
	t.Parallel()
	re := lazyregexp.New(`^a+$`)
	if !re().MatchString("aaa") || re().MatchString("b") {
		t.Error("it is another pattern")
	}
	if first, again := re(), re(); first != again {
		t.Error("it was compiled again")
	}
	wrong := lazyregexp.New(`(`)
	defer func() {
		if recover() == nil {
			t.Error("a wrong pattern was accepted")
		}
	}()
	wrong()
}
