package providers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// base64 of "us##dom:p wö"
const flexnetBasic = "Authorization: Basic dXMjI2RvbTpwIHfDtg=="

var flexnetCreds = creds("username", "us##dom", "password", "p wö")

// flexnetToken is a token in an answer, named name and with its ends relative
// to now.
func flexnetTokenJSON(name, value string, issued, expires time.Duration) string {
	tokenValue := ""
	if value != "" {
		tokenValue = `"tokenValue":"` + value + `",`
	}
	return fmt.Sprintf(`{"expiryStr":"1d","tokenDescription":"d","tokenExpiryMillis":%d,"tokenIssueMillis":%d,"tokenName":"%s","tokenCreator":"u","tokenType":"NORMAL",%s"username":"u"}`,
		testNow.Add(expires).UnixMilli(), testNow.Add(issued).UnixMilli(), name, tokenValue)
}

func ok(object string) reply { return with(200, object) }

func with(status int, object string) reply {
	return reply{status: status, body: `{"statusMessage":"Successful","responseObject":` + object + `}`}
}

func flexnetRefusal(status int) reply {
	return reply{status: status, body: `{"statusMessage":"canaryMessage","responseObject":null}`}
}

const (
	flexnetListed = "GET /flexnet/uar/v1/tokens?page=%d&pageSize=100&username=us%%23%%23dom\n" + flexnetBasic
	jsonType      = "Content-Type: application/json"
)

func flexnetList(page int) string { return fmt.Sprintf(flexnetListed, page) }

func flexnetCreate(name string) string {
	return "POST /flexnet/uar/v1/token\n" + flexnetBasic + "\n" + jsonType + "\n" +
		`{"tokenName":"` + name + `","tokenDescription":"Kept by Evertoken","tokenType":"NORMAL","expiryStr":"1d","username":"us##dom"}`
}

func flexnetCall(method, path string) string {
	return method + " /flexnet/uar/v1/token" + path + "\n" + flexnetBasic
}

const flexnetVerify = "POST /flexnet/uar/v1/token/verification\n" + flexnetBasic + "\n" + jsonType +
	"\n" + `{"accessToken":"rna_old"}`

func openFlexNet(t *testing.T, w *wire) exchange.Provider {
	t.Helper()
	return open(t, "flexnet", `{"base_url":"SERVER/flexnet/","token_name":"lambda"}`, w.URL)
}

