package renew_test

import (
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/issue"
)

// The second request of a renewal may be slow: meanwhile another run stores a newer
// session and publishes its token. The slow run's token may be dead by then.
func TestASlowSecondRequestPublishesNoOlderToken(t *testing.T) {
	t.Parallel()
	for _, overwritten := range []bool{false, true} { // then the two tokens' version ids do not collide
		w := world(t, connects["sharetribe trusted"])
		want(t, w, "issued", "")
		advance(t, w)
		var newer issue.Entry
		second := false
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Grant: "token_exchange", Hook: func(fakeidp.Request) {
			if second {
				return
			}
			second = true
			w.Clock.Advance(time.Minute)
			if overwritten {
				w.PutSecret(token, "{}")
			}
			newer = runNow(w)
		}})
		runNow(w)
		if !second || newer.Outcome != "issued" {
			t.Fatalf("the other run: %+v", newer)
		}
		if published, _ := w.Token(name); !published.ExpiresAt.Equal(*newer.ExpiresAt) {
			t.Errorf("overwritten %t: published until %s, the newer token lives until %s",
				overwritten, published.ExpiresAt, *newer.ExpiresAt)
		}
		alive(t, w, name)
	}
}
