package rotate_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

// hinted reports whether a hint was logged that contains the text.
func (w *world) hinted(text string) bool {
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, `"msg":"hint"`) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// lastError is the text of the last error, or "".
func (w *world) lastError() string {
	errs := w.errors()
	if len(errs) == 0 {
		return ""
	}
	return errs[len(errs)-1].Error()
}

// TestAStoredValueWithoutAWSPENDINGIsNotTheRotations: the put has removed AWSPENDING, and
// AWS denies putting it back.
func TestAStoredValueWithoutAWSPENDINGIsNotTheRotations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	const secret = "evertoken/c/token"
	w.put(secret, "cur", "{}")
	w.prepare(secret, "tok")
	var gone atomic.Bool
	w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: secret,
		Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) {
			w.move(secret, secrets.Pending, "", "tok")
			gone.Store(true)
		}})
	w.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage",
		Code: "AccessDeniedException", Match: func(fakeaws.Call) bool { return gone.Load() }})
	check(t, "outcome", "Superseded", w.step("createSecret", secret, "tok"))
}

// TestARotationWithoutAHintLogsNone, so that a hint is worth reading.
func TestARotationWithoutAHintLogsNone(t *testing.T) {
	t.Parallel()
	for secret, connect := range map[string]func(*world){
		"evertoken/c/token":   func(w *world) { w.OAuth2("c", "client_credentials") },
		"evertoken/c/session": func(w *world) { w.Apiax("c") },
	} {
		w := newWorld(t)
		connect(w)
		if err := w.rotateSecret(secret, "one"); err != nil {
			t.Fatal(err)
		}
		w.wantOK()
		if w.hinted("") {
			t.Errorf("%s: a hint was logged: %s", secret, w.Log.String())
		}
	}
}

// TestATokenTooShortForRotationIsHinted where rotation alone renews it.
func TestATokenTooShortForRotationIsHinted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		renewedBy string
		life      time.Duration
		want      bool
	}{
		"one hour":                {"rotation", time.Hour, true},
		"a second less than 12 h": {"rotation", 12*time.Hour - time.Second, true},
		"12 h":                    {"rotation", 12 * time.Hour, false},
		"one hour, by issue":      {"issue", time.Hour, false},
		"one day, by issue":       {"issue", 24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := w.IDP.OAuth2()
			o.Configure(func(opts *fakeidp.OAuth2Options) { opts.AccessLife = test.life })
			clientID, secret := o.AddClient(fakeidp.OAuth2Client{})
			w.connect("c", "oauth2", map[string]string{"client_id": clientID, "client_secret": secret},
				map[string]any{"token_url": o.TokenURL(),
					"grant": "client_credentials"}, map[string]any{"renewed_by": test.renewedBy})
			if err := w.rotateSecret("evertoken/c/token", "one"); err != nil {
				t.Fatal(err)
			}
			w.wantOK()
			check(t, "hint", test.want, w.hinted("too short for renewed_by rotation"))
		})
	}
}

// TestARotationScheduleMayBeSetBeforeACredentialIsStored: the log then says what is missing. A
// credential's secret that does not exist is an error.
func TestARotationScheduleMayBeSetBeforeACredentialIsStored(t *testing.T) {
	t.Parallel()
	later := func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }
	for _, exists := range []bool{true, false} {
		w := newWorld(t)
		w.declare("c", "apiax", map[string]any{"token_url": w.IDP.Apiax().TokenURL()}, nil)
		w.AWS.CreateSecret("evertoken/c/session", nil, nil)
		if exists {
			w.AWS.CreateSecret("evertoken/c/credential", nil, nil)
		}
		if err := w.rotateSecret("evertoken/c/session", "one", later); err != nil {
			t.Fatal(err)
		}
		check(t, "succeeds", exists, len(w.errors()) == 0)
		check(t, "hint", exists, w.hinted("put-secret-value --secret-id evertoken/c/credential"))
	}
}

// TestAVersionWithoutAWSPENDINGIsRefusedWithTheNextCommand, as far as one
// exists.
func TestAVersionWithoutAWSPENDINGIsRefusedWithTheNextCommand(t *testing.T) {
	t.Parallel()
	const begin, retried = "Begin a rotation: `aws secretsmanager rotate-secret", "Secrets Manager tries that rotation again"
	for name, test := range map[string]struct {
		disturb func(s subject)
		want    string
	}{
		"no version has it":      {func(s subject) { s.move(s.secret, secrets.Pending, "", "tok") }, begin},
		"AWSCURRENT has it":      {func(s subject) { s.move(s.secret, secrets.Pending, "cur", "tok") }, begin},
		"another version has it": {func(s subject) { s.store("hand", "new", secrets.Pending) }, retried},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := subjects["token"](t)
			s.prepared()
			test.disturb(s)
			check(t, "outcome", "Refused", s.step("createSecret", s.secret, "tok"))
			if !strings.Contains(s.lastError(), test.want) {
				t.Errorf("the error does not say %q: %s", test.want, s.lastError())
			}
		})
	}
}

