package build

import (
	"runtime/debug"
	"testing"
)

func TestRevision(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for name, test := range map[string]struct {
		settings []debug.BuildSetting
		want     string
	}{
		"outside a clone": {[]debug.BuildSetting{{Key: "-trimpath", Value: "true"}}, "unknown"},
		"a commit":        {[]debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "false"}}, commit},
		"with changes":    {[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: commit}}, commit + "+changes"},
	} {
		if got := revision(test.settings); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if Revision() == "" {
		t.Error("this test binary has no revision, not even an unknown one")
	}
}
