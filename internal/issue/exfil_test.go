package issue_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// attacker is the server of a person who may write connections and nothing else. No
// request may reach it.
func attacker(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() {
		s.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, request := range got {
			t.Errorf("the attacker was sent: %s", request)
		}
	})
	return s.URL
}

// bind adds to the victim's credential the host that it may be sent to.
func bind(t *testing.T, w *fakeworld.World, name string) {
	t.Helper()
	u, err := url.Parse(w.IDP.Apiax().TokenURL())
	if err != nil {
		t.Fatal(err)
	}
	v, _ := w.AWS.Secret("evertoken/" + name + "/credential").Labelled("AWSCURRENT")
	w.PutSecret("evertoken/"+name+"/credential", strings.Replace(v.Value, "{", `{"hosts":["`+u.Host+`"],`, 1))
}

// A person who may write connections cannot have a stored secret sent elsewhere: neither
// by a new connection with the victim's credential, nor by changing the victim's own.
func TestAConnectionObtainsNoSecret(t *testing.T) {
	t.Parallel()
	const credential = "evertoken/victim/credential"
	for name, tt := range map[string]struct {
		connection string
		declared   map[string]any // URL is replaced by the attacker's
	}{
		"the same provider":        {"zz-report", map[string]any{"provider": "apiax", "credential": credential, "settings": map[string]any{"token_url": "URL"}}},
		"another, first by name":   {"aaa", map[string]any{"provider": "flexnet", "credential": credential, "token_parameter": "/evertoken/tokens/aaa", "settings": map[string]any{"base_url": "URL", "token_name": "xxx"}}},
		"oauth2 by password":       {"zz", map[string]any{"provider": "oauth2", "credential": credential, "settings": map[string]any{"token_url": "URL", "grant": "password", "client_auth": "none"}}},
		"oauth2 by an issuer":      {"zz", map[string]any{"provider": "oauth2", "credential": credential, "settings": map[string]any{"issuer": "URL", "grant": "password", "client_auth": "none"}}},
		"the victim's own changed": {"victim", map[string]any{"provider": "apiax", "settings": map[string]any{"token_url": "URL"}}},
		"the victim's own, other provider": {"victim",
			map[string]any{"provider": "oauth2", "settings": map[string]any{
				"token_url": "URL", "grant": "password", "client_auth": "none"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			w.Apiax("victim")
			bind(t, w, "victim")
			w.Run(issue.Event{})
			if _, ok := w.Token("victim"); !ok {
				t.Fatal("a credential that is bound to its provider's host is not sent there")
			}
			settings, ok := tt.declared["settings"].(map[string]any)
			if !ok {
				t.Fatal("no settings")
			}
			host := attacker(t)
			for member, value := range settings {
				if value == "URL" {
					settings[member] = host
				}
			}
			w.Declare(tt.connection, tt.declared)
			if tt.connection != "victim" {
				w.AWS.CreateSecret("evertoken/"+tt.connection+"/session", nil, nil)
				w.AWS.CreateSecret("evertoken/"+tt.connection+"/token", nil, nil)
			}
			for range 8 {
				w.Tick()
			}
			e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{tt.connection}, Force: true}), tt.connection)
			if e.Outcome != "failed" || e.ErrorClass != "misconfigured" {
				t.Errorf("forced: %+v", e)
			}
			dry := fakeworld.Entry(w.Run(issue.Event{DryRun: true}), tt.connection)
			if dry.Outcome != "failed" || dry.ErrorClass != "misconfigured" {
				t.Errorf("dry run: %+v", dry)
			}
			if strings.Contains(dry.Reason, "may not be sent to") &&
				!strings.Contains(dry.Reason+dry.Hint, strings.TrimPrefix(host, "http://")) {
				t.Errorf("the host is not named: %+v", dry)
			}
		})
	}
}

