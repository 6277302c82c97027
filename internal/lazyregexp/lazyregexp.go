// Package lazyregexp compiles a regular expression when it is first used: at
// package level a few of them take longer than all else of a function's start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns what compiles the pattern once and returns it. The pattern must be
// right: what uses one that is not panics, as regexp.MustCompile does.
func New(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
