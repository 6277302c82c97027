package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"evertoken/internal/fakeaws"
	"evertoken/internal/fakeidp"
	"evertoken/internal/harness"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
)

// reader watches one connection as an application does, at every instant that
// matters, and keeps what is needed to judge a dead token.
type reader struct {
	name, provider string
	expires        time.Time // of the token last seen
	renewAfter     time.Time
	minRemaining   time.Duration
	// good counts the runs within the lead of that token in which AWS and the
	// provider were up, nothing crashed and a grant worked; disturbed is set
	// where, since the token was issued, a run was broken: then the first good
	// runs find a left-over claim and wait.
	good      int
	disturbed bool
	// unwell is set while what the operator stored is wrong or the provider has
	// locked the account.
	unwell bool
	dead   bool
}

// quarter is one simulated stretch of time.
type quarter struct {
	t       *testing.T
	w       *harness.World
	rnd     *rand.Rand
	readers []*reader
	// ends of what is going on
	awsDown, throttled time.Time
	idpDown            map[string]time.Time
	fixes              []fix
	// lowest is what the alarm's metric was in the last run, and alarmed when
	// it first was past its threshold without a break.
	alarmed  time.Time
	lastRun  time.Time
	runs     int
	broken   int
	outages  int
	operator int
	deaths   int
	longest  time.Duration
}

// fix is what an operator does later.
type fix struct {
	at time.Time
	do func()
}

func newQuarter(t *testing.T, seed uint64) *quarter {
	q := &quarter{t: t, w: harness.New(t), rnd: rand.New(rand.NewPCG(seed, 1)), idpDown: map[string]time.Time{}}
	strict(q.w)
	for _, name := range q.w.All() {
		provider, _, _ := strings.Cut(name, "-")
		q.readers = append(q.readers, &reader{name: name, provider: provider})
	}
	q.w.Run(issue.Event{})
	q.lastRun = q.w.Clock.Now()
	q.look()
	return q
}

// run lets the time pass, heartbeat by heartbeat.
func (q *quarter) run(days int) {
	end := q.w.Clock.Now().Add(time.Duration(days) * 24 * time.Hour)
	for q.w.Clock.Now().Before(end) {
		jitter := time.Duration(q.rnd.IntN(20)-10) * time.Second
		q.w.Clock.Advance(q.w.Config.Every + jitter)
		q.fate()
		q.look()
		if q.chance(0.02) {
			continue // a tick that never came
		}
		q.tick()
		if q.chance(0.01) {
			q.tick() // delivered twice
		}
		q.look()
		if q.runs%288 == 0 {
			q.daily()
		}
		q.w.AWS.ResetCalls()
		if trace := os.Getenv("EVERTOKEN_TRACE"); trace != "" { // the story of one connection
			for line := range strings.Lines(q.w.Log.String()) {
				if strings.Contains(line, trace) && strings.Contains(line, `"outcome"`) {
					fmt.Fprintf(os.Stderr, "%s %s", q.w.Clock.Now().Format(time.DateTime), line)
				}
			}
		}
		q.w.Log.Reset()
		if q.t.Failed() {
			return
		}
	}
	q.daily()
}

func (q *quarter) chance(p float64) bool { return q.rnd.Float64() < p }

func (q *quarter) between(least, most time.Duration) time.Duration {
	return least + time.Duration(q.rnd.Int64N(int64(most-least)))
}

const perDay = 1.0 / 288

// fate begins and ends what goes wrong, and what operators do.
func (q *quarter) fate() {
	now := q.w.Clock.Now()
	if q.chance(perDay / 7) {
		q.awsDown = now.Add(q.between(5*time.Minute, 40*time.Minute))
		q.outages++
	}
	if q.chance(perDay / 3) {
		q.throttled = now.Add(q.between(10*time.Minute, time.Hour))
		q.outages++
	}
	for _, provider := range []string{"flexera", "flexnet", "sharetribe", "apiax", "oauth2"} {
		if q.chance(perDay / 10) {
			q.idpDown[provider] = now.Add(q.between(5*time.Minute, 6*time.Hour))
			q.outages++
		}
	}
	if q.chance(3 * perDay) {
		q.operate(q.readers[q.rnd.IntN(len(q.readers))])
	}
	for i := 0; i < len(q.fixes); i++ {
		if !now.Before(q.fixes[i].at) {
			q.fixes[i].do()
			q.fixes = append(q.fixes[:i], q.fixes[i+1:]...)
			i--
		}
	}
}

func (q *quarter) later(d time.Duration, do func()) {
	q.fixes = append(q.fixes, fix{q.w.Clock.Now().Add(d), do})
}

