package main

import (
	"regexp"
	"strings"

	"evertoken/internal/exchange"
	"evertoken/internal/issue"
)

// deployedRE finds where a message first names a real account: a command of the AWS CLI
// or of Evertoken, or an invocation of the function.
var deployedRE = regexp.MustCompile("`?(aws (ssm|secretsmanager|kms|lambda|iam)|evertoken [a-z-]+|invoke issue with) ")

// hostRE finds the host to which a credential was not sent.
var hostRE = regexp.MustCompile(`add "hosts":\["([^"]+)"\]`)

// speakHere rewrites an entry's texts for a run from files: an operator corrects a file
// or variable of this machine. A command for the deployed functions would act on a real
// account.
func (r *realRun) speakHere(e issue.Entry) issue.Entry {
	where := deployedRE.FindStringIndex(e.Hint)
	if where == nil {
		where = deployedRE.FindStringIndex(e.Reason)
		if where == nil {
			return e
		}
	}
	if m := hostRE.FindStringSubmatch(e.Hint); m != nil {
		e.Hint = "If " + m[1] + ` is right, add "hosts":["` + m[1] + `"] to the credential, or set EVERTOKEN_ALLOWED_HOSTS=` + m[1] + ", and run this again."
		return e
	}
	of := e.Reason + " " + e.Hint
	e.Reason, e.Hint = untilCommand(e.Reason), untilCommand(e.Hint)
	remedy := "Correct " + e.Name + " in " + r.connections + ", and run this again."
	switch {
	case e.ErrorClass == string(exchange.Throttled) || e.ErrorClass == string(exchange.Transient):
		remedy = "Run this again."
	case aboutCredential(of):
		remedy = "Correct the credential in " + credentialVariable(e.Name)
		if r.credentialsFile != "" {
			remedy += ", or in " + r.credentialsFile
		}
		remedy += ", and run this again."
	}
	if e.Hint == "The reason names the command that corrects it." {
		e.Hint = ""
	}
	e.Hint = strings.TrimSpace(e.Hint + " " + remedy)
	return e
}

// aboutCredential reports whether a message says that another credential is needed.
func aboutCredential(text string) bool {
	return strings.Contains(text, "credential") && !strings.Contains(text, "put-parameter")
}

// sentenceRE finds the end of a sentence, or of a part of one. A colon does not end one:
// a command follows it.
var sentenceRE = regexp.MustCompile(`[.;] `)

// untilCommand is the text before the sentence, or the part of one, that introduces a
// command.
func untilCommand(text string) string {
	where := deployedRE.FindStringIndex(text)
	if where == nil {
		return text
	}
	ends := sentenceRE.FindAllStringIndex(text[:where[0]], -1)
	if len(ends) == 0 {
		return ""
	}
	return strings.TrimRight(text[:ends[len(ends)-1][0]+1], ";")
}
