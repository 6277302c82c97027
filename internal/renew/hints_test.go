package renew_test

import (
	"testing"

	"evertoken/internal/renew"
)

func TestHintsAreJoinedAsSentences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hints []string
		want  string
	}{
		{nil, ""},
		{[]string{"", ""}, ""},
		{[]string{"Store it: `aws x`."}, "Store it: `aws x`."},
		{[]string{"the token is a replica", "", "Check the URL."}, "The token is a replica. Check the URL."},
		{[]string{"the same", "other", "The same."}, "The same. Other."},
		{[]string{"min_remaining is too long", "probe.url is wrong"}, "min_remaining is too long. probe.url is wrong."},
		{[]string{"ärger"}, "Ärger."},
		{[]string{"done!", "why?"}, "Done! Why?"},
	} {
		if got := renew.Sentences(tt.hints...); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.hints, got, tt.want)
		}
	}
}
