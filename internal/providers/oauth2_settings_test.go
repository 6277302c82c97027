package providers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	fakekeys "evertoken/internal/fake/keys"
	"evertoken/internal/redact"
)

func TestAWrongSettingOfOAuth2IsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ settings, member, problem string }{
		{`"grant":"client_credential"`, "grant", "is nearly client_credentials"},
		{`"grant":"Refresh_Token"`, "grant", "is nearly refresh_token"},
		{`"grant":"urn:ietf:params:oauth:grant-type:device_code"`, "grant", "needs a person"},
		{`"grant":"a b"`, "grant", "must be a grant's name"},
		{`"grant":"password","client_auth":"basic"`, "client_auth", "client_secret_basic_raw"},

		{`"grant":"password","credential_members":{"canaryName":"x"}`,
			"credential_members.canaryName", "client_id, client_secret"},
		{`"grant":"password","credential_members":{"client_id":""}`, "credential_members.client_id",
			"is empty"},
		{`"grant":"password","credential_members":{"username":"refresh_token"}`,
			"credential_members.username", "meaning of its own"},
		{`"grant":"password","credential_members":{"username":"hosts"}`,
			"credential_members.username", "meaning of its own"},
		{`"grant":"password","credential_members":{"client_id":"x","client_secret":"x"}`,
			"credential_members.client_secret", "another entry already uses"},

		{`"grant":"password","audience":1`, "audience", "a string or a list"},
		{`"grant":"password","resource":["a",""]`, "resource", "empty entry"},
		{`"grant":"password","request_format":"xml"`, "request_format", "form or json"},

		{`"grant":"password","extra":{"x":1}`, "extra.x", `{"credential": "<member>"}`},
		{`"grant":"password","extra":{"x":{"secret":"canaryValue"}}`, "extra.x", "must be a string"},
		{`"grant":"password","extra":{"":"x"}`, "extra", "without a name"},
		{`"grant":"password","extra":{"client_secret":{"credential":"x"}}`, "extra.client_secret",
			"must not be set"},
		{`"grant":"password","extra":{"password":{"credential":"x"}}`, "extra.password", "must not be set"},
		{`"grant":"saml","extra":{"assertion":"canaryValue"}`, "extra.assertion",
			"must not be in a connection"},
		{`"grant":"saml","extra":{"text":{"credential":"client_secret"}}`, "extra.text", "another purpose"},
		{`"grant":"saml","extra":{"text":{"credential":"hosts"}}`, "extra.text", "another purpose"},
		{`"grant":"saml","credential_members":{"client_secret":"x"},"extra":{"text":{"credential":"x"}}`, "extra.text", "another purpose"},
		{`"grant":"saml","client_auth":"none","extra":{"text":"x"}`, "extra",
			"must send a member of the credential"},

		{`"grant":"password","headers":{"X Y":"x"}`, "headers.X?Y", "must be a header's name"},
		{`"grant":"password","headers":{"host":"x"}`, "headers.host", "sets it itself"},
		{`"grant":"password","headers":{"X-A":"x","x-a":"y"}`, "headers.x-a", "is there twice"},
		{`"grant":"password","headers":{"X-A":"x\ny"}`, "headers.X-A", "line break"},
		{`"grant":"password","headers":{"X-Api-Key":"canaryValue"}`, "headers.X-Api-Key",
			"looks like a secret"},
		{`"grant":"password","headers":{"Authorization":"canaryValue"}`, "headers.Authorization",
			"must come from the credential"},
		{`"grant":"password","client_auth":"client_secret_basic","headers":{"Authorization":{"credential":"x"}}`, "headers.Authorization", "other than Basic"},
		{`"grant":"password","headers":{"X-A":{"credential":"refresh_token"}}`, "headers.X-A",
			"of another kind"},
		{`"grant":"password","headers":{"X-A":{"credential":"hosts"}}`, "headers.X-A", "of another kind"},
		{`"grant":"password","credential_members":{"password":"pw"},"headers":{"X-A":{"credential":"pw"}}`, "headers.X-A", "of another kind"},

		{`"grant":"password","answer":{"access_token":"a..b"}`, "answer.access_token",
			"names separated by dots"},
		{`"grant":"password","answer":{"token":"a"}`, "answer.token", "not known"},
		{`"grant":"password","answer":{"access_token":"data.refreshToken"}`, "answer.access_token",
			"a secret other than"},
		{`"grant":"password","answer":{"access_token":"data.x","refresh_token":"data.x"}`,
			"answer.access_token", "a secret other than"},
		{`"grant":"password","publish":["a b"]`, "publish", "names separated by dots"},
		{`"grant":"password","publish":["data.expires_at"]`, "publish", "token document itself"},
		{`"grant":"password","publish":["a.id","b.id"]`, "publish", "the same last name"},
		{`"grant":"password","publish":["id_token"]`, "publish", "may hold a secret"},
		{`"grant":"password","publish":["authed_user.accessToken"]`, "publish", "may hold a secret"},
		{`"grant":"password","publish":["client_secret"]`, "publish", "may hold a secret"},
		{`"grant":"password","publish":["data.rt"],"answer":{"refresh_token":"data.rt"}`, "publish",
			"may hold a secret"},
		{`"grant":"password","token_types":["DPoP"]`, "token_types", "not a bearer token"},

		{`"grant":"password","assertion_alg":"PS256"`, "assertion_alg", "no assertion is made"},
		{`"grant":"password","subject":"x"`, "subject", "needs the grant jwt_bearer"},
		{`"grant":"jwt_bearer","assertion_alg":"HS256"`, "assertion_alg", "PS256"},
		{`"grant":"jwt_bearer","assertion_scope":true`, "assertion_scope", `needs "scope"`},
		{`"grant":"jwt_bearer","assertion_life":"2h"`, "assertion_life", "at most 1h"},
		{`"grant":"jwt_bearer","assertion_claims":{"sub":"x"}`, "assertion_claims.sub", `use "subject"`},
		{`"grant":"jwt_bearer","assertion_claims":{"jti":"x"}`, "assertion_claims.jti", "for each request"},
		{`"grant":"jwt_bearer","session_max":"1d"`, "session_max", "no meaning for jwt_bearer"},
		{`"grant":"jwt_bearer","refresh_token_life":"1d"`, "refresh_token_life", "no meaning"},
		{`"grant":"client_credentials","reuse_grace":"1m"`, "reuse_grace", "no meaning"},

		{`"grant":"password","token_life":"10s"`, "token_life", "at least 1m"},
		{`"grant":"password","refresh_token_life":"10s"`, "refresh_token_life", "at least 1h"},
		{`"grant":"password","reuse_grace":"2h"`, "reuse_grace", "at most 1h"},
	} {
		_, err := tryOpen("oauth2", `{"token_url":"https://as.example.com/t",`+tt.settings+`}`)
		e, ok := errors.AsType[*connection.Error](err)
		if !ok || e.Member != "settings."+tt.member || !strings.Contains(e.Problem, tt.problem) {
			t.Errorf("%s: %v", tt.settings, err)
		}
		leaks(t, err, "canaryValue")
	}
}

