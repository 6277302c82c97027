package credential_test

import (
	"errors"
	"strings"
	"testing"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

func TestACredentialNamesTheHostsItMayGoTo(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"client_id":"i"}`: "",
		`{"client_id":"i","hosts":["Login.example.com","*.example.org:8443"]}`: "login.example.com,*.example.org:8443",
		`{"client_id":"i","hosts":"login.example.com, api.example.com"}`:       "login.example.com,api.example.com",
	} {
		c, err := credential.Parse(redact.New(document))
		if err != nil || c.Hosts().String() != want {
			t.Errorf("%s: %q, %v", document, c.Hosts(), err)
		}
		// The copy stays bound.
		for _, other := range []credential.Credential{c.With("client_id", redact.New("j")),
			c.Only("client_id"), c.Only()} {
			if other.Hosts().String() != want {
				t.Errorf("%s: a copy is bound to %q", document, other.Hosts())
			}
		}
		again, err := credential.Parse(c.Encode())
		if err != nil || again.Hosts().String() != want {
			t.Errorf("%s: encoded it is bound to %q, %v", document, again.Hosts(), err)
		}
		if c.Fingerprint("client_id") != again.With(credential.Hosts,
			redact.New("a.example.com")).Fingerprint("client_id") {
			t.Error("the hosts are part of what a session is opened by")
		}
	}
	bound := credential.Credential{}.With(credential.Hosts, redact.New("a.example.com,b.example.com"))
	if bound.Hosts().String() != "a.example.com,b.example.com" {
		t.Errorf("bound to %q", bound.Hosts())
	}
	for document, want := range map[string]string{
		`{"hosts":[]}`:                  "is empty",
		`{"hosts":null}`:                "is null",
		`{"hosts":""}`:                  "is empty",
		`{"hosts":7}`:                   "must be a list of hosts",
		`{"hosts":["a.example.com",7]}`: "must be a list of hosts",
		`{"hosts":["a.example.com","https://canary.example"]}`: "entry 2 must be a host alone",
		`{"hosts":"a.example.com,canary secret"}`:              "entry 2 must be a host name",
		`{"hosts":["*.com"]}`:                                  "entry 1 allows a whole top-level domain",
		`{"hosts":["10.0.0.5"]}`:                               "entry 1 is an IP address",
	} {
		_, err := credential.Parse(redact.New(document))
		e, ok := errors.AsType[*credential.Error](err)
		if !ok || e.Member != "hosts" || !strings.Contains(e.Problem, want) ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", document, err)
		}
	}
}
