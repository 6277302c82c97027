package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"evertoken/internal/credential"
	"evertoken/internal/fakeaws"
	"evertoken/internal/fakeidp"
	"evertoken/internal/harness"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// fault is one way of breaking one call of a run.
type fault struct {
	name string
	// at is the call, counted from 0 over all calls of the run to that server.
	at     int
	inject func(w *harness.World, at int, kill func())
	// loses is set where an answer of the provider may be lost for good: the
	// process dies, or the provider acts and does not answer.
	loses bool
	// gateway is set where the provider acts and a gateway answers 504.
	gateway bool
}

// awsFaults are the ways in which a call to AWS can fail. A fault once is
// mended by the SDK's own retry; a long one outlasts it; dead means that the
// process ends there.
func awsFaults() []fault {
	var out []fault
	add := func(name string, kind fakeaws.FaultKind, code string, times int, loses bool) {
		out = append(out, fault{name: name, loses: loses, inject: func(w *harness.World, at int, _ func()) {
			w.AWS.Inject(&fakeaws.Fault{Kind: kind, Code: code, Skip: at, Times: times})
		}})
	}
	for _, code := range []string{"ThrottlingException", "InternalServiceError", "AccessDeniedException", "DecryptionFailure", "LimitExceededException"} {
		add("refuse "+code, fakeaws.Refuse, code, 3, false)
	}
	add("fail after once", fakeaws.FailAfter, "InternalServiceError", 1, false)
	add("fail after long", fakeaws.FailAfter, "InternalServiceError", 3, false)
	add("drop before long", fakeaws.DropBefore, "", 3, false)
	add("drop after once", fakeaws.DropAfter, "", 1, false)
	add("drop after long", fakeaws.DropAfter, "", 3, false)
	add("stale", fakeaws.Stale, "", 1, false)
	add("aws gone for the rest of the run", fakeaws.DropBefore, "", 0, true)
	for name, kind := range map[string]fakeaws.FaultKind{"dead before": fakeaws.DropBefore, "dead after": fakeaws.DropAfter} {
		out = append(out, fault{name: name, loses: true, inject: func(w *harness.World, at int, kill func()) {
			w.AWS.Inject(&fakeaws.Fault{Kind: kind, Skip: at, Times: 1, Hook: func(fakeaws.Call) { kill() }})
		}})
	}
	return out
}

// idpFaults are the ways in which a call to the provider can fail.
func idpFaults() []fault {
	var out []fault
	add := func(name string, f fakeidp.Fault, loses bool) {
		out = append(out, fault{name: name, loses: loses, inject: func(w *harness.World, at int, _ func()) {
			f := f
			f.Skip, f.Times = at, 1
			w.IDP.Inject(&f)
		}})
	}
	for _, status := range []int{429, 500, 503} {
		add(fmt.Sprint("answer ", status), fakeidp.Fault{Kind: fakeidp.Answer, Status: status, Header: http.Header{"Retry-After": {"30"}}}, false)
	}
	add("answer 504 after", fakeidp.Fault{Kind: fakeidp.AnswerAfter, Status: 504}, true)
	out[len(out)-1].gateway = true
	add("drop before", fakeidp.Fault{Kind: fakeidp.DropBefore}, true)
	add("drop after", fakeidp.Fault{Kind: fakeidp.DropAfter}, true)
	add("truncate", fakeidp.Fault{Kind: fakeidp.Truncate}, true)
	add("cut off", fakeidp.Fault{Kind: fakeidp.CutOff}, true)
	add("html", fakeidp.Fault{Kind: fakeidp.HTML}, false)
	add("redirect", fakeidp.Fault{Kind: fakeidp.Redirect}, false)
	add("huge", fakeidp.Fault{Kind: fakeidp.Huge}, true)
	for name, kind := range map[string]fakeidp.FaultKind{"dead before": fakeidp.DropBefore, "dead after": fakeidp.DropAfter} {
		out = append(out, fault{name: name, loses: true, inject: func(w *harness.World, at int, kill func()) {
			w.IDP.Inject(&fakeidp.Fault{Kind: kind, Skip: at, Times: 1, Hook: func(fakeidp.Request) { kill() }})
		}})
	}
	return out
}

