package renew

import (
	"testing"
	"time"

	"evertoken/internal/exchange"
)

func TestRejectionAllows(t *testing.T) {
	t.Parallel()
	const never, yesterday, same = "", "20261120", "20261121"
	// worked: the session was opened by these values; proven: a shared
	// credential has given this connection a token.
	type state struct {
		day            string
		worked, proven bool
	}
	tests := []struct {
		grant exchange.Grant
		want  map[state]bool
	}{
		{password, map[state]bool{
			{never, false, false}: true, {never, true, false}: true, {never, false, true}: true, {never, true, true}: true,
			{yesterday, false, false}: false, {yesterday, false, true}: false, {yesterday, true, false}: true, {yesterday, true, true}: true,
			{same, false, false}: false, {same, false, true}: false, {same, true, false}: false, {same, true, true}: false,
		}},
		{client, map[state]bool{
			{never, false, false}: true, {never, true, false}: true, {never, false, true}: true, {never, true, true}: true,
			{yesterday, false, false}: true, {yesterday, false, true}: true, {yesterday, true, false}: true, {yesterday, true, true}: true,
			{same, false, false}: false, {same, true, false}: false, {same, false, true}: true, {same, true, true}: true,
		}},
	}
	for _, tt := range tests {
		for s, want := range tt.want {
			if got := (rejection{s.day}).allows(tt.grant, t0, s.worked, s.proven); got != want {
				t.Errorf("%s, %+v: allows = %t", tt.grant.Type, s, got)
			}
		}
	}
}

func TestADayIsUTCs(t *testing.T) {
	t.Parallel()
	west := time.FixedZone("", -8*3600)
	for in, want := range map[time.Time]string{
		time.Date(2026, 11, 21, 23, 59, 59, 0, time.UTC): "20261121",
		time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC):    "20261122",
		time.Date(2026, 11, 21, 16, 0, 0, 0, west):       "20261122",
	} {
		if got := today(in); got != want {
			t.Errorf("today(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestRejectedDayIsTheLatest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		labels []string
		want   string
	}{
		{nil, ""},
		{[]string{"AWSCURRENT", "EVERTOKEN_EXCHANGE"}, ""},
		{[]string{"AWSCURRENT", "EVERTOKEN_REJECTED_20261121"}, "20261121"},
		{[]string{"EVERTOKEN_REJECTED_20261119", "EVERTOKEN_REJECTED_20261121", "EVERTOKEN_REJECTED_20261120"}, "20261121"},
	}
	for _, tt := range tests {
		if got := rejectedDay(tt.labels); got != tt.want {
			t.Errorf("rejectedDay(%v) = %q, want %q", tt.labels, got, tt.want)
		}
	}
}
