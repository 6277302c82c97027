package rotate_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// TestAnAbandonedRotationPublishesItsTokenOnlyIfThePublishedOneIsDead: the rotation is
// abandoned while createSecret makes a token, and the published token may end at that
// moment.
func TestAnAbandonedRotationPublishesItsTokenOnlyIfThePublishedOneIsDead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ended     bool // the published token has ended
		refuses   bool // the provider refuses every proof
		published bool
	}{
		"the published one is dead":       {true, false, true},
		"both are refused":                {false, true, false},
		"the published one lives as well": {false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.IDP.FlexNet()
			w.connect("c", "flexnet", map[string]string{"username": "u", "password": n.AddUser("u", "")},
				map[string]any{"base_url": n.BaseURL(), "token_name": "lambda-c", "username": "u"}, nil)
			const secret = "evertoken/c/token"
			check(t, "first run", "issued", w.issue(issue.Event{}).Outcome)
			before := w.value(secret, secrets.Current)
			names := n.Tokens()
			w.prepare(secret, "tok")
			var made atomic.Bool
			w.IDP.Inject(&fakeidp.Fault{Match: func(fakeidp.Request) bool {
				return test.refuses &&
					made.Load()
			}, Status: 401})
			w.IDP.Inject(&fakeidp.Fault{Path: "/token", Match: post, Kind: fakeidp.OnlyHook,
				Times: 1, Hook: func(fakeidp.Request) {
					w.move(secret, secrets.Pending, "", "tok")
					for _, name := range names {
						if test.ended {
							n.Revoke(name)
						}
					}
					made.Store(true)
				}})
			check(t, "outcome", "Superseded", w.step("createSecret", secret, "tok"))
			after := w.value(secret, secrets.Current)
			check(t, "published", test.published, after != before)
			token, err := credential.ParseToken(redact.New(after))
			if err != nil {
				t.Fatal(err)
			}
			check(t, "the provider accepts the published token", true, test.refuses ||
				w.IDP.Accepts("flexnet", token.AccessToken.Reveal()))
		})
	}
}

// TestACredentialWithARefreshTokenTooIsRotatedByItsClient, since rotation replaces only the
// client.
func TestACredentialWithARefreshTokenTooIsRotatedByItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, client := w.flexera("f")
	client["refresh_token"] = "another grant"
	w.put(flexeraCredential, "both", marshal(client))
	w.own(flexeraCredential, client["client_id"])
	if err := w.rotateSecret(flexeraCredential, "one"); err != nil {
		t.Fatal(err)
	}
	w.wantOK()
	for _, r := range w.IDP.Requests() {
		if strings.Contains(r.Path, "token") && r.Grant != "client_credentials" {
			t.Errorf("the %q grant was used", r.Grant)
		}
	}
}
