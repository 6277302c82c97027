package simulate

import (
	"net/http"
	"strings"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/secrets"
)

// ledger records what was sent for a connection over the whole time, and what allowed it.
type ledger struct {
	stored      int // times that an operator stored a credential
	wrongStored int // times that it was a mistyped one
	wrongSent   int // mistyped passwords that reached the provider
	upsets      int // what happened to the connection that may cost a login
	losses      int // runs that crashed, or in which an answer was lost
}

// owner is the connection that a request was made for, or nil.
func (q *quarter) owner(x fakeidp.Request) *application {
	if r := q.byClient[x.Form.Get("client_id")]; r != nil && x.Form.Get("client_id") != "" {
		return r
	}
	if x.Provider == fakeidp.ProviderApiax || x.Provider == fakeidp.ProviderFlexNet {
		for _, r := range q.applications {
			if r.provider == x.Provider {
				return r
			}
		}
	}
	return nil
}

// account records what the last run sent, checks that it was allowed to and that what it
// received is stored, and returns the connections with requests.
func (q *quarter) account(lost bool) map[*application]bool {
	touched, received := map[*application]bool{}, map[*application]bool{}
	for _, r := range q.applications {
		if lost {
			r.losses++
		}
	}
	for _, x := range q.w.IDP.Requests() {
		r := q.owner(x)
		if r == nil {
			continue
		}
		touched[r] = true
		q.enter(r, x)
		if x.Processed && x.Status == http.StatusOK && givesRefresh(r.name, x.Grant) {
			received[r] = true
		}
	}
	q.w.IDP.ResetRequests()
	for _, c := range q.w.AWS.Calls() {
		if c.Code == "LimitExceededException" { // too many versions or labels
			q.errorf("AWS refused %s of %s, which is full", c.Operation, c.Resource)
		}
	}
	for r := range received {
		s := watcher{w: q.w, s: scenario{provider: r.provider}, name: r.name}
		if !lost && !s.livingStored() {
			q.errorf("%s received a refresh token and none that lives is stored", r.name)
		}
	}
	q.bounds(touched)
	return touched
}

// givesRefresh reports whether a connection's grant is answered with a refresh token that
// Evertoken must store.
func givesRefresh(name, grant string) bool {
	switch grant {
	case "refresh_token", "password":
		return true
	case "client_credentials":
		return name == "sharetribe-integration"
	}
	return false
}

// enter adds one request to the ledgers.
func (q *quarter) enter(r *application, x fakeidp.Request) {
	if x.Processed && strings.HasPrefix(sentPassword(x), wrongPassword) {
		r.wrongSent++
	}
	token := x.Form.Get("refresh_token")
	if token == "" {
		return
	}
	q.owners[token] = r
	if x.Processed && x.Status >= 400 && x.Status < 500 {
		// Refused, it is tried again once a day at most: docs/reliability.md.
		q.refused[token+x.Time.Format(time.DateOnly)]++
		if n := q.refused[token+x.Time.Format(time.DateOnly)]; n > 1+r.stored+r.losses {
			q.errorf("%s sent a refused refresh token %d times in a day", r.name, n)
		}
		return
	}
	count(q.refresh, x)
	// While nothing stronger works, Evertoken replays after a lost answer once, then once
	// a day. An outage that lasts a day makes a password wait, too.
	alone := r.name == "oauth2-refresh" || r.unwell
	replays := 0
	if replayed(r.name) || alone {
		replays = 1
	}
	if n := q.refresh[token]; n != nil && (alone || replayed(r.name)) {
		replays += int(x.Time.Sub(n.first) / (24*time.Hour - 2*time.Minute))
	}
	if n := q.refresh[token]; n != nil && n.sent > 1+replays+n.answered {
		q.errorf("%s sent one refresh token %d times, %d of them answered by a gateway; %d replays are allowed", r.name, n.sent, n.answered, replays)
	}
}

// bounds checks the passwords sent over all the time.
func (q *quarter) bounds(touched map[*application]bool) {
	for r := range touched {
		if most := r.wrongStored + r.losses; r.wrongSent > most {
			q.errorf("%s sent wrong passwords %d times, at most %d are allowed", r.name, r.wrongSent, most)
		}
		if r.provider != fakeidp.ProviderApiax {
			continue
		}
		windows := int(q.w.Clock.Now().Sub(q.began) / (13 * 24 * time.Hour)) // session_max less remint_before
		if n, most := len(q.w.IDP.Apiax().Logins()), 1+windows+r.upsets+r.losses; n > most {
			q.errorf("%s logged in %d times, at most %d are allowed", r.name, n, most)
		}
	}
}

// claimed reports whether the current session has an exchange without a stored answer.
func (q *quarter) claimed(r *application) bool {
	v, ok := q.w.AWS.Secret("evertoken/" + r.name + "/session").Labelled("EVERTOKEN_EXCHANGE")
	current, _ := q.w.AWS.Secret("evertoken/" + r.name + "/session").Labelled(secrets.Current)
	return ok && v.ID == current.ID
}

// leaks searches the last run's output and labels for secrets, ARNs and control
// characters.
func (q *quarter) leaks() {
	if what := leaked(q.w.Log.String() + q.w.Metrics.String()); what != "" {
		q.errorf("logs, metrics or answer hold %s", what)
	}
	for _, r := range q.applications {
		for _, document := range []string{"credential", "session", "token"} {
			if what := leaked(strings.Join(labelsOf(q.w.AWS.Secret("evertoken/"+r.name+"/"+document)), "\n")); what != "" {
				q.errorf("a label of the %s of %s holds %s", document, r.name, what)
			}
		}
	}
}

// daily checks the limits for a day.
func (q *quarter) daily() {
	for _, r := range q.applications {
		for _, document := range []string{"credential", "session", "token"} {
			name := "evertoken/" + r.name + "/" + document
			if n := q.w.AWS.VersionsYoungerThan(name, 24*time.Hour); n >= 100 {
				q.errorf("%d versions of %s in a day", n, name)
			}
			if n := len(labelsOf(q.w.AWS.Secret(name))); n > 15 {
				q.errorf("%d labels on %s", n, name)
			}
		}
	}
}
