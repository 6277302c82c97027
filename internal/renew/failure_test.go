package renew

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// A run reports an error of AWS with the document, its name, and what to do.
func TestAnErrorOfAWSSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for kind, tt := range map[secrets.Kind]struct {
		class exchange.Class
		hint  string
	}{
		secrets.ErrNotFound:     {exchange.Misconfigured, "aws secretsmanager create-secret --name evertoken/c/x"},
		secrets.ErrDenied:       {exchange.Misconfigured, "Allow the function's role secretsmanager:GetSecretValue on the copy evertoken/c/x"},
		secrets.ErrKMS:          {exchange.Misconfigured, "kms:Decrypt"},
		secrets.ErrDeleted:      {exchange.Misconfigured, "aws secretsmanager restore-secret --secret-id evertoken/c/x"},
		secrets.ErrBinary:       {exchange.Misconfigured, "--secret-string"},
		secrets.ErrVersionLimit: {exchange.Misconfigured, "100 versions"},
		secrets.ErrRefused:      {exchange.Misconfigured, "documentation of secretsmanager:GetSecretValue"},
		secrets.ErrThrottled:    {exchange.Throttled, "look for what else calls this service"},
		secrets.ErrTransient:    {exchange.Transient, "Evertoken tries again, and you need to do nothing"},
		secrets.ErrConflict:     {exchange.Transient, "Evertoken tries again, and you need to do nothing"},
		secrets.ErrLabelMoved:   {exchange.Transient, "Evertoken tries again, and you need to do nothing"},
	} {
		got := AWSFailure("copy", "evertoken/c/x", &secrets.Error{Kind: kind, Op: "GetSecretValue", Code: "Code"})
		if got.Outcome != Failed || got.Class != tt.class || !strings.Contains(got.Hint, tt.hint) ||
			!strings.Contains(got.Reason, "the copy") || !strings.Contains(got.Reason, "evertoken/c/x") {
			t.Errorf("%v: %+v", kind, got)
		}
	}
	got := AWSFailure("copy", "evertoken/c/x", errors.New("something else"))
	if got.Outcome != Failed || got.Reason != "the copy evertoken/c/x: something else" {
		t.Errorf("another error: %+v", got)
	}
	stopped := &Stopped{Outcome: Waiting, Reason: "told already"}
	if got := AWSFailure("copy", "evertoken/c/x", fmt.Errorf("wrapped: %w", stopped)); got.Outcome != Waiting || got.Reason != "told already" {
		t.Errorf("an error that says it all: %+v", got)
	}
}

// A run distinguishes what the session's keeper reports: a wait, a parameter that holds
// something else, an exchange that was not begun.
func TestAnErrorOfTheSessionsKeeperHasItsOwnOutcome(t *testing.T) {
	t.Parallel()
	const parameter = "/evertoken/rescue/c"
	for name, tt := range map[string]struct {
		err          error
		outcome      Outcome
		reason, hint string
	}{
		"a wait":               {&session.Waiting{Reason: "another run"}, Deferred, "another run", ""},
		"something else":       {&session.Unreadable{Parameter: parameter}, Failed, "it does not hold a session", "aws ssm delete-parameter --name " + parameter},
		"a denied parameter":   {&session.Unreadable{Parameter: parameter, Err: errDenied}, Failed, "the rescue parameter " + parameter, "Allow the function's role"},
		"told already":         {&Stopped{Outcome: Blocked, Reason: "told"}, Blocked, "told", ""},
		"not sent":             {&session.NotSent{Err: errDenied}, Failed, "nothing was sent, because the session could not be stored: the session " + sessionID, "Allow the function's role"},
		"the secret is denied": {errDenied, Failed, "the session " + sessionID, "Allow the function's role"},
	} {
		r := holding(t, both, credential.Session{})
		r.conn.Session = sessionID
		got := r.ended(tt.err)
		if got.Outcome != tt.outcome || !strings.Contains(got.Reason, tt.reason) ||
			!strings.Contains(got.Hint, tt.hint) {
			t.Errorf("%s: %+v", name, got)
		}
		if strings.HasPrefix(got.Reason, "nothing was sent") != strings.HasPrefix(tt.reason, "nothing was sent") {
			t.Errorf("%s: %s", name, got.Reason)
		}
	}
}

// A run reports all missing secrets at once, with one command that creates them. A secret
// with a wrong ARN cannot be created.
func TestMissingSecretsAreReportedWithTheirCommand(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:evertoken/c/credential-AbCdEf"
	for name, tt := range map[string]struct {
		missing        []missing
		parameter, key string
		reason, hint   string
	}{
		"one": {[]missing{{"token", tokenID}}, "", "", "the token secret evertoken/c/token does not exist",
			"Create what is missing: `aws secretsmanager create-secret --name evertoken/c/token`."},
		"two, with a tag and a key": {[]missing{{"token", tokenID}, {"session", sessionID}}, "/evertoken/connections/c", "alias/k",
			"the token secret evertoken/c/token does not exist; the session secret evertoken/c/session does not exist",
			"Create what is missing: `aws secretsmanager create-secret --name evertoken/c/token " +
				"--tags Key=evertoken:parameter,Value=/evertoken/connections/c --kms-key-id alias/k && " +
				"aws secretsmanager create-secret --name evertoken/c/session " +
				"--tags Key=evertoken:parameter,Value=/evertoken/connections/c --kms-key-id alias/k`."},
		"a wrong ARN": {[]missing{{"credential", arn}}, "", "", "the credential secret evertoken/c/credential does not exist",
			"Correct the ARN of the credential: no secret in this account and Region has it."},
	} {
		r := holding(t, both, credential.Session{})
		r.missing, r.job.Parameter, r.RescueKey = tt.missing, tt.parameter, tt.key
		got := asStopped(r.missingSecrets())
		if got.Outcome != Failed ||
			got.Reason != tt.reason || got.Hint != tt.hint {
			t.Errorf("%s: %s\n%s", name, got.Reason, got.Hint)
		}
	}
}