// operate is an operator's doing, wise or not.
func (q *quarter) operate(r *reader) {
	q.operator++
	secret := "evertoken/" + r.name + "/"
	value := func(document string) string {
		v, _ := q.w.AWS.Secret(secret + document).Labelled(secrets.Current)
		return v.Value
	}
	switch q.rnd.IntN(6) {
	case 0: // the same credential re-applied
		q.w.PutSecret(secret+"credential", value("credential"))
	case 1: // a changed password, first at the provider, then in AWS
		if r.provider != "apiax" || r.unwell {
			return
		}
		r.unwell, r.disturbed = true, true
		password := q.w.IDP.Apiax().SetPassword(r.name, "")
		q.later(q.between(10*time.Minute, 3*time.Hour), func() {
			b, _ := json.Marshal(map[string]string{"username": r.name, "password": password})
			q.w.PutSecret(secret+"credential", string(b))
			r.unwell = false
		})
	case 2: // a mistyped credential, mended later
		good := value("credential")
		if r.unwell {
			return
		}
		r.unwell, r.disturbed = true, true
		q.w.PutSecret(secret+"credential", strings.NewReplacer(`"password":"`, `"password":"canary-wrong`, `"client_secret":"`, `"client_secret":"canary-wrong`,
			`"refresh_token":"`, `"refresh_token":"canary-wrong`).Replace(good))
		q.later(q.between(time.Hour, 30*time.Hour), func() {
			q.w.PutSecret(secret+"credential", good)
			r.unwell = false
		})
	case 3: // the session's label moved back
		q.moveBack(r)
	case 4: // the session emptied, where a stronger grant is stored
		if s, ok := q.w.Session(r.name); ok && !s.RefreshToken.IsZero() && r.name != "oauth2-refresh" {
			r.disturbed = true
			q.w.PutSecret(secret+"session", "{}")
		}
	case 5: // the provider ends all sessions
		if r.provider == "apiax" {
			q.w.IDP.Apiax().EndSessions(r.name)
		}
	}
}

func (q *quarter) moveBack(r *reader) {
	secret := q.w.AWS.Secret("evertoken/" + r.name + "/session")
	current, ok := secret.Labelled(secrets.Current)
	previous, before := secret.Labelled(secrets.Previous)
	if !ok || !before || !previous.HasValue {
		return
	}
	r.disturbed = true
	if err := q.w.Store().MoveLabel(context.Background(), secret.Name, secrets.Current, previous.ID, current.ID); err != nil {
		q.t.Fatalf("moving the session's label back: %v", err)
	}
}

// reseed is what a person does for the connection that has nothing stronger than
// its refresh token, once an answer was lost: a new seed.
func (q *quarter) reseed(r *reader) {
	if r.name != "oauth2-refresh" || r.unwell {
		return
	}
	x := watcher{w: q.w, s: scenario{provider: r.provider, onlyRefresh: true}, name: r.name}
	if x.grantLeft() {
		return
	}
	r.unwell, r.disturbed = true, true
	q.later(q.between(time.Hour, 4*time.Hour), func() {
		v, _ := q.w.AWS.Secret("evertoken/" + r.name + "/credential").Labelled(secrets.Current)
		members := map[string]string{}
		if err := json.Unmarshal([]byte(v.Value), &members); err != nil {
			q.t.Fatalf("the credential: %v", err)
		}
		members["refresh_token"] = q.w.IDP.OAuth2().AddRefreshToken(members["client_id"], "subject", "read")
		b, _ := json.Marshal(members)
		q.w.PutSecret("evertoken/"+r.name+"/credential", string(b))
		r.unwell = false
	})
}

// tick is one run with whatever is going on.
func (q *quarter) tick() {
	now := q.w.Clock.Now()
	q.runs++
	var faults []fault
	if now.Before(q.awsDown) {
		faults = append(faults, fault{inject: func(w *harness.World, _ int, _ func()) {
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "InternalServiceError"})
		}})
	}
	if now.Before(q.throttled) {
		for i := range 12 { // every third call of the run, or so
			faults = append(faults, fault{at: 3 * i, inject: func(w *harness.World, at int, _ func()) {
				w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "ThrottlingException", Skip: at, Times: 1})
			}})
		}
	}
	for provider, until := range q.idpDown {
		if now.Before(until) {
			kind := []fakeidp.FaultKind{fakeidp.Answer, fakeidp.DropBefore}[until.Unix()%2]
			faults = append(faults, fault{inject: func(w *harness.World, _ int, _ func()) {
				w.IDP.Inject(&fakeidp.Fault{Provider: provider, Kind: kind, Status: 503})
			}})
		}
	}
	crash := q.chance(0.01)
	if crash {
		f := awsFaults()
		dead := f[len(f)-1-q.rnd.IntN(2)]
		dead.at = q.rnd.IntN(30)
		faults = append(faults, dead)
	}
	lost := q.chance(0.005)
	if lost {
		faults = append(faults, fault{inject: func(w *harness.World, _ int, _ func()) {
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 1})
		}})
	}
	if len(faults) > 0 {
		q.broken++
	}
	q.w.Metrics.Reset()
	report := broken(q.w, faults)
	whole := !now.Before(q.awsDown) && !now.Before(q.throttled) && !crash && !lost
	for _, r := range q.readers {
		if !whole {
			r.disturbed = true
		}
		down := now.Before(q.idpDown[r.provider])
		if down && q.idpDown[r.provider].Unix()%2 == 1 {
			r.disturbed = true // its answers are lost
		}
		if whole && !down && !r.unwell && !now.Before(r.renewAfter) && now.Before(r.expires) {
			r.good++
		}
	}
	for _, r := range q.readers {
		q.reseed(r)
	}
	q.alarm(report)
}

