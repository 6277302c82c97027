package renew

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// Stopped says why a renewal ended without a token. It holds no secret.
type Stopped struct {
	Outcome Outcome
	Class   exchange.Class // empty unless failed or blocked
	Reason  string
	Hint    string // what the operator can do
}

func (s *Stopped) Error() string { return s.Reason }

// Result is the result that reports the error.
func (s *Stopped) Result() Result {
	return Result{Outcome: s.Outcome, Class: s.Class, Reason: s.Reason, Hint: s.Hint}
}

// ended is the result of a renewal that ended with an error.
func (r *renewal) ended(err error) Result {
	if stopped, ok := errors.AsType[*Stopped](err); ok {
		return stopped.Result()
	}
	return r.sessionStopped(err).Result()
}

// asStopped returns err as a *Stopped. Any other error counts as transient.
func asStopped(err error) *Stopped {
	if s, ok := errors.AsType[*Stopped](err); ok {
		return s
	}
	return &Stopped{Outcome: Failed, Class: exchange.Transient, Reason: err.Error()}
}

// sessionStopped turns an error of package session into a *Stopped.
func (r *renewal) sessionStopped(err error) *Stopped {
	if waiting, ok := errors.AsType[*session.Waiting](err); ok {
		return &Stopped{Outcome: Deferred, Reason: waiting.Reason}
	}
	if unreadable, ok := errors.AsType[*session.Unreadable](err); ok {
		if unreadable.Err == nil {
			return &Stopped{Failed, exchange.Misconfigured,
				unreadable.Error() + ": it does not hold a session",
				"Look at it, and delete it if it is not Evertoken's: " +
					"`aws ssm delete-parameter --name " + unreadable.Parameter + "`."}
		}
		return r.awsFailure("rescue parameter", unreadable.Parameter, unreadable.Err)
	}
	if stopped, ok := errors.AsType[*Stopped](err); ok {
		return stopped
	}
	stopped := r.awsFailure("session", r.conn.Session, err)
	if _, ok := errors.AsType[*session.NotSent](err); ok {
		stopped.Reason = "nothing was sent, because the session could not be stored: " + stopped.Reason
	}
	return stopped
}

// awsFailure turns an error of AWS into a *Stopped that names the action and the document.
func (r *renewal) awsFailure(document, id string, err error) *Stopped {
	return awsFailure(document, r.conn.SecretName(id), err)
}

// AWSFailure turns an error of package secrets into a failed result. It has the class, the
// action, the document by the name that commands take, and what to do.
func AWSFailure(document, name string, err error) Result {
	return awsFailure(document, name, err).Result()
}

func awsFailure(document, name string, err error) *Stopped {
	if stopped, ok := errors.AsType[*Stopped](err); ok {
		return stopped
	}
	s := &Stopped{Outcome: Failed, Class: exchange.Misconfigured}
	action, text := "", err.Error()
	if e, ok := errors.AsType[*secrets.Error](err); ok {
		action, text = e.Op, e.Error()
	}
	of := document + " " + name
	s.Reason = "the " + of + ": " + text
	switch secrets.ErrorKind(err) {
	case secrets.ErrNotFound:
		s.Reason = "the " + document + " secret " + name + " does not exist"
		s.Hint = "Create it: `aws secretsmanager create-secret --name " + name + "`."
	case secrets.ErrDenied:
		s.Hint = "Allow the function's role " + right(action) + " on the " + of + "."
	case secrets.ErrKMS:
		s.Hint = "Allow the function's role kms:Decrypt and kms:GenerateDataKey on the key of the " +
			of + ", and check that the key is enabled."
	case secrets.ErrDeleted:
		s.Hint = "If it is marked for deletion, restore it: " +
			"`aws secretsmanager restore-secret --secret-id " + name + "`. " +
			"A later run then goes on by itself."
	case secrets.ErrBinary:
		s.Hint = "Store the same document again as text: " +
			"`aws secretsmanager put-secret-value --secret-id " + name +
			" --secret-string file://document.json`."
	case secrets.ErrVersionLimit:
		s.Hint = noRoom(action, of, name)
	case secrets.ErrThrottled:
		s.Class = exchange.Throttled
		s.Hint = "AWS limits the account's requests, and Evertoken tries again. If this lasts, " +
			"look for what else calls this service in the account and Region."
	case secrets.ErrTransient, secrets.ErrConflict, secrets.ErrLabelMoved:
		s.Class = exchange.Transient
		s.Hint = "Evertoken tries again, and you need to do nothing unless this lasts."
	case secrets.ErrRefused:
		s.Hint = "Look AWS's code up in the documentation of " + right(action) + "."
	}
	return s
}

// right is the IAM action of an operation of Secrets Manager or Parameter Store.
func right(operation string) string {
	if operation == "" {
		return "this action"
	}
	if strings.Contains(operation, "Parameter") {
		return "ssm:" + operation
	}
	return "secretsmanager:" + operation
}

// noRoom says what to do where a secret or parameter takes no further version or label.
func noRoom(action, of, name string) string {
	if strings.HasSuffix(action, "Parameter") {
		return "Parameter Store cannot drop the oldest version of the " + of + ", because it has a " +
			"label. Find the label: `aws ssm get-parameter-history --name " + name + "`. " +
			"Then remove it: `aws ssm unlabel-parameter-version --name " + name +
			" --parameter-version VERSION --labels LABEL`."
	}
	if strings.HasSuffix(action, "VersionStage") {
		return "The " + of + " has 20 labels. See them: `aws secretsmanager describe-secret " +
			"--secret-id " + name + "`. Remove one that an old version does not need: `aws " +
			"secretsmanager update-secret-version-stage --secret-id " + name +
			" --version-stage LABEL --remove-from-version-id VERSION`."
	}
	return "The " + of + " has 100 versions younger than 24 hours, or 20 labels. " +
		"Evertoken tries again, and succeeds once the oldest are a day old. See what writes it: " +
		listVersions(name) + "."
}

