package renew_test

import (
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// A refresh ends the published token (renew_late). A forced run stores the session, and AWS does
// not take the token. A heartbeat publishes one within minutes.
func TestALateTokenThatAForcedRunCouldNotPublish(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.OAuth2Kind(name, "late")
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 24 * time.Hour })
	})
	want(t, w, "issued", "")
	w.Clock.Advance(time.Hour)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token, Kind: fakeaws.Refuse, Code: "EncryptionFailure"})
	w.Run(issue.Event{Connections: []string{name}, Force: true})
	w.AWS.ClearFaults()
	began := w.Clock.Now()
	for w.Clock.Now().Sub(began) < 24*time.Hour {
		w.Tick()
		w.AWS.ResetCalls()
		if p, _ := w.Token(name); w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) {
			break
		}
	}
	if dead := w.Clock.Now().Sub(began); dead > 15*time.Minute {
		t.Errorf("applications read a dead token for %s", dead)
	}
}

// The same with renewed_by: rotation. The rotation stored the session and not the token.
func TestARotationThatCouldNotKeepALateToken(t *testing.T) {
	t.Parallel()
	w := world(t, func(w *fakeworld.World) {
		w.OAuth2Kind(name, "late")
		w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.AccessLife = 24 * time.Hour })
		w.Declare(name, map[string]any{"provider": "oauth2", "renewed_by": "rotation", "settings": map[string]any{
			"token_url": w.IDP.OAuth2().TokenURL(), "grant": "refresh_token", "renew_late": true}})
	})
	w.OnRotation = fakeworld.Steps(func(e events.SecretsManagerSecretRotationEvent) error { return fakeworld.Handle(w.Rotator(), e) })
	want(t, w, "issued", "")
	w.Clock.Advance(13 * time.Hour)
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: token, Kind: fakeaws.Refuse, Code: "EncryptionFailure"})
	if err := w.Rotate(token, secrets.FreshID()); err != nil {
		t.Fatal(err)
	}
	w.AWS.ClearFaults()
	ticks(w, 12*6)
	p, _ := w.Token(name)
	if !w.IDP.Accepts("oauth2", p.AccessToken.Reveal()) {
		t.Errorf("six hours later applications still read a dead token that says it lives until %s", p.ExpiresAt)
	}
}
