package keycloak

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// clientID is the public client of Apiax's realm.
const clientID = "integration-api"

// answer is the answer of a server.
type answer struct {
	status  int
	members map[string]any
	other   string // the body, where it is not JSON
}

func (a answer) text(member string) string { s, _ := a.members[member].(string); return s }

// number is a numeric member, -1 where there is none.
func (a answer) number(member string) float64 {
	if n, ok := a.members[member].(float64); ok {
		return n
	}
	return -1
}

func (a answer) problem() string {
	if a.other != "" {
		return a.other
	}
	return a.text("error") + ": " + a.text("error_description")
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, members: map[string]any{}}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &a.members); err != nil {
			t.Fatalf("the body is not JSON: %v", err)
		}
		return a
	}
	a.other = response.Header.Get("Content-Type") + ": " + string(body)
	return a
}

func request(t *testing.T, where, contentType, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, where, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", "application/json") // as Evertoken does: without it some errors are pages
	return r
}

const formEncoded = "application/x-www-form-urlencoded"

func post(t *testing.T, where string, form url.Values) answer {
	t.Helper()
	return send(t, request(t, where, formEncoded, form.Encode()))
}

func at(r realm, endpoint string) string {
	return r.realmURL() + "/protocol/openid-connect/" + endpoint
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// login is the password grant, with further parameters.
func login(t *testing.T, r realm, user, password string, more ...string) answer {
	t.Helper()
	v := form("client_id", clientID, "grant_type", "password", "username", user, "password", password)
	maps.Copy(v, form(more...))
	return post(t, at(r, "token"), v)
}

func refresh(t *testing.T, r realm, token string) answer {
	t.Helper()
	return post(t, at(r, "token"),
		form("client_id", clientID, "grant_type", "refresh_token", "refresh_token", token))
}

// mustLogin is a login that is granted.
func mustLogin(t *testing.T, r realm, user, password string, more ...string) answer {
	t.Helper()
	a := login(t, r, user, password, more...)
	if a.status != http.StatusOK {
		t.Fatalf("the login: HTTP %d %s", a.status, a.problem())
	}
	return a
}
