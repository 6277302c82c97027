package renew_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	fakeaws "evertoken/internal/fake/aws"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// A rotation that ends while a run publishes may have ended the run's token, at a
// provider whose tokens end each other. The run then publishes the rotation's token, or
// says that it could not.
func TestARunPublishesTheTokenOfARotationThatEndedItsOwn(t *testing.T) {
	t.Parallel()
	for _, denied := range []bool{false, true} {
		w := world(t, connects["flexnet"])
		rotator := w.Rotator()
		w.OnRotation = fakeworld.Steps(func(e events.SecretsManagerSecretRotationEvent) error { return fakeworld.Handle(rotator, e) })
		want(t, w, "issued", "")
		if err := w.Rotate(token, secrets.FreshID()); err != nil { // so that rotation is enabled
			t.Fatal(err)
		}
		advance(t, w)
		rotated := secrets.FreshID()
		w.AWS.Inject(&fakeaws.Fault{
			Operation: "PutSecretValue", Resource: token, Kind: fakeaws.OnlyHook, Times: 1,
			Hook: func(fakeaws.Call) {
				if err := w.Rotate(token, rotated); err != nil {
					t.Error(err)
				}
				if denied {
					refuse(w, "UpdateSecretVersionStage", token, "AccessDeniedException")
				}
			},
		})
		e := runNow(w)
		current, _ := w.AWS.Secret(token).Labelled(secrets.Current)
		switch {
		case e.Outcome != "issued":
			t.Errorf("denied %t: %+v", denied, e)
		case denied && !strings.Contains(e.Hint, "A rotation may have published a token meanwhile, and Evertoken could not give way to it"):
			t.Errorf("the hint says nothing of it: %q", e.Hint)
		case !denied && current.ID != rotated:
			t.Errorf("AWSCURRENT is on %s, the rotation made %s", current.ID, rotated)
		}
		if !denied {
			alive(t, w, name)
		}
	}
}
