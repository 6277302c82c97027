package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/renew"
)

// application watches the token of one connection at every instant that matters, and
// records what it takes to judge a dead token.
type application struct {
	name, provider string
	expires        time.Time // of the token last seen
	renewAfter     time.Time
	minRemaining   time.Duration
	// good counts the runs within the lead of that token in which AWS and the provider
	// were up, nothing crashed and a grant worked. disturbed is set where a broken run or
	// an operator left a half-done state of this connection, until a clean run renews it
	// or finds none.
	good      int
	disturbed bool
	ledger
	// unwell is set while what the operator stored is wrong or the provider has
	// locked the account.
	unwell bool
	dead   bool
}

// quarter is one simulated stretch of time.
type quarter struct {
	t            *testing.T
	w            *fakeworld.World
	rnd          *rand.Rand
	applications []*application
	// ends of the current disturbances
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
	seed     uint64
	began    time.Time
	byClient map[string]*application // :: client_id → whose it is
	refresh  map[string]*sent        // :: refresh token → its sends, over all the time
	refused  map[string]int          // :: refresh token and day → refusals
	owners   map[string]*application // :: refresh token → who sent it
}

// errorf reports a violation, and how to reproduce it.
func (q *quarter) errorf(format string, args ...any) {
	q.t.Helper()
	q.t.Errorf("%s (EVERTOKEN_SEED=%d): %s", q.w.Clock.Now().Format(time.DateTime), q.seed,
		fmt.Sprintf(format, args...))
}

// fix is what an operator does later.
type fix struct {
	at time.Time
	do func()
}

func newQuarter(t *testing.T, seed uint64) *quarter {
	q := &quarter{t: t, w: fakeworld.New(t), rnd: rand.New(rand.NewPCG(seed, 1)),
		idpDown: map[string]time.Time{}, seed: seed,
		byClient: map[string]*application{}, refresh: map[string]*sent{}, refused: map[string]int{}, owners: map[string]*application{}}
	strict(q.w)
	for _, name := range q.w.All() {
		provider, _, _ := strings.Cut(name, "-")
		r := &application{name: name, provider: provider}
		q.applications = append(q.applications, r)
		q.byClient[q.members(r)["client_id"]] = r
	}
	q.began = q.w.Clock.Now()
	q.w.Run(issue.Event{})
	q.lastRun = q.w.Clock.Now()
	q.account(false)
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
		q.leaks()
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

// tick is one run, under the current disturbances.
func (q *quarter) tick() {
	now := q.w.Clock.Now()
	q.runs++
	var faults []fault
	if now.Before(q.awsDown) {
		faults = append(faults, fault{inject: func(w *fakeworld.World, _ int, _ func(fakeaws.Call)) {
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "InternalServiceError"})
		}})
	}
	if now.Before(q.throttled) {
		for i := range 12 { // every third call of the run, or so
			faults = append(faults, fault{at: 3 * i, inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
				w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "ThrottlingException", Skip: at, Times: 1})
			}})
		}
	}
	for _, provider := range slices.Sorted(maps.Keys(q.idpDown)) {
		if until := q.idpDown[provider]; now.Before(until) {
			kind := []fakeidp.FaultKind{fakeidp.Answer, fakeidp.DropBefore}[until.Unix()%2]
			faults = append(faults, fault{inject: func(w *fakeworld.World, _ int, _ func(fakeaws.Call)) {
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
		faults = append(faults, fault{inject: func(w *fakeworld.World, _ int, _ func(fakeaws.Call)) {
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 1})
		}})
	}
	if len(faults) > 0 {
		q.broken++
	}
	q.w.Metrics.Reset()
	report, _ := broken(q.w, faults)
	whole := !now.Before(q.awsDown) && !now.Before(q.throttled) && !crash && !lost
	touched := q.account(crash || lost)
	for _, r := range q.applications {
		down := now.Before(q.idpDown[r.provider])
		clean := whole && !down && !r.unwell
		outcome := fakeworld.Entry(report, r.name).Outcome
		switch {
		case clean && (outcome == string(renew.Issued) || outcome == string(renew.Fresh) && !q.claimed(r)):
			r.disturbed = false
		case !whole && (touched[r] || q.claimed(r)), down && touched[r]:
			r.disturbed = true
		}
		if clean && !now.Before(r.renewAfter) && now.Before(r.expires) {
			r.good++
		}
	}
	for _, r := range q.applications {
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
		q.errorf("a run that checked %d connections wrote no metric", report.Checked)
	}
}

// look makes each application read its token now.
func (q *quarter) look() {
	now := q.w.Clock.Now()
	for _, r := range q.applications {
		token, ok := q.w.Token(r.name)
		if !ok {
			q.errorf("the token of %s has gone", r.name)
			continue
		}
		if token.ExpiresAt.After(r.expires) {
			if r.dead {
				q.longest = max(q.longest, token.IssuedAt.Sub(r.expires))
			}
			life := token.ExpiresAt.Sub(token.IssuedAt)
			*r = application{name: r.name, provider: r.provider, unwell: r.unwell, ledger: r.ledger,
				disturbed: r.disturbed,
				expires:   token.ExpiresAt, renewAfter: token.RenewAfter, minRemaining: life / 6}
		}
		if now.Before(r.expires) {
			if !r.unwell && r.provider != "flexnet" && !q.w.IDP.Accepts(r.provider, token.AccessToken.Reveal()) {
				q.errorf("the provider refuses the living token of %s", r.name)
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
func (q *quarter) judge(r *application) {
	allowed := 0 // good runs that may pass without a renewal
	if r.disturbed {
		allowed = 3 // one notes the left-over claim, one waits, one settles it
	}
	if r.good > allowed {
		q.errorf("the token of %s died although %d good runs could have renewed it\n%.3000s",
			r.name, r.good, q.w.Log)
	}
	latest := r.expires.Add(-r.minRemaining)
	missing := q.lastRun.Add(2 * q.w.Config.Every) // when missing data becomes an alarm
	if (q.alarmed.IsZero() || q.alarmed.After(latest)) && missing.After(latest) {
		q.errorf("no alarm by %s for %s, whose token died at %s (alarmed %s, last good run %s)",
			latest, r.name, r.expires, q.alarmed, q.lastRun)
	}
}

// TestDaysOfFaultsBreakNoPromise lets days pass in seconds, and with EVERTOKEN_SOAK set a
// quarter of a year. EVERTOKEN_SEED repeats a run.
func TestDaysOfFaultsBreakNoPromise(t *testing.T) {
	t.Parallel()
	days := 3
	if soak() {
		days = 91
	}
	seed := uint64(1) // the short version searches the same ground every time, the long one new ground
	if soak() {
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("EVERTOKEN_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("EVERTOKEN_SEED: %v", err)
		}
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
