package providers

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
)

const oauth2Least = `"token_url":"https://as.example.com/t","grant":"password"`

func TestAWrongSettingIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ provider, settings, member, problem string }{
		{"nobody", `{}`, "provider", "is unknown: name one of adobe, "},
		{"salesfroce", `{}`, "provider",
			"is unknown. Did you mean salesforce? Otherwise name one of adobe, "},

		{"flexera", `{}`, "settings.zone", "nam, eu or apac"},
		{"flexera", `{"zone":"us"}`, "settings.zone", "nam, eu or apac"},
		{"flexera", `{"zone":1}`, "settings.zone", "a string"},
		{"flexera", `{"zone":"nam","Zone":"x"}`, "settings.Zone", "not known"},
		{"flexera", `[]`, "settings", "not a JSON object"},
		{"flexera", `{"zone":"nam","org_id":1}`, "settings.org_id", "service_account_id"},
		{"flexera", `{"zone":"nam","service_account_id":1}`, "settings.service_account_id", "org_id"},
		{"flexera", `{"zone":"nam","org_id":0,"service_account_id":1}`, "settings.org_id", "at least 1"},
		{"flexera", `{"zone":"nam","org_id":1,"service_account_id":-1}`,
			"settings.service_account_id", "at least 1"},
		{"flexera", `{"zone":"nam","org_id":"1","service_account_id":1}`, "settings.org_id", "a number"},
		{"flexera", `{"zone":"nam","refresh_token_id":"a/b"}`, "settings.refresh_token_id",
			"letters and digits"},
		{"flexera", `{"zone":"nam","login_url":"http://login.flexera.com"}`, "settings.login_url", "https"},
		{"flexera", `{"zone":"nam","api_url":"https://api.flexera.com/?x"}`, "settings.api_url", "no query"},

		{"flexnet", `{"token_name":"lambda"}`, "settings.base_url", "is missing"},
		{"flexnet", `{"base_url":"https://x/uar/v1","token_name":"lambda"}`, "settings.base_url",
			"must not include /uar"},
		{"flexnet", `{"base_url":"https://x"}`, "settings.token_name", "is missing"},
		{"flexnet", `{"base_url":"https://x","token_name":"ab"}`, "settings.token_name", "3 to 23"},
		{"flexnet", `{"base_url":"https://x","token_name":"abcdefghijklmnopqrstuvwx"}`,
			"settings.token_name", "3 to 23"},
		{"flexnet", `{"base_url":"https://x","token_name":"a<b>c"}`, "settings.token_name",
			"must not contain"},
		{"flexnet", `{"base_url":"https://x","token_name":"a.b.c"}`, "settings.token_name",
			"must not contain"},
		{"flexnet", `{"base_url":"https://x","token_name":"a b c"}`, "settings.token_name",
			"must not contain"},
		{"flexnet", `{"base_url":"https://x","token_name":"a\\\\\\\\b"}`, "settings.token_name",
			"must not contain"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","token_type":"normal"}`,
			"settings.token_type", "NORMAL or IMPERSONATED"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","token_type":"IMPERSONATED"}`,
			"settings.username", "is missing"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","token_type":"IMPERSONATED","username":"u","description":""}`, "settings.description", "is empty"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","expiry":"59s"}`,
			"settings.expiry", "whole minutes"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","expiry":"1h30s"}`,
			"settings.expiry", "whole minutes"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","expiry":"401d"}`,
			"settings.expiry", "whole minutes"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda","expiry":"1M"}`,
			"settings.expiry", "must be a duration"},

		{"sharetribe", `{"access":"login-as"}`, "settings.access", "integration, anonymous, user or trusted"},
		{"sharetribe", `{"access":"anonymous","session_max":"1h"}`, "settings.session_max", "no meaning"},
		{"sharetribe", `{"remint_before":"1h"}`, "settings.remint_before", "session_max"},
		{"sharetribe", `{"session_max":"1h","remint_before":"1h"}`, "settings.remint_before", "less than"},
		{"sharetribe", `{"auth_url":"https://x/y#z"}`, "settings.auth_url", "no fragment"},

		{"apiax", `{"token_url":"not a url"}`, "settings.token_url", "whole URL"},
		{"apiax", `{"token_url":"https://canaryUser:canaryPassword@x/"}`, "settings.token_url",
			"user name or password"},
		{"apiax", `{"token_url":"https://x/?client_secret=canarySecret"}`, "settings.token_url",
			"client_secret"},
		{"apiax", `{"client_id":""}`, "settings.client_id", "is empty"},
		{"apiax", `{"extra":{"password":"canaryPassword"}}`, "settings.extra", "must not set"},
		{"apiax", `{"extra":{"":"x"}}`, "settings.extra", "must not set"},
		{"apiax", `{"extra":{"x":1}}`, "settings.extra", "a string"},
		{"apiax", `{"session_max":"1h","remint_before":"2h"}`, "settings.remint_before", "less than"},
		{"apiax", `{"session_max":14}`, "settings.session_max", "must be a duration"},

		{"oauth2", `{"grant":"password"}`, "settings.token_url", "is missing"},
		{"oauth2", `{` + oauth2Least + `,"issuer":"https://x"}`, "settings.issuer", "one of the two"},
		{"oauth2", `{"token_url":"https://x"}`, "settings.grant", "is missing"},
		{"oauth2", `{"token_url":"https://x","grant":"authorization_code"}`, "settings.grant",
			"needs a person"},
		{"oauth2", `{` + oauth2Least + `,"client_auth":"client_secret_jwt"}`,
			"settings.client_auth", "private_key_jwt"},
		{"oauth2", `{"token_url":"https://x","grant":"client_credentials","client_auth":"none"}`,
			"settings.client_auth", "confidential"},
		{"oauth2", `{"token_url":"https://x","grant":"client_credentials","session_max":"1h"}`,
			"settings.session_max", "no meaning"},
		{"oauth2", `{` + oauth2Least + `,"remint_before":"1h"}`, "settings.remint_before", "session_max"},
		{"oauth2", `{` + oauth2Least + `,"extra":{"grant_type":"x"}}`, "settings.extra.grant_type",
			"must not be set"},
		{"oauth2", `{"issuer":"https://x/?y=1","grant":"password"}`, "settings.issuer", "no query"},
		{"oauth2", `{"issuer":"ftp://x","grant":"password"}`, "settings.issuer", "https"},
	} {
		p, err := tryOpen(tt.provider, tt.settings)
		e, ok := errors.AsType[*connection.Error](err)
		if !ok {
			t.Errorf("%s %s: %v, %v", tt.provider, tt.settings, p, err)
			continue
		}
		if e.Connection != "c1" || e.Member != tt.member || !strings.Contains(e.Problem, tt.problem) {
			t.Errorf("%s %s: %v", tt.provider, tt.settings, err)
		}
		leaks(t, err, "canary")
	}
}

