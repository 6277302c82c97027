package main

import (
	"regexp"
	"strings"

	"evertoken/internal/exchange"
	"evertoken/internal/issue"
)

// deployedRE finds where a message begins to speak of a real account: a command
// of the AWS CLI or of Evertoken, or an invocation of the function.
var deployedRE = regexp.MustCompile("`?(aws (ssm|secretsmanager|kms|lambda|iam)|evertoken [a-z-]+|invoke issue with) ")

// speakHere rewrites what an entry says for a run from files: what is wrong is
// corrected in a file or variable of this machine. A command that is meant for
// the deployed functions would act on a real account.
func (r *realRun) speakHere(e issue.Entry) issue.Entry {
	where := deployedRE.FindStringIndex(e.Hint)
	if where == nil {
		where = deployedRE.FindStringIndex(e.Reason)
		if where == nil {
			return e
		}
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
	if e.Hint == "The reason names the command." {
		e.Hint = ""
	}
	e.Hint = strings.TrimSpace(e.Hint + " " + remedy)
	return e
}

// aboutCredential reports whether a message is mended by another credential.
func aboutCredential(text string) bool {
	return strings.Contains(text, "credential") && !strings.Contains(text, "put-parameter")
}

// untilCommand is the text up to the sentence, or the part of one, that leads to
// a command.
func untilCommand(text string) string {
	where := deployedRE.FindStringIndex(text)
	if where == nil {
		return text
	}
	before := text[:where[0]]
	if i := strings.LastIndexAny(before, ".;:"); i >= 0 {
		before = before[:i+1]
		if strings.HasSuffix(before, ":") { // "store another: aws …"
			before = before[:max(strings.LastIndexAny(before[:len(before)-1], ".;"), -1)+1]
		}
	} else {
		before = ""
	}
	return strings.TrimRight(before, " ;,")
}