// TestAnEmptySessionDoesNotStopTheNewOne: AWSCURRENT is younger and has no refresh token.
func TestAnEmptySessionDoesNotStopTheNewOne(t *testing.T) {
	t.Parallel()
	s := subjects["session"](t)
	s.prepared()
	s.store("tok", "new", secrets.Pending)
	s.put(s.secret, "hand", credential.Session{StartedAt: s.Clock.Now()}.Encode().Reveal(), "MINE")
	s.move(s.secret, secrets.Current, "hand", "cur")
	check(t, "outcome", "ok", s.step("setSecret", s.secret, "tok"))
}

// TestATokenIsRotatedThoughItsAccountIsShared: the clients of an account matter only to a
// credential.
func TestATokenIsRotatedThoughItsAccountIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, client := w.flexera("f")
	w.connect("g", "flexera", client, w.flexeraSettings(account), nil)
	if err := w.rotateSecret("evertoken/f/token", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	check(t, "labels", "one:CURRENT", w.labels("evertoken/f/token"))
}

// TestAPromotedVersionNeedsNoConnection: only testSecret reads the set-up.
func TestAPromotedVersionNeedsNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OAuth2("c", "client_credentials")
	const secret = "evertoken/c/token"
	w.rotated(secret)
	w.AWS.PutParameter("/evertoken/connections/c", "String", "{}")
	for step, want := range map[string]string{"createSecret": "ok", "setSecret": "ok", "testSecret": "Misconfigured", "finishSecret": "ok"} {
		check(t, step, want, w.step(step, secret, "first"))
	}
}

// TestAnUnreadableConnectionIsReportedOnlyIfItMayNameTheSecret: so an operator gets no
// irrelevant report.
func TestAnUnreadableConnectionIsReportedOnlyIfItMayNameTheSecret(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		declare func(w *world)
		outcome string
		unread  bool
	}{
		"nothing is declared": {func(*world) {}, "Refused", false},
		"a parameter that is no document": {func(w *world) {
			w.AWS.PutParameter("/evertoken/connections/b", "String", "junk")
		}, "Misconfigured", true},
		"two connections that name it": {func(w *world) {
			for _, c := range []string{"a", "b"} {
				w.declare(c, "apiax", map[string]any{}, map[string]any{"session": "mine"})
			}
		}, "Misconfigured", false},
		"a connection with a fault that names another": {func(w *world) {
			for _, c := range []string{"a", "b"} {
				w.declare(c, "apiax", map[string]any{}, map[string]any{"session": "another"})
			}
		}, "Refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.AWS.CreateSecret("mine", nil, nil)
			w.put("mine", "cur", "{}")
			w.prepare("mine", "tok")
			test.declare(w)
			check(t, "outcome", test.outcome, w.step("createSecret", "mine", "tok"))
			check(t, "tells what cannot be read", test.unread, strings.Contains(w.lastError(), "some cannot be read"))
		})
	}
}

// TestASessionIsRotatedWhoseTokenIsInAParameter: rotation does not read the token then.
func TestASessionIsRotatedWhoseTokenIsInAParameter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.IDP.Apiax()
	w.declare("c", "apiax", map[string]any{"token_url": a.TokenURL()},
		map[string]any{"token_parameter": "/evertoken/tokens/c"})
	w.AWS.CreateSecret("evertoken/c/credential", nil, nil)
	w.put("evertoken/c/credential", "cur",
		marshal(map[string]string{"username": "c", "password": a.SetPassword("c", "")}))
	w.AWS.CreateSecret("evertoken/c/session", nil, nil)
	if err := w.rotateSecret("evertoken/c/session", "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	check(t, "labels", "one:CURRENT", w.labels("evertoken/c/session"))
}

// TestFinishSecretEndsWhereAWSCURRENTMoves: AWSCURRENT moves as finishSecret promotes.
func TestFinishSecretEndsWhereAWSCURRENTMoves(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		then func(s subject)
		code string // of DescribeSecret after that
		want string
	}{
		"and nothing else happens":      {func(subject) {}, "", "ok | hand:PREVIOUS tok:CURRENT"},
		"and the rotation is abandoned": {func(s subject) { s.move(s.secret, secrets.Pending, "", "tok") }, "", "Refused | cur:PREVIOUS hand:CURRENT"},
		"and AWS denies reading labels": {func(subject) {}, "AccessDeniedException", "Misconfigured | cur:PREVIOUS hand:CURRENT tok:PENDING"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := subjects["token"](t)
			s.prepared()
			s.store("tok", "new", secrets.Pending)
			var moved atomic.Bool
			s.AWS.Inject(&fakeaws.Fault{Operation: "UpdateSecretVersionStage",
				Kind: fakeaws.OnlyHook, Times: 1, Hook: func(fakeaws.Call) {
					s.store("hand", "cur", "MINE")
					s.move(s.secret, secrets.Current, "hand", "cur")
					s.move(s.secret, "MINE", "", "hand")
					test.then(s)
					moved.Store(true)
				}})
			if test.code != "" {
				s.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Code: test.code,
					Match: func(fakeaws.Call) bool { return moved.Load() }})
			}
			outcome := s.step("finishSecret", s.secret, "tok")
			labels := strings.Fields(s.labels(s.secret))
			slices.Sort(labels)
			check(t, "outcome", test.want, outcome+" | "+strings.Join(labels, " "))
		})
	}
}
