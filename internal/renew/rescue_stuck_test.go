// A session that cannot be stored is rescued before the run ends.

package renew_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// stuck is a store in which the session cannot be put: the call answers nothing until its
// deadline. It simulates a broken path to AWS, in a bubble where waiting takes no real
// time.
type stuck struct {
	renew.Store // nothing else is called
	rescued     time.Time
	stored      []string
}

// currentID is the version that the exchange of the version "previous" made.
var currentID = secrets.DeriveID(session, "previous", "session")

func (*stuck) Describe(_ context.Context, id string) (secrets.Description, error) {
	if id == token { // nothing is published yet
		return secrets.Description{Name: id, ARN: id}, nil
	}
	return secrets.Description{Name: id, ARN: id, Labels: map[string][]string{
		currentID: {secrets.Current}, "previous": {secrets.Previous, "EVERTOKEN_EXCHANGE"},
	}}, nil
}

func (*stuck) VersionsSince(context.Context, string, time.Time) (int, error) { return 1, nil }

func (*stuck) MoveLabel(context.Context, string, string, string, string) error { return nil }

func (s *stuck) Put(ctx context.Context, id, versionID string, _ redact.Secret, _ ...string) error {
	if id == session && versionID != currentID { // the proof passes
		<-ctx.Done()
		return secrets.ErrTransient
	}
	s.stored = append(s.stored, id)
	return nil
}

// parameters is the rescue parameter of a stuck store.
type parameters struct {
	renew.Parameters // nothing else is called
	s                *stuck
}

func (p parameters) Put(ctx context.Context, _, _ string, _ redact.Secret) error {
	if ctx.Err() == nil {
		p.s.rescued = time.Now()
	}
	return ctx.Err()
}

// rotating is a provider whose refresh tokens are single-use.
type rotating struct{}

func (rotating) Host() string { return "" }

func (rotating) Allowed(credential.Credential) error { return nil }

func (rotating) Traits() exchange.Traits {
	return exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true}
}

func (rotating) Grants(credential.Credential) ([]exchange.Grant, error) {
	return []exchange.Grant{{Type: "refresh_token", Members: []string{credential.RefreshToken}, Seed: true}}, nil
}

func (rotating) Exchange(context.Context, exchange.Request) (exchange.Issued, error) {
	now := time.Now()
	return exchange.Issued{AccessToken: redact.New("canary-access"), TokenType: "Bearer",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour), RefreshToken: redact.New("canary-next")}, nil
}

func TestAPutThatNeverAnswersLeavesTimeForTheRescue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const seed = `{"refresh_token":"canary-seed"}`
		stored, err := credential.Parse(redact.New(seed))
		if err != nil {
			t.Fatal(err)
		}
		inForce := credential.Session{
			RefreshToken: redact.New("canary-now"), StartedAt: time.Now().Add(-time.Hour), RefreshedAt: time.Now().Add(-time.Hour),
			OpenedBy: stored.Fingerprint(credential.RefreshToken),
		}
		store := &stuck{}
		engine := renew.Engine{
			Secrets: store, Parameters: parameters{s: store}, Now: time.Now, Sleep: secrets.Sleep, Log: slog.New(slog.DiscardHandler),
			Every: 5 * time.Minute, RescuePrefix: "/evertoken/rescue/", RunLasts: 4 * time.Minute,
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		end, _ := ctx.Deadline()
		result := engine.Renew(ctx, renew.Job{
			Connection: connection.Connection{Name: name, Credential: cred, Session: session, Token: token},
			Provider:   rotating{},
			Credential: &secrets.Read{Version: secrets.Version{ID: "seed", Value: redact.New(seed)}},
			Session:    &secrets.Read{Version: secrets.Version{ARN: session, ID: currentID, Value: inForce.Encode()}},
			Token:      secrets.Read{Err: secrets.ErrNotFound},
		})
		if store.rescued.IsZero() || !store.rescued.Before(end) {
			t.Errorf("the new refresh token is lost: %+v", result)
		}
		if diff := cmp.Diff([]string{session, token}, store.stored); diff != "" || result.Outcome != renew.Issued {
			t.Errorf("stored (-want +got):\n%s\n%+v", diff, result)
		}
	})
}
