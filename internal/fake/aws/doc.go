// Package fakeaws is a strict fake of AWS Secrets Manager and of SSM Parameter
// Store on a loopback socket. It speaks AWS JSON 1.1, so that the real SDK and
// the aws command line talk to it unchanged, and it keeps the real rules:
// staging labels, idempotent puts, the version quota and its 24 hours, sizes,
// names, the four steps of a rotation. Only tests and the local demo use it.
//
// Error texts are those AWS answers, byte for byte, where a recorded answer
// exists (github.com/localstack/localstack, commit 8b9a79f,
// tests/aws/services/secretsmanager/test_secretsmanager.snapshot.json). Limits
// and patterns are those of the botocore service models
// secretsmanager/2017-10-17 and ssm/2014-11-06.
//
// # Answers that no source gives
//
// Where neither AWS's pages nor a recorded answer says what happens, the fake
// takes the answer that is worse for a client, so that code which passes here
// needs no luck there:
//
//   - A put that repeats a version's content under its own id does not touch
//     the KMS key: it succeeds while the key refuses, and so proves less.
//   - Attaching a label to the version that already has it (MoveToVersionId
//     alone) is not refused: it cannot serve as a lock.
//   - Moving a label leaves LastChangedDate as it was: it cannot tell when a
//     label came.
//   - AWSCURRENT can be moved to a version that has no value: the secret can
//     then no longer be read.
//   - The first value of a secret becomes AWSCURRENT at once, also when a
//     rotation puts it into the empty version prepared for it: finishSecret then
//     finds its work done.
//
// A fake is also stricter than AWS in one way on purpose: a request member that
// it does not know is refused instead of ignored.
package fakeaws