// alarm keeps when the alarm's metric went past its threshold, or stopped.
func (q *quarter) alarm(report issue.Report) {
	var line struct{ RemainingOfPromise float64 }
	text := q.w.Metrics.String()
	if json.Unmarshal([]byte(text), &line) == nil && line.RemainingOfPromise >= 1 {
		q.alarmed, q.lastRun = time.Time{}, q.w.Clock.Now()
		return
	}
	if q.alarmed.IsZero() {
		q.alarmed = q.w.Clock.Now()
	}
	if text == "" && report.Checked > 0 {
		q.t.Errorf("a run that checked %d connections wrote no metric", report.Checked)
	}
}

// look is every reader's look, now.
func (q *quarter) look() {
	now := q.w.Clock.Now()
	for _, r := range q.readers {
		token, ok := q.w.Token(r.name)
		if !ok {
			q.t.Errorf("%s: the token of %s has gone", now, r.name)
			continue
		}
		if token.ExpiresAt.After(r.expires) {
			if r.dead {
				q.longest = max(q.longest, token.IssuedAt.Sub(r.expires))
			}
			life := token.ExpiresAt.Sub(token.IssuedAt)
			*r = reader{name: r.name, provider: r.provider, unwell: r.unwell,
				expires: token.ExpiresAt, renewAfter: token.RenewAfter, minRemaining: life / 6}
		}
		if now.Before(r.expires) {
			if !r.unwell && r.provider != "flexnet" && !q.w.IDP.Accepts(r.provider, token.AccessToken.Reveal()) {
				q.t.Errorf("%s: the provider refuses the living token of %s", now, r.name)
			}
			continue
		}
		if !r.dead {
			r.dead = true
			q.deaths++
			q.judge(r)
		}
	}
}

// judge says whether a token was allowed to die.
func (q *quarter) judge(r *reader) {
	now := q.w.Clock.Now()
	allowed := 0 // good runs that may pass without a renewal
	if r.disturbed {
		allowed = 3 // one notes the left-over claim, one waits, one settles it
	}
	if r.good > allowed {
		q.t.Errorf("%s: the token of %s died although %d good runs could have renewed it\n%.3000s", now, r.name, r.good, q.w.Log)
	}
	latest := r.expires.Add(-r.minRemaining)
	missing := q.lastRun.Add(2 * q.w.Config.Every) // when missing data becomes an alarm
	if (q.alarmed.IsZero() || q.alarmed.After(latest)) && missing.After(latest) {
		q.t.Errorf("%s: no alarm by %s for %s, whose token died at %s (alarmed %s, last good run %s)",
			now, latest, r.name, r.expires, q.alarmed, q.lastRun)
	}
}

// daily checks what holds over a day.
func (q *quarter) daily() {
	for _, r := range q.readers {
		for _, document := range []string{"credential", "session", "token"} {
			name := "evertoken/" + r.name + "/" + document
			if n := q.w.AWS.VersionsYoungerThan(name, 24*time.Hour); n >= 100 {
				q.t.Errorf("%d versions of %s in a day", n, name)
			}
			labels := 0
			for _, v := range q.w.AWS.Secret(name).Versions {
				labels += len(v.Labels)
			}
			if labels > 15 {
				q.t.Errorf("%d labels on %s", labels, name)
			}
		}
	}
	refresh, wrong := map[string]int{}, 0
	for _, x := range q.w.IDP.Requests() {
		if !x.Processed || x.Form == nil || x.Provider == "flexera" {
			continue
		}
		if token := x.Form.Get("refresh_token"); token != "" {
			refresh[token]++
		}
		if strings.HasPrefix(x.Form.Get("password"), "canary-wrong") {
			wrong++
		}
	}
	for _, n := range refresh {
		if n > 3 {
			q.t.Errorf("one refresh token was sent %d times in a day", n)
		}
	}
	if wrong > 8 {
		q.t.Errorf("wrong passwords were sent %d times in a day", wrong)
	}
	q.w.IDP.ResetRequests()
}

// TestQuarter lets days pass in seconds, and with EVERTOKEN_SOAK set a quarter of
// a year. EVERTOKEN_SEED repeats a run.
func TestQuarter(t *testing.T) {
	t.Parallel()
	days := 3
	if soak() {
		days = 91
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("EVERTOKEN_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("EVERTOKEN_SEED=%d", seed)
	q := newQuarter(t, seed)
	q.run(days)
	logins := q.w.IDP.Apiax().Logins()
	tally.Lock()
	tally.quarters++
	tally.Unlock()
	tell("simulated %d days (EVERTOKEN_SEED=%d): %d runs, %d of them broken, %d outages, %d operators' doings, %d tokens died with reason (longest gap %s), %d apiax logins",
		days, seed, q.runs, q.broken, q.outages, q.operator, q.deaths, q.longest.Round(time.Second), len(logins))
}
