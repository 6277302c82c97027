// Package supply checks what the documents for reviewers say against what the binaries
// are built from: the modules in each and their licences.
package supply
