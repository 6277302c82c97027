// Package lazyregexp compiles a regular expression at its first use: compiling a few of
// them at package level takes longer than the rest of a function's cold start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles the pattern at its first call and returns the same
// result at every call. The pattern must be valid: otherwise the function panics, as
// regexp.MustCompile does.
func New(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
