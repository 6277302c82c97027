package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// watcher checks the invariants over the life of one world.
type watcher struct {
	w        *fakeworld.World
	s        scenario
	name     string // of the connection
	problems []string
	loses    int // faults that may have lost an answer
	forced   bool
	// unread is set where an answer was lost or could not be read.
	unread   bool
	hadToken bool
	days     int // that passed beyond the ninety minutes
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
	if x.pauses(last) {
		x.w.Clock.Advance(24 * time.Hour)
		x.days++
		// The claim of a killed run is first noted, then waited for, then taken over, and
		// runs for a dead token are up to three heartbeats apart.
		for range 9 {
			last = x.w.Tick()
		}
	}
	x.settled(last)
}

// pauses reports whether the connection recovers without a person and waits for longer
// than this test runs, as docs/reliability.md says.
func (x *watcher) pauses(last issue.Report) bool {
	e := fakeworld.Entry(last, x.name)
	return e.Outcome == string(renew.Failed) &&
		(strings.Contains(e.Reason, "Evertoken sends it again once a day") ||
			strings.Contains(e.Reason, "at most six times a day"))
}

// look lets the application read its token now.
func (x *watcher) look() {
	_, ok := published(x.w, x.name)
	if x.hadToken && !ok {
		x.problem("the token has gone")
	}
	x.hadToken = x.hadToken || ok
}

// settled checks where everything has ended.
func (x *watcher) settled(last issue.Report) {
	w := x.w
	token, ok := published(w, x.name)
	alive := ok && (token.expires.IsZero() || token.expires.After(w.Clock.Now())) &&
		w.IDP.Accepts(x.s.provider, token.access)
	if !alive && x.grantLeft() && !x.unansweredTwice(last) {
		x.problem("no live token after 90 minutes although a grant works: %+v", fakeworld.Entry(last, x.name))
	}
	if !alive && last.Failed+last.Blocked+last.Deferred == 0 {
		x.problem("no live token, and nobody is told: %+v", last)
	}
	x.sends()
	x.stored()
	for _, document := range []string{"credential", "session", "token"} {
		secret := w.AWS.Secret("evertoken/" + x.name + "/" + document)
		if n := len(labelsOf(secret)); n > 12 {
			x.problem("%d labels on the %s", n, document)
		}
		if what := leaked(strings.Join(labelsOf(secret), "\n")); what != "" {
			x.problem("a label of the %s holds %s", document, what)
		}
	}
	output := w.Log.String() + w.Metrics.String() + fmt.Sprintf("%+v", last)
	if what := leaked(output); what != "" {
		x.problem("the output holds %s", what)
	}
	for _, canary := range w.IDP.Canaries() {
		if strings.Contains(output, canary) {
			x.problem("a secret stands in the output")
			break
		}
	}
}

// unansweredTwice reports whether the connection rightly waits for a person: Evertoken
// sends a password that never worked three times without an answer; a seed, or a refresh
// token with no stronger grant, may have been spent at a provider that did not answer.
func (x *watcher) unansweredTwice(last issue.Report) bool {
	opening := strings.HasSuffix(x.s.name, " first") || strings.HasSuffix(x.s.name, "changed password")
	return x.loses > 1 && (opening || x.s.onlyRefresh) &&
		fakeworld.Entry(last, x.name).Outcome == string(renew.Blocked)
}

// grantLeft reports whether anything that is stored would still be accepted.
func (x *watcher) grantLeft() bool {
	if !x.s.onlyRefresh {
		return true // a password or a client secret always opens a new session
	}
	return x.livingStored() || x.livingSeed()
}

// livingSeed reports whether the credential holds a refresh token that the
// provider would accept.
func (x *watcher) livingSeed() bool {
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
	refresh, wrong := map[string]*sent{}, 0
	for _, r := range x.w.IDP.Requests() {
		count(refresh, r)
		if r.Processed && sentPassword(r) == wrongPassword {
			wrong++
		}
	}
	for token, n := range refresh {
		replays := 0
		if token == wrongPassword { // refused, so never spent: each of two runs may send it
			replays++
		}
		if x.unread && replayed(x.s.name) {
			replays += 1 + x.days
		}
		if n.sent > 1+replays+n.answered {
			x.problem("one refresh token was sent %d times, %d of them answered by a gateway; %d replays are allowed", n.sent, n.answered, replays)
		}
	}
	allowed := 1 + x.loses
	if x.forced {
		allowed++
	}
	if x.s.provider == fakeidp.ProviderFlexNet { // no session, so no claim: each of two runs may send it
		allowed++
	}
	if wrong > allowed {
		x.problem("a wrong password was sent %d times", wrong)
	}
}

// sentPassword is the password that a request carries, in its form or for basic
// authentication.
func sentPassword(r fakeidp.Request) string {
	if _, basic, ok := (&http.Request{Header: r.Header}).BasicAuth(); ok {
		return basic
	}
	return r.Form.Get("password")
}

// sent is what became of one refresh token that may be single-use.
type sent struct {
	// sent is how often it reached the provider and was carried out or not
	// readably answered; an error answered in its stead spends nothing.
	sent int
	// answered is how often it was carried out and a gateway answered 5xx: an
	// answer of any kind is no lost one, and the next run tries again.
	answered int
	// first is when it was sent first.
	first time.Time
}

// count adds a request to what was sent.
func count(refresh map[string]*sent, r fakeidp.Request) {
	token := r.Form.Get("refresh_token")
	if token == "" || r.Provider == fakeidp.ProviderFlexera || !r.Processed && r.Status >= 300 {
		return
	}
	n := refresh[token]
	if n == nil {
		n = &sent{first: r.Time}
		refresh[token] = n
	}
	n.sent++
	if r.Processed && r.Status >= 500 {
		n.answered++
	}
}

// replayed reports whether docs/reliability.md allows a connection, named after
// its provider and grant, to send a refresh token once more after a lost answer.
func replayed(name string) bool {
	return !strings.HasPrefix(strings.ReplaceAll(name, "-", " "), "sharetribe integration")
}

// stored checks that a living refresh token is stored, if the provider gave one
// and its answer could not be lost.
func (x *watcher) stored() {
	if x.loses > 0 || x.s.provider == "flexera" || x.w.IDP.LiveRefreshTokens(x.s.provider) == 0 ||
		strings.Contains(x.s.name, "anonymous") || strings.Contains(x.s.name, "client") ||
		strings.Contains(x.s.name, "wrong first refresh_token") { // the provider's living one was never stored
		return
	}
	if !x.livingStored() && !x.livingSeed() {
		x.problem("a refresh token was received and none that lives is stored")
	}
}

// livingStored reports whether a session that is stored anywhere holds a refresh
// token that the provider would accept.
func (x *watcher) livingStored() bool {
	for _, s := range slices.Backward(x.sessions()) {
		if !s.RefreshToken.IsZero() && x.w.IDP.RefreshTokenAlive(x.s.provider, s.RefreshToken.Reveal()) {
			return true
		}
	}
	return false
}