// In a dry run and in a run the refusal says what would allow the host, and adds no
// label.
func TestAHostThatIsNotAllowedIsReportedWithItsRemedies(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("victim")
	bind(t, w, "victim")
	w.Declare("victim",
		map[string]any{"provider": "apiax",
			"settings": map[string]any{"token_url": "https://login.example.com/token"}})
	dry := fakeworld.Entry(w.Run(issue.Event{DryRun: true}), "victim")
	w.AWS.ResetCalls()
	e := fakeworld.Entry(w.Run(issue.Event{}), "victim")
	for _, want := range []string{"login.example.com", `"hosts"`, "put-secret-value --secret-id evertoken/victim/credential"} {
		for _, entry := range []issue.Entry{dry, e} {
			if entry.Outcome != "failed" || !strings.Contains(entry.Reason+" "+entry.Hint, want) {
				t.Errorf("%q is not reported: %+v", want, entry)
			}
		}
	}
	if got := writes(w); len(got) > 0 {
		t.Errorf("the refusal wrote %v", got)
	}
	if n := len(w.IDP.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// No connection may use another's session, token or copy as its credential, or overwrite
// it: Evertoken refuses and reports the intruder, and the owner's connection continues.
func TestNoConnectionUsesAnothersDocument(t *testing.T) {
	t.Parallel()
	for name, declared := range map[string]map[string]any{
		"the session as a credential":   {"provider": "flexera", "credential": "evertoken/victim/session", "settings": map[string]any{"zone": "eu", "login_url": "URL"}},
		"the token as a credential":     {"provider": "flexera", "credential": "evertoken/victim/token", "settings": map[string]any{"zone": "eu", "login_url": "URL"}},
		"the session as a token":        {"provider": "oauth2", "token": "evertoken/victim/session", "settings": map[string]any{"token_url": "URL", "grant": "client_credentials"}},
		"the credential as a session":   {"provider": "apiax", "session": "evertoken/victim/credential", "settings": map[string]any{"token_url": "URL"}},
		"the session as a plain copy":   {"provider": "apiax", "plain_copy": "evertoken/victim/session", "settings": map[string]any{"token_url": "URL"}},
		"the token as a token":          {"provider": "apiax", "token": "evertoken/victim/token", "settings": map[string]any{"token_url": "URL"}},
		"the credential for another":    {"provider": "flexnet", "credential": "evertoken/victim/credential", "settings": map[string]any{"base_url": "URL", "token_name": "xxx"}},
		"the session as a session":      {"provider": "apiax", "session": "evertoken/victim/session", "settings": map[string]any{"token_url": "URL"}},
		"two roles in one declaration":  {"provider": "oauth2", "session": "evertoken/victim/token", "token": "evertoken/victim/session", "settings": map[string]any{"token_url": "URL", "grant": "client_credentials"}},
		"the credential as a parameter": {"provider": "apiax", "credential": "evertoken/victim/session", "token_parameter": "/evertoken/tokens/x", "settings": map[string]any{"token_url": "URL"}},
	} {
		for _, intruder := range []string{"aa", "zz"} { // before and behind the owner by name
			t.Run(name+" by "+intruder, func(t *testing.T) {
				t.Parallel()
				w := fakeworld.New(t)
				w.Apiax("victim")
				w.Run(issue.Event{})
				first, ok := w.Token("victim")
				if !ok {
					t.Fatal("no token")
				}
				settings, _ := declared["settings"].(map[string]any)
				mine := map[string]any{}
				for member, value := range settings {
					if mine[member] = value; value == "URL" {
						mine[member] = attacker(t)
					}
				}
				theirs := map[string]any{"settings": mine}
				for member, value := range declared {
					if member != "settings" {
						theirs[member] = value
					}
				}
				for _, document := range []string{"credential", "session", "token"} {
					value := `{"client_id":"i","client_secret":"s","username":"u","password":"p"}`
					w.AWS.CreateSecret("evertoken/"+intruder+"/"+document,
						map[bool]*string{true: &value}[document == "credential"], nil)
				}
				w.Declare(intruder, theirs)
				for range 8 {
					w.Tick()
				}
				e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{intruder}, Force: true}), intruder)
				if e.Outcome != "failed" || e.ErrorClass != "misconfigured" {
					t.Errorf("the intruder: %+v", e)
				}
				for _, want := range []string{"victim", "/evertoken/connections/victim", "/evertoken/connections/" + intruder, "aws ssm put-parameter --overwrite"} {
					if !strings.Contains(e.Reason, want) {
						t.Errorf("%q is not reported: %s", want, e.Reason)
					}
				}
				second, ok := w.Token("victim")
				if !ok || !second.IssuedAt.After(first.IssuedAt) {
					t.Error("the owner's token was not renewed")
				}
			})
		}
	}
}

// A run that a reader forces with issued_at sends nothing that was rejected before, so
// that it cannot lock an account. An operator's own force does.
func TestARunForcedByIssuedAtSendsNothingRejected(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("victim")
	w.Run(issue.Event{})
	token, ok := w.Token("victim")
	if !ok {
		t.Fatal("no token")
	}
	w.IDP.Apiax().EndSessions("victim")
	w.PutSecret("evertoken/victim/credential", `{"username":"victim","password":"wrong"}`)
	passwords := func() int {
		n := 0
		for _, r := range w.IDP.Requests() {
			if r.Grant == "password" {
				n++
			}
		}
		return n
	}
	w.Run(issue.Event{Connections: []string{"victim"}, Force: true})
	w.Tick()
	before := passwords()
	for range 10 {
		e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"victim"}, Force: true,
			IssuedAt: token.IssuedAt}), "victim")
		if e.Outcome == "issued" {
			t.Fatalf("%+v", e)
		}
	}
	if n := passwords() - before; n != 0 {
		t.Errorf("the rejected password was sent %d times more", n)
	}
	w.Run(issue.Event{Connections: []string{"victim"}, Force: true})
	if n := passwords() - before; n != 1 {
		t.Errorf("an operator's force sent the password %d times", n)
	}
}

// Forced runs, which are an operator's right, cannot use up a secret's versions at once:
// the schedule can still write for hours, and meanwhile an alarm tells an operator.
func TestForcedRunsLeaveRoomForTheSchedule(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.OAuth2("victim", "refresh_token")
	w.Run(issue.Event{})
	for range 130 {
		w.Run(issue.Event{Connections: []string{"victim"}, Force: true})
	}
	exchanges := len(w.IDP.Requests())
	if exchanges < 20 || exchanges > 95 {
		t.Errorf("130 forced runs made %d exchanges", exchanges)
	}
	for range 40 {
		w.Tick()
		if token, ok := w.Token("victim"); !ok || !token.ExpiresAt.After(w.Clock.Now()) {
			t.Fatalf("the token died at %s", w.Clock.Now())
		}
	}
}
