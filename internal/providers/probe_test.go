package providers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// probing opens a provider of a connection that declares a probe.
func probing(provider, settings, url string) (exchange.Provider, error) {
	c := connectionFor(provider, settings)
	c.Probe = connection.Probe{Every: 15 * time.Minute, URL: url}
	return New(c, Options{Now: now, Client: &oauth.Client{Now: now, Timeout: 5 * time.Second},
		AllowLoopbackHTTP: true})
}

func TestAProbeSendsOneGETWithTheToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		provider, settings, url, request string
		reply                            reply
	}{
		{"flexera", `{"zone":"eu","api_url":"SERVER"}`, "", "GET /iam/v1/refresh-tokens",
			reply{status: 200, body: "[]"}},
		{"flexera", `{"zone":"eu","api_url":"SERVER"}`, "SERVER/me", "GET /me", reply{status: 401}},
		{"apiax", `{}`, "SERVER/me?x=y", "GET /me?x=y", reply{status: 401, body: `{"error":"canaryBody"}`}},
		{"sharetribe", `{"access":"trusted"}`, "SERVER/me", "GET /me", reply{status: 403}},
		{"flexnet", `{"base_url":"SERVER","token_name":"lambda"}`, "SERVER/me", "GET /me",
			reply{status: 500}},
		{"oauth2", `{"token_url":"SERVER","grant":"client_credentials"}`, "SERVER/me", "GET /me",
			reply{status: 302, header: "Location: SERVER/elsewhere"}},
	} {
		w := newWire(t, tt.reply)
		p, err := probing(tt.provider, strings.ReplaceAll(tt.settings, "SERVER", w.URL),
			strings.ReplaceAll(tt.url, "SERVER", w.URL))
		if err != nil {
			t.Fatal(err)
		}
		prober, ok := p.(exchange.Prober)
		if !ok {
			t.Fatalf("%s cannot probe", tt.provider)
		}
		status, err := prober.Probe(t.Context(), full(t, ""), redact.New("canaryAccess"))
		if err != nil || status != tt.reply.status {
			t.Errorf("%s: %d, %v", tt.provider, status, err)
		}
		w.check(t, tt.request+"\nAuthorization: Bearer canaryAccess")
	}
}

// A probe goes only where the credential may go, and is refused before it is sent.
func TestAProbeGoesOnlyWhereTheCredentialMay(t *testing.T) {
	t.Parallel()
	evil := attacker(t)
	for provider, settings := range map[string]string{
		"flexera": `{"zone":"eu"}`, "apiax": `{}`, "sharetribe": `{}`,
		"flexnet": `{"base_url":"https://a.flexnetoperations.com","token_name":"lambda"}`,
		"oauth2":  `{"token_url":"https://login.example.com","grant":"client_credentials"}`,
	} {
		p, err := probing(provider, settings, evil.String()+"/me")
		if err != nil {
			t.Fatal(err)
		}
		c := full(t, "login.example.com,*.flexera.eu,*.apiax.io,*.sharetribe.com,*.flexnetoperations.com")
		misconfiguredUnsent(t, p.Allowed(c), evil.Host)
		prober, ok := p.(exchange.Prober)
		if !ok {
			t.Fatalf("%s cannot probe", provider)
		}
		_, err = prober.Probe(t.Context(), c, redact.New("canaryAccess"))
		misconfiguredUnsent(t, err, evil.Host)
	}
}

func TestAProbeWithoutAnAnswerIsTransient(t *testing.T) {
	t.Parallel()
	w := newWire(t) // hangs up
	p, err := probing("apiax", `{}`, w.URL)
	if err != nil {
		t.Fatal(err)
	}
	prober, ok := p.(exchange.Prober)
	if !ok {
		t.Fatal("cannot probe")
	}
	_, err = prober.Probe(t.Context(), credential.Credential{}, redact.New("canaryAccess"))
	if e, ok := errors.AsType[*exchange.Error](err); !ok || e.Lost || e.Class != exchange.Transient {
		t.Errorf("%v", err)
	}
	leaks(t, err, "canary")
}

func TestAWrongProbeIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ provider, settings, url, problem string }{
		{"apiax", `{}`, "", "is missing: only flexera"},
		{"flexnet", `{"base_url":"https://x","token_name":"lambda"}`, "", "is missing"},
		{"apiax", `{}`, "http://api.example.com/", "must be https"},
		{"apiax", `{}`, "https://canaryUser:x@api.example.com/", "user name or password"},
		{"flexera", `{"zone":"eu"}`, "not a url", "whole URL"},
		{"apiax", `{}`, "https://api.example.com/?access_token=canary", "access_token"},
	} {
		_, err := probing(tt.provider, tt.settings, tt.url)
		e, ok := errors.AsType[*connection.Error](err)
		if !ok || e.Member != "probe.url" || !strings.Contains(e.Problem, tt.problem) {
			t.Errorf("%s %q: %v", tt.provider, tt.url, err)
		}
		leaks(t, err, "canary")
	}
}
