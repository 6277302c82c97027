package fakeaws

import (
	"slices"
	"time"
)

// Quota is how many calls a second AWS accepts of some operations together, in one
// account and Region.
type Quota struct {
	// PerSecond is the rate, and how many calls are accepted at once after a pause.
	PerSecond float64
	// Operations are counted together.
	Operations []string
}

// Quotas returns those of AWS. Those of Secrets Manager are in
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html and
// cannot be raised. No stored copy of that page shows the end of its table, so the
// operations of the last group have the lowest number that the page gives. Parameter
// Store's is the one at default throughput [dev.classmethod.jp 2022-09-02, quoting AWS's
// table]; no source gives one for PutParameter and DeleteParameter, so they have none.
func Quotas() []Quota {
	return []Quota{
		{10_000, []string{"GetSecretValue"}},
		{40_000, []string{"DescribeSecret"}},
		{100, []string{"BatchGetSecretValue"}},
		{50, []string{"PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"}},
		{50, []string{"RotateSecret", "CancelRotateSecret"}},
		{50, []string{"TagResource", "UntagResource"}},
		{50, []string{"GetResourcePolicy", "PutResourcePolicy"}},
		{50, []string{"RestoreSecret"}},
		{40, []string{"GetParameter", "GetParameters", "GetParametersByPath"}},
		{50, []string{"CreateSecret"}}, {50, []string{"DeleteSecret"}},
		{50, []string{"ListSecrets"}}, {50, []string{"ListSecretVersionIds"}},
	}
}

// Enforce answers ThrottlingException to calls over the quotas, on the server's clock. It
// replaces the quotas enforced so far; without an argument it enforces none. By default
// no call is throttled: a test's calls come faster than any real caller's, and its clock
// may not advance between them.
func (s *Server) Enforce(quotas ...Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets = nil
	for _, q := range quotas {
		s.buckets = append(s.buckets, &bucket{Quota: q, holds: q.PerSecond, at: s.options.Now()})
	}
}

// bucket counts the calls of one quota. It holds what a second allows, and is filled as
// time passes. AWS does not say how it counts.
type bucket struct {
	Quota
	holds float64
	at    time.Time
}

// overQuota counts a call and reports whether AWS would throttle it; s.mu must be held. A
// throttled call does not count.
func (s *Server) overQuota(operation string) bool {
	now := s.options.Now()
	for _, b := range s.buckets {
		if !slices.Contains(b.Operations, operation) {
			continue
		}
		if passed := now.Sub(b.at); passed > 0 {
			b.holds = min(b.PerSecond, b.holds+passed.Seconds()*b.PerSecond)
		}
		b.at = now
		if b.holds < 1 {
			return true
		}
		b.holds--
	}
	return false
}
