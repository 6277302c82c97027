package providers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

func TestSharetribeSendsTheDocumentedRequests(t *testing.T) {
	t.Parallel()
	all := creds("client_id", "id-1", "client_secret", "s/1", "username", "u+1@example.com",
		"password", " p ")
	for _, tt := range []struct {
		name, access string
		refresh      bool
		body, scope  string
	}{
		{"integration", "integration", false,
			"client_id=id-1&client_secret=s%2F1&grant_type=client_credentials&scope=integ",
			"integ"},
		{"integration, refresh", "integration", true,
			"client_id=id-1&grant_type=refresh_token&refresh_token=rt%2F0", "integ"},
		{"anonymous", "anonymous", false,
			"client_id=id-1&grant_type=client_credentials&scope=public-read", "public-read"},
		{"user", "user", false, "client_id=id-1&grant_type=password&password=+p+&scope=user&username=u%2B1%40example.com", "user"},
		{"user, refresh", "user", true,
			"client_id=id-1&grant_type=refresh_token&refresh_token=rt%2F0", "user"},
		{"trusted", "trusted", false, "client_id=id-1&grant_type=password&password=+p+&scope=user&username=u%2B1%40example.com", "user"},
		{"trusted, refresh", "trusted", true,
			"client_id=id-1&grant_type=refresh_token&refresh_token=rt%2F0", "user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The answer has no scope, which the SDKs accept.
			w := newWire(t, reply{status: 200,
				body: `{"access_token":"at-1","refresh_token":"v2--rt","token_type":"bearer","expires_in":3600}`})
			p := open(t, "sharetribe", `{"access":"`+tt.access+`","auth_url":"SERVER/v1/auth/token"}`, w.URL)
			r := exchange.Request{Grant: only(t, p, all), Credential: all}
			if tt.refresh {
				r.Grant, r.RefreshToken = exchange.Refresh, redact.New("rt/0")
			}
			got, err := p.Exchange(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			w.check(t, "POST /v1/auth/token\n"+formType+"\n"+tt.body)
			want := issuedFor("at-1", time.Hour)
			want.RefreshToken, want.Scope = redact.New("v2--rt"), tt.scope
			if diff := cmp.Diff(want, got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSharetribeExchangesAUserTokenForATrustedOne(t *testing.T) {
	t.Parallel()
	c := creds("client_id", "id-1", "client_secret", "s1", "username", "u", "password", "p")
	user := issuedFor("user/at", time.Hour)
	user.RefreshToken, user.RefreshExpiresAt, user.Hints = redact.New("user-rt"),
		testNow.Add(time.Hour), []string{"first"}

	w := newWire(t,
		reply{status: 200,
			body: `{"access_token":"trusted-at","refresh_token":"another-rt","token_type":"bearer","expires_in":600,"scope":"trusted:user"}`},
		reply{status: 401, body: "Unauthorized"})
	p := open(t, "sharetribe", `{"access":"trusted","auth_url":"SERVER/v1/auth/token"}`, w.URL)
	f, ok := p.(exchange.Finisher)
	if !ok {
		t.Fatal("trusted is no Finisher")
	}
	got, err := f.Finish(t.Context(), exchange.Request{Credential: c}, user)
	if err != nil {
		t.Fatal(err)
	}
	want := issuedFor("trusted-at", 10*time.Minute)
	want.RefreshToken, want.RefreshExpiresAt, want.Scope, want.Hints = user.RefreshToken,
		user.RefreshExpiresAt, "trusted:user", []string{"first"}
	if diff := cmp.Diff(want, got, compare...); diff != "" {
		t.Error(diff)
	}

	_, err = f.Finish(t.Context(), exchange.Request{Credential: c}, user)
	if e := failure(t, err); e.Class != exchange.CredentialDead {
		t.Errorf("%+v", e)
	}
	_, err = f.Finish(t.Context(), exchange.Request{Credential: c}, user) // the server hangs up
	if e := failure(t, err); e.Class != exchange.Transient || e.Lost {
		t.Errorf("nothing single-use was sent: %+v", e)
	}
	one := "POST /v1/auth/token\n" + formType +
		"\nclient_id=id-1&client_secret=s1&grant_type=token_exchange&scope=trusted%3Auser&subject_token=user%2Fat"
	w.check(t, one, one, one)

	for _, access := range []string{"integration", "anonymous", "user"} {
		if _, ok := open(t, "sharetribe", `{"access":"`+access+`"}`, "").(exchange.Finisher); ok {
			t.Errorf("%s is a Finisher", access)
		}
	}
}

func TestEveryRefusalOfSharetribeHasItsClass(t *testing.T) {
	t.Parallel()
	c := creds("client_id", "id-1", "client_secret", "canarySecret", "username", "u", "password",
		"canaryPassword")
	for _, tt := range []struct {
		name, access string
		refresh      bool
		reply        reply
		class        exchange.Class
	}{
		{"dead refresh token", "integration", true, reply{status: 401, body: "Unauthorized"},
			exchange.GrantDead},
		{"wrong secret", "integration", false, reply{status: 401, body: "Unauthorized"},
			exchange.CredentialDead},
		{"wrong password", "user", false, reply{status: 401, body: "Unauthorized"}, exchange.CredentialDead},
		{"list of errors", "user", true,
			reply{status: 401,
				body: `{"errors":[{"status":401,"code":"unauthorized","title":"canarySecret"}]}`}, exchange.GrantDead},
		{"another tenant", "user", false, reply{status: 404, body: "Not Found"}, exchange.Misconfigured},
		{"busy", "integration", true, reply{status: 429}, exchange.Throttled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.reply)
			p := open(t, "sharetribe", `{"access":"`+tt.access+`","auth_url":"SERVER/x"}`, w.URL)
			r := exchange.Request{Grant: only(t, p, c), Credential: c}
			if tt.refresh {
				r.Grant, r.RefreshToken = exchange.Refresh, redact.New("canaryRefresh")
			}
			_, err := p.Exchange(t.Context(), r)
			e := failure(t, err)
			if e.Class != tt.class {
				t.Errorf("%+v", e)
			}
			leaks(t, e, "canarySecret", "canaryPassword", "canaryRefresh")
		})
	}
}

func TestSharetribeKeepsASessionWhereItsAccessNeedsOne(t *testing.T) {
	t.Parallel()
	single := exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, AtOnce: 10}
	replay := exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true}
	windowed := single
	windowed.SessionMax, windowed.RemintBefore = 180*24*time.Hour, 24*time.Hour
	all := creds("client_id", "i", "client_secret", "s", "username", "u", "password", "p")
	for _, tt := range []struct {
		settings, url string
		traits        exchange.Traits
		members       string
		needs         string
	}{
		{`{}`, sharetribeIntegURL, single, "client_id client_secret", "client_secret"},
		{`{"session_max":"180d"}`, sharetribeIntegURL, windowed, "client_id client_secret", "client_secret"},
		{`{"access":"anonymous"}`, sharetribeMarketURL, exchange.Traits{}, "client_id", "client_id"},
		{`{"access":"user"}`, sharetribeMarketURL, replay, "client_id username password", "password"},
		{`{"access":"trusted"}`, sharetribeMarketURL, replay, "client_id username password", "client_secret"},
	} {
		p := open(t, "sharetribe", tt.settings, "")
		if diff := cmp.Diff(tt.traits, p.Traits()); diff != "" {
			t.Errorf("%s: %s", tt.settings, diff)
		}
		g := only(t, p, all)
		if got := strings.Join(g.Members, " "); got != tt.members ||
			g.Password != strings.Contains(tt.members, "password") {
			t.Errorf("%s: members %s", tt.settings, got)
		}
		if _, err := p.Grants(all.With(tt.needs, redact.Secret{})); err == nil ||
			!strings.Contains(err.Error(), `"`+tt.needs+`"`) {
			t.Errorf("%s: without %s: %v", tt.settings, tt.needs, err)
		}
		inner, ok := p.(*sharetribe)
		if trusted, is := p.(*sharetribeTrusted); is {
			inner, ok = trusted.sharetribe, true
		}
		if !ok || inner.access.url != tt.url {
			t.Errorf("%s: url %s", tt.settings, inner.access.url)
		}
	}
	// The table of accesses is shared: one connection's window is not another's.
	if got := open(t, "sharetribe", `{}`, "").Traits().SessionMax; got != 0 {
		t.Errorf("SessionMax = %s", got)
	}
}