func TestAURLMustBeHTTPSUnlessItIsLoopback(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string][2]bool{ // without and with loopback http
		"https://as.example.com/t":      {true, true},
		"https://127.0.0.1:8443":        {true, true},
		"http://127.0.0.1:8080/t":       {false, true},
		"http://127.8.8.8/t":            {false, true},
		"http://[::1]:8080/t":           {false, true},
		"http://localhost:8080/t":       {false, true},
		"http://localhost.evil.com/t":   {false, false},
		"http://127.0.0.1.evil.com/t":   {false, false},
		"http://as.example.com/t":       {false, false},
		"http://10.0.0.1/t":             {false, false},
		"http://127.0.0.1@evil.com/t":   {false, false},
		"https://user@as.example.com/t": {false, false},
		"https://as.example.com/t#f":    {false, false},
		"ftp://127.0.0.1/t":             {false, false},
		"//as.example.com/t":            {false, false},
		"https:///t":                    {false, false},
		"":                              {false, false},
		"https://as.example.com/%zz":    {false, false},
	} {
		for i, loopback := range []bool{false, true} {
			if _, problem := parseURL(raw, loopback); (problem == "") != ok[i] {
				t.Errorf("%q, loopback %t: %q", raw, loopback, problem)
			}
		}
	}
}

