package connection

import "strings"

// The names are checked by hand: five regular expressions took more of the
// function's start than all else of Evertoken together.

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	alnum  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	// secretChars and parameterChars are what the names of secrets and the
	// levels of a parameter's name are made of (botocore models, CreateSecret
	// and PutParameter).
	secretChars    = alnum + "/_+=.@!-"
	parameterChars = alnum + "_.-"
)

// madeOf reports whether s has from 1 to most characters, all of them in set.
func madeOf(s, set string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, set) == ""
}

// ValidName reports whether s can name a connection: a small letter or a digit,
// then up to 62 of those and hyphens.
func ValidName(s string) bool {
	return madeOf(s, lower+digits+"-", 63) && s[0] != '-'
}

func validSecretID(s string) bool {
	_, isARN := parseARN(s)
	return isARN || madeOf(s, secretChars, 512)
}

// arn is what counts in a secret's ARN.
type arn struct{ region, resource string }

// parseARN takes a secret's ARN apart, arn:<partition>:secretsmanager:<Region>:
// <twelve digits>:secret:<name and six characters>.
func parseARN(s string) (arn, bool) {
	parts := strings.Split(s, ":")
	ok := len(parts) == 7 && parts[0] == "arn" && parts[2] == "secretsmanager" && parts[5] == "secret" &&
		madeOf(parts[1], lower+digits+"-", len(s)) && madeOf(parts[3], lower+digits+"-", len(s)) &&
		len(parts[4]) == 12 && madeOf(parts[4], digits, 12) && madeOf(parts[6], secretChars, 519)
	if !ok {
		return arn{}, false
	}
	return arn{region: parts[3], resource: parts[6]}, true
}

func validParameter(s, prefix string) bool {
	levels := strings.Split(s, "/") // the first is empty, before the leading slash
	if len(s) > 1011 || len(levels) < 2 || len(levels) > 16 || levels[0] != "" {
		return false
	}
	for _, level := range levels[1:] {
		if !madeOf(level, parameterChars, len(s)) {
			return false
		}
	}
	return strings.HasPrefix(s, prefix) &&
		!strings.HasPrefix(s, prefix+"connections/") && !strings.HasPrefix(s, prefix+"rescue/")
}

// SecretName returns the name in a secret's ARN, without the hyphen and the six
// characters that Secrets Manager appends, or the name itself.
func SecretName(id string) string {
	a, ok := parseARN(id)
	if !ok {
		return id
	}
	const suffix = len("-AbCdEf")
	name := a.resource
	if n := len(name) - suffix; n >= 0 && name[n] == '-' && madeOf(name[n+1:], alnum, suffix) {
		return name[:n]
	}
	return name
}

// Region returns the Region in a secret's ARN, or "" for a name.
func Region(id string) string {
	a, _ := parseARN(id)
	return a.region
}
