package fakeidp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"

	"github.com/google/go-cmp/cmp"
)

func TestNewRefusesOtherThanLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:80", "nonsense"} {
		if s, err := fakeidp.New(fakeidp.Options{Addr: addr}); err == nil {
			s.Close()
			t.Errorf("New(%q): got no error", addr)
		}
	}
}

func TestRequestsAreRecordedInOrder(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	_, token := s.Flexera().AddRefreshToken("nam", "u", fakeidp.FlexeraTokenOptions{})
	at := clk.Now()
	post(t, s.Flexera().TokenURL("nam"), "grant_type", "refresh_token", "refresh_token", token)
	clk.Advance(time.Minute)
	do(t, http.MethodGet, s.URL()+"/nowhere", "")

	got := s.Requests()
	if len(got) != 2 {
		t.Fatalf("got %d requests, want 2", len(got))
	}
	first := got[0]
	if first.RemoteAddr == "" || first.Header.Get("Content-Type") != form {
		t.Errorf("got no remote address or header: %+v", first)
	}
	if first.Form.Get("refresh_token") != token || !strings.Contains(string(first.Body), token) {
		t.Errorf("the form was not recorded")
	}
	type short struct {
		Time                          time.Time
		Provider, Method, Path, Grant string
		Status                        int
		Processed                     bool
	}
	var have []short
	for _, r := range got {
		have = append(have, short{r.Time, r.Provider, r.Method, r.Path, r.Grant, r.Status, r.Processed})
	}
	want := []short{
		{at, "flexera", "POST", "/flexera/nam/login/oidc/token", "refresh_token", 200, true},
		{at.Add(time.Minute), "", "GET", "/nowhere", "", 404, true},
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	s.ResetRequests()
	if n := len(s.Requests()); n != 0 {
		t.Errorf("after ResetRequests: got %d requests", n)
	}
}

func TestEachKindOfFaultBreaksTheAnswerAsItSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		fault     fakeidp.Fault
		broken    bool // no complete answer
		status    int  // as recorded
		processed bool
		body      string // a part of it
	}{
		{"answer", fakeidp.Fault{Kind: fakeidp.Answer, Status: 503, Body: []byte("busy")}, false, 503, false, "busy"},
		{"drop before", fakeidp.Fault{Kind: fakeidp.DropBefore}, true, 0, false, ""},
		{"drop after", fakeidp.Fault{Kind: fakeidp.DropAfter}, true, 0, true, ""},
		{"answer after", fakeidp.Fault{Kind: fakeidp.AnswerAfter, Body: []byte("slow")}, false, 504, true, "slow"},
		{"redirect", fakeidp.Fault{Kind: fakeidp.Redirect}, false, 302, false, ""},
		{"html", fakeidp.Fault{Kind: fakeidp.HTML}, false, 200, false, "<html>"},
		{"huge", fakeidp.Fault{Kind: fakeidp.Huge}, false, 200, false, strings.Repeat("x", 10<<20)},
		{"truncate", fakeidp.Fault{Kind: fakeidp.Truncate}, false, 200, true, `{"access_token":`},
		{"cut off", fakeidp.Fault{Kind: fakeidp.CutOff}, true, 200, true, ""},
		{"only hook", fakeidp.Fault{Kind: fakeidp.OnlyHook}, false, 200, true, `"expires_in":`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, fakeidp.Options{})
			id, secret := s.OAuth2().AddClient(fakeidp.OAuth2Client{})
			var hooked []fakeidp.Request
			tt.fault.Hook = func(r fakeidp.Request) { hooked = append(hooked, r) }
			s.Inject(&tt.fault)
			a, err := try(t, http.MethodPost, s.OAuth2().TokenURL(),
				encode("grant_type", "client_credentials", "client_id", id, "client_secret",
					secret), "Content-Type", form)
			if (err != nil) != tt.broken {
				t.Fatalf("got error %v, want one: %t", err, tt.broken)
			}
			if !strings.Contains(a.text, tt.body) || (tt.name == "truncate" && a.json != nil) {
				t.Errorf("got an answer of %d bytes without %.20q, or one that was not truncated", len(a.text), tt.body)
			}
			r := s.Requests()[0]
			if r.Status != tt.status || r.Processed != tt.processed {
				t.Errorf("recorded status %d processed %t, want %d %t", r.Status, r.Processed, tt.status, tt.processed)
			}
			if issued := len(s.OAuth2().Issued()); (issued == 1) != tt.processed {
				t.Errorf("got %d tokens issued, processed %t", issued, tt.processed)
			}
			if len(hooked) != 1 || hooked[0].Processed != tt.processed {
				t.Errorf("got hook calls %+v, want one", hooked)
			}
		})
	}
}

func TestCutOffIsAnUnexpectedEnd(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	s.Inject(&fakeidp.Fault{Kind: fakeidp.CutOff})
	_, err := try(t, http.MethodGet, s.OAuth2().Issuer()+"/.well-known/openid-configuration", "")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestHangEndsWithClientOrServer(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"client", "server"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, fakeidp.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.Inject(&fakeidp.Fault{Kind: fakeidp.Hang, Hook: func(fakeidp.Request) {
				if who == "client" {
					cancel()
				} else {
					s.Close()
				}
			}})
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Apiax().TokenURL(), strings.NewReader("a=b"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err == nil {
				resp.Body.Close()
				t.Fatal("a hanging request was answered")
			}
			if who == "client" && !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled", err)
			}
		})
	}
}

