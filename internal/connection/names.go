package connection

import "strings"

// This file checks names without regular expressions: compiling five of them took longer
// than the rest of Evertoken's cold start.

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	alnum  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	// secretChars and parameterChars are the characters allowed in a secret's name and in
	// one level of a parameter's name (botocore models, CreateSecret and PutParameter).
	secretChars    = alnum + "/_+=.@!-"
	parameterChars = alnum + "_.-"
)

// madeOf reports whether s has 1 to most characters, all of them in set.
func madeOf(s, set string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, set) == ""
}

// ValidName reports whether s can name a connection: one lower-case letter or digit, then
// up to 62 lower-case letters, digits and hyphens.
func ValidName(s string) bool {
	return madeOf(s, lower+digits+"-", 63) && s[0] != '-'
}

func validSecretID(s string) bool {
	_, isARN := parseARN(s)
	return isARN || madeOf(s, secretChars, 512)
}

// arn contains the relevant parts of a secret's ARN.
type arn struct{ region, account, resource string }

// parseARN splits a secret's ARN, arn:<partition>:secretsmanager:<Region>:<twelve
// digits>:secret:<name and six characters>.
func parseARN(s string) (arn, bool) {
	parts := strings.Split(s, ":")
	ok := len(parts) == 7 && parts[0] == "arn" && parts[2] == "secretsmanager" &&
		parts[5] == "secret" &&
		madeOf(parts[1], lower+digits+"-", len(s)) && madeOf(parts[3], lower+digits+"-", len(s)) &&
		len(parts[4]) == 12 && madeOf(parts[4], digits, 12) && madeOf(parts[6], secretChars, 519)
	if !ok {
		return arn{}, false
	}
	return arn{region: parts[3], account: parts[4], resource: parts[6]}, true
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

// SecretName returns the name in a secret's ARN, without the hyphen and the six characters
// that Secrets Manager appends. Given a name, it returns the name.
//
// An operator may also write an ARN without the six characters, and then a name such as
// crm-secret looks as if it had them. The six are random upper-case and lower-case letters
// and digits. SecretName therefore counts six lower-case letters as part of the name,
// unless they follow the default name of a connection's document.
func SecretName(id string) string {
	a, ok := parseARN(id)
	if !ok {
		return id
	}
	const suffix = len("-AbCdEf")
	n := len(a.resource) - suffix
	if n < 0 || a.resource[n] != '-' || !madeOf(a.resource[n+1:], alnum, suffix) {
		return a.resource
	}
	name, six := a.resource[:n], a.resource[n+1:]
	_, document, _ := strings.Cut(strings.TrimPrefix(name, "evertoken/"), "/")
	ours := defaultOf(name) != "" && (document == "credential" || document == "session" ||
		document == "token")
	if strings.Trim(six, lower) == "" && !ours {
		return a.resource
	}
	return name
}

// withoutSix returns the name in a complete ARN: it always removes the last six characters.
// For anything else it is [SecretName].
func withoutSix(id string) string {
	const suffix = len("-AbCdEf")
	a, ok := parseARN(id)
	if n := len(a.resource) - suffix; ok && n > 0 && a.resource[n] == '-' &&
		madeOf(a.resource[n+1:], alnum, suffix) {
		return a.resource[:n]
	}
	return SecretName(id)
}

// SecretName returns how messages and commands refer to a secret of the connection: by its
// name, or by its ARN as given if it is in another account.
func (c Connection) SecretName(id string) string {
	if a, ok := parseARN(id); ok && c.Account != "" && a.account != c.Account {
		return id
	}
	return SecretName(id)
}

// SameSecret reports whether an id in a connection may refer to the secret with this ARN:
// by its name, its ARN, or its ARN without the last six characters. The same name in
// another account is another secret.
func (c Connection) SameSecret(id, secretARN string) bool {
	if id == "" {
		return false
	}
	name := withoutSix(secretARN) // secretARN is complete
	return id == secretARN || (SecretName(id) == name || SecretName(id) == SecretName(secretARN)) &&
		sameAccount(accountOf(id, c.Account), accountOf(secretARN, c.Account))
}

// accountOf returns the account that a secret is in: its ARN's, or else the one that
// Evertoken runs in; empty if unknown.
func accountOf(id, own string) string {
	if a, ok := parseARN(id); ok {
		return a.account
	}
	return own
}

// AccountIn returns the account in an ARN of any service, or "".
func AccountIn(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || parts[0] != "arn" || len(parts[4]) != 12 || !madeOf(parts[4], digits, 12) {
		return ""
	}
	return parts[4]
}

// sameAccount reports whether two accounts are, or may be, the same: an unknown one may be
// any.
func sameAccount(a, b string) bool { return a == "" || b == "" || a == b }

// defaultOf returns the connection whose default name a document's name has,
// evertoken/<connection>/…, or "".
func defaultOf(name string) string {
	rest, ok := strings.CutPrefix(name, "evertoken/")
	owner, document, found := strings.Cut(rest, "/")
	if !ok || !found || document == "" || !ValidName(owner) {
		return ""
	}
	return owner
}

// Region returns the Region in a secret's ARN, or "" for a name.
func Region(id string) string {
	a, _ := parseARN(id)
	return a.region
}
