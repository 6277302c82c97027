// Package template holds template.yaml against the code, both ways: nothing is
// granted, set or named there that no code uses, and the code uses nothing that
// is missing there.
package template
