package renew_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// diary records, run by run, a connection's outcome and what was sent for it.
type diary struct {
	w     *fakeworld.World
	start time.Time
	// names are the names of the refresh tokens sent so far: R1 was the first.
	names map[string]string
	seen  int // requests recorded
	lines []string
}

func newDiary(w *fakeworld.World) *diary {
	return &diary{w: w, start: w.Clock.Now(), names: map[string]string{}, seen: len(w.IDP.Requests())}
}

// exchanging reports whether a request spends a secret.
func exchanging(r fakeidp.Request) bool {
	return r.Grant != "" || r.Provider == fakeidp.ProviderFlexNet && r.Method == http.MethodPost &&
		(strings.HasSuffix(r.Path, "/token") || strings.HasSuffix(r.Path, "/rotation"))
}

// sent names the secret that a request sends.
func (d *diary) sent(r fakeidp.Request) string {
	switch {
	case r.Provider == fakeidp.ProviderFlexNet:
		return r.Path[strings.LastIndex(r.Path, "/")+1:]
	case r.Grant == "refresh_token":
		value := r.Form.Get("refresh_token")
		if d.names[value] == "" {
			d.names[value] = fmt.Sprint("R", len(d.names)+1)
		}
		return d.names[value]
	case r.Grant == "client_credentials":
		return "client"
	}
	return r.Grant
}

// labels are those on the session in force after a run, without their times.
func (d *diary) labels() string {
	v, _ := d.w.AWS.Secret(session).Labelled(secrets.Current)
	var out []string
	for _, label := range v.Labels {
		word, ok := strings.CutPrefix(label, "EVERTOKEN_")
		if !ok || strings.HasPrefix(word, "ANSWER") {
			continue
		}
		word, rest, _ := strings.Cut(word, "_")
		if word == "SENT" { // how often
			n, _, _ := strings.Cut(rest, "_")
			word += n
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// tell adds a line for the last run, unless it equals the previous line.
func (d *diary) tell(outcome string) {
	var sends []string
	requests := d.w.IDP.Requests()
	for _, r := range requests[d.seen:] {
		if exchanging(r) {
			sends = append(sends, d.sent(r))
		}
	}
	d.seen = len(requests)
	line := strings.TrimRight(fmt.Sprintf("%s: %s: %s", outcome, strings.Join(sends, " "), d.labels()), ": ")
	if n := len(d.lines); n == 0 || d.lines[n-1] != line {
		d.lines = append(d.lines, line)
	}
}

// run makes a run. One that does not try a dead token is listed only if it sends
// something.
func (d *diary) run() {
	e := fakeworld.Entry(d.w.Run(issue.Event{Connections: []string{name}}), name)
	if spread := strings.Contains(e.Reason, "tries are spread out"); !spread ||
		len(d.w.IDP.Requests()) > d.seen {
		d.tell(e.Outcome)
	}
}

// killed makes a run whose process ends while the provider answers the first
// exchange.
func (d *diary) killed() {
	ctx, cancel := context.WithTimeout(context.Background(), d.w.RunTimeout)
	defer cancel()
	var once sync.Once
	d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Match: exchanging, Hook: func(fakeidp.Request) {
		once.Do(func() {
			d.w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore})
			cancel()
		})
	}})
	_, _ = d.w.Runner().Run(ctx, issue.Event{Connections: []string{name}}) // its answer is lost
	d.w.AWS.ClearFaults()
	d.w.IDP.ClearFaults()
	d.tell("killed")
}

// losses are the ways in which an answer is lost.
var losses = map[string]func(*diary){
	"lost": func(d *diary) {
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Match: exchanging, Times: 1})
		d.run()
	},
	"not received": func(d *diary) { // the provider never saw it
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Match: exchanging, Times: 1})
		d.run()
	},
	"lost twice": func(d *diary) {
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Match: exchanging, Times: 2})
		d.run()
	},
	"lost, then 503": func(d *diary) { // 503 is an answer
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Match: exchanging, Times: 1})
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusServiceUnavailable,
			Match: exchanging, Times: 1})
		d.run()
	},
	"killed": (*diary).killed,
}

