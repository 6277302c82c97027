package renew

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// secretText lets cmp compare secrets by value.
var secretText = cmp.Comparer(redact.Secret.Equal)

func issuedFor(life time.Duration) exchange.Issued {
	return exchange.Issued{
		AccessToken: redact.New("at"), TokenType: "Bearer", IssuedAt: t0, ExpiresAt: t0.Add(life),
		Scope: "read", APIURL: "https://api.example.com",
	}
}

func TestATokenDocumentHoldsWhatReadersNeed(t *testing.T) {
	t.Parallel()
	secret := connection.Connection{Name: "c", Provider: "flexera"}
	parameter := connection.Connection{Name: "c", Provider: "flexera", TokenParameter: "/evertoken/c"}
	tests := []struct {
		name       string
		connection connection.Connection
		life       time.Duration
		renewAfter time.Duration
	}{
		{"1h", secret, h, 35 * m},
		{"24h", secret, 24 * h, 14 * h},
		{"30m", secret, 30 * m, 15 * m},
		{"30m in a parameter", parameter, 30 * m, 10 * m},
		{"10m: the floor is after its end", secret, 10 * m, 10 * m},
		{"10m in a parameter", parameter, 10 * m, 0},
	}
	for _, tt := range tests {
		want := credential.Token{
			AccessToken: redact.New("at"), TokenType: "Bearer", IssuedAt: t0, ExpiresAt: t0.Add(tt.life), RenewAfter: t0.Add(tt.renewAfter),
			Scope: "read", Provider: "flexera", Connection: "c", APIURL: "https://api.example.com",
		}
		f := tokenFacts(tt.connection, exchange.Traits{}, 5*m, want)
		want.LookAfter = f.LookAfter()
		if diff := cmp.Diff(want, newToken(tt.connection, f, issuedFor(tt.life)), secretText); diff != "" {
			t.Errorf("%s: newToken (-want +got):\n%s", tt.name, diff)
		}
	}
}