// everything is a credential with the members of every grant, and more.
func everything(t *testing.T, more ...string) credential.Credential {
	t.Helper()
	return creds(append([]string{"client_id", "i", "client_secret", "s", "refresh_token", "seed",
		"username", "u", "password", " p ",
		"private_key", fakekeys.PKCS8(t, fakekeys.Generate(t, "ed25519")), "subject_token", "st", "saml", "<saml/>",
		"api_key", "k1"}, more...)...)
}

func TestEverySettingOfOAuth2ChangesTheRequest(t *testing.T) {
	t.Parallel()
	const json = "Content-Type: application/json\n"
	const basic = "Authorization: Basic aTpz\n" // i:s
	const granted = `{"access_token":"at","expires_in":600}`
	for _, tt := range []struct {
		name, settings   string
		session          bool
		head, body, wire string
	}{
		{"Zoom's account_credentials",
			`"grant":"account_credentials","client_auth":"client_secret_basic","extra":{"account_id":"a1"}`, false,
			basic + formType + "\n", "account_id=a1&grant_type=account_credentials", granted},
		{"a SAML assertion from the credential",
			`"grant":"urn:ietf:params:oauth:grant-type:saml2-bearer","extra":{"assertion":{"credential":"saml"}}`, false,
			formType + "\n", "assertion=%3Csaml%2F%3E&client_id=i&client_secret=s&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Asaml2-bearer", granted},
		{"the session after an assertion",
			`"grant":"urn:ietf:params:oauth:grant-type:saml2-bearer","scope":"a","extra":{"assertion":{"credential":"saml"},"tenant":"t1"}`, true,
			formType + "\n", "client_id=i&client_secret=s&grant_type=refresh_token&refresh_token=rt&tenant=t1", granted},
		{"Auth0's password-realm",
			`"grant":"http://auth0.com/oauth/grant-type/password-realm","extra":{"realm":"r","username":{"credential":"username"},"password":{"credential":"password"}}`, false,
			formType + "\n", "client_id=i&client_secret=s&grant_type=http%3A%2F%2Fauth0.com%2Foauth%2Fgrant-type%2Fpassword-realm&password=+p+&realm=r&username=u", granted},
		{"token_exchange",
			`"grant":"token_exchange","audience":["a","b"],"scope":"x","extra":{"requested_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, false,
			formType + "\n", "audience=a&audience=b&client_id=i&client_secret=s&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" +
				"&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&scope=x&subject_token=st&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token", granted},
		{"token_exchange of a JWT, by its long name",
			`"grant":"urn:ietf:params:oauth:grant-type:token-exchange","client_auth":"none","extra":{"subject_token_type":"urn:ietf:params:oauth:token-type:jwt"}`, false,
			formType + "\n", "client_id=i&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=st&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt", granted},
		{"a JSON body",
			`"grant":"client_credentials","request_format":"json","audience":"https://api","resource":["r1","r2"]`, false,
			json, `{"audience":"https://api","client_id":"i","client_secret":"s","grant_type":"client_credentials","resource":["r1","r2"]}`, granted},
		{"headers",
			`"grant":"client_credentials","headers":{"X-Recipient-Public-Key":{"credential":"api_key"},"X-Tenant":"x"}`, false,
			formType + "\nX-Recipient-Public-Key: k1\n",
			"client_id=i&client_secret=s&grant_type=client_credentials", granted},
		{"an Authorization header of the provider's own",
			`"grant":"client_credentials","client_auth":"client_secret_post","headers":{"Authorization":{"credential":"api_key"}}`, false,
			"Authorization: k1\n" + formType + "\n",
			"client_id=i&client_secret=s&grant_type=client_credentials", granted},
		{"an answer of another shape",
			`"grant":"refresh_token","answer":{"access_token":"data.accessToken","refresh_token":"data.rt","expires_in":"data.ttl"},"publish":["data.shop"]`, false,
			formType + "\n", "client_id=i&client_secret=s&grant_type=refresh_token&refresh_token=seed",
			`{"code":0,"data":{"accessToken":"at","rt":"rt2","ttl":600,"shop":"9"}}`},
		{"a token type", `"grant":"client_credentials","token_types":["Weird"]`, false,
			formType + "\n", "client_id=i&client_secret=s&grant_type=client_credentials",
			`{"access_token":"at","expires_in":600,"token_type":"weird"}`},
		{"a life that the provider does not tell", `"grant":"client_credentials","token_life":"10m"`, false,
			formType + "\n", "client_id=i&client_secret=s&grant_type=client_credentials",
			`{"access_token":"at"}`},
		{"several resources", `"grant":"client_credentials","resource":["https://b","https://a"]`, false,
			formType + "\n", "client_id=i&client_secret=s&grant_type=client_credentials&resource=https%3A%2F%2Fb&resource=https%3A%2F%2Fa", granted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			all := everything(t)
			w := newWire(t, reply{status: 200, body: tt.wire})
			p := open(t, "oauth2", `{"token_url":"SERVER/t",`+tt.settings+`}`, w.URL)
			got := mustExchange(t, p, all, tt.session)
			w.check(t, "POST /t\n"+tt.head+tt.body)
			want := issuedFor("at", 10*time.Minute)
			if strings.Contains(tt.name, "shape") {
				want.RefreshToken, want.Publish = redact.New("rt2"), map[string]string{"shop": "9"}
			}
			if diff := cmp.Diff(want, got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A secret with other member names, such as one of Secrets Manager's managed external
// secrets, can be used unchanged.
func TestCredentialMembersMapsOtherNames(t *testing.T) {
	t.Parallel()
	w := newWire(t, reply{status: 200, body: `{"access_token":"at","expires_in":600}`},
		reply{status: 200, body: `{"access_token":"at","expires_in":600}`})
	p := open(t, "oauth2",
		`{"token_url":"SERVER/t","grant":"client_credentials","credential_members":{"client_id":"consumerKey","client_secret":"consumerSecret"}}`, w.URL)
	c, err := credential.Parse(redact.New(`{"consumerKey":" i ","consumerSecret":"s\n","baseUri":"https://x.my.salesforce.com","appId":"0x"}`))
	if err != nil {
		t.Fatal(err)
	}
	g := only(t, p, c)
	if diff := cmp.Diff([]string{"consumerKey", "consumerSecret"}, g.Members); diff != "" {
		t.Error(diff)
	}
	if _, err := p.Exchange(t.Context(), exchange.Request{Grant: g, Credential: c}); err != nil {
		t.Fatal(err)
	}
	w.check(t, "POST /t\n"+formType+"\nclient_id=i&client_secret=s&grant_type=client_credentials")
	if _, err := p.Grants(creds("client_id", "i", "client_secret", "s")); err == nil ||
		!strings.Contains(err.Error(), `"consumerKey"`) {
		t.Errorf("without the member: %v", err)
	}
	// A member within an object is named with dots.
	nested := open(t, "oauth2",
		`{"token_url":"SERVER/t","grant":"client_credentials","credential_members":{"client_id":"app.clientID","client_secret":"app.clientSecret"}}`, w.URL)
	if c, err = credential.Parse(redact.New(`{"app":{"clientID":"i","clientSecret":"s"}}`)); err != nil {
		t.Fatal(err)
	}
	if g := only(t, nested, c); len(c.Missing(g.Members...)) != 0 {
		t.Errorf("members %v", g.Members)
	}
	// A password keeps its blanks under any name.
	q := open(t, "oauth2",
		`{"token_url":"SERVER/t","grant":"password","client_auth":"none","credential_members":{"password":"pw"}}`, w.URL)
	d := creds("username", "u", "pw", " p ")
	if _, err := q.Exchange(t.Context(), exchange.Request{Grant: only(t, q, d), Credential: d}); err != nil {
		t.Fatal(err)
	}
	if got := w.requests()[1]; !strings.Contains(got, "password=+p+&") {
		t.Error(got)
	}
}

func TestRawBasicAuthenticationIsNotFormEncoded(t *testing.T) {
	t.Parallel()
	w := newWire(t, reply{status: 200, body: `{"access_token":"at","expires_in":600}`})
	p := open(t, "oauth2",
		`{"token_url":"SERVER/t","grant":"client_credentials","client_auth":"client_secret_basic_raw"}`, w.URL)
	c := creds("client_id", "example/client", "client_secret", "z/tZ+A=Q:1~%2B")
	if _, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, c), Credential: c}); err != nil {
		t.Fatal(err)
	}
	// base64 of example/client:z/tZ+A=Q:1~%2B
	w.check(t,
		"POST /t\nAuthorization: Basic ZXhhbXBsZS9jbGllbnQ6ei90WitBPVE6MX4lMkI=\n"+formType+"\ngrant_type=client_credentials")
}

func TestSettingsOfOAuth2ChangeItsTraits(t *testing.T) {
	t.Parallel()
	session := exchange.Traits{Session: exchange.RequiredSession, SingleUse: true, Replay: true}
	graceful, late, optional := session, session, session
	graceful.ReuseGrace, late.RenewLate, optional.Session = time.Minute, true, exchange.OptionalSession
	for settings, want := range map[string]exchange.Traits{
		`"grant":"refresh_token","reuse_grace":"1m"`:                   graceful,
		`"grant":"refresh_token","renew_late":true`:                    late,
		`"grant":"client_credentials","renew_late":true`:               {RenewLate: true},
		`"grant":"jwt_bearer"`:                                         {},
		`"grant":"token_exchange"`:                                     optional,
		`"grant":"account_credentials"`:                                {},
		`"grant":"apikey","extra":{"apikey":{"credential":"api_key"}}`: {},
		`"grant":"saml","extra":{"assertion":{"credential":"saml"}}`:   optional,
		`"grant":"password","refresh_token_life":"30d"`:                session,
		`"grant":"refresh_token","client_auth":"none"`:                 session,
		`"grant":"client_credentials","mutual_tls":true`:               {},
		`"grant":"client_credentials","token_types":["bot"]`:           {},
	} {
		p := open(t, "oauth2", `{"token_url":"https://as.example.com/t",`+settings+`}`, "")
		if diff := cmp.Diff(want, p.Traits()); diff != "" {
			t.Errorf("%s: %s", settings, diff)
		}
	}
}

// The other members that are sent with a seed do not show whether the seed is new: a
// changed API key must not send a spent seed again.
func TestAChangedAPIKeyDoesNotMakeASeedANewOne(t *testing.T) {
	t.Parallel()
	all := everything(t)
	for settings, want := range map[string]exchange.Grant{
		`"grant":"refresh_token","headers":{"X-A":{"credential":"api_key"}}`: {Type: "refresh_token", Seed: true,
			Members: []string{"client_id", "client_secret", "refresh_token"}},
		`"grant":"jwt_bearer"`: {Type: "jwt_bearer", Members: []string{"client_id", "private_key"}},
		`"grant":"jwt_bearer","client_auth":"client_secret_post"`: {Type: "jwt_bearer",
			Members: []string{"client_id", "client_secret", "private_key"}},
		`"grant":"jwt_bearer","assertion_claims":{"iss":"x"}`:                             {Type: "jwt_bearer", Members: []string{"private_key"}},
		`"grant":"token_exchange"`:                                                        {Type: "token_exchange", Members: []string{"client_id", "client_secret", "subject_token"}},
		`"grant":"saml","client_auth":"none","extra":{"assertion":{"credential":"saml"}}`: {Type: "saml", Members: []string{"client_id", "saml"}},
		`"grant":"x","extra":{"username":{"credential":"username"},"password":{"credential":"password"}}`: {Type: "x", Password: true,
			Members: []string{"client_id", "client_secret", "password", "username"}},
	} {
		p := open(t, "oauth2", `{"token_url":"https://as.example.com/t",`+settings+`}`, "")
		if diff := cmp.Diff(want, only(t, p, all)); diff != "" {
			t.Errorf("%s: %s", settings, diff)
		}
	}
	p := open(t, "oauth2",
		`{"token_url":"https://as.example.com/t","grant":"refresh_token","headers":{"X-A":{"credential":"api_key"}}}`, "")
	if _, err := p.Grants(all.With("api_key", redact.Secret{})); err == nil ||
		!strings.Contains(err.Error(), `"api_key"`) {
		t.Errorf("without the header's member: %v", err)
	}
	_, err := p.Exchange(t.Context(), exchange.Request{Grant: exchange.Refresh,
		RefreshToken: redact.New("rt"), Credential: all.With("api_key", redact.Secret{})})
	if err == nil || !strings.Contains(err.Error(), `"api_key"`) {
		t.Errorf("a refresh without the header's member: %v", err)
	}
}

// A credential's secret that an answer repeats is not published, whatever the member's
// name.
func TestOAuth2PublishesNoMemberOfTheCredential(t *testing.T) {
	t.Parallel()
	o, ok := open(t, "oauth2",
		`{"token_url":"https://as.example.com/t","grant":"client_credentials","headers":{"X-A":{"credential":"gateway"}}}`, "").(*oauth2)
	if !ok {
		t.Fatal("another provider")
	}
	c := creds("client_id", "client-1", "client_secret", "secret-1", "password", "pass-1",
		"api_key", "key-1", "gateway", "gate-1",
		"hosts", "acme.example.com", "baseUri", "https://acme.example.com")
	out := exchange.Issued{AccessToken: redact.New("access-1"),
		RefreshToken: redact.New("refresh-2"), Publish: map[string]string{
			"a.url": "https://acme.example.com", "id": "client-1", "x1": "secret-1",
			"x2": "Basic pass-1", "x3": "key-1", "x4": "gate-1",
			"x5": "access-1", "x6": "refresh-1", "x7": "refresh-2"}}
	o.forReaders(&out, exchange.Request{Credential: c, RefreshToken: redact.New("refresh-1")})
	if diff := cmp.Diff(map[string]string{"url": "https://acme.example.com", "id": "client-1"},
		out.Publish); diff != "" {
		t.Error(diff)
	}
	if len(out.Hints) != 7 {
		t.Errorf("hints %q", out.Hints)
	}
	leaks(t, out, "secret-1", "pass-1", "key-1", "gate-1", "refresh-")
}
