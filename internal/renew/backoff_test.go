// Evertoken tries a dead token less often, and never stops.

package renew_test

import (
	"testing"
	"time"

	"evertoken/internal/exchange"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/renew"
)

func TestBackOffWorksForEveryInterval(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{5 * time.Minute, 15 * time.Minute, 20 * time.Minute, time.Hour} {
		dead := &renew.TokenTimes{IssuedAt: fakeworld.Start, ExpiresAt: fakeworld.Start.Add(time.Hour)}
		tried := 0
		for i := range 96 { // EVERTOKEN_EVERY was left at 5m
			now := fakeworld.Start.Add(97*time.Minute + time.Duration(i)*apart)
			if renew.Decide(renew.Facts{Now: now, Name: "x", Every: 5 * time.Minute, Token: dead, Traits: exchange.Traits{}}).Due {
				tried++
			}
		}
		if tried == 0 {
			t.Errorf("runs %s apart: never tried in 96", apart)
		}
	}
}
