package fakeaws_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakeaws "evertoken/internal/fake/aws"
)

// accepted counts how many of n calls are accepted, and fails the test on any error but a
// throttle.
func accepted(t *testing.T, n int, call func() error) int {
	t.Helper()
	accepted := 0
	for range n {
		switch got := code(call()); got {
		case "":
			accepted++
		case "ThrottlingException":
		default:
			t.Fatalf("got %s", got)
		}
	}
	return accepted
}

func TestCallsOverAQuotaAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	if err := w.put(t.Context(), "s", "v1", "1"); err != nil {
		t.Fatal(err)
	}
	put := func() error { return w.put(t.Context(), "s", "v1", "1") }
	batch := func() error {
		_, err := w.sm.BatchGetSecretValue(t.Context(),
			&secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"s"}})
		return err
	}
	move := func() error {
		_, err := w.sm.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("s"), VersionStage: aws.String("L"), MoveToVersionId: id("v1")})
		return err
	}
	read := func() error {
		_, err := w.ssm.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/p/")})
		return err
	}

	check(t, "no quota is enforced by default", 200, accepted(t, 200, put))
	w.Enforce(fakeaws.Quotas()...)
	check(t, "writes", 50, accepted(t, 60, put))
	check(t, "other writes, which share the quota", 0, accepted(t, 3, move))
	check(t, "reads, which have another", 100, accepted(t, 120, batch))
	check(t, "reads of parameters", 40, accepted(t, 50, read))
	w.clock.Advance(100 * time.Millisecond)
	check(t, "writes after a tenth of a second", 5, accepted(t, 10, put))
	w.clock.Advance(time.Hour)
	check(t, "writes after an hour", 50, accepted(t, 60, move))
	w.Enforce()
	check(t, "writes without quotas", 60, accepted(t, 60, put))
}

func TestAThrottledCallChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	w.Enforce(fakeaws.Quota{PerSecond: 1, Operations: []string{"PutSecretValue"}})
	check(t, "the first put", "", code(w.put(t.Context(), "s", "v1", "1")))
	check(t, "the second put", "ThrottlingException", code(w.put(t.Context(), "s", "v2", "2")))
	check(t, "labels", "v1:AWSCURRENT", w.labels("s"))
	check(t, "recorded", "ThrottlingException", w.Calls()[1].Code)
}
