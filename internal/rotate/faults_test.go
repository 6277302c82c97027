package rotate_test

import (
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

// TestANewClientThatIsRefusedForAWhileIsPromoted: a new client is refused for a while.
func TestANewClientThatIsRefusedForAWhileIsPromoted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after time.Duration
		want  string
	}{
		"a few seconds": {20 * time.Second, "cur:PREVIOUS one:CURRENT"},
		"minutes":       {5 * time.Minute, "cur:CURRENT one:PENDING"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			account, _ := w.flexera("f")
			w.Clock.Advance(time.Hour)
			w.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { o.ClientPropagation = test.after })
			if err := w.rotateSecret("evertoken/f/credential", "one"); err != nil {
				t.Fatal(err)
			}
			check(t, "labels", test.want, w.labels("evertoken/f/credential"))
			check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
			if test.after < settle {
				w.Clock.Advance(test.after)
				_ = w.AWS.RetryRotation("evertoken/f/credential") // it may be complete already
				check(t, "labels after a retry", "cur:PREVIOUS one:CURRENT", w.labels("evertoken/f/credential"))
				check(t, "clients", 2, len(w.IDP.Flexera().Clients(org, account)))
			}
		})
	}
}

const settle = 15 * time.Minute

// TestAVersionThatIsNotVisibleAtOnceIsReadAgain: AWS does not show a version at once.
func TestAVersionThatIsNotVisibleAtOnceIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	w.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Resource: "evertoken/c/token",
		Kind: fakeaws.Stale, StaleBy: time.Hour, Times: 2})
	if err := w.rotateSecret("evertoken/c/token", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	check(t, "exchanges", 1, w.Exchanges())
}

// TestAnErrorOfAWSDoesNotMeanThatNoValueIsStored: no error of AWS counts as "no value
// yet".
func TestAnErrorOfAWSDoesNotMeanThatNoValueIsStored(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"ThrottlingException": "Throttled", "InternalServiceError": "Transient", "AccessDeniedException": "Misconfigured", "DecryptionFailure": "Misconfigured",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.OAuth2("c", "client_credentials")
			w.prepare("evertoken/c/token", "one")
			w.AWS.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Resource: "evertoken/c/token", Code: code})
			for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
				check(t, step, want, w.step(step, "evertoken/c/token", "one"))
			}
			check(t, "exchanges", 0, w.Exchanges())
			check(t, "labels", "one?:PENDING", w.labels("evertoken/c/token"))
		})
	}
}

// TestTheValueThatAnotherInvocationStoredIsUsed: the value that another invocation has
// stored under the version is used.
func TestTheValueThatAnotherInvocationStoredIsUsed(t *testing.T) {
	t.Parallel()
	for role, begin := range subjects {
		if role == "credential" { // see TestTwoSimultaneousCreatesLeaveOneClient
			continue
		}
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			s.prepared()
			s.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: s.secret,
				Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) {
					s.store("tok", "new", "AWSPENDING")
				}})
			check(t, "outcome", "ok", s.step("createSecret", s.secret, "tok"))
			check(t, "value", s.value("new"), s.world.value(s.secret, secrets.Pending))
			check(t, "labels", "cur:CURRENT tok:PENDING", s.labels(s.secret))
		})
	}
}

// TestATokenThatTheProviderDoesNotKnowIsNotPromoted: the provider does not know the new token.
func TestATokenThatTheProviderDoesNotKnowIsNotPromoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.flexera("c")
	const secret = "evertoken/c/token"
	w.prepare(secret, "tok")
	check(t, "createSecret", "ok", w.step("createSecret", secret, "tok"))
	w.move(secret, "AWSPENDING", "", "tok") // the first value is AWSCURRENT at once
	w.Clock.Advance(20 * time.Minute)
	w.prepare(secret, "next")
	check(t, "createSecret", "ok", w.step("createSecret", secret, "next"))
	w.IDP.Inject(&fakeidp.Fault{Path: "/refresh-tokens", Status: 401})
	check(t, "young", "Transient", w.step("testSecret", secret, "next"))
	check(t, "labels", "tok:CURRENT next:PENDING", w.labels(secret))
	w.Clock.Advance(settle)
	check(t, "after a while", "CredentialDead", w.step("testSecret", secret, "next"))
	check(t, "labels", "tok:CURRENT", w.labels(secret))
}

// TestALabelThatCannotBeRemovedNamesTheCommand with which an operator removes the label.
func TestALabelThatCannotBeRemovedNamesTheCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	const secret = "evertoken/c/token"
	w.put(secret, "cur", "whatever")
	w.prepare(secret, "tok")
	w.put(secret, "tok", "junk", "AWSPENDING")
	w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage", Code: "AccessDeniedException"})
	check(t, "outcome", "RotationStuck", w.step("setSecret", secret, "tok"))
	const want = "aws secretsmanager update-secret-version-stage --secret-id evertoken/c/token --version-stage AWSPENDING --remove-from-version-id tok-"
	if errs := w.errors(); !strings.Contains(errs[0].Error(), want) ||
		!strings.Contains(errs[0].Error(),
			"aws secretsmanager rotate-secret --secret-id evertoken/c/token") {
		t.Errorf("the command is not named: %v", errs)
	}
}

// TestARetriedRotationDoesNotSendARefreshTokenAgain: nothing stronger is stored, and the
// answer to the refresh token was lost.
func TestARetriedRotationDoesNotSendARefreshTokenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.IDP.OAuth2()
	clientID, secret := o.AddClient(fakeidp.OAuth2Client{})
	w.connect("c", "oauth2",
		map[string]string{"client_id": clientID, "client_secret": secret,
			"refresh_token": o.AddRefreshToken(clientID, "s", "read")},
		map[string]any{"token_url": o.TokenURL(), "grant": "refresh_token"}, nil)
	w.rotated("evertoken/c/token")
	w.IDP.ResetRequests()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 1})
	if err := w.rotateSecret("evertoken/c/token", "tok"); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		w.Clock.Advance(16 * time.Minute)
		if w.AWS.RetryRotation("evertoken/c/token") == nil {
			t.Error("a rotation with a spent refresh token succeeded")
		}
	}
	check(t, "sent", 2, w.Exchanges()) // once, and the one replay
	check(t, "labels", "first:CURRENT tok?:PENDING", w.labels("evertoken/c/token"))
}
