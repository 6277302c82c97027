package corpus

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// like are kinds of authorization servers that the generic fake can imitate: the observed
// behaviour of four real ones.
var like = map[string]func(*fakeidp.OAuth2Options){
	"Ory Hydra": func(o *fakeidp.OAuth2Options) {
		o.EndAccessOnRefresh, o.ReuseEndsAccess, o.CauseAtTheEnd = true, true, true
	},
	"Spring Authorization Server": func(o *fakeidp.OAuth2Options) {
		o.EndAccessOnRefresh, o.ReuseRefusedOnly, o.WantClientID = true, true, true
	},
	"Authlib": func(o *fakeidp.OAuth2Options) {
		o.EndAccessOnRefresh, o.ReuseRefusedOnly, o.InvalidRequest, o.UnknownClient = true, true, true, 400
	},
	"django-oauth-toolkit": func(o *fakeidp.OAuth2Options) {
		o.EndAccessOnRefresh, o.ReuseEndsAccess, o.InvalidRequest, o.IgnoreUnknownScope = true, true, true, true
		o.ReuseGrace = 2 * time.Minute
	},
}

// scene is one connection, c, to a server of a kind.
type scene struct {
	*fakeworld.World
	t *testing.T
	o *fakeidp.OAuth2
}

func eachServer(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	t.Parallel()
	for kind, options := range like {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := fakeworld.New(t)
			s := &scene{w, t, w.IDP.OAuth2()}
			s.o.Configure(options)
			test(t, s)
		})
	}
}

// want makes one run and checks its outcome, and that the published token works.
func (s *scene) want(what string, e issue.Event, outcome, class string, works bool) issue.Entry {
	s.t.Helper()
	got := fakeworld.Entry(s.Run(e), "c")
	if got.Outcome != outcome || got.ErrorClass != class {
		s.t.Errorf("%s: %s %s (%s; %s), want %s %s", what, got.Outcome, got.ErrorClass, got.Reason,
			got.Hint, outcome, class)
	}
	if token, ok := s.Token("c"); works &&
		(!ok || !s.IDP.Accepts(fakeidp.ProviderOAuth2, token.AccessToken.Reveal())) {
		s.t.Errorf("%s: the published token does not work", what)
	}
	return got
}

func (s *scene) connect(client fakeidp.OAuth2Client, grant string, settings map[string]any,
	credential map[string]string) (id, secret string) {
	id, secret = s.o.AddClient(client)
	all := map[string]any{"token_url": s.o.TokenURL(), "grant": grant}
	for name, value := range settings {
		all[name] = value
	}
	document := map[string]string{"client_id": id, "client_secret": secret}
	for name, value := range credential {
		document[name] = value
	}
	if grant == "refresh_token" {
		document["refresh_token"] = s.o.AddRefreshToken(id, "user@example.com", "read")
	}
	s.Connect("c", "oauth2", document, all, nil)
	return id, secret
}

func (s *scene) store(document map[string]string) {
	s.t.Helper()
	b, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	s.PutSecret("evertoken/c/credential", string(b))
}

// Where a refresh ends the previous token, the published token still always works.
func TestThePublishedTokenWorksThoughARefreshEndsTheOneBefore(t *testing.T) {
	eachServer(t, func(t *testing.T, s *scene) {
		s.connect(fakeidp.OAuth2Client{}, "refresh_token", map[string]any{"renew_late": true}, nil)
		s.want("the first run", issue.Event{}, "issued", "", true)
		s.Clock.Advance(40 * time.Minute)
		if token, _ := s.Token("c"); fakeworld.Entry(s.Run(issue.Event{}), "c").Outcome == "failed" || !s.IDP.Accepts(fakeidp.ProviderOAuth2, token.AccessToken.Reveal()) {
			t.Error("Evertoken renewed too early")
		}
		for range 40 {
			s.Clock.Advance(5 * time.Minute)
			if got := fakeworld.Entry(s.Run(issue.Event{}), "c"); got.Outcome == "failed" {
				t.Fatalf("%s (%s)", got.Reason, got.Hint)
			}
			if token, ok := s.Token("c"); !ok || !s.IDP.Accepts(fakeidp.ProviderOAuth2, token.AccessToken.Reveal()) {
				t.Fatal("the published token does not work")
			}
		}
		if n := len(s.o.Issued()); n < 4 || n > 6 {
			t.Errorf("%d tokens in four hours", n)
		}
	})
}

