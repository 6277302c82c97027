// Package conformance checks what Evertoken assumes of Secrets Manager and Parameter
// Store: one table of facts, each with its source, checked with the AWS SDK at
//
//   - the fake that every other test relies on (go test);
//   - moto, an independent fake (the build tag verify; verify/run.sh starts it),
//     with a list of where moto is known to differ from AWS;
//   - a real account (the build tag conformance_aws; make conformance-aws).
//
// A fact is observed as one line of text. The test compares whole lines, so it notices a
// known difference that turns into another one.
package conformance
