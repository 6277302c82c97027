package providers

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// echo answers every request with the last answer it was given. A status that
// is not final, or that HTTP cannot carry, becomes 200.
type echo struct {
	mu             sync.Mutex
	status         int
	body, location string
}

func (e *echo) set(status int, body, location string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if status < 200 || status > 599 {
		status = http.StatusOK
	}
	e.status, e.body, e.location = status, body, location
}

func (e *echo) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rw.Header().Set("Location", e.location)
	rw.WriteHeader(e.status)
	_, _ = io.WriteString(rw, e.body)
}

// FuzzFlexeraIAM lets the IAM API answer anything to each of its calls.
func FuzzFlexeraIAM(f *testing.F) {
	const location = "/iam/v1/orgs/1105/service-accounts/2263"
	for _, body := range []string{
		`[{"clientId":"c1","clientSecret":"s1","createdAt":"2026-11-21T16:00:00Z","createdBy":7}]`,
		`{"clientId":"c1","clientSecret":"s1","createdAt":"2026-11-21T16:00:00Z","createdBy":7}`,
		`{"values":[{"id":2263,"name":"evertoken"}]}`,
		`{"id":2263,"name":"evertoken"}`,
		`{"expiresAt":"2027-11-21T16:00:00Z"}`,
		`{"values":null}`, `[null]`, `[]`, `null`, ``, `<html>`,
	} {
		f.Add(200, body, location)
	}
	f.Add(201, ``, location)
	f.Add(201, ``, "https://api.flexera.com"+location+"/")
	f.Add(201, ``, "/iam/v1/orgs/1105/service-accounts/999999999999999999")
	f.Add(403, `{"name":"forbidden","id":"x","message":"x","temporary":false,"timeout":false,"fault":false}`, "")
	f.Add(404, `{"name":"not_found","id":"x","message":"x","temporary":false,"timeout":false,"fault":false}`, "")
	f.Add(409, `{"name":"`+iamCanary+`"}`, "")
	f.Add(429, ``, "")
	f.Add(503, `<html>`, "")

	answers := &echo{}
	server := httptest.NewUnstartedServer(answers)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, status int, body, location string) {
		answers.set(status, body, location)
		checkIAM(t, server.URL)
	})
}

const iamCanary = "canaryIAMAccess"

// checkIAM makes each call and checks what is true for every answer.
func checkIAM(t *testing.T, url string) {
	t.Helper()
	p := &flexera{base: base{client: &oauth.Client{Now: now, Timeout: 5 * time.Second}, now: now,
		destinations: hosts.Policy{Loopback: true}}, apiURL: url, refreshTokenID: "r1"}
	o, access := &FlexeraOrganization{p, 1105, credential.Credential{}}, redact.New(iamCanary)
	clients := o.Clients(2263)

	list, err := clients.ListClients(t.Context(), credential.Credential{}, access)
	checkIAMError(t, err)
	if slices.ContainsFunc(list, func(c Client) bool { return c.ID == "" || !c.Secret.IsZero() }) {
		t.Error("a client is listed without an id, or with a secret")
	}
	created, err := clients.CreateClient(t.Context(), credential.Credential{}, access)
	if e := checkIAMError(t, err); e == nil && (created.ID == "" || created.Secret.IsZero()) {
		t.Error("a client was created that cannot be used")
	} else if e != nil && e.Status >= 200 && e.Status <= 299 && !e.Lost {
		t.Errorf("a client may exist, and the error does not say so: %+v", e)
	}
	checkIAMError(t, clients.DeleteClient(t.Context(), credential.Credential{}, access, "c1"))

	accounts, err := o.ServiceAccounts(t.Context(), access)
	checkIAMError(t, err)
	if slices.ContainsFunc(accounts, func(a ServiceAccount) bool { return a.ID < 1 }) {
		t.Error("a service account is listed without an id")
	}
	id, err := o.CreateServiceAccount(t.Context(), access, "evertoken", "")
	if e := checkIAMError(t, err); e == nil && id < 1 {
		t.Error("a service account was created without an id")
	}
	shown, err := o.ServiceAccount(t.Context(), access, 2263)
	if e := checkIAMError(t, err); e == nil && shown.ID != 2263 {
		t.Errorf("asked for 2263, shown %d", shown.ID)
	}
	_, err = o.RoleNames(t.Context(), access)
	checkIAMError(t, err)
	checkIAMError(t, o.GrantRole(t.Context(), access, 2263, "iam_admin"))
	checkIAMError(t, p.Prove(t.Context(), creds(), access))

	out := exchange.Issued{AccessToken: access}
	p.watch(t.Context(), creds(), &out)
	if out.CredentialExpiresAt.IsZero() == (len(out.Hints) == 0) {
		t.Errorf("the refresh token's end is neither reported nor said to be unknown: %+v", out.Hints)
	}
}

// checkIAMError returns the error as what it must be, or nil for none.
func checkIAMError(t *testing.T, err error) *exchange.Error {
	t.Helper()
	if err == nil {
		return nil
	}
	e := failure(t, err)
	if !slices.Contains([]exchange.Class{exchange.Throttled, exchange.Transient,
		exchange.CredentialDead, exchange.Misconfigured}, e.Class) {
		t.Errorf("class %q", e.Class)
	}
	if strings.Contains(e.Error(), iamCanary) || strings.Contains(e.Hint, iamCanary) {
		t.Errorf("the access token is shown: %v", e)
	}
	return e
}