func TestAFaultAppliesOnlyToTheRequestsItSelects(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	id, secret := s.OAuth2().AddClient(fakeidp.OAuth2Client{})
	call := func() int {
		t.Helper()
		return post(t, s.OAuth2().TokenURL(), "grant_type", "client_credentials", "client_id", id,
			"client_secret", secret).status
	}
	s.Inject(&fakeidp.Fault{Provider: "apiax", Status: 599})
	s.Inject(&fakeidp.Fault{Path: "/tokens", Status: 598})
	s.Inject(&fakeidp.Fault{Grant: "refresh_token", Status: 597})
	s.Inject(&fakeidp.Fault{Match: func(r fakeidp.Request) bool { return r.Form.Get("client_id") != id }, Status: 596})
	s.Inject(&fakeidp.Fault{
		Provider: "oauth2", Path: "/oauth2/token", Grant: "client_credentials", Skip: 1, Times: 2, Status: 500,
	})
	s.Inject(&fakeidp.Fault{Path: "/token", Skip: 2, Times: 1, Status: 501})
	var got []int
	for range 6 {
		got = append(got, call())
	}
	// The second fault that fits gets only the requests that the first one passes:
	// requests 1, 4, 5 and 6.
	if diff := cmp.Diff([]int{200, 500, 500, 200, 501, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	s.Inject(&fakeidp.Fault{Status: 502})
	s.ClearFaults()
	if got := call(); got != 200 {
		t.Errorf("after ClearFaults: got status %d", got)
	}
}

func TestFollowedRedirectIsRecorded(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	s.Inject(&fakeidp.Fault{Kind: fakeidp.Redirect, Status: 307, Times: 1})
	a := post(t, s.Apiax().TokenURL(), "grant_type", "password")
	wantStatus(t, "redirect", a, 307)
	b := do(t, http.MethodPost, a.header.Get("Location"), "grant_type=password", "Content-Type", form)
	wantStatus(t, "its target", b, 200)
	if r := s.Requests(); len(r) != 2 || r[1].Provider != "redirected" {
		t.Errorf("got requests %+v", r)
	}
}

func TestHookMayCallTheServer(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	pw := s.Apiax().SetPassword("ann", "")
	s.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Hook: func(fakeidp.Request) {
		clk.Advance(time.Hour)
		s.Apiax().SetPassword("ann", "")
	}})
	a := post(t, s.Apiax().TokenURL(), "grant_type", "password", "client_id", fakeidp.ApiaxClientID,
		"username", "ann", "password", pw)
	wantStatus(t, "login", a, 200)
	if s.Accepts("apiax", a.get("access_token")) {
		t.Error("a token of 30 minutes is accepted after an hour")
	}
}

// TestEverySecretOnTheWireIsListed logs into every provider and compares the secrets that
// crossed the wire with the list.
func TestEverySecretOnTheWireIsListed(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	_, frt := s.Flexera().AddRefreshToken("nam", "u", fakeidp.FlexeraTokenOptions{})
	npw := s.FlexNet().AddUser("ann", "")
	sid, ssec := s.Sharetribe().AddIntegrationApp()
	apw := s.Apiax().SetPassword("ann", "")
	oid, osec := s.OAuth2().AddClient(fakeidp.OAuth2Client{})
	secrets := []string{frt, npw, ssec, apw, osec}
	for provider, a := range map[string]answer{
		"flexera":    post(t, s.Flexera().TokenURL("nam"), "grant_type", "refresh_token", "refresh_token", frt),
		"sharetribe": post(t, s.Sharetribe().IntegAuthURL(), "grant_type", "client_credentials", "client_id", sid, "client_secret", ssec, "scope", "integ"),
		"apiax":      post(t, s.Apiax().TokenURL(), "grant_type", "password", "client_id", "integration-api", "username", "ann", "password", apw),
		"oauth2":     post(t, s.OAuth2().TokenURL(), "grant_type", "client_credentials", "client_id", oid, "client_secret", osec),
	} {
		wantStatus(t, provider, a, 200)
		if !s.Accepts(provider, a.get("access_token")) {
			t.Errorf("%s: its access token is not accepted", provider)
		}
		for other := range map[string]bool{"flexera": true, "flexnet": true, "sharetribe": true, "apiax": true, "oauth2": true} {
			if other != provider && s.Accepts(other, a.get("access_token")) {
				t.Errorf("%s accepts an access token of %s", other, provider)
			}
		}
		secrets = append(secrets, a.get("access_token"))
		if r := a.get("refresh_token"); r != "" {
			secrets = append(secrets, r)
		}
	}
	known := make(map[string]bool)
	for _, v := range s.Canaries() {
		known[v] = true
	}
	for _, v := range secrets {
		if !strings.Contains(v, fakeidp.Canary) || !known[v] {
			t.Errorf("%q is no listed canary", v)
		}
	}
}

func TestErrorTextsMayRepeatWhatWasSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		opts          fakeidp.Options
		echo, control bool
	}{
		{"default", fakeidp.Options{}, true, false},
		{"quiet", fakeidp.Options{NoEcho: true}, false, false},
		{"control characters", fakeidp.Options{ControlCharacters: true}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, tt.opts)
			a := post(t, s.Apiax().TokenURL(), "grant_type", "password", "client_id",
				"integration-api", "username", "ann", "password", "hunter2")
			got := a.get("error_description")
			if !strings.HasPrefix(got, "Invalid user credentials") {
				t.Errorf("got description %q", got)
			}
			if echo := strings.Contains(got, "hunter2"); echo != tt.echo {
				t.Errorf("got echo %t in %q", echo, got)
			}
			if control := strings.ContainsAny(got, "\r\n\x1b"); control != tt.control {
				t.Errorf("got control characters %t in %q", control, got)
			}
		})
	}
}