// broken makes one run with faults. A killed run can reach nothing any more.
func broken(w *harness.World, faults []fault) issue.Report {
	ctx, cancel := context.WithTimeout(context.Background(), w.RunTimeout)
	defer cancel()
	var once sync.Once
	kill := func() {
		once.Do(func() {
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore})
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
			cancel()
		})
	}
	for _, f := range faults {
		f.inject(w, f.at, kill)
	}
	report, err := w.Runner().Run(ctx, issue.Event{})
	w.AWS.ClearFaults()
	w.IDP.ClearFaults()
	if err != nil {
		fmt.Fprintln(w.Log, err)
	}
	fmt.Fprintf(w.Log, "%+v\n", report)
	return report
}

// calls counts a clean run's calls to AWS and to the provider.
func calls(t harness.TB, s scenario) (aws, idp int) {
	w := harness.New(t)
	strict(w)
	s.arrange(w)
	w.AWS.ResetCalls()
	w.IDP.ResetRequests()
	broken(w, nil)
	return len(w.AWS.Calls()), len(w.IDP.Requests())
}

// watcher checks the invariants over the life of one world.
type watcher struct {
	w        *harness.World
	s        scenario
	name     string // of the connection
	problems []string
	loses    int // faults that may have lost an answer
	// gateway counts answers 504 that came although the provider had acted: an
	// answer of any kind is no lost one, and the next run tries again.
	gateway  int
	hadToken bool
}

func (x *watcher) problem(format string, args ...any) {
	x.problems = append(x.problems, fmt.Sprintf(format, args...))
}

// recover runs as AWS would after the broken run, and looks at every tick.
func (x *watcher) recover() {
	last := issue.Report{}
	for range 18 { // 90 minutes
		x.look()
		last = x.w.Tick()
	}
	x.look()
	x.settled(last)
}

// look is a reader's look, now.
func (x *watcher) look() {
	_, ok := x.w.Token(x.name)
	if x.hadToken && !ok {
		x.problem("the token has gone")
	}
	x.hadToken = x.hadToken || ok
}

// settled checks where everything has ended.
func (x *watcher) settled(last issue.Report) {
	w := x.w
	token, ok := w.Token(x.name)
	alive := ok && token.ExpiresAt.After(w.Clock.Now()) && w.IDP.Accepts(x.s.provider, token.AccessToken.Reveal())
	if !alive && x.grantLeft() {
		x.problem("no live token after 90 minutes although a grant works: %+v", harness.Entry(last, x.name))
	}
	if !alive && last.Failed+last.Blocked+last.Deferred == 0 {
		x.problem("no live token, and nobody is told: %+v", last)
	}
	x.sends()
	x.stored()
	for _, document := range []string{"credential", "session", "token"} {
		name := "evertoken/" + x.name + "/" + document
		labels := 0
		for _, v := range w.AWS.Secret(name).Versions {
			labels += len(v.Labels)
		}
		if labels > 12 {
			x.problem("%d labels on the %s", labels, document)
		}
	}
	output := w.Log.String() + w.Metrics.String() + fmt.Sprintf("%+v", last)
	for _, canary := range append(w.IDP.Canaries(), "canary") {
		if strings.Contains(output, canary) {
			x.problem("a secret stands in the output: %s", canary)
			break
		}
	}
}

// grantLeft reports whether anything that is stored would still be accepted.
func (x *watcher) grantLeft() bool {
	if !x.s.onlyRefresh {
		return true // a password or a client secret always opens a new session
	}
	for _, s := range x.sessions() {
		if !s.RefreshToken.IsZero() && x.w.IDP.RefreshTokenAlive(x.s.provider, s.RefreshToken.Reveal()) {
			return true
		}
	}
	v, _ := x.w.AWS.Secret("evertoken/" + x.name + "/credential").Labelled(secrets.Current)
	c, err := credential.Parse(redact.New(v.Value))
	return err == nil && x.w.IDP.RefreshTokenAlive(x.s.provider, c.Get(credential.RefreshToken).Reveal())
}

