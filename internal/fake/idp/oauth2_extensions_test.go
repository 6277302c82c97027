package fakeidp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	fakeidp "evertoken/internal/fake/idp"
	fakekeys "evertoken/internal/fake/keys"
)

const (
	jwtBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	saml2Bearer   = "urn:ietf:params:oauth:grant-type:saml2-bearer"
)

func TestAJWTBearerGrantIsChecked(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	key := fakekeys.Generate(t, "p256")
	o := s.OAuth2()
	o.AddUser("user@example.com", "")
	id, _ := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.NoClientAuth, Key: key.Public(),
		Grants:            []string{jwtBearer},
		AssertionAudience: "https://as.example.com", AssertionAlgorithms: []jose.SignatureAlgorithm{jose.ES256}, ScopeClaim: true})
	for _, tt := range []struct {
		name, subject, audience, scope string
		more                           []string
		status                         int
	}{
		{"good", "user@example.com", "https://as.example.com", "a", nil, 200},
		{"for the client itself", "", "https://as.example.com", "a", nil, 200},
		{"an unknown subject", "nobody", "https://as.example.com", "a", nil, 400},
		{"another audience", "user@example.com", o.TokenURL(), "a", nil, 400},
		{"no scope", "user@example.com", "https://as.example.com", "", nil, 400},
		{"the scope as a parameter too", "user@example.com", "https://as.example.com", "a", []string{"scope", "a"}, 400},
	} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		builder := jwt.Signed(signer).Claims(jwt.Claims{Issuer: id, Subject: tt.subject,
			Audience: jwt.Audience{tt.audience}, ID: tt.name,
			Expiry: jwt.NewNumericDate(clk.Now().Add(time.Minute))})
		if tt.scope != "" {
			builder = builder.Claims(map[string]any{"scope": tt.scope})
		}
		token, err := builder.Serialize()
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, tt.name,
			post(t, o.TokenURL(),
				append([]string{"grant_type", jwtBearer, "assertion", token},
					tt.more...)...), tt.status)
		if tt.status == 200 {
			wantError(t, tt.name+", again",
				post(t, o.TokenURL(), "grant_type", jwtBearer, "assertion",
					token), 400, "invalid_grant")
		}
	}
}

func TestOtherGrantsAreAnswered(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	o := s.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{Account: "a1",
		Grants: []string{tokenExchange, saml2Bearer, "account_credentials"}})
	subject := o.AddSubject("user@example.com")
	try := func(name string, status int, pairs ...string) {
		t.Helper()
		wantStatus(t, name,
			post(t, o.TokenURL(),
				append(pairs, "client_id", id, "client_secret", secret)...), status)
	}
	const kind = "urn:ietf:params:oauth:token-type:jwt"
	try("token exchange", 200, "grant_type", tokenExchange, "subject_token", subject, "subject_token_type", kind)
	try("without a type", 400, "grant_type", tokenExchange, "subject_token", subject)
	try("an unknown token", 400, "grant_type", tokenExchange, "subject_token", "x", "subject_token_type", kind)
	try("half an actor", 400, "grant_type", tokenExchange, "subject_token", subject,
		"subject_token_type", kind, "actor_token", "x")
	try("SAML", 200, "grant_type", saml2Bearer, "assertion", subject)
	try("another assertion", 400, "grant_type", saml2Bearer, "assertion", "x")
	try("an account", 200, "grant_type", "account_credentials", "account_id", "a1")
	try("another account", 400, "grant_type", "account_credentials", "account_id", "a2")
	try("no account", 400, "grant_type", "account_credentials")
}

func TestAClientCanDemandJSONAndHeaders(t *testing.T) {
	t.Parallel()
	s, _ := start(t, fakeidp.Options{})
	o := s.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{JSON: true,
		Headers: map[string]string{"X-Api-Key": "k1"}, Nested: true,
		Extra: map[string]any{"shop_id": "s1"}})
	send := func(contentType, body, header string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.TokenURL(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		if header != "" {
			r.Header.Set("X-Api-Key", header)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	whole, err := json.Marshal(map[string]any{"grant_type": "client_credentials", "client_id": id,
		"client_secret": secret, "resource": []string{"https://a", "https://b"}})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := send("application/json", string(whole), "k1"); status != 200 ||
		!strings.Contains(text, `"accessToken":"`) || !strings.Contains(text, `"shopId":"s1"`) {
		t.Errorf("%d %s", status, text)
	}
	for name, tt := range map[string][3]string{
		"a wrong header":     {"application/json", string(whole), "k2"},
		"no header":          {"application/json", string(whole), ""},
		"no JSON":            {"application/json", "grant_type=client_credentials", "k1"},
		"a form":             {"application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=" + id, "k1"},
		"JSON of numbers":    {"application/json", `{"grant_type":1}`, "k1"},
		"JSON named as text": {"text/plain", string(whole), "k1"},
	} {
		if status, text := send(tt[0], tt[1], tt[2]); status < 400 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

func TestASpentRefreshTokenWorksWithinItsReuseGrace(t *testing.T) {
	t.Parallel()
	s, clk := start(t, fakeidp.Options{})
	o := s.OAuth2()
	o.Configure(func(o *fakeidp.OAuth2Options) { o.ReuseGrace, o.EndAccessOnRefresh = 10*time.Minute, true })
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	token := o.AddRefreshToken(id, "subject", "read")
	refresh := func(token string) answer {
		return post(t, o.TokenURL(), "grant_type", "refresh_token", "refresh_token", token,
			"client_id", id, "client_secret", secret)
	}
	wantStatus(t, "first", refresh(token), 200)
	first := o.Issued()[0]
	clk.Advance(9 * time.Minute)
	wantStatus(t, "again within the grace", refresh(token), 200)
	if s.Accepts(fakeidp.ProviderOAuth2, first.AccessToken) ||
		!s.Accepts(fakeidp.ProviderOAuth2, o.Issued()[1].AccessToken) {
		t.Error("a refresh ends the access token before it, and no other")
	}
	clk.Advance(2 * time.Minute)
	wantError(t, "again after the grace", refresh(token), 400, "invalid_grant")
	wantError(t, "the family is dead", refresh(o.Issued()[1].RefreshToken), 400, "invalid_grant")
}
