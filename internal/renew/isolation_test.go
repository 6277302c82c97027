// A faulty connection, secret or version does no harm to others.

package renew_test

import (
	"encoding/json"
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestAPendingVersionWithoutAScheduleHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for grant, options := range map[string]func(*fakeidp.OAuth2Options){
		"client_credentials": func(*fakeidp.OAuth2Options) {},
		"refresh_token": func(o *fakeidp.OAuth2Options) { // one that dies unused, before the token does
			o.AccessLife, o.RefreshLife, o.RefreshExpiresIn = 8*time.Hour, 2*time.Hour, true
		},
	} {
		w := fakeworld.New(t)
		w.IDP.OAuth2().Configure(options)
		w.OAuth2(name, grant)
		want(t, w, "issued", "")
		if err := w.Store().Put(t.Context(), token, secrets.FreshID(), redact.New(`{"x":1}`), secrets.Pending); err != nil {
			t.Fatal(err)
		}
		for range 9 * 12 {
			if r := w.Tick(); r.Fresh+r.Issued != 1 {
				t.Fatalf("%s: at %s: %+v", grant, w.Clock.Now(), r)
			}
		}
		alive(t, w, name)
	}
}

func TestABatchRefusedForOneSecretIsReadOneByOne(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"DecryptionFailure", "InvalidParameterException"} {
		w := fakeworld.New(t)
		w.OAuth2("a", "client_credentials")
		w.OAuth2("b", "client_credentials")
		refuse(w, "BatchGetSecretValue", "", code)
		if r := w.Run(issue.Event{}); r.Issued != 2 {
			t.Errorf("%s: %+v", code, r)
		}
	}
}

func TestAMisspeltProviderClaimsNoCredential(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax(name)
	w.Declare("aaa", map[string]any{"provider": "apaix", "credential": cred})
	r := w.Run(issue.Event{})
	if r.Issued != 1 || fakeworld.Entry(r, "aaa").ErrorClass != "misconfigured" {
		t.Errorf("report %+v", r)
	}
}

func TestAThrottledConnectionDoesNotStarveItsNeighbour(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t) // one connection at a time, so that the first to be asked closes the gate
	w.OAuth2("a", "client_credentials")
	w.OAuth2("b", "client_credentials")
	w.Run(issue.Event{})
	stored, _ := w.AWS.Secret("evertoken/a/credential").Labelled(secrets.Current)
	var a map[string]string
	if err := json.Unmarshal([]byte(stored.Value), &a); err != nil {
		t.Fatal(err)
	}
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 503})
	ticks(w, 14) // both are dead
	w.IDP.ClearFaults()
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.Answer, Status: 429,
		Match: func(r fakeidp.Request) bool { return r.Form.Get("client_id") == a["client_id"] }})
	ticks(w, 48)
	alive(t, w, "b")
}

func TestATrustedConnectionSurvivesAWrongOneOnItsCredential(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Sharetribe(name, "trusted")
	want(t, w, "issued", "")
	w.Tick()
	w.Declare("wrong", map[string]any{"provider": "sharetribe", "credential": cred,
		"settings": map[string]any{"access": "trusted", "auth_url": w.IDP.Sharetribe().IntegAuthURL()}})
	w.AWS.CreateSecret("evertoken/wrong/session", nil, nil)
	w.AWS.CreateSecret("evertoken/wrong/token", nil, nil)
	for i := range 24 {
		if e := fakeworld.Entry(w.Tick(), "wrong"); e.Outcome == "issued" {
			t.Fatalf("run %d: %+v", i, e)
		}
	}
	alive(t, w, name)
}
