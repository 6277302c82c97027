package providers

import (
	"strconv"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakeclock "evertoken/internal/fake/clock"
	fakeidp "evertoken/internal/fake/idp"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/redact"
)

// issuers is the fake of all issuers, with the clock at testNow until it is
// moved.
type issuers struct {
	*fakeidp.Server
	clock *fakeclock.Clock
}

func newIssuers(t *testing.T) *issuers {
	t.Helper()
	clock := fakeclock.New(testNow)
	server, err := fakeidp.New(fakeidp.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return &issuers{server, clock}
}

// must makes an exchange that has to succeed, with a token that works.
func (s *issuers) must(t *testing.T, name string, p exchange.Provider, r exchange.Request) exchange.Issued {
	t.Helper()
	out, err := p.Exchange(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Accepts(name, out.AccessToken.Reveal()) {
		t.Error("the access token does not work")
	}
	leaks(t, out, s.Canaries()...)
	return out
}

// refused makes an exchange that has to fail in the given way.
func (s *issuers) refused(t *testing.T, p exchange.Provider, r exchange.Request, class exchange.Class) {
	t.Helper()
	_, err := p.Exchange(t.Context(), r)
	e := failure(t, err)
	if e.Class != class || e.Hint == "" {
		t.Errorf("%+v, want %s", e, class)
	}
	leaks(t, e, s.Canaries()...)
}

// turn makes the stronger grant's exchange, then a refresh with the returned token, then
// one with a refresh token that was never issued.
func (s *issuers) turn(t *testing.T, name string, p exchange.Provider,
	c credential.Credential) exchange.Issued {
	t.Helper()
	first := s.must(t, name, p, exchange.Request{Grant: only(t, p, c), Credential: c})
	if first.RefreshToken.IsZero() {
		t.Fatal("no refresh token")
	}
	second := s.must(t, name, p, exchange.Request{Grant: exchange.Refresh, Credential: c,
		RefreshToken: first.RefreshToken})
	s.refused(t, p, exchange.Request{Grant: exchange.Refresh, Credential: c,
		RefreshToken: redact.New("canary-unknown")}, exchange.GrantDead)
	return second
}

func TestApiaxRenewsAgainstAServer(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	password := s.Apiax().SetPassword("user@example.com", "")
	c := creds("username", "user@example.com", "password", password)
	p := open(t, "apiax", `{"token_url":"`+s.Apiax().TokenURL()+`"}`, "")
	out := s.turn(t, fakeidp.ProviderApiax, p, c)
	if life := out.ExpiresAt.Sub(testNow); life != 30*time.Minute {
		t.Errorf("life %s", life)
	}
	wrong := c.With("password", redact.New("canary-wrong"))
	s.refused(t, p, exchange.Request{Grant: only(t, p, wrong), Credential: wrong}, exchange.CredentialDead)
}

func TestSharetribeRenewsAgainstAServer(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	id, secret := s.Sharetribe().AddIntegrationApp()
	p := open(t, "sharetribe", `{"auth_url":"`+s.Sharetribe().IntegAuthURL()+`"}`, "")
	s.turn(t, fakeidp.ProviderSharetribe, p, creds("client_id", id, "client_secret", secret))

	id, secret = s.Sharetribe().AddMarketplaceApp()
	password := s.Sharetribe().AddUser("user@example.com", "")
	c := creds("client_id", id, "client_secret", secret, "username", "user@example.com", "password", password)
	market := `","auth_url":"` + s.Sharetribe().MarketAuthURL() + `"}`
	p = open(t, "sharetribe", `{"access":"anonymous`+market, "")
	s.must(t, fakeidp.ProviderSharetribe, p, exchange.Request{Grant: only(t, p, c), Credential: c})
	s.turn(t, fakeidp.ProviderSharetribe, open(t, "sharetribe", `{"access":"user`+market, ""), c)

	p = open(t, "sharetribe", `{"access":"trusted`+market, "")
	user := s.turn(t, fakeidp.ProviderSharetribe, p, c)
	f, ok := p.(exchange.Finisher)
	if !ok {
		t.Fatal("trusted is no Finisher")
	}
	trusted, err := f.Finish(t.Context(), exchange.Request{Credential: c}, user)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Accepts(fakeidp.ProviderSharetribe, trusted.AccessToken.Reveal()) ||
		trusted.AccessToken.Equal(user.AccessToken) ||
		!trusted.RefreshToken.Equal(user.RefreshToken) {
		t.Error("the trusted token does not work, or the user's refresh token is not kept")
	}
	wrong := c.With("password", redact.New("canary-wrong"))
	s.refused(t, p, exchange.Request{Grant: only(t, p, wrong), Credential: wrong}, exchange.CredentialDead)
}

func TestFlexeraRenewsAgainstAServer(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	const org = 1105
	id, token := s.Flexera().AddAdminRefreshToken("eu", org, "admin@example.com")
	account := s.Flexera().AddServiceAccount("eu", org, "app", "iam_admin")
	clientID, secret := s.Flexera().AddClient(account)
	settings := `{"zone":"eu","login_url":"` + s.Flexera().LoginURL("eu") + `","api_url":"` +
		s.Flexera().APIURL("eu") + `","org_id":1105,"service_account_id":` +
		strconv.Itoa(account) + `,"refresh_token_id":"` + id + `"}`
	p := open(t, "flexera", settings, "")

	seed := creds("refresh_token", token)
	out := s.must(t, fakeidp.ProviderFlexera, p, exchange.Request{Grant: only(t, p, seed), Credential: seed})
	if out.RefreshToken.Reveal() != token {
		t.Error("the refresh token is not echoed")
	}
	if left := out.CredentialExpiresAt.Sub(testNow); left != 365*24*time.Hour {
		t.Errorf("the refresh token ends in %s; hints %q", left, out.Hints)
	}
	client := creds("client_id", clientID, "client_secret", secret)
	out = s.must(t, fakeidp.ProviderFlexera, p, exchange.Request{Grant: only(t, p, client),
		Credential: client})

	prover, ok := p.(exchange.Prover)
	if !ok || prover.Prove(t.Context(), client, out.AccessToken) != nil {
		t.Error("a working token is not proven")
	}
	if prover.Prove(t.Context(), client, redact.New("canary-unknown")) == nil {
		t.Error("an unknown token is proven")
	}
	elsewhere := open(t, "flexera", `{"zone":"nam","login_url":"`+s.Flexera().LoginURL("nam")+`"}`, "")
	s.refused(t, elsewhere, exchange.Request{Grant: only(t, elsewhere, client), Credential: client},
		exchange.CredentialDead)
	s.refused(t, elsewhere, exchange.Request{Grant: only(t, elsewhere, seed), Credential: seed},
		exchange.GrantDead)

	rotateFlexeraClient(t, s, p, clientID, account, out.AccessToken)
}

// rotateFlexeraClient replaces the client by the API.
func rotateFlexeraClient(t *testing.T, s *issuers, p exchange.Provider, clientID string,
	account int, access redact.Secret) {
	t.Helper()
	m, ok := p.(ClientManager)
	if !ok {
		t.Fatal("not a ClientManager")
	}
	created, err := m.CreateClient(t.Context(), credential.Credential{}, access)
	if err != nil {
		t.Fatal(err)
	}
	c := creds("client_id", created.ID, "client_secret", created.Secret.Reveal())
	s.must(t, fakeidp.ProviderFlexera, p, exchange.Request{Grant: only(t, p, c), Credential: c})
	listed, err := m.ListClients(t.Context(), credential.Credential{}, access)
	if err != nil || len(listed) != 2 {
		t.Errorf("clients %v, %v", listed, err)
	}
	if _, err := m.CreateClient(t.Context(), credential.Credential{}, access); err == nil {
		t.Error("a third client was made")
	}
	for range 2 { // gone is gone
		if err := m.DeleteClient(t.Context(), credential.Credential{}, access, clientID); err != nil {
			t.Error(err)
		}
	}
	if left := s.Flexera().Clients(1105, account); len(left) != 1 || left[0] != created.ID {
		t.Errorf("clients left: %d", len(left))
	}
}

// Sixty days of a FlexNet connection: the token that readers have always works
// when the next is made, and after.
func TestFlexNetReadersAlwaysHaveALivingToken(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	password := s.FlexNet().AddUser("us##dom", " p wö")
	c := creds("username", "us##dom", "password", password)
	for _, base := range []string{s.FlexNet().BaseURL(), s.FlexNet().PrefixedBaseURL()} {
		p, err := New(connectionFor("flexnet", `{"base_url":"`+base+`","token_name":"lambda"}`),
			Options{Now: s.clock.Now, AllowLoopbackHTTP: true})
		if err != nil {
			t.Fatal(err)
		}
		var published redact.Secret
		for range 60 {
			out := s.must(t, fakeidp.ProviderFlexNet, p, exchange.Request{Grant: only(t, p, c),
				Credential: c, Published: published})
			if !published.IsZero() && !s.Accepts(fakeidp.ProviderFlexNet, published.Reveal()) {
				t.Fatal("the token that readers have died of the exchange")
			}
			if life := out.ExpiresAt.Sub(s.clock.Now()); life != 24*time.Hour {
				t.Errorf("life %s", life)
			}
			published = out.AccessToken
			s.clock.Advance(20 * time.Hour)
		}
		s.clock.Advance(48 * time.Hour) // an outage: all are expired, and the names kept
	}
	wrong := c.With("password", redact.New("canary-wrong"))
	p := open(t, "flexnet", `{"base_url":"`+s.FlexNet().BaseURL()+`","token_name":"lambda"}`, "")
	s.refused(t, p, exchange.Request{Grant: only(t, p, wrong), Credential: wrong}, exchange.CredentialDead)
	s.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { o.Paths = fakeidp.FlexNetPrefixedPath })
	s.refused(t, p, exchange.Request{Grant: only(t, p, c), Credential: c}, exchange.Misconfigured)
}

// A create whose answer is lost costs only time.
func TestALostAnswerOfFlexNetCostsOnlyTime(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	c := creds("username", "u", "password", s.FlexNet().AddUser("u", ""))
	p := open(t, "flexnet", `{"base_url":"`+s.FlexNet().BaseURL()+`","token_name":"lambda"}`, "")
	first := s.must(t, fakeidp.ProviderFlexNet, p, exchange.Request{Grant: only(t, p, c), Credential: c})
	r := exchange.Request{Grant: only(t, p, c), Credential: c, Published: first.AccessToken}
	s.Inject(&fakeidp.Fault{Provider: fakeidp.ProviderFlexNet, Path: "/uar/v1/token", Times: 1,
		Kind: fakeidp.DropAfter})
	_, err := p.Exchange(t.Context(), r)
	if e := failure(t, err); !e.Lost || e.Class != exchange.Transient {
		t.Errorf("%+v", e)
	}
	second := s.must(t, fakeidp.ProviderFlexNet, p, r)
	if !s.Accepts(fakeidp.ProviderFlexNet, first.AccessToken.Reveal()) ||
		second.AccessToken.Equal(first.AccessToken) {
		t.Error("the token that readers have died of the repair")
	}
	prover, ok := p.(exchange.Prover)
	if !ok || prover.Prove(t.Context(), c, second.AccessToken) != nil {
		t.Error("a working token is not proven")
	}
	if prover.Prove(t.Context(), c, redact.New("rna_canary-unknown")) == nil {
		t.Error("an unknown token is proven")
	}
}

func TestOAuth2RenewsAgainstAServer(t *testing.T) {
	t.Parallel()
	s := newIssuers(t)
	o := s.OAuth2()
	key := fakekeys.Generate(t, "p256")
	password := o.AddUser("user@example.com", "")
	for _, tt := range []struct {
		auth   string
		client fakeidp.OAuth2Client
	}{
		{"client_secret_post", fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretPost}},
		{"client_secret_basic", fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretBasic}},
		{"private_key_jwt", fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT, Key: key.Public(),
			KeyID: "kid"}},
		{"none", fakeidp.OAuth2Client{Auth: fakeidp.NoClientAuth}},
	} {
		t.Run(tt.auth, func(t *testing.T) {
			id, secret := o.AddClient(tt.client)
			c := creds("client_id", id, "client_secret", secret, "username", "user@example.com",
				"password", password,
				"private_key", fakekeys.PKCS8(t, key), "key_id", "kid", "refresh_token",
				o.AddRefreshToken(id, "someone", "a"))
			for _, where := range []string{`"token_url":"` + o.TokenURL() + `"`,
				`"issuer":"` + o.Issuer() + `"`} {
				settings := func(grant string) string {
					return `{` + where + `,"grant":"` + grant + `","scope":"a","client_auth":"` +
						tt.auth + `"}`
				}
				s.turn(t, fakeidp.ProviderOAuth2, open(t, "oauth2", settings("password"), ""), c)
				if tt.auth != "none" {
					p := open(t, "oauth2", settings("client_credentials"), "")
					s.must(t, fakeidp.ProviderOAuth2, p, exchange.Request{Grant: only(t, p, c),
						Credential: c})
				}
				p := open(t, "oauth2", settings("refresh_token"), "")
				s.turn(t, fakeidp.ProviderOAuth2, p, c)
				// The seed is spent by now.
				s.refused(t, p, exchange.Request{Grant: only(t, p, c), Credential: c}, exchange.GrantDead)
				c = c.With("refresh_token", redact.New(o.AddRefreshToken(id, "someone", "a")))
			}
		})
	}
}

