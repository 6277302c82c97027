// Package conformance holds what Evertoken believes of Secrets Manager and
// Parameter Store against those who answer for it: one table of facts, each with
// its source, asked through the AWS SDK of
//
//   - the fake that every other test relies on (go test);
//   - moto, which others wrote (the build tag verify; verify/run.sh starts it),
//     with a list of where moto is known to differ from AWS;
//   - a real account (the build tag conformance_aws; make conformance-aws).
//
// A fact observes, and writes what it saw as one line of text. What was seen is
// compared whole, so that a difference that turns into another one is noticed.
package conformance
