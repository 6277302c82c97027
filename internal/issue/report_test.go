package issue

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/renew"
)

var now = time.Date(2026, 11, 21, 16, 0, 0, 500e6, time.UTC)

// oneOfEach is a run's results with every outcome in it.
func oneOfEach() []renew.Result {
	in := func(d time.Duration) time.Time { return now.Add(d) }
	return []renew.Result{
		{Name: "apiax-prod", Outcome: renew.Issued, Reason: "due", ExpiresAt: in(1790 * time.Second), CredentialEnds: in(12 * 24 * time.Hour), MinRemaining: 300 * time.Second, Grant: "refresh_token"},
		{Name: "blocked", Outcome: renew.Blocked, Reason: "refused", Class: exchange.CredentialDead, Hint: "store another", ExpiresAt: in(-time.Hour), MinRemaining: 10 * time.Minute},
		{Name: "deferred", Outcome: renew.Deferred, Reason: "no time left in this run", ExpiresAt: in(40 * time.Minute), MinRemaining: 10 * time.Minute},
		{Name: "flexera-eu", Outcome: renew.Failed, Reason: "refused", Class: exchange.CredentialDead, Hint: "store another", ExpiresAt: in(420 * time.Second), MinRemaining: 10 * time.Minute},
		{Name: "fresh", Outcome: renew.Fresh, Reason: "not due", ExpiresAt: in(time.Hour), CredentialEnds: in(36 * time.Hour), MinRemaining: 10 * time.Minute},
		{Name: "waiting", Outcome: renew.Waiting, Reason: "no credential is stored yet", Hint: "store it"},
	}
}

func TestAReportListsWhatIsNotFresh(t *testing.T) {
	t.Parallel()
	const head = `{"checked":6,"issued":1,"fresh":1,"failed":1,"blocked":1,"waiting":1,"deferred":1,"connections":[` +
		`{"name":"apiax-prod","outcome":"issued","reason":"due","expires_at":"2026-11-21T16:29:50Z","seconds_left":1790,"credential_seconds_left":1036800},` +
		`{"name":"blocked","outcome":"blocked","reason":"refused","error_class":"credential_dead","hint":"store another","expires_at":"2026-11-21T15:00:00Z","seconds_left":0},` +
		`{"name":"deferred","outcome":"deferred","reason":"no time left in this run","expires_at":"2026-11-21T16:40:00Z","seconds_left":2400},` +
		`{"name":"flexera-eu","outcome":"failed","reason":"refused","error_class":"credential_dead","hint":"store another","expires_at":"2026-11-21T16:07:00Z","seconds_left":420},`
	const fresh = `{"name":"fresh","outcome":"fresh","reason":"not due","expires_at":"2026-11-21T17:00:00Z","seconds_left":3600,"credential_seconds_left":129600},`
	const tail = `{"name":"waiting","outcome":"waiting","reason":"no credential is stored yet","hint":"store it"}]}`
	for _, tt := range []struct {
		name    string
		results []renew.Result
		all     bool
		want    string
	}{
		{"a scheduled run leaves out what is fresh", oneOfEach(), false, head + tail},
		{"a named or dry run lists all", oneOfEach(), true, head + fresh + tail},
		{"none", nil, false, `{"checked":0,"issued":0,"fresh":0,"failed":0,"blocked":0,"waiting":0,"deferred":0,"connections":[]}`},
	} {
		got, err := json.Marshal(newReport(tt.results, now, tt.all))
		if err != nil {
			t.Fatalf("marshaling: %v", err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
