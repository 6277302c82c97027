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

	"evertoken/internal/fakeaws"
	"evertoken/internal/fakeidp"
	"evertoken/internal/harness"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// diary tells run by run what became of a connection and what was sent for it.
type diary struct {
	w     *harness.World
	start time.Time
	// names are the refresh tokens sent so far, by what they are called: R1 was
	// the first.
	names map[string]string
	seen  int // requests told
	lines []string
}

func newDiary(w *harness.World) *diary {
	return &diary{w: w, start: w.Clock.Now(), names: map[string]string{}, seen: len(w.IDP.Requests())}
}

// exchanging reports whether a request is one that a secret is spent by.
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

// labels are those on the session in force that a run leaves behind, without
// their times.
func (d *diary) labels() string {
	v, _ := d.w.AWS.Secret(session).Labelled(secrets.Current)
	var out []string
	for _, label := range v.Labels {
		word, ok := strings.CutPrefix(label, "EVERTOKEN_")
		if ok {
			word, _, _ = strings.Cut(word, "_")
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// tell adds a line on the run just made. A line like the one before is added
// once.
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

func (d *diary) run() {
	d.tell(harness.Entry(d.w.Run(issue.Event{Connections: []string{name}}), name).Outcome)
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
	_, _ = d.w.Runner().Run(ctx, issue.Event{Connections: []string{name}}) // nobody hears what it says
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
		d.w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: http.StatusServiceUnavailable, Match: exchanging, Times: 1})
		d.run()
	},
	"killed": (*diary).killed,
}

func TestX(t *testing.T) {
	connects := map[string]func(*harness.World){
		"flexera user":           func(w *harness.World) { w.Flexera(name, false) },
		"flexera service":        func(w *harness.World) { w.Flexera(name, true) },
		"sharetribe integration": func(w *harness.World) { w.Sharetribe(name, "integration") },
		"sharetribe user":        func(w *harness.World) { w.Sharetribe(name, "user") },
		"sharetribe trusted":     func(w *harness.World) { w.Sharetribe(name, "trusted") },
		"apiax":                  func(w *harness.World) { w.Apiax(name) },
		"oauth2 refresh_token":   func(w *harness.World) { w.OAuth2(name, "refresh_token") },
		"oauth2 password":        func(w *harness.World) { w.OAuth2(name, "password") },
		"flexnet":                func(w *harness.World) { w.FlexNet(name) },
	}
	for n, c := range connects {
		for l, lose := range losses {
			for _, opening := range []bool{true, false} {
				w := harness.New(t)
				w.RunTimeout = 4 * time.Minute
				c(w)
				if !opening {
					want(t, w, "issued", "")
					advance(t, w)
				}
				d := newDiary(w)
				lose(d)
				for range 8 {
					w.Clock.Advance(w.Config.Every)
					d.run()
				}
				w.IDP.ClearFaults()
				w.Clock.Advance(24 * time.Hour)
				d.lines = append(d.lines, "a day later")
				for range 3 {
					w.Clock.Advance(w.Config.Every)
					d.run()
				}
				fmt.Printf("%s | opening=%v | %s\n", n, opening, l)
				for _, x := range d.lines {
					fmt.Println("      ", x)
				}
			}
		}
	}
	_ = cmp.Diff
}
