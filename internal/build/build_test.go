package build

import (
	"runtime/debug"
	"testing"
)

func TestTheRevisionIsTheCommitThatWasBuilt(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for name, test := range map[string]struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		"outside a clone": {"(devel)", []debug.BuildSetting{{Key: "-trimpath", Value: "true"}}, "unknown"},
		"a commit": {"v0.0.0-20261125191224-0123456789ab",
			[]debug.BuildSetting{{Key: "vcs.revision", Value: commit},
				{Key: "vcs.modified", Value: "false"}}, commit},
		"with changes": {"", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"},
			{Key: "vcs.revision", Value: commit}}, commit + "+changes"},
		"of a proxy": {"v1.2.3", nil, "v1.2.3"},
	} {
		if got := revision(&debug.BuildInfo{Main: debug.Module{Version: test.version},
			Settings: test.settings}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if Revision() == "" {
		t.Error("this test binary has no revision, not even an unknown one")
	}
}