// The two names in turn, from every state that they can be in.
func TestFlexNetAlternatesBetweenTwoNames(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	const a, b, value = "lambda-a", "lambda-b", "rna_0a1b2c3d"
	empty := ok(`[]`)
	created := func(name string) reply { return with(201, flexnetTokenJSON(name, value, 0, day)) }
	live := func(name string) reply { return ok(flexnetTokenJSON(name, "", -20*time.Hour, 4*time.Hour)) }
	old := func(name string) string { return flexnetTokenJSON(name, "", -20*time.Hour, 4*time.Hour) }
	other := func(name string) string { return flexnetTokenJSON(name, "", -40*time.Hour, -time.Minute) }
	lost := func(name string) string { return flexnetTokenJSON(name, "", -time.Hour, 23*time.Hour) }
	list := func(objects ...string) reply { return ok("[" + strings.Join(objects, ",") + "]") }
	remove := func(name string) string { return flexnetCall("DELETE", "/"+name) }
	rotate := func(name string) string { return flexnetCall("POST", "/"+name+"/rotation") }
	details := func(name string) string { return flexnetCall("GET", "/"+name) }

	for _, tt := range []struct {
		name      string
		published bool
		replies   []reply
		want      []string
		fails     exchange.Class
	}{
		{"nothing yet", false, []reply{empty, created(a)}, []string{flexnetList(0), flexnetCreate(a)}, ""},
		{"the first is live", true, []reply{live(a), list(old(a)), empty, created(b)},
			[]string{flexnetVerify, flexnetList(0), flexnetList(1), flexnetCreate(b)}, ""},
		{"the second is live, the first still there", true, []reply{live(b),
			list(flexnetTokenJSON(a, "", -30*time.Hour, time.Hour), old(b)), {status: 204},
			created(a)},
			[]string{flexnetVerify, flexnetList(0), remove(a), flexnetCreate(a)}, ""},
		{"the second is live, the first gone", true, []reply{live(b), list(old(b)), empty, created(a)},
			[]string{flexnetVerify, flexnetList(0), flexnetList(1), flexnetCreate(a)}, ""},
		{"a create whose answer was lost", true, []reply{live(a), list(old(a), lost(b)),
			ok(flexnetTokenJSON(b, value, -time.Hour, day))},
			[]string{flexnetVerify, flexnetList(0), rotate(b)}, ""},
		{"a first create whose answer was lost", false, []reply{list(lost(a)), empty, created(b)},
			[]string{flexnetList(0), flexnetList(1), flexnetCreate(b)}, ""},
		{"the other is gone when deleted", true, []reply{live(a), list(old(a), other(b)),
			flexnetRefusal(404), created(b)},
			[]string{flexnetVerify, flexnetList(0), remove(b), flexnetCreate(b)}, ""},
		{"the published value is refused: the later issue is live", true,
			[]reply{flexnetRefusal(400), list(old(b), other(a)), {status: 200}, created(a)},
			[]string{flexnetVerify, flexnetList(0), remove(a), flexnetCreate(a)}, ""},
		{"the published value is masked: the later issue is live", true,
			[]reply{live("********"), list(other(b), old(a)), {status: 204}, created(b)},
			[]string{flexnetVerify, flexnetList(0), remove(b), flexnetCreate(b)}, ""},
		{"the answer is empty", true, []reply{ok("null"), list(old(a)), empty, created(b)},
			[]string{flexnetVerify, flexnetList(0), flexnetList(1), flexnetCreate(b)}, ""},
		{"others' tokens before ours", true, []reply{live(b), list(old("other-a"), old("lambda")),
			list(old("x-b"), old(b)), list(flexnetTokenJSON(a, "", -30*time.Hour, time.Hour)),
			{status: 204}, created(a)},
			[]string{flexnetVerify, flexnetList(0), flexnetList(1), flexnetList(2), remove(a),
				flexnetCreate(a)}, ""},

		{"an expired token keeps its name", true, []reply{live(a), empty, flexnetRefusal(409),
			ok(other(b)), {status: 204}, created(b)},
			[]string{flexnetVerify, flexnetList(0), flexnetCreate(b), details(b), remove(b),
				flexnetCreate(b)}, ""},
		{"the list does not know the user name, the refusal names the live token", true,
			[]reply{live(a), empty, flexnetRefusal(400),
				ok(flexnetTokenJSON(b, "", -30*time.Hour, time.Hour)), {status: 204}, created(b)},
			[]string{flexnetVerify, flexnetList(0), flexnetCreate(b), details(b), remove(b),
				flexnetCreate(b)}, ""},
		{"the list does not know it, nor who is live: nothing is touched", true,
			[]reply{live("****"), empty, flexnetRefusal(409), ok(old(a))},
			[]string{flexnetVerify, flexnetList(0), flexnetCreate(a), details(a)}, exchange.Misconfigured},
		{"the same, but the list cannot be read", false, []reply{empty, flexnetRefusal(409), ok(old(a)),
			{status: 204}, created(a)},
			[]string{flexnetList(0), flexnetCreate(a), details(a), remove(a), flexnetCreate(a)}, ""},
		{"refused for another reason", true, []reply{live(a), empty, flexnetRefusal(400),
			flexnetRefusal(404)},
			[]string{flexnetVerify, flexnetList(0), flexnetCreate(b), details(b)}, exchange.Misconfigured},

		{"busy while verifying", true, []reply{{status: 429}}, []string{flexnetVerify}, exchange.Throttled},
		{"down while verifying", true, []reply{{status: 503}}, []string{flexnetVerify}, exchange.Transient},
		{"down while listing", true, []reply{live(a), {status: 502}},
			[]string{flexnetVerify, flexnetList(0)}, exchange.Transient},
		{"wrong password", false, []reply{{status: 401, body: "<html>"}}, []string{flexnetList(0)},
			exchange.CredentialDead},
		{"may not delete", true, []reply{live(a), list(old(a), other(b)), flexnetRefusal(403)},
			[]string{flexnetVerify, flexnetList(0), remove(b)}, exchange.Misconfigured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.replies...)
			p := openFlexNet(t, w)
			r := exchange.Request{Grant: only(t, p, flexnetCreds), Credential: flexnetCreds}
			if tt.published {
				r.Published = redact.New("rna_old")
			}
			got, err := p.Exchange(t.Context(), r)
			w.check(t, tt.want...)
			if tt.fails != "" {
				if e := failure(t, err); e.Class != tt.fails || e.Lost {
					t.Errorf("%+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(issuedFor(value, day), got, compare...); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlexNetMakesATokenForAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWire(t, ok(`[]`), with(200, flexnetTokenJSON("na-me-a", "rna_x", 0, 90*time.Minute)),
		ok("[]"), flexnetRefusal(403))
	p := open(t, "flexnet",
		`{"base_url":"SERVER","token_name":"na-me","token_type":"IMPERSONATED","username":"other@example.com","description":"a <b> & c","expiry":"90m"}`, w.URL)
	r := exchange.Request{Grant: only(t, p, flexnetCreds), Credential: flexnetCreds}
	if _, err := p.Exchange(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, err := p.Exchange(t.Context(), r)
	if e := failure(t, err); e.Class != exchange.Misconfigured ||
		!strings.Contains(e.Hint, `"Create Impersonated Token"`) {
		t.Errorf("%+v", e)
	}
	create := "POST /uar/v1/token\n" + flexnetBasic + "\n" + jsonType + "\n" +
		`{"tokenName":"na-me-a","tokenDescription":"a <b> & c","tokenType":"IMPERSONATED","expiryStr":"1h 30m","username":"other@example.com"}`
	list := "GET /uar/v1/tokens?page=0&pageSize=100&username=other%40example.com\n" + flexnetBasic
	w.check(t, list, create, list, create)
}

func TestEveryAnswerOfFlexNetIsRead(t *testing.T) {
	t.Parallel()
	const untold = "The answer does not state the token's expiry: Evertoken assumes the 1d that it asked for."
	for _, tt := range []struct {
		name, object string
		want         time.Duration
		hint         string
	}{
		{"in quotes", fmt.Sprintf(`{"tokenValue":"rna_x","tokenExpiryMillis":"%d"}`,
			testNow.Add(time.Hour).UnixMilli()), time.Hour, ""},
		{"no stated end", `{"tokenValue":" rna_x\n"}`, 24 * time.Hour, untold},
		{"null", `{"tokenValue":"rna_x","tokenExpiryMillis":null}`, 24 * time.Hour, untold},
		{"text", `{"tokenValue":"rna_x","tokenExpiryMillis":"soon"}`, 24 * time.Hour, untold},
	} {
		w := newWire(t, ok("[]"), ok(tt.object))
		p := openFlexNet(t, w)
		got, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, flexnetCreds),
			Credential: flexnetCreds})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		want := issuedFor("rna_x", tt.want)
		if tt.hint != "" {
			want.Hints = []string{tt.hint}
		}
		if diff := cmp.Diff(want, got, compare...); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	for _, body := range []string{
		``, `{}`, `{"responseObject":null}`, `{"responseObject":[]}`, `{"responseObject":{"tokenName":"x"}}`,
		`{"responseObject":{"tokenValue":"canaryValue"}}`,
		`{"responseObject":{"tokenValue":"rna_"}}`,
		`{"responseObject":{"tokenValue":"rna_a b"}}`,
		`{"responseObject":{"tokenValue":"rna_canaryValue","tokenExpiryMillis":1}}`,
		`{"responseObject":{"tokenValue":"rna_canaryValue","tokenExpiryMillis":253402300799000}}`,
	} {
		w := newWire(t, ok("[]"), reply{status: 201, body: body})
		p := openFlexNet(t, w)
		_, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, flexnetCreds),
			Credential: flexnetCreds})
		if e := failure(t, err); e.Class != exchange.Misconfigured || !e.Lost {
			t.Errorf("%s: %+v", body, e)
		}
		leaks(t, failure(t, err), "canaryValue")
	}
}

