package operator

import (
	"regexp"
	"strings"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote writes a word for a POSIX shell.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// cli is a command of the AWS CLI, to the account, Region and endpoint that this
// command speaks to, as a shell takes it.
func (a *app) cli(words ...string) string {
	all := append([]string{"aws"}, words...)
	if a.aws != nil {
		all = append(all, "--region", a.aws.region)
		if a.aws.endpoint != "" {
			all = append(all, "--endpoint-url", a.aws.endpoint)
		}
	}
	if a.profile != "" {
		all = append(all, "--profile", a.profile)
	}
	var b strings.Builder
	for i, w := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(w))
	}
	return b.String()
}