var connects = map[string]func(*fakeworld.World){
	"flexera user":           func(w *fakeworld.World) { w.Flexera(name, false) },
	"flexera service":        func(w *fakeworld.World) { w.Flexera(name, true) },
	"sharetribe integration": func(w *fakeworld.World) { w.Sharetribe(name, "integration") },
	"sharetribe user":        func(w *fakeworld.World) { w.Sharetribe(name, "user") },
	"sharetribe trusted":     func(w *fakeworld.World) { w.Sharetribe(name, "trusted") },
	"apiax":                  func(w *fakeworld.World) { w.Apiax(name) },
	"oauth2 refresh_token":   func(w *fakeworld.World) { w.OAuth2(name, "refresh_token") },
	"oauth2 password":        func(w *fakeworld.World) { w.OAuth2(name, "password") },
	"flexnet":                func(w *fakeworld.World) { w.FlexNet(name) },
}

// afterLoss is the diary of a connection from the run that loses an answer.
func afterLoss(t *testing.T, connect func(*fakeworld.World), opening bool, lose func(*diary)) []string {
	w := world(t, connect)
	if !opening {
		want(t, w, "issued", "")
		advance(t, w)
	}
	d := newDiary(w)
	lose(d)
	for range 7 {
		w.Clock.Advance(w.Config.Every)
		d.run()
	}
	w.IDP.ClearFaults()
	d.lines = append(d.lines, "a day later")
	w.Clock.Advance(24 * time.Hour)
	for range 3 {
		w.Clock.Advance(w.Config.Every)
		d.run()
	}
	return d.lines
}