func TestEveryRefusalOfFlexNetHasItsClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		reply reply
		class exchange.Class
		hint  string
	}{
		{"wrong password, a page", reply{status: 401, body: "<html>"}, exchange.CredentialDead,
			"password is wrong"},
		{"wrong password, JSON", flexnetRefusal(401), exchange.CredentialDead, "password is wrong"},
		{"no permission", flexnetRefusal(403), exchange.Misconfigured, "may not"},
		{"bad request", flexnetRefusal(400), exchange.Misconfigured, "settings.token_name"},
		{"no such path", reply{status: 404, body: "<html>canaryMessage"}, exchange.Misconfigured, "/flexnet"},
		{"no such path, JSON", flexnetRefusal(404), exchange.Misconfigured, "/flexnet"},
		{"to the login page", reply{status: 302, header: "Location: /flexnet/logon.do"},
			exchange.Misconfigured, "/flexnet"},
		{"the login page", reply{status: 200, body: "<html>canaryMessage"}, exchange.Misconfigured,
			"/flexnet"},
		{"no list", reply{status: 200, body: `{"responseObject":{"x":1}}`}, exchange.Misconfigured,
			"/flexnet"},
		{"busy", reply{status: 429}, exchange.Throttled, ""},
		{"down", reply{status: 500, body: "<html>"}, exchange.Transient, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.reply)
			p := openFlexNet(t, w)
			_, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, flexnetCreds),
				Credential: flexnetCreds})
			e := failure(t, err)
			if e.Class != tt.class || !strings.Contains(e.Hint, tt.hint) || e.Lost {
				t.Errorf("%+v", e)
			}
			leaks(t, e, "canaryMessage", "us##dom", "p wö")
		})
	}
	// A create or a rotation without an answer may have happened, and a read sends
	// the password too: it may count as a try to log in.
	p := openFlexNet(t, newWire(t))
	_, err := p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, flexnetCreds),
		Credential: flexnetCreds})
	if e := failure(t, err); !e.Lost || e.Class != exchange.Transient {
		t.Errorf("list: %+v", e)
	}
	p = openFlexNet(t, newWire(t, ok("[]")))
	_, err = p.Exchange(t.Context(), exchange.Request{Grant: only(t, p, flexnetCreds),
		Credential: flexnetCreds})
	if e := failure(t, err); !e.Lost || e.Class != exchange.Transient {
		t.Errorf("create: %+v", e)
	}
}