// Evertoken sends nothing for a grant whose members are missing, and the error names the
// member. The test has no server that could answer.
func TestAMissingMemberIsNamedBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	for provider, settings := range map[string]string{
		"apiax": `{}`, "flexera": `{"zone":"nam"}`,
		"flexnet":    `{"base_url":"https://x.example.com","token_name":"lambda"}`,
		"sharetribe": `{}`, "oauth2": `{` + oauth2Least + `}`,
	} {
		p := open(t, provider, settings, "")
		if _, err := p.Grants(creds()); err == nil || !strings.Contains(err.Error(), "is missing or empty") {
			t.Errorf("%s: %v", provider, err)
		}
		_, err := p.Exchange(t.Context(),
			exchange.Request{Grant: exchange.Grant{Type: "x", Members: []string{"x"}},
				Credential: creds()})
		if err == nil || !strings.Contains(err.Error(), "is missing or empty") {
			t.Errorf("%s: exchange: %v", provider, err)
		}
	}
}

func TestOptionsHaveDefaults(t *testing.T) {
	t.Parallel()
	p, err := New(connection.Connection{Name: "c", Provider: "apiax"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, ok := p.(*apiax)
	if !ok || a.client == nil || a.now().IsZero() || a.tokenURL != apiaxTokenURL ||
		a.clientID != "integration-api" {
		t.Errorf("%+v", a)
	}
}

func FuzzSettings(f *testing.F) {
	for _, provider := range slices.Sorted(maps.Keys(constructors)) {
		f.Add(provider, `{}`)
	}
	f.Add("flexera",
		`{"zone":"nam","org_id":1,"service_account_id":2,"refresh_token_id":"a","login_url":"https://x","api_url":"https://y/"}`)
	f.Add("flexnet",
		`{"base_url":"https://x/flexnet","token_name":"lambda","token_type":"IMPERSONATED","username":"u","description":"d","expiry":"30d"}`)
	f.Add("sharetribe", `{"access":"trusted","auth_url":"https://x","session_max":"180d","remint_before":"1d"}`)
	f.Add("apiax",
		`{"token_url":"https://x","client_id":"i","session_max":"1h","remint_before":"1m","extra":{"a":"b"}}`)
	f.Add("oauth2",
		`{"issuer":"https://x","grant":"refresh_token","client_auth":"none","scope":"s","audience":"a","resource":"r","extra":{}}`)
	f.Add("salesforce", `{"domain":"acme","environment":"sandbox","extra":{"a":"b"}}`)
	f.Add("okta", `{"tenant":"acme","server":"default","scope":"s","credential_members":{"client_id":"x"}}`)
	f.Add("entra",
		`{"tenant":"a-b","cloud":"us","scope":"s","client_auth":"private_key_jwt","assertion_claims":{"a":[1]}}`)
	f.Add("oauth2",
		`{"token_url":"https://x","grant":"jwt_bearer","subject":"u","assertion_audience":["a","b"],"assertion_claims":{"n":1},"assertion_alg":"PS256","assertion_life":"5m"}`)
	f.Add("oauth2",
		`{"token_url":"https://x","grant":"saml","extra":{"assertion":{"credential":"a"}},"headers":{"X-A":"b","X-C":{"credential":"d"}},"answer":{"access_token":"a.b"}}`)
	f.Add("oauth2",
		`{"token_url":"https://x","grant":"password","publish":["a.b"],"token_types":["bot"],"token_life":"1h","refresh_token_life":"1d","reuse_grace":"1m","credential_members":{"password":"pw"}}`)
	f.Fuzz(func(t *testing.T, provider, settings string) {
		c := connection.Connection{Name: "c1", Provider: provider, Settings: json.RawMessage(settings)}
		p, err := New(c, Options{Now: now})
		if err != nil {
			e, ok := errors.AsType[*connection.Error](err)
			if !ok || e.Member == "" || e.Problem == "" {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		traits := p.Traits()
		if traits.SessionMax != 0 && traits.RemintBefore >= traits.SessionMax ||
			traits.SessionMax == 0 && traits.RemintBefore != 0 {
			t.Errorf("%+v", traits)
		}
		if traits.SingleUse && traits.Session == exchange.NoSession {
			t.Errorf("a single-use refresh token without a session: %+v", traits)
		}
		if _, err := p.Grants(creds()); err == nil {
			t.Error("an empty credential allows a grant")
		}
		all := creds("client_id", "i", "client_secret", "s", "refresh_token", "r", "username", "u",
			"password", "p")
		grants, err := p.Grants(all)
		for _, g := range grants {
			if err != nil || g.FromSession() || g.Type == "" || len(all.Missing(g.Members...)) != 0 {
				t.Errorf("%+v, %v", g, err)
			}
		}
	})
}
