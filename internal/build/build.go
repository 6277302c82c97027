// Package build tells which source a binary was built from.
package build

import "runtime/debug"

// Unknown is the revision of a binary that was built outside a clone, or without
// git.
const Unknown = "unknown"

// Revision is the commit that this binary was built from, with "+changes" behind
// it where the files differed from that commit. The Go command has written it into
// the binary (go help buildvcs).
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Unknown
	}
	return revision(info.Settings)
}

func revision(settings []debug.BuildSetting) string {
	commit, changed := Unknown, ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	return commit + changed
}
