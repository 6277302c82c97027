// Package template compares template.yaml with the code, both ways: the template grants,
// sets and names only what the code uses, and has everything that the code uses.
package template