func credentialOf(t *testing.T, document string) credential.Credential {
	t.Helper()
	c, err := credential.Parse(redact.New(document))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

func TestASessionRecordsWhatOpenedIt(t *testing.T) {
	t.Parallel()
	cred := credentialOf(t,
		`{"client_id":"id","client_secret":"s","username":"u","password":"p","refresh_token":"seed-1"}`)
	with := func(refresh string, end time.Duration) exchange.Issued {
		i := issuedFor(h)
		i.RefreshToken = redact.New(refresh)
		if end != 0 {
			i.RefreshExpiresAt = t0.Add(end)
		}
		return i
	}
	tests := []struct {
		name    string
		grant   exchange.Grant
		issued  exchange.Issued
		refresh string
		ends    time.Time
		opened  []string
	}{
		{"password", password, with("rt-1", 12*h), "rt-1", t0.Add(12 * h), []string{"password", "username"}},
		{"end not told", password, with("rt-1", 0), "rt-1", time.Time{}, []string{"password", "username"}},
		{"client", client, with("rt-1", 0), "rt-1", time.Time{}, []string{"client_id", "client_secret"}},
		{"password, none returned", password, with("", 0), "", time.Time{}, []string{"password", "username"}},
		{"seed, another returned", seed, with("rt-2", 0), "rt-2", time.Time{}, []string{"refresh_token"}},
		{"seed, none returned: it stays (RFC 6749 section 6)", seed, with("", 0), "seed-1", time.Time{}, []string{"refresh_token"}},
	}
	for _, tt := range tests {
		want := credential.Session{
			RefreshToken: redact.New(tt.refresh), StartedAt: t0, RefreshedAt: t0, ExpiresAt: tt.ends, OpenedBy: cred.Fingerprint(tt.opened...),
		}
		if tt.grant.Seed {
			want.OpenedBySeed = cred.Fingerprint("refresh_token")
		}
		if diff := cmp.Diff(want, NewSession(cred, tt.grant, tt.issued), secretText); diff != "" {
			t.Errorf("%s: NewSession (-want +got):\n%s", tt.name, diff)
		}
	}
}

// inForce is a session that was opened ten hours ago and refreshed two hours
// ago, with a refresh token of twelve hours.
func inForce() credential.Session {
	return credential.Session{
		RefreshToken: redact.New("rt-1"), StartedAt: t0.Add(-10 * h), RefreshedAt: t0.Add(-2 * h), ExpiresAt: t0.Add(10 * h), OpenedBy: "ab",
	}
}

func TestARefreshKeepsTheSessionsStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		token  string
		end    time.Duration // of t0; 0 if not known
		change func(*credential.Session)
	}{
		{"none returned", "", 0, nil},
		{"the same returned", "rt-1", 0, nil},
		{"the same, its end where it was", "rt-1", 10 * h, func(s *credential.Session) { s.RefreshedAt, s.EndsAt = t0, s.ExpiresAt }},
		{"the same, its end moved by a tenth of its life", "rt-1", 10*h + 72*m, nil},
		{"the same, its end moved by less than half of what passed", "rt-1", 10*h + 59*m,
			func(s *credential.Session) {
				s.RefreshedAt, s.ExpiresAt, s.EndsAt = t0, t0.Add(10*h+59*m), t0.Add(10*h+59*m)
			}},
		{"the same, its end moved by more", "rt-1", 12 * h, func(s *credential.Session) { s.RefreshedAt, s.ExpiresAt = t0, t0.Add(12*h) }},
		{"none returned, the end moved nearer", "", 5 * h, func(s *credential.Session) { s.RefreshedAt, s.ExpiresAt, s.EndsAt = t0, t0.Add(5*h), t0.Add(5*h) }},
		{"another", "rt-2", 12 * h, func(s *credential.Session) {
			s.RefreshToken, s.RefreshedAt, s.ExpiresAt = redact.New("rt-2"), t0, t0.Add(12*h)
		}},
		{"another, its end not told", "rt-2", 0, func(s *credential.Session) {
			s.RefreshToken, s.RefreshedAt, s.ExpiresAt = redact.New("rt-2"), t0, time.Time{}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			issued := issuedFor(h)
			issued.RefreshToken = redact.New(tt.token)
			if tt.end != 0 {
				issued.RefreshExpiresAt = t0.Add(tt.end)
			}
			want := inForce()
			if tt.change != nil {
				tt.change(&want)
			}
			got, changed := refreshed(inForce(), issued)
			if changed != (tt.change != nil) {
				t.Errorf("changed = %t", changed)
			}
			if diff := cmp.Diff(want, got, secretText); diff != "" {
				t.Errorf("refreshed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEndThatMovesByATenthIsStored(t *testing.T) {
	t.Parallel()
	untold := inForce()
	untold.ExpiresAt = time.Time{}
	tests := []struct {
		name string
		old  credential.Session
		end  time.Time
		want bool
	}{
		{"never told", untold, time.Time{}, false},
		{"told for the first time", untold, t0.Add(h), true},
		{"no longer told", inForce(), time.Time{}, false},
		{"unmoved", inForce(), t0.Add(10 * h), false},
		{"a tenth later", inForce(), t0.Add(10*h + 72*m), false},
		{"more than a tenth later", inForce(), t0.Add(10*h + 72*m + time.Second), true},
		{"a tenth earlier", inForce(), t0.Add(10*h - 72*m), false},
		{"more than a tenth earlier", inForce(), t0.Add(10*h - 72*m - time.Second), true},
	}
	for _, tt := range tests {
		if got := endMoved(tt.old, tt.end); got != tt.want {
			t.Errorf("%s: endMoved = %t", tt.name, got)
		}
	}
}

func TestASessionIsStoredWhereItChanged(t *testing.T) {
	t.Parallel()
	cred := credentialOf(t,
		`{"username":"u","password":"p","refresh_token":"seed-1","client_id":"id","client_secret":"s"}`)
	opened := func(token string, g exchange.Grant) credential.Session {
		return credential.Session{RefreshToken: redact.New(token), StartedAt: t0, RefreshedAt: t0,
			OpenedBy: cred.Fingerprint(g.Members...)}
	}
	rotated := inForce()
	rotated.RefreshToken, rotated.RefreshedAt, rotated.ExpiresAt = redact.New("rt-2"), t0, time.Time{}
	tests := []struct {
		name     string
		use      exchange.SessionUse
		session  credential.Session
		grant    exchange.Grant
		returned string
		want     credential.Session
		write    bool
	}{
		{"no session", exchange.NoSession, credential.Session{}, client, "", credential.Session{}, false},
		{"opened", exchange.RequiredSession, credential.Session{}, password, "rt-2", opened("rt-2", password), true},
		{"re-minted", exchange.RequiredSession, inForce(), password, "rt-2", opened("rt-2", password), true},
		{"refreshed, rotated", exchange.RequiredSession, inForce(), exchange.Refresh, "rt-2", rotated, true},
		{"refreshed, not rotated", exchange.RequiredSession, inForce(), exchange.Refresh, "", inForce(), false},
		{"optional, none returned", exchange.OptionalSession, credential.Session{}, client, "", credential.Session{}, false},
		{"optional, handed back as sent", exchange.OptionalSession, credential.Session{}, reusable, "seed-1", credential.Session{}, false},
		{"optional, another returned", exchange.OptionalSession, credential.Session{}, reusable, "rt-2", opened("rt-2", reusable), true},
		{"optional, refreshed, handed back", exchange.OptionalSession, inForce(), exchange.Refresh, "rt-1", inForce(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			issued := issuedFor(h)
			issued.RefreshToken = redact.New(tt.returned)
			got, write := nextSession(tt.session, tt.use, cred, tt.grant, issued)
			if write != tt.write {
				t.Errorf("write = %t", write)
			}
			if diff := cmp.Diff(tt.want, got, secretText); diff != "" {
				t.Errorf("nextSession (-want +got):\n%s", diff)
			}
		})
	}
}

// The end of a session shows where the end of its refresh tokens moves by less than half
// of the time that has passed. Within a minute the difference shows nothing.
func TestAnEndThatStopsMovingShowsTheSessionsEnd(t *testing.T) {
	t.Parallel()
	known := t0.Add(99 * h)
	for _, tt := range []struct {
		passed, moved time.Duration
		noOld, noNew  bool
		want          time.Time
	}{
		{h, 0, false, false, t0.Add(10 * h)},
		{h, 30*m - 1, false, false, t0.Add(10*h + 30*m - 1)},
		{h, 30 * m, false, false, time.Time{}},
		{h, h, false, false, time.Time{}},
		{m, 0, false, false, t0.Add(10 * h)},
		{m - 1, 0, false, false, known},
		{h, 0, true, false, time.Time{}},
		{h, 0, false, true, time.Time{}},
		{m - 1, 0, true, false, time.Time{}},
		{m - 1, 0, false, true, time.Time{}},
	} {
		old := credential.Session{RefreshedAt: t0, ExpiresAt: t0.Add(10 * h), EndsAt: known}
		issued := exchange.Issued{IssuedAt: t0.Add(tt.passed), RefreshExpiresAt: t0.Add(10*h + tt.moved)}
		if tt.noOld {
			old.ExpiresAt = time.Time{}
		}
		if tt.noNew {
			issued.RefreshExpiresAt = time.Time{}
		}
		if got := shownEnd(old, issued); !got.Equal(tt.want) {
			t.Errorf("%s passed, moved by %s: %s", tt.passed, tt.moved, got)
		}
	}
}

// The declaration decides too: a parameter accepts a version at any time, and a rotation
// renews in place of a run.
func TestTheDeclarationDecidesToo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		c           connection.Connection
		in, rotates bool
	}{
		{connection.Connection{}, false, false},
		{connection.Connection{TokenParameter: "/evertoken/c"}, true, false},
		{connection.Connection{RenewedBy: connection.ByRotation}, false, true},
	} {
		f := tokenFacts(tt.c, exchange.Traits{}, 5*m, credential.Token{IssuedAt: t0, ExpiresAt: t0.Add(h)})
		if f.InParameter != tt.in || f.ByRotation != tt.rotates || f.Token.ExpiresAt != t0.Add(h) {
			t.Errorf("%+v: %+v", tt.c, f)
		}
	}
}
