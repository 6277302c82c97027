package rotate_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// crashes are secrets that are rotated while the function dies.
var crashes = map[string]struct {
	begin func(w *world)
	// document is rotated; provider is the fake's name.
	document, provider string
	// wasted is how many more exchanges a crash may cost. A client whose secret
	// died with the function costs one more: for the try that names it.
	wasted int
}{
	"credential of flexera": {func(w *world) {
		_, first := w.flexera("c")
		w.own("evertoken/c/credential", first["client_id"])
	}, "credential", "flexera", 2},
	"token of flexera": {func(w *world) { w.flexera("c") }, "token", "flexera", 1},
	"token of oauth2":  {func(w *world) { w.OAuth2("c", "client_credentials") }, "token", "oauth2", 1},
	"token of flexnet": {func(w *world) {
		n := w.IDP.FlexNet()
		w.connect("c", "flexnet",
			map[string]string{"username": "u",
				"password": n.AddUser("u",
					"")}, map[string]any{"base_url": n.BaseURL(), "token_name": "lambda-c", "username": "u"}, nil)
	}, "token", "flexnet", 1},
	"session of apiax": {func(w *world) { w.Apiax("c") }, "session", "apiax", 1},
	// After a lost answer the provider's rule applies: Evertoken sends the refresh token
	// once more, and then the stronger grant.
	"token of apiax": {func(w *world) {
		w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = true })
		w.Apiax("c")
		w.rotated("evertoken/c/token")
	}, "token", "apiax", 2},
	"token of sharetribe": {func(w *world) {
		s := w.IDP.Sharetribe()
		clientID, secret := s.AddIntegrationApp()
		w.connect("c", "sharetribe",
			map[string]string{"client_id": clientID,
				"client_secret": secret}, map[string]any{"auth_url": s.IntegAuthURL()}, nil)
		w.rotated("evertoken/c/token")
	}, "token", "sharetribe", 2},
}

// rotated makes the first value.
func (w *world) rotated(secret string) {
	w.Helper()
	if err := w.rotateSecret(secret, "first"); err != nil {
		w.Fatal(err)
	}
	w.wantOK()
	w.Clock.Advance(16 * time.Minute)
}

// dieAfter lets the function make n more calls; the answer to the last is lost, and no
// later request arrives. It returns the number of calls.
func (w *world) dieAfter(n int64) *atomic.Int64 {
	calls := &atomic.Int64{}
	ours := func(c fakeaws.Call) bool { return c.Operation != "RotateSecret" }
	last := func() bool {
		reached := calls.Add(1) == n
		if reached {
			w.dead.Store(true)
		}
		return reached
	}
	w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropAfter,
		Match: func(c fakeaws.Call) bool { return ours(c) && last() }})
	w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore,
		Match: func(c fakeaws.Call) bool { return ours(c) && calls.Load() > n }})
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Match: func(fakeidp.Request) bool { return last() }})
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore,
		Match: func(fakeidp.Request) bool { return calls.Load() > n }})
	return calls
}

func TestARotationThatCrashesAtAnyCallIsCompleted(t *testing.T) {
	t.Parallel()
	for name, test := range crashes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := "evertoken/c/" + test.document
			clean := newWorld(t)
			test.begin(clean)
			clean.IDP.ResetRequests()
			calls := clean.dieAfter(1 << 30)
			if err := clean.rotateSecret(secret, "tok"); err != nil {
				t.Fatal(err)
			}
			clean.wantOK()
			for n := int64(1); n <= calls.Load(); n++ {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					test.begin(w)
					w.IDP.ResetRequests()
					w.dieAfter(n)
					if err := w.rotateSecret(secret, "tok"); err != nil {
						t.Fatal(err)
					}
					w.AWS.ClearFaults()
					w.IDP.ClearFaults()
					w.dead.Store(false)
					w.retryUntilDone(secret)
					v, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
					check(t, "promoted", id("tok"), v.ID)
					if extra := w.Exchanges() - clean.Exchanges(); extra > test.wasted {
						t.Errorf("the crash cost %d more exchanges, want at most %d", extra, test.wasted)
					}
					w.works(test.provider, secret)
				})
			}
		})
	}
}

// retryUntilDone has Secrets Manager try again after the longest run of a Lambda, since a
// claim on a session is respected for that long.
func (w *world) retryUntilDone(secret string) {
	w.Helper()
	for range 5 {
		v, _ := w.AWS.Secret(secret).Labelled(secrets.Current)
		_, pending := w.AWS.Secret(secret).Labelled(secrets.Pending)
		if v.ID == id("tok") && !pending {
			return
		}
		w.Clock.Advance(16 * time.Minute)
		w.obey(secret) // of a client whose secret died with the function
		if w.AWS.RetryRotation(secret) == nil {
			return
		}
	}
	for _, err := range w.errors() {
		w.Logf("%s: %v", errorType(err), err)
	}
	w.Errorf("the rotation was not completed: %s", w.labels(secret))
}

// works sends the current credential, session or token to the provider.
func (w *world) works(provider, secret string) {
	w.Helper()
	value := redact.New(w.value(secret, secrets.Current))
	switch {
	case strings.HasSuffix(secret, "/token"):
		token, err := credential.ParseToken(value)
		if err != nil || token.ExpiresAt.After(w.Clock.Now()) &&
			!w.IDP.Accepts(provider, token.AccessToken.Reveal()) {
			w.Errorf("the provider does not accept the current token: %v", err)
		}
		if session, found := w.AWS.Secret("evertoken/c/session").Labelled(secrets.Current); found {
			s, err := credential.ParseSession(redact.New(session.Value))
			if err != nil || !w.IDP.RefreshTokenAlive(provider, s.RefreshToken.Reveal()) {
				w.Errorf("the current refresh token is not alive: %v", err)
			}
		}
	case strings.HasSuffix(secret, "/session"):
		session, err := credential.ParseSession(value)
		if err != nil || !w.IDP.RefreshTokenAlive(provider, session.RefreshToken.Reveal()) {
			w.Errorf("the current refresh token is not alive: %v", err)
		}
	default:
		clients := w.IDP.Flexera().Clients(org, 2263)
		check(w.T, "clients", 2, len(clients))
		check(w.T, "proof of the current value", "ok", w.rotateAgain(secret))
	}
}

// rotateAgain rotates once more, which needs a token made with the current value.
func (w *world) rotateAgain(secret string) string {
	w.Helper()
	w.Clock.Advance(2 * time.Hour)
	before := len(w.errors())
	if err := w.rotateSecret(secret, "again"); err != nil {
		return err.Error()
	}
	if errs := w.errors(); len(errs) > before {
		return errs[before].Error()
	}
	return "ok"
}
