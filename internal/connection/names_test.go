package connection

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The patterns that the handwritten checks replace.
var (
	nameRE      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	secretRE    = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`)
	arnRE       = regexp.MustCompile(`^arn:[a-z0-9-]+:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:([A-Za-z0-9/_+=.@!-]{1,519})$`)
	smallRE     = regexp.MustCompile(`-[a-z]{6}$`)
	oursRE      = regexp.MustCompile(`^evertoken/[a-z0-9][a-z0-9-]{0,62}/(credential|session|token)-[a-z]{6}$`)
	arnSuffixRE = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
	parameterRE = regexp.MustCompile(`^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$`)
)

func TestHandwrittenNameChecksMatchThePatterns(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{
		"a", "Z", "9", "-", "_", ".", "/", "@", "!", "+", "=", ":", " ", "\n", "é", "arn", "aws",
		"aws-cn", "secretsmanager", "us-east-1",
		"123456789012", "12345678901", "secret", "evertoken/c/token", "-AbCdEf", "-abcdef",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:",
		"/evertoken/", "connections/", "rescue/", strings.Repeat("x", 62), strings.Repeat("x", 511),
		strings.Repeat("/a", 14),
	})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(pieces, 0, 8).Draw(t, "pieces"), "")
		m := arnRE.FindStringSubmatch(s)
		name, region := s, ""
		if m != nil {
			name, region = m[2], m[1]
			if !smallRE.MatchString(m[2]) || oursRE.MatchString(m[2]) {
				name = arnSuffixRE.ReplaceAllString(m[2], "")
			}
		}
		const prefix = "/evertoken/"
		parameter := parameterRE.MatchString(s) && len(s) <= 1011 && strings.HasPrefix(s, prefix) &&
			!strings.HasPrefix(s, prefix+"connections/") && !strings.HasPrefix(s, prefix+"rescue/")
		if ValidName(s) != nameRE.MatchString(s) || validSecretID(s) != (secretRE.MatchString(s) ||
			m != nil) ||
			validParameter(s, prefix) != parameter || SecretName(s) != name || Region(s) != region {
			t.Fatalf("%q: %t %t %t %q %q", s, ValidName(s), validSecretID(s),
				validParameter(s, prefix), SecretName(s), Region(s))
		}
	})
}
