package rotate

import (
	"cmp"
	"fmt"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/renew"
)

// Failure is the content of every error of this package. It holds no secret value, no
// ARN and no text from a provider or from AWS.
type Failure struct {
	Step    string // as in the event; empty if it is not known
	Secret  string // the secret's name; empty if it is not known
	Problem string
	Hint    string // what to do about it; empty if nothing can be done
}

// Error returns all members in one line.
func (f Failure) Error() string {
	where := cmp.Or(f.Step, "a step")
	if f.Secret != "" {
		where += " of " + f.Secret
	}
	return where + ": " + join(f.Problem, f.Hint)
}

// The kinds of error. Lambda reports an error under the name of its type, so
// that an operator sees at once who has to act.
type (
	// InvalidEvent is an event that Secrets Manager would not send.
	InvalidEvent struct{ Failure }
	// Refused says that Evertoken must not rotate the secret, or that no rotation to the
	// version is in progress. Nothing was sent or changed.
	Refused struct{ Failure }
	// Misconfigured says that a connection, a right or a document must be corrected.
	Misconfigured struct{ Failure }
	// CredentialDead says that the provider refuses the credential. Only a person can
	// replace it.
	CredentialDead struct{ Failure }
	// Throttled says that a provider or AWS asked for fewer requests. Secrets Manager
	// tries the rotation again.
	Throttled struct{ Failure }
	// Transient is a fault that passes. Secrets Manager tries the rotation again.
	Transient struct{ Failure }
	// RotationStuck says that the rotation can never succeed with the value that it
	// prepared. Evertoken removed AWSPENDING, so the next rotation begins anew. If that
	// failed, the hint has the command.
	RotationStuck struct{ Failure }
	// Superseded says that the rotation was abandoned, or that another one began, while
	// this step ran. The step changed nothing of the other rotation.
	Superseded struct{ Failure }
	// InternalFault is a fault in Evertoken itself. The log says where it happened.
	InternalFault struct{ Failure }
)

func (r *rotation) failure(problem, hint string) Failure {
	return Failure{Step: r.event.Step, Secret: r.name, Problem: problem, Hint: hint}
}

func (r *rotation) refused(problem, hint string) error { return Refused{r.failure(problem, hint)} }

func (r *rotation) misconfigured(problem, hint string) error {
	return Misconfigured{r.failure(problem, hint)}
}

func (r *rotation) transient(problem string) error {
	return Transient{r.failure(problem, "Secrets Manager tries the rotation again.")}
}

// classified is the error for a class of package exchange.
func (r *rotation) classified(class exchange.Class, problem, hint string) error {
	f := r.failure(problem, hint)
	switch class {
	case exchange.Throttled:
		return Throttled{f}
	case exchange.Transient:
		return Transient{f}
	case exchange.GrantDead, exchange.CredentialDead:
		return CredentialDead{f}
	}
	return Misconfigured{f}
}

// fromResult is the error for a renewal that did not succeed.
func (r *rotation) fromResult(result renew.Result) error {
	switch result.Outcome {
	case renew.Waiting:
		return r.refused(result.Reason, result.Hint)
	case renew.Deferred, renew.Fresh:
		return r.transient(join(result.Reason, result.Hint))
	}
	return r.classified(result.Class, result.Reason, result.Hint)
}

// aws is the error for one of package secrets about a document of a connection.
func (r *rotation) aws(document, id string, err error) error {
	return r.fromResult(renew.AWSFailure(document, id, err))
}

// provider is the error for one of a provider.
func (r *rotation) provider(doing string, err error) error {
	x := asExchange(err)
	return r.classified(x.Class, doing+": "+x.Error(), x.Hint)
}

// join puts a problem and what to do about it into one text.
func join(problem, hint string) string {
	if hint == "" {
		return problem
	}
	return strings.TrimSuffix(problem, ".") + ". " + renew.Sentences(hint)
}

// The commands, in backticks, that errors and docs/rotation.md name.

func putCommand(secret string) string {
	return "`aws secretsmanager put-secret-value --secret-id " + secret +
		" --secret-string file://credential.json`"
}

func rotateCommand(secret string) string {
	return "`aws secretsmanager rotate-secret --secret-id " + secret + "`"
}

func cancelCommand(secret string) string {
	return "`aws secretsmanager cancel-rotate-secret --secret-id " + secret + "`"
}

// nameCommand confirms that only this secret uses the clients, so that rotation may
// delete them.
func nameCommand(secret string, clients ...string) string {
	return "`aws secretsmanager tag-resource --secret-id " + secret +
		" --tags 'Key=" + clientTag + ",Value=" + strings.Join(clients, " ") + "'`"
}

func takeOffCommand(secret, versionID string) string {
	return fmt.Sprintf("`aws secretsmanager update-secret-version-stage --secret-id %s "+
		"--version-stage AWSPENDING --remove-from-version-id %s`", secret, versionID)
}

// secretName is what errors and logs call a secret before it was described.
func secretName(id string) string { return connection.SecretName(id) }