// TestEveryLostAnswerFollowsItsRule checks every line of docs/reliability.md, "When the
// answer never comes". Each run is "outcome: what was sent: the labels on the session in
// force"; the runs are a heartbeat apart, and of equal ones in a row only the first is
// listed.
func TestEveryLostAnswerFollowsItsRule(t *testing.T) {
	t.Parallel()
	const opening, renewal = true, false
	told := 0
	for _, tt := range []struct {
		opening             bool
		connections, losses []string
		want                string
	}{
		{opening, []string{"apiax"}, []string{"killed"},
			"killed: password: EXCHANGE / deferred: : EXCHANGE SEEN / issued: password / fresh / issued: R1 / fresh / a day later / issued: R2 / fresh"},
		{opening, []string{"apiax"}, []string{"lost", "not received"},
			"failed: password / issued: password / fresh / issued: R1 / fresh / issued: R2 / a day later / issued: R3 / fresh"},
		{opening, []string{"apiax"}, []string{"lost twice", "lost, then 503"},
			"failed: password / failed / issued: password / fresh / issued: R1 / a day later / issued: R2 / fresh"},
		{opening, []string{"flexera service"}, []string{"killed"},
			"killed: client / issued: client / fresh / a day later / issued: client / fresh"},
		{opening, []string{"flexera service"}, []string{"lost", "not received", "lost twice", "lost, then 503"},
			"failed: client / issued: client / fresh / a day later / issued: client / fresh"},
		{opening, []string{"flexera user"}, []string{"killed"},
			"killed: R1 / issued: R1 / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"flexera user"}, []string{"lost", "not received", "lost twice", "lost, then 503"},
			"failed: R1 / issued: R1 / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"flexnet"}, []string{"killed"},
			"killed: token / issued: token / fresh / a day later / issued: token / fresh"},
		{opening, []string{"flexnet"}, []string{"lost", "not received"},
			"failed: token / issued: token / fresh / a day later / issued: token / fresh"},
		{opening, []string{"flexnet"}, []string{"lost twice"},
			"failed: token / failed / issued: rotation / fresh / a day later / issued: token / fresh"},
		{opening, []string{"flexnet"}, []string{"lost, then 503"},
			"failed: token / failed / issued: token / fresh / a day later / issued: token / fresh"},
		{opening, []string{"oauth2 password", "sharetribe user"}, []string{"killed"},
			"killed: password: EXCHANGE / deferred: : EXCHANGE SEEN / issued: password / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"oauth2 password", "sharetribe user"}, []string{"lost", "not received"},
			"failed: password / issued: password / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"oauth2 password", "sharetribe user"}, []string{"lost twice", "lost, then 503"},
			"failed: password / failed / issued: password / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"oauth2 refresh_token"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / failed: R1: SENT1 / blocked: : SENT1 / a day later / failed: R1: SENT1 / blocked: : SENT1"},
		{opening, []string{"oauth2 refresh_token"}, []string{"lost"},
			"failed: R1: SENT1 / blocked: : SENT1 / a day later / failed: R1: SENT1 / blocked: : SENT1"},
		{opening, []string{"oauth2 refresh_token"}, []string{"lost twice"},
			"failed: R1: SENT1 / failed: R1: SENT2 / failed: : SENT2 / a day later / failed: R1: SENT2 / blocked: : SENT2"},
		{opening, []string{"oauth2 refresh_token"}, []string{"not received", "lost, then 503"},
			"failed: R1: SENT1 / issued: R1 / fresh / a day later / issued: R2 / fresh"},
		{opening, []string{"sharetribe integration"}, []string{"killed"},
			"killed: client: EXCHANGE / deferred: : EXCHANGE SEEN / issued: client / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"sharetribe integration"}, []string{"lost", "not received", "lost twice", "lost, then 503"},
			"failed: client / issued: client / fresh / a day later / issued: R1 / fresh"},
		{opening, []string{"sharetribe trusted"}, []string{"killed"},
			"killed: password: EXCHANGE / deferred: : EXCHANGE SEEN / issued: password token_exchange / fresh / a day later / issued: R1 token_exchange / fresh"},
		{opening, []string{"sharetribe trusted"}, []string{"lost", "not received"},
			"failed: password / issued: password token_exchange / fresh / a day later / issued: R1 token_exchange / fresh"},
		{opening, []string{"sharetribe trusted"}, []string{"lost twice", "lost, then 503"},
			"failed: password / failed / issued: password token_exchange / fresh / a day later / issued: R1 token_exchange / fresh"},
		{renewal, []string{"apiax"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / issued: R1 / fresh / issued: R2 / fresh / a day later / issued: R3"},
		{renewal, []string{"apiax"}, []string{"lost", "not received"},
			"failed: R1: SENT1 / issued: R1 / fresh / issued: R2 / fresh / issued: R3 / a day later / issued: R4"},
		{renewal, []string{"apiax"}, []string{"lost twice"},
			"failed: R1: SENT1 / failed: R1: SENT2 / issued: password / fresh / issued: R2 / fresh / a day later / issued: R3"},
		{renewal, []string{"apiax"}, []string{"lost, then 503"},
			"failed: R1: SENT1 / issued: R1 / fresh / issued: R2 / fresh / a day later / issued: R3"},
		{renewal, []string{"flexera service"}, []string{"killed"},
			"killed: client / issued: client / fresh / a day later / issued: client / fresh"},
		{renewal, []string{"flexera service"}, []string{"lost", "not received", "lost twice", "lost, then 503"},
			"failed: client / issued: client / fresh / a day later / issued: client / fresh"},
		{renewal, []string{"flexera user"}, []string{"killed"},
			"killed: R1 / issued: R1 / fresh / a day later / issued: R1 / fresh"},
		{renewal, []string{"flexera user"}, []string{"lost", "not received", "lost twice", "lost, then 503"},
			"failed: R1 / issued: R1 / fresh / a day later / issued: R1 / fresh"},
		{renewal, []string{"flexnet"}, []string{"killed"},
			"killed: token / issued: rotation / fresh / a day later / issued: token / fresh"},
		{renewal, []string{"flexnet"}, []string{"lost"},
			"failed: token / issued: rotation / fresh / a day later / issued: token / fresh"},
		{renewal, []string{"flexnet"}, []string{"lost twice"},
			"failed: token / failed: rotation / failed / issued: rotation / fresh / a day later / issued: token / fresh"},
		{renewal, []string{"flexnet"}, []string{"lost, then 503"},
			"failed: token / failed / issued: token / fresh / a day later / issued: token / fresh"},
		{renewal, []string{"flexnet"}, []string{"not received"},
			"failed: token / issued: token / fresh / a day later / issued: token / fresh"},
		{renewal, []string{"oauth2 password", "sharetribe user"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / issued: R1 password / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"oauth2 password", "sharetribe user"}, []string{"lost"},
			"failed: R1: SENT1 / issued: R1 password / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"oauth2 password", "sharetribe user"}, []string{"lost twice"},
			"failed: R1: SENT1 / failed: R1: SENT2 / issued: password / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"oauth2 password", "sharetribe user"}, []string{"not received", "lost, then 503"},
			"failed: R1: SENT1 / issued: R1 / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"oauth2 refresh_token"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / deferred: : SENT1 / failed: R1: REJECTED SENT1 / blocked: : REJECTED SENT1 / a day later / failed: R1: REJECTED SENT1 / blocked: : REJECTED SENT1"},
		{renewal, []string{"oauth2 refresh_token"}, []string{"lost"},
			"failed: R1: SENT1 / deferred: : SENT1 / failed: R1: REJECTED SENT1 / blocked: : REJECTED SENT1 / a day later / failed: R1: REJECTED SENT1 / blocked: : REJECTED SENT1"},
		{renewal, []string{"oauth2 refresh_token"}, []string{"lost twice"},
			"failed: R1: SENT1 / deferred: : SENT1 / failed: R1: SENT2 / failed: : SENT2 / a day later / failed: R1: REJECTED SENT2 / blocked: : REJECTED SENT2"},
		{renewal, []string{"oauth2 refresh_token"}, []string{"lost, then 503"},
			"failed: R1: SENT1 / deferred: : SENT1 / failed: R1: SENT1 / issued: R1 / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"oauth2 refresh_token"}, []string{"not received"},
			"failed: R1: SENT1 / deferred: : SENT1 / issued: R1 / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"sharetribe integration"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / issued: client / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"sharetribe integration"}, []string{"lost", "not received"},
			"issued: R1 client / fresh / issued: R2 / a day later / issued: R3 / fresh"},
		{renewal, []string{"sharetribe integration"}, []string{"lost twice", "lost, then 503"},
			"failed: R1 client: SENT1 / issued: client / fresh / a day later / issued: R2 / fresh"},
		{renewal, []string{"sharetribe trusted"}, []string{"killed"},
			"killed: R1: EXCHANGE / deferred: : EXCHANGE SEEN / issued: R1 password token_exchange / fresh / a day later / issued: R2 token_exchange / fresh"},
		{renewal, []string{"sharetribe trusted"}, []string{"lost"},
			"failed: R1: SENT1 / issued: R1 password token_exchange / fresh / a day later / issued: R2 token_exchange / fresh"},
		{renewal, []string{"sharetribe trusted"}, []string{"lost twice"},
			"failed: R1: SENT1 / failed: R1: SENT2 / issued: password token_exchange / fresh / a day later / issued: R2 token_exchange / fresh"},
		{renewal, []string{"sharetribe trusted"}, []string{"not received", "lost, then 503"},
			"failed: R1: SENT1 / issued: R1 token_exchange / fresh / a day later / issued: R2 token_exchange / fresh"},
	} {
		for _, connection := range tt.connections {
			for _, loss := range tt.losses {
				told++
				t.Run(fmt.Sprintf("%s, opening %t, %s", connection, tt.opening, loss), func(t *testing.T) {
					t.Parallel()
					got := afterLoss(t, connects[connection], tt.opening, losses[loss])
					if diff := cmp.Diff(strings.Split(tt.want, " / "), got); diff != "" {
						t.Errorf("runs (-want +got):\n%s", diff)
					}
				})
			}
		}
	}
	if all := 2 * len(connects) * len(losses); told != all {
		t.Errorf("%d of %d cases", told, all)
	}
}

// TestASettlingClaimIsWaitedFor runs every minute after a run was killed: nothing
// is sent before the claim was noted, and after that for as long as a run can
// last.
func TestASettlingClaimIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := world(t, connects["oauth2 password"])
	want(t, w, "issued", "")
	advance(t, w)
	d := newDiary(w)
	d.killed()
	var noted time.Time
	for range 20 {
		w.Clock.Advance(time.Minute)
		seen := d.seen
		d.run()
		if strings.Contains(d.labels(), "SEEN") && noted.IsZero() {
			noted = w.Clock.Now()
		}
		if d.seen == seen {
			continue
		}
		// A run lasts its timeout, and a second because the deadline is rounded.
		if waited := w.Clock.Now().Sub(noted); noted.IsZero() || waited <= w.RunTimeout ||
			waited > w.RunTimeout+2*time.Minute {
			t.Errorf("sent %s after the claim was noted, want just more than %s", waited, w.RunTimeout)
		}
		break
	}
	want := []string{"killed: R1: EXCHANGE", "deferred: : EXCHANGE SEEN", "issued: R1 password"}
	if diff := cmp.Diff(want, d.lines); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// TestAnOpeningWithoutAnAnswerEnds opens a session at a provider that answers nothing for
// hours: a password that never worked is sent three times in all, a seed twice and then
// once a day. Another credential is sent at once, and so is the same one by a forced run.
func TestAnOpeningWithoutAnAnswerEnds(t *testing.T) {
	t.Parallel()
	for connection, tt := range map[string]struct {
		sent    int
		outcome string
	}{
		"apiax": {3, "blocked"}, "oauth2 password": {3, "blocked"}, "sharetribe user": {3, "blocked"}, "sharetribe trusted": {3, "blocked"},
		"oauth2 refresh_token": {2, "failed"},
	} {
		t.Run(connection, func(t *testing.T) {
			t.Parallel()
			w := world(t, connects[connection])
			d := newDiary(w)
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore, Match: exchanging})
			for range 36 {
				d.run()
				w.Clock.Advance(w.Config.Every)
			}
			w.IDP.ClearFaults()
			if n := len(w.IDP.Requests()); n != tt.sent || !strings.HasPrefix(d.lines[len(d.lines)-1], tt.outcome) {
				t.Fatalf("%d requests: %q", n, d.lines)
			}
			stored, _ := w.AWS.Secret(cred).Labelled(secrets.Current)
			w.PutSecret(cred, strings.Replace(stored.Value, "{", `{"note":"stored again",`, 1))
			want(t, w, tt.outcome, "")
			w.PutSecret(cred,
				strings.NewReplacer(`"password":"`, `"password":"canary-other`, `"refresh_token":"`,
					`"refresh_token":"canary-other`).Replace(stored.Value))
			w.Clock.Advance(w.Config.Every)
			if e := want(t, w, "failed", ""); e.ErrorClass != "credential_dead" || len(w.IDP.Requests()) != tt.sent+1 {
				t.Errorf("another credential was not tried: %+v", e)
			}
			w.PutSecret(cred, stored.Value)
			if e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Force: true}), name); e.Outcome != "issued" {
				t.Errorf("forced: %+v", e)
			}
		})
	}
}