// sessions are all that is stored of sessions, anywhere.
func (x *watcher) sessions() []credential.Session {
	var out []credential.Session
	for _, v := range x.w.AWS.Secret("evertoken/" + x.name + "/session").Versions {
		if s, err := credential.ParseSession(redact.New(v.Value)); err == nil {
			out = append(out, s)
		}
	}
	if p, ok := x.w.AWS.Parameter("/evertoken/rescue/" + x.name); ok {
		var r struct {
			Session json.RawMessage `json:"session"`
		}
		if json.Unmarshal([]byte(p.Value), &r) == nil {
			if s, err := credential.ParseSession(redact.New(string(r.Session))); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// sends checks that no refresh token reached the provider more often than
// docs/reliability.md allows, nor a wrong password twice.
func (x *watcher) sends() {
	refresh, wrong := map[string]int{}, 0
	for _, r := range x.w.IDP.Requests() {
		if !r.Processed || r.Form == nil {
			continue
		}
		if token := r.Form.Get("refresh_token"); token != "" && x.s.provider != "flexera" {
			refresh[token]++
		}
		if r.Form.Get("password") == "canary-wrong" {
			wrong++
		}
	}
	for _, n := range refresh {
		if n > 2+x.gateway {
			x.problem("one refresh token was sent %d times", n)
		}
		if n > 1 && x.loses == 0 {
			x.problem("one refresh token was sent %d times although no answer was lost", n)
		}
	}
	if wrong > 1+x.loses {
		x.problem("a wrong password was sent %d times", wrong)
	}
}

// stored checks that a living refresh token is stored, if the provider gave one
// and its answer could not be lost.
func (x *watcher) stored() {
	if x.loses > 0 || x.s.provider == "flexera" || x.w.IDP.LiveRefreshTokens(x.s.provider) == 0 || strings.Contains(x.s.name, "anonymous") || strings.Contains(x.s.name, "client") {
		return
	}
	for _, s := range x.sessions() {
		if !s.RefreshToken.IsZero() && x.w.IDP.RefreshTokenAlive(x.s.provider, s.RefreshToken.Reveal()) {
			return
		}
	}
	x.problem("a refresh token was received and none that lives is stored")
}

// try makes one run of a scenario for each list of faults, a heartbeat apart,
// and returns what was violated, and what the runs printed.
func try(t harness.TB, s scenario, runs ...[]fault) (problems []string, output string) {
	w := harness.New(t)
	strict(w)
	s.arrange(w)
	x := &watcher{w: w, s: s, name: subject}
	tally.Lock()
	tally.worlds++
	tally.Unlock()
	for i, faults := range runs {
		if i > 0 {
			w.Clock.Advance(w.Config.Every)
		}
		for _, f := range faults {
			if f.loses {
				x.loses++
			}
			if f.gateway {
				x.gateway++
			}
		}
		broken(w, faults)
		reached(w, subject, len(faults))
		x.look()
	}
	x.recover()
	return x.problems, w.Log.String()
}

// soak reports whether the long version of the search is asked for.
func soak() bool { return os.Getenv("EVERTOKEN_SOAK") != "" }

// telling are the faults that each stand for a kind; the others are left to the
// long version.
var telling = []string{
	"refuse AccessDeniedException", "drop after long", "dead before", "dead after", "aws gone for the rest of the run",
	"answer 503", "drop after", "truncate", "html",
}

// TestEveryFaultOfEveryCall breaks every call of every scenario, one at a time:
// in every way with EVERTOKEN_SOAK set, otherwise in those of telling.
func TestEveryFaultOfEveryCall(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			nAWS, nIDP := calls(t, s)
			tried := 0
			for _, group := range []struct {
				server string
				n      int
				faults []fault
			}{{"aws", nAWS, awsFaults()}, {"idp", nIDP, idpFaults()}} {
				for at := range group.n {
					for _, f := range group.faults {
						if !soak() && !slices.Contains(telling, f.name) {
							continue
						}
						f.at = at
						name := fmt.Sprintf("%s %d %s", group.server, at, f.name)
						t.Run(name, func(t *testing.T) {
							problems, output := try(t, s, []fault{f})
							for _, p := range problems {
								t.Error(p)
							}
							if len(problems) > 0 {
								t.Logf("output:\n%.6000s", output)
							}
						})
						tried++
					}
				}
			}
			t.Logf("%d faults tried: %d calls to AWS, %d to the provider", tried, nAWS, nIDP)
		})
	}
}