// demanding is a provider that says what a credential lacks.
type demanding struct {
	provider
	err error
}

func (p demanding) Grants(credential.Credential) ([]exchange.Grant, error) { return nil, p.err }

// A run reports an unusable credential with what its provider needs.
func TestAnUnusableCredentialIsReportedWithWhatIsNeeded(t *testing.T) {
	t.Parallel()
	needs := errors.New("credential: needs client_id")
	for name, tt := range map[string]struct {
		err  error
		says error // what the provider says of an empty credential
		hint string
	}{
		"no object":                     {&credential.Error{Document: "credential", Problem: "is not JSON"}, needs, "Store a JSON object (needs client_id): "},
		"no object, nothing is needed":  {&credential.Error{Document: "credential", Problem: "is not JSON"}, nil, "Store a JSON object: "},
		"no object, in one phrase":      {&credential.Error{Document: "credential", Problem: "is not JSON"}, errors.New("odd"), "Store a JSON object: "},
		"a member":                      {&credential.Error{Document: "credential", Member: "username", Problem: "is empty"}, needs, "Store it again: "},
		"another document":              {&credential.Error{Document: "session", Problem: "is not JSON"}, needs, "Store it again: "},
		"the provider's own hint":       {&exchange.Error{Problem: "p", Hint: "Do this."}, nil, "Do this."},
		"the provider's error, no hint": {&exchange.Error{Problem: "p"}, nil, "Store it again: "},
	} {
		r := holding(t, both, credential.Session{})
		r.job.Provider = demanding{err: tt.says}
		if got := r.documentFailure(tt.err); got.Outcome != Failed ||
			got.Class != exchange.Misconfigured || !strings.HasPrefix(got.Hint, tt.hint) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An error that no provider names is one of our own code; a deadline is a lost answer.
func TestAnyErrorIsReportedAsAnExchangeError(t *testing.T) {
	t.Parallel()
	own := &exchange.Error{Status: 400}
	for name, tt := range map[string]struct {
		err   error
		class exchange.Class
		lost  bool
	}{
		"a deadline":     {fmt.Errorf("x: %w", context.DeadlineExceeded), exchange.Transient, true},
		"an interrupt":   {context.Canceled, exchange.Transient, true},
		"something else": {errors.New("odd"), exchange.Misconfigured, false},
	} {
		if got := asExchange(tt.err); got.Class != tt.class || got.Lost != tt.lost {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := asExchange(fmt.Errorf("wrapped: %w", own)); got != own {
		t.Errorf("%+v", got)
	}
	if got := asStopped(errors.New("odd")); got.Outcome != Failed ||
		got.Class != exchange.Transient || got.Reason != "odd" {
		t.Errorf("%+v", got)
	}
}

// If the token's life is not known, the refusal says so. A run soon after another is told when
// the connection is renewed anyway.
func TestARefusalForTooManyVersionsTellsTheLife(t *testing.T) {
	t.Parallel()
	r := holding(t, both, credential.Session{})
	r.token = &TokenTimes{at, at.Add(10 * time.Minute)}
	if got := r.used("token", 97); !strings.Contains(got.Reason, "97 versions") ||
		!strings.Contains(got.Reason, "the token's life is 10m0s") || !strings.Contains(got.Hint, "token_parameter") {
		t.Error(got)
	}
	r.token, r.conn.Session = &TokenTimes{at, at.Add(time.Hour)}, "evertoken/c/session"
	for _, document := range []string{"token", "session"} {
		got := r.used(document, 99)
		if !strings.Contains(got.Reason, "the token's life is 1h0m0s") ||
			!strings.HasPrefix(got.Hint, "Forced runs, lost answers or somebody else wrote it") ||
			!strings.Contains(got.Hint, "list-secret-version-ids --secret-id evertoken/"+r.conn.Name+"/"+document+" ") {
			t.Error(got.Reason, got.Hint)
		}
	}
	r.decision.WithinFloor = true
	if got := r.used("token", 90); !strings.HasPrefix(got.Hint, "The connection was renewed less than 15 m") {
		t.Error(got.Hint)
	}
	r.token = nil
	if got := r.used("token", 97); !strings.Contains(got.Reason, "the token's life is unknown") ||
		!strings.HasPrefix(got.Hint, "A secret takes one version in 15 minutes. ") {
		t.Error(got.Reason, got.Hint)
	}
}