func TestAFlexNetTokenIsProvenByACall(t *testing.T) {
	t.Parallel()
	w := newWire(t, ok(flexnetTokenJSON("lambda-a", "", 0, time.Hour)), flexnetRefusal(400))
	p, isProver := openFlexNet(t, w).(exchange.Prover)
	if !isProver {
		t.Fatal("flexnet is no Prover")
	}
	if err := p.Prove(t.Context(), flexnetCreds, redact.New("rna_old")); err != nil {
		t.Error(err)
	}
	if e := failure(t, p.Prove(t.Context(), flexnetCreds,
		redact.New("rna_old"))); e.Class != exchange.Misconfigured {
		t.Errorf("%+v", e)
	}
	w.check(t, flexnetVerify, flexnetVerify)
}

func TestAnExpiryIsWrittenInFlexNetsUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h 30m", 24 * time.Hour: "1d",
		26*time.Hour + 3*time.Minute: "1d 2h 3m", 400 * 24 * time.Hour: "400d",
		24*time.Hour + time.Minute: "1d 1m",
	} {
		if got := flexnetExpiryText(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func FuzzFlexNetAnswers(f *testing.F) {
	f.Add(`{"statusMessage":"Successful","responseObject":`+flexnetTokenJSON("lambda-a", "rna_x", 0,
		time.Hour)+`}`, 201)
	f.Add(`{"statusMessage":"Successful","responseObject":[`+flexnetTokenJSON("lambda-a", "", 0,
		time.Hour)+`]}`, 200)
	f.Add(`{"responseObject":null}`, 400)
	f.Add(`<html>`, 302)
	f.Fuzz(func(t *testing.T, body string, status int) {
		p := &flexnet{base: base{client: &oauth.Client{Now: now}, now: now},
			names: [2]string{"lambda-a", "lambda-b"}, expiry: time.Hour}
		s := &flexnetSession{flexnet: p, credential: flexnetCreds}
		object, err := s.object(oauth.Answer{Status: status, Body: redact.New(body)}, "trying")
		if err != nil {
			if e := failure(t, err); !slices.Contains([]exchange.Class{exchange.Throttled,
				exchange.Transient, exchange.CredentialDead, exchange.Misconfigured}, e.Class) {
				t.Errorf("class %q", e.Class)
			}
			return
		}
		out, err := s.issued(object, "creating")
		if err != nil {
			return
		}
		if life := out.ExpiresAt.Sub(testNow); life < 30*time.Second || life > flexnetMaxExpiry ||
			!strings.HasPrefix(out.AccessToken.Reveal(), "rna_") {
			t.Errorf("%q until %s", out.AccessToken.Reveal(), out.ExpiresAt)
		}
	})
}