// missing is a secret that does not exist.
type missing struct{ document, id string }

// missingSecrets returns the error that names all of the connection's secrets that do not
// exist, with the commands that create them. A secret of another account is named by its
// ARN, as the connection gives it.
func (r *renewal) missingSecrets() error {
	var what, hints, commands []string
	for _, m := range r.missing {
		what = append(what, "the "+m.document+" secret "+r.conn.SecretName(m.id)+" does not exist")
		if connection.SecretName(m.id) != m.id {
			hints = append(hints, "Correct the ARN of the "+m.document+
				": no secret in this account and Region has it.")
			continue
		}
		command := "aws secretsmanager create-secret --name " + m.id
		if r.job.Parameter != "" {
			command += " --tags Key=evertoken:parameter,Value=" + r.job.Parameter
		}
		if r.RescueKey != "" { // the one key that the functions certainly may use
			command += " --kms-key-id " + r.RescueKey
		}
		commands = append(commands, command)
	}
	if len(commands) > 0 {
		hints = append(hints, "Create what is missing: `"+strings.Join(commands, " && ")+"`.")
	}
	return &Stopped{Failed, exchange.Misconfigured, strings.Join(what, "; "), Sentences(hints...)}
}

func (r *renewal) documentFailure(err error) *Stopped {
	hint := "Store it again: " + putCommand(r.conn) + "."
	x, ok := errors.AsType[*credential.Error](err)
	if ok && x.Document == "credential" && x.Member == "" {
		hint = "Store a JSON object" + r.needed() + ": " + putCommand(r.conn) + "."
	}
	if x, ok := errors.AsType[*exchange.Error](err); ok && x.Hint != "" {
		hint = x.Hint
	}
	return &Stopped{Failed, exchange.Misconfigured, err.Error(), hint}
}

// needed says which members the connection's provider needs. The words are those in which
// the provider refuses an empty credential.
func (r *renewal) needed() string {
	_, err := r.job.Provider.Grants(credential.Credential{})
	if err == nil {
		return ""
	}
	_, needs, found := strings.Cut(err.Error(), ": ")
	if !found {
		return ""
	}
	return " (" + needs + ")"
}

// used returns the error for a secret with too many versions. If its tokens are too
// short-lived, only a parameter helps. Otherwise other writes have used the versions up.
func (r *renewal) used(document string, versions int) *Stopped {
	life, short := "unknown", true
	if r.token != nil {
		life, short = r.facts().life().Round(time.Second).String(), r.facts().tooShort()
	}
	hint := "A secret takes one version in 15 minutes. " +
		"Publish the token in a parameter (token_parameter), and renew by the client secret, " +
		"without a session, if the provider allows it."
	if !short {
		name := r.conn.SecretName(r.conn.Token)
		if document == "session" {
			name = r.conn.SecretName(r.conn.Session)
		}
		hint = "Forced runs, lost answers or somebody else wrote it more often than once in 15 " +
			"minutes. Evertoken renews again once the oldest versions are a day old. See when they " +
			"were written: " + listVersions(name) + ". A token in a parameter (token_parameter) has " +
			"no such limit."
	}
	early := r.decision.WithinFloor && !r.decision.Unpublished && !r.job.Candidate
	if early && r.token != nil && !short {
		hint = "The connection was renewed less than 15 minutes ago, and so soon it is renewed again " +
			"only while a secret has fewer than 90 versions. Evertoken renews it by itself after " +
			stamp(r.facts().RenewAfter()) + ". A token in a parameter (token_parameter) has no such limit."
	}
	return &Stopped{
		Failed, exchange.Misconfigured,
		fmt.Sprintf("the %s has %d versions younger than 24 hours, of which Secrets Manager allows "+
			"about 100; the token's life is %s", document, versions, life), hint,
	}
}

func listVersions(name string) string {
	return "`aws secretsmanager list-secret-version-ids --secret-id " + name +
		" --include-deprecated`"
}

// refusal turns an error of a provider into a *Stopped.
func refusal(x *exchange.Error) *Stopped {
	return &Stopped{Failed, x.Class, x.Error(), x.Hint}
}

// asExchange returns err as an error of an exchange. Any other error comes from Evertoken's
// own code: it is transient if time ran out, and otherwise misconfigured.
func asExchange(err error) *exchange.Error {
	if x, ok := errors.AsType[*exchange.Error](err); ok {
		return x
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &exchange.Error{Class: exchange.Transient, Doing: "exchanging",
			Problem: "no time left", Lost: true}
	}
	return &exchange.Error{Class: exchange.Misconfigured, Doing: "exchanging", Problem: err.Error()}
}

// putCommand are the commands, in backticks, with which a person stores the
// connection's credential.
func putCommand(c connection.Connection) string {
	return connection.StoreCommands(c.Name, c.SecretName(c.Credential))
}

// forceHint says how an operator has the connection tried at once.
func (r *renewal) forceHint() string {
	return "run `evertoken renew " + r.conn.Name + "` or invoke issue with " +
		`{"connections":["` + r.conn.Name + `"],"force":true}`
}
