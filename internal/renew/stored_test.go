package renew

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	credentialID = "evertoken/c/credential"
	sessionID    = "evertoken/c/session"
	tokenID      = "evertoken/c/token"
)

// stored is a renewal like [holding], whose documents are secrets of a fake AWS. The
// labels of its versions are those in AWS, as the renewal has read them.
type stored struct {
	*renewal
	aws *fakeaws.Server
	t   *testing.T
}

// newStored stores the credential, a session and an older version of the credential that
// holds the same.
func newStored(t *testing.T, s credential.Session) *stored {
	t.Helper()
	server, err := fakeaws.New(fakeaws.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	c := server.AWSConfig()
	c.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(secrets.Retryer()(), 1) }
	w := &stored{holding(t, both, s), server, t}
	w.Secrets = secrets.NewStore(secretsmanager.NewFromConfig(c), nil)
	w.Parameters = secrets.NewParameters(ssm.NewFromConfig(c))
	w.Sleep = func(context.Context, time.Duration) error { return nil }
	w.Log = slog.New(slog.DiscardHandler)
	w.conn.Credential, w.conn.Session, w.conn.Token = credentialID, sessionID, tokenID
	w.session.Secrets, w.session.Parameters, w.session.Wait, w.session.ID = w.Secrets, w.Parameters, w.Sleep, sessionID
	w.now = at
	old, session := both, s.Encode().Reveal()
	server.CreateSecret(credentialID, &old, nil)
	server.CreateSecret(sessionID, &session, nil)
	server.CreateSecret(tokenID, nil, nil)
	if err := w.Secrets.Put(t.Context(), credentialID, secrets.FreshID(), redact.New(both)); err != nil {
		t.Fatal(err)
	}
	w.readAgain()
	return w
}

// readAgain reads the labels from AWS again.
func (w *stored) readAgain() {
	w.t.Helper()
	v, err := w.Secrets.Get(w.t.Context(), credentialID, secrets.Current)
	if err != nil {
		w.t.Fatal(err)
	}
	w.job.Credential = &secrets.Read{Version: v}
	if v, err = w.Secrets.Get(w.t.Context(), sessionID, secrets.Current); err != nil {
		w.t.Fatal(err)
	}
	w.session.Use(v)
}

// label puts labels onto the version of a secret that has the label at.
func (w *stored) label(secret, at string, labels ...string) {
	w.t.Helper()
	v, ok := w.aws.Secret(secret).Labelled(at)
	if !ok {
		w.t.Fatalf("%s has no version with %s", secret, at)
	}
	for _, label := range labels {
		if err := w.Secrets.MoveLabel(w.t.Context(), secret, label, v.ID, ""); err != nil {
			w.t.Fatal(err)
		}
	}
	w.readAgain()
}

// notes are the labels of a secret's version with the label at, without AWS's own.
func (w *stored) notes(secret, at string) string {
	v, _ := w.aws.Secret(secret).Labelled(at)
	own := slices.DeleteFunc(v.Labels, func(l string) bool { return strings.HasPrefix(l, "AWS") })
	return strings.Join(own, " ")
}

func (w *stored) refuse(operation, secret, code string) {
	w.aws.Inject(&fakeaws.Fault{Operation: operation, Resource: secret, Kind: fakeaws.Refuse, Code: code})
}

// rejectedToday, unsureNow and answered are labels about a grant of the renewal.
func (w *stored) rejectedToday(g exchange.Grant) string {
	return labelRejected + "20261121_" + string(w.key(g.Type))
}

func (w *stored) unsureNow(n int, g exchange.Grant) string { return unsureLabel(n, at, w.key(g.Type)) }

func (w *stored) answered(status int, g exchange.Grant) string {
	return answerLabel(answer{status: status, class: exchange.CredentialDead}, w.key(g.Type))
}