// Where somebody else has spent the refresh token, Evertoken sends it once, says so, and
// recovers with a new one.
func TestARefreshTokenThatSomebodyElseSpentIsSentOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, s *scene) {
		id, secret := s.connect(fakeidp.OAuth2Client{}, "refresh_token", nil, nil)
		s.want("the first run", issue.Event{}, "issued", "", true)
		session, _ := s.Session("c")
		spend(t, s.o.TokenURL(), id, secret, session.RefreshToken.Reveal())
		s.Clock.Advance(45 * time.Minute)
		before := len(s.IDP.Requests())
		got := s.want("once it is spent", issue.Event{}, "failed", "credential_dead", false)
		if !strings.Contains(got.Hint, "refresh token") {
			t.Errorf("the hint is %q", got.Hint)
		}
		for range 6 {
			s.Clock.Advance(5 * time.Minute)
			s.want("later", issue.Event{}, "blocked", "credential_dead", false)
		}
		if n := len(s.IDP.Requests()) - before; n > 2 { // the session's, and the seed that it began with
			t.Errorf("sent %d times", n)
		}
		s.store(map[string]string{"client_id": id, "client_secret": secret,
			"refresh_token": s.o.AddRefreshToken(id, "user@example.com", "read")})
		s.want("with a new one", issue.Event{}, "issued", "", true)
	})
}

// A scope that the server does not know is refused by name, or not published as granted
// where the answer names none.
func TestAScopeThatTheServerDoesNotKnowIsNotPublished(t *testing.T) {
	eachServer(t, func(t *testing.T, s *scene) {
		s.connect(fakeidp.OAuth2Client{Scopes: []string{"read"}}, "client_credentials",
			map[string]any{"scope": "read admin"}, nil)
		got := fakeworld.Entry(s.Run(issue.Event{}), "c")
		token, ok := s.Token("c")
		switch {
		case ok && token.Scope != "":
			t.Errorf("the scope %q is published", token.Scope)
		case !ok && (got.ErrorClass != "misconfigured" || !strings.Contains(got.Hint, "scope")):
			t.Errorf("%s %s", got.ErrorClass, got.Hint)
		}
	})
}

// Evertoken sends a wrong password once, whatever error code the server answers.
func TestAWrongPasswordIsSentOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, s *scene) {
		right := s.o.AddUser("robot@example.com", "")
		id, secret := s.connect(fakeidp.OAuth2Client{}, "password", nil,
			map[string]string{"username": "robot@example.com", "password": "wrong-1"})
		before := len(s.IDP.Requests())
		got := s.want("a wrong password", issue.Event{}, "failed", "credential_dead", false)
		if !strings.Contains(got.Hint, "password") {
			t.Errorf("the hint is %q", got.Hint)
		}
		for range 6 {
			s.Clock.Advance(5 * time.Minute)
			s.want("later", issue.Event{}, "blocked", "credential_dead", false)
		}
		if n := len(s.IDP.Requests()) - before; n != 1 {
			t.Errorf("sent %d times", n)
		}
		s.store(map[string]string{"client_id": id, "client_secret": secret,
			"username": "robot@example.com", "password": right})
		s.want("the right one", issue.Event{}, "issued", "", true)
	})
}

// An unknown client, with any status, and a grant that the server does not have.
func TestAnUnknownClientOrGrantNeedsAPerson(t *testing.T) {
	eachServer(t, func(t *testing.T, s *scene) {
		id, _ := s.connect(fakeidp.OAuth2Client{}, "client_credentials", nil, nil)
		s.o.RemoveClient(id)
		got := s.want("an unknown client", issue.Event{}, "failed", "credential_dead", false)
		if !strings.Contains(got.Hint, "client") {
			t.Errorf("the hint is %q", got.Hint)
		}
	})
	for kind, options := range like {
		w := fakeworld.New(t)
		s := &scene{w, t, w.IDP.OAuth2()}
		s.o.Configure(options)
		s.connect(fakeidp.OAuth2Client{}, "urn:example:unknown", nil, nil)
		got := s.want(kind+", an unknown grant", issue.Event{}, "failed", "misconfigured", false)
		if !strings.Contains(got.Hint, "check") {
			t.Errorf("%s: the hint is %q", kind, got.Hint)
		}
	}
}

// An assertion is sent with client_id, as Spring demands.
func TestAnAssertionComesWithItsClientID(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { o.WantClientID = true })
	w.OAuth2Kind("c", "key")
	(&scene{w, t, w.IDP.OAuth2()}).want("the first run", issue.Event{}, "issued", "", true)
}

// spend uses a refresh token, as another holder of it would.
func spend(t *testing.T, endpoint, id, secret, token string) {
	t.Helper()
	r, err := http.PostForm(endpoint,
		url.Values{"grant_type": {"refresh_token"}, "client_id": {id}, "client_secret": {secret},
			"refresh_token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d", r.StatusCode)
	}
}
