package renew

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// awsFailure tells an error of AWS: which action on which document.
func (r *renewal) awsFailure(document, id string, err error) *Result {
	result := AWSFailure(document, id, err)
	return &result
}

// AWSFailure tells an error of package secrets as a failed result: its class,
// the action and the document, and what to do.
func AWSFailure(document, id string, err error) Result {
	name := connection.SecretName(id)
	result := Result{Outcome: Failed, Class: exchange.Misconfigured, Reason: "the " + document + " " + name + ": " + err.Error()}
	action := "the action"
	if e, ok := errors.AsType[*secrets.Error](err); ok {
		action = e.Op
	}
	switch secrets.ErrorKind(err) {
	case secrets.ErrNotFound:
		result.Reason = "the " + document + " secret " + name + " does not exist"
		result.Hint = "create it: aws secretsmanager create-secret --name " + name
	case secrets.ErrDenied:
		result.Hint = "allow the function's role " + action + " on the " + document
	case secrets.ErrKMS:
		result.Hint = "allow the function's role kms:Decrypt and kms:GenerateDataKey on the key of the " + document + ", and see that the key is enabled"
	case secrets.ErrDeleted:
		result.Hint = "if it is marked for deletion, bring it back: aws secretsmanager restore-secret --secret-id " + name
	case secrets.ErrBinary:
		result.Hint = "store it again with --secret-string"
	case secrets.ErrVersionLimit:
		result.Hint = "the secret has 100 versions younger than 24 hours or 20 labels; wait until the oldest are a day old"
	case secrets.ErrThrottled:
		result.Class = exchange.Throttled
	case secrets.ErrTransient, secrets.ErrConflict, secrets.ErrLabelMoved:
		result.Class = exchange.Transient
	}
	return result
}

func (r *renewal) documentFailure(err error) *Result {
	hint := "store it again: " + putCommand(r.conn.Credential)
	var x *exchange.Error
	if errors.As(err, &x) && x.Hint != "" {
		hint = x.Hint
	}
	return &Result{Outcome: Failed, Class: exchange.Misconfigured, Reason: err.Error(), Hint: hint}
}

// tooShortLived refuses a connection whose tokens do not live long enough to be
// kept in a secret.
func (r *renewal) tooShortLived(document string, versions int) *Result {
	life := "unknown"
	if r.token != nil {
		life = r.facts().life().Round(time.Second).String()
	}
	return &Result{
		Outcome: Failed, Class: exchange.Misconfigured,
		Reason: fmt.Sprintf("the %s has %d versions younger than 24 hours, of which Secrets Manager allows about 100; the token's life is %s", document, versions, life),
		Hint:   "a secret takes one version per 15 minutes: publish in a parameter (token_parameter), and renew by the client secret without a session where the provider allows it",
	}
}

// exchangeFailure tells an error of a provider.
func exchangeFailure(err error) Result {
	x := asExchange(err)
	return Result{Outcome: Failed, Class: x.Class, Reason: x.Error(), Hint: x.Hint}
}

// asExchange returns err as an exchange's error. One that is none comes from
// our own code and counts as transient; its text may not be trusted.
func asExchange(err error) *exchange.Error {
	if x, ok := errors.AsType[*exchange.Error](err); ok {
		return x
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &exchange.Error{Class: exchange.Transient, Doing: "exchanging", Problem: "no time left", Lost: true}
	}
	return &exchange.Error{Class: exchange.Misconfigured, Doing: "exchanging", Problem: err.Error()}
}

// putCommand is how a person stores a value without it standing in the shell's
// history.
func putCommand(id string) string {
	return "aws secretsmanager put-secret-value --secret-id " + connection.SecretName(id) + " --secret-string file://credential.json"
}

func joinHints(hints []string) string {
	hints = slices.DeleteFunc(hints, func(s string) bool { return s == "" })
	return strings.Join(slices.Compact(hints), "; ")
}
