package issue_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// api is an application's API, which accepts every token but those revoked.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	revoked map[string]bool
	status  int // instead of what the token deserves; 0 for that
	calls   int
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{revoked: map[string]bool{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.calls++
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case r.Method != http.MethodGet || r.URL.Path != "/me" || !ok:
			rw.WriteHeader(http.StatusNotFound)
		case a.status != 0:
			rw.WriteHeader(a.status)
		case a.revoked[token]:
			rw.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) answer(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = status
}

func (a *api) revoke(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[token] = true
}

// asked is how often the API was called since the last call of asked.
func (a *api) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.calls
	a.calls = 0
	return n
}

const probeEvery = 15 * time.Minute

// probed connects to FlexNet, whose tokens live a day, with a probe, and issues
// its token.
func probed(t *testing.T) (*fakeworld.World, *api) {
	t.Helper()
	w := fakeworld.New(t)
	a := newAPI(t)
	w.FlexNet("victim")
	w.Declare("victim", map[string]any{
		"provider": "flexnet", "settings": map[string]any{"base_url": w.IDP.FlexNet().BaseURL(), "token_name": "lambda-victim", "username": "victim"},
		"probe": map[string]any{"every": probeEvery.String(), "url": a.URL + "/me"},
	})
	w.Run(issue.Event{})
	if n := a.asked(); n != 0 {
		t.Fatalf("%d probes of a token that was just issued", n)
	}
	return w, a
}

// A living token is probed once in each period, whatever the answer, and no probe renews
// it.
func TestAProbeComesOnceInAPeriod(t *testing.T) {
	t.Parallel()
	w, a := probed(t)
	first, _ := w.Token("victim")
	const periods = 30
	for i := range periods * int(probeEvery/w.Config.Every) {
		a.answer([]int{0, 403, 500, 302, 429, 404}[i%6])
		w.Tick()
	}
	if n := a.asked(); n < periods-1 || n > periods+1 {
		t.Errorf("%d probes in %d periods", n, periods)
	}
	if now, _ := w.Token("victim"); !now.IssuedAt.Equal(first.IssuedAt) {
		t.Error("a token was renewed that was not revoked")
	}
	a.answer(403)
	named := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"victim"}}), "victim")
	if n := a.asked(); n != 1 || named.Outcome != "fresh" ||
		!strings.Contains(named.Hint, "The probe was answered HTTP 403") {
		t.Errorf("%d probes by name: %+v", n, named)
	}
	dry := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"victim"}, DryRun: true}), "victim")
	if n := a.asked(); n != 0 {
		t.Errorf("%d probes in a dry run: %+v", n, dry)
	}
}

// A revoked token is found and renewed within a period, without any reader's
// help.
func TestAProbeFindsARevokedToken(t *testing.T) {
	t.Parallel()
	w, a := probed(t)
	for range 6 {
		w.Tick()
	}
	first, _ := w.Token("victim")
	a.revoke(first.AccessToken.Reveal())
	revoked := w.Clock.Now()
	for now := first; now.IssuedAt.Equal(first.IssuedAt); now, _ = w.Token("victim") {
		report := w.Tick()
		if w.Clock.Now().Sub(revoked) > probeEvery+w.Config.Every {
			t.Fatalf("not found: %+v", report)
		}
		for _, e := range report.Connections {
			if e.Outcome != "issued" || !strings.Contains(e.Reason, "401 to the probe") {
				t.Errorf("%+v", e)
			}
		}
	}
	second, _ := w.Token("victim")
	if second.AccessToken.Equal(first.AccessToken) {
		t.Error("the revoked token is still published")
	}
}

// A probe that answers 401 to every token, because it is wrong, costs one renewal a
// period at most, and the run reports it.
func TestAWrongProbeIsBounded(t *testing.T) {
	t.Parallel()
	w, a := probed(t)
	a.answer(http.StatusUnauthorized)
	last, _ := w.Token("victim")
	renewals := 0
	for range 4 * int(time.Hour/w.Config.Every) {
		w.Tick()
		now, _ := w.Token("victim")
		if now.IssuedAt.Equal(last.IssuedAt) {
			continue
		}
		if renewals++; now.IssuedAt.Sub(last.IssuedAt) < probeEvery {
			t.Errorf("renewed after %s", now.IssuedAt.Sub(last.IssuedAt))
		}
		last = now
	}
	if renewals == 0 || renewals > 16 {
		t.Errorf("%d renewals in four hours", renewals)
	}
	w.Run(issue.Event{Connections: []string{"victim"}, Force: true})
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"victim"}}), "victim")
	if e.Outcome != "fresh" || !strings.Contains(e.Hint, "correct probe.url") {
		t.Errorf("%+v", e)
	}
}

// A probe to a host that is not allowed is refused before anything is sent.
func TestAProbeIsSentOnlyToAllowedHosts(t *testing.T) {
	t.Parallel()
	w, a := probed(t)
	host := strings.TrimPrefix(w.IDP.FlexNet().BaseURL(), "http://")
	host, _, _ = strings.Cut(host, "/")
	v, _ := w.AWS.Secret("evertoken/victim/credential").Labelled("AWSCURRENT")
	w.PutSecret("evertoken/victim/credential", strings.Replace(v.Value, "{", `{"hosts":["`+host+`"],`, 1))
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"victim"}}), "victim")
	if n := a.asked(); n != 0 ||
		!strings.Contains(e.Reason+e.Hint,
			"may not be sent to "+strings.TrimPrefix(a.URL, "http://")) {
		t.Errorf("%d probes: %+v", n, e)
	}
}
