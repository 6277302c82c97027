// Package supply holds what is built from to what is said of it: the modules in
// each binary and their licences, and the documents for reviewers.
package supply
