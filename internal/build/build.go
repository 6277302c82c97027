// Package build reports which source a binary was built from.
package build

import "runtime/debug"

// Unknown is the revision of a binary that is not a released version and was built outside
// a clone or without git.
const Unknown = "unknown"

// Revision returns the commit that this binary was built from, followed by "+changes" if
// the files differed from that commit. The Go command writes it into the binary (go help
// buildvcs).
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Unknown
	}
	return revision(info)
}

func revision(info *debug.BuildInfo) string {
	commit, changed := Unknown, ""
	if v := info.Main.Version; v != "" && v != "(devel)" { // built from the module proxy
		commit = v
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	return commit + changed
}