// Whatever fault occurs, the error shows no secret and says whether the request may have
// taken effect.
func TestAFaultOnTheWayTellsWhatItMayHaveCost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault fakeidp.Fault
		class exchange.Class
		lost  bool
	}{
		"dropped before": {fakeidp.Fault{Kind: fakeidp.DropBefore}, exchange.Transient, true},
		"dropped after":  {fakeidp.Fault{Kind: fakeidp.DropAfter}, exchange.Transient, true},
		"cut off":        {fakeidp.Fault{Kind: fakeidp.CutOff}, exchange.Transient, true},
		"half a body":    {fakeidp.Fault{Kind: fakeidp.Truncate}, exchange.Transient, true},
		"too much":       {fakeidp.Fault{Kind: fakeidp.Huge}, exchange.Transient, true},
		"a page":         {fakeidp.Fault{Kind: fakeidp.HTML}, exchange.Misconfigured, true},
		"redirected":     {fakeidp.Fault{Kind: fakeidp.Redirect}, exchange.Misconfigured, false},
		"redirected 307": {fakeidp.Fault{Kind: fakeidp.Redirect, Status: 307}, exchange.Misconfigured, false},
		"504":            {fakeidp.Fault{Kind: fakeidp.AnswerAfter}, exchange.Transient, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newIssuers(t)
			c := creds("username", "u", "password", s.Apiax().SetPassword("u", ""))
			p := open(t, "apiax", `{"token_url":"`+s.Apiax().TokenURL()+`"}`, "")
			out := s.must(t, fakeidp.ProviderApiax, p, exchange.Request{Grant: only(t, p, c), Credential: c})
			s.ResetRequests()
			s.Inject(&tt.fault)
			_, err := p.Exchange(t.Context(), exchange.Request{Grant: exchange.Refresh,
				Credential: c, RefreshToken: out.RefreshToken})
			e := failure(t, err)
			if e.Class != tt.class || e.Lost != tt.lost {
				t.Errorf("%+v", e)
			}
			leaks(t, e, s.Canaries()...)
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests reached the server", n)
			}
		})
	}
}
