package oauth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	xoauth2 "golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// raw is a server that keeps the bytes of one request, as they came, and
// answers with a token.
func raw(t *testing.T) (url string, got func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	received := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var seen bytes.Buffer
		r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &seen)))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		received <- seen.String()
		_, _ = io.WriteString(conn,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 41\r\nConnection: close\r\n\r\n"+
				`{"access_token":"at-1","expires_in":3600}`)
	}()
	return "http://" + listener.Addr().String() + "/token", func() string {
		return strings.ReplaceAll(<-received, listener.Addr().String(), "HOST")
	}
}

func TestAnExchangeSendsTheDocumentedBytes(t *testing.T) {
	t.Parallel()
	const head = "POST /token HTTP/1.1\r\nHost: HOST\r\nUser-Agent: evertoken\r\nContent-Length: %d\r\nAccept: application/json\r\n"
	const formType = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name    string
		request Request
		auth    string
		body    string
	}{
		{"none, without an id", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r t/+&=é"}})},
			"", "grant_type=refresh_token&refresh_token=r+t%2F%2B%26%3D%C3%A9"},
		{"none, with an id", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"rt"}}), ClientID: redact.New("id")},
			"", "client_id=id&grant_type=refresh_token&refresh_token=rt"},
		{"body", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}}),
			Auth: AuthBody, ClientID: redact.New("id"), ClientSecret: redact.New("s+ç")},
			"", "client_id=id&client_secret=s%2B%C3%A7&grant_type=client_credentials"},
		// base64 of "i%3Ad:s%2B%20%C3%A7"
		{"basic", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}}),
			Auth: AuthBasic, ClientID: redact.New("i:d"), ClientSecret: redact.New("s+ ç")},
			"Authorization: Basic aSUzQWQ6cyUyQiUyMCVDMyVBNw==\r\n", "grant_type=client_credentials"},
		// base64 of "i/d:s+ ç"
		{"plain basic", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}}), Auth: AuthBasic, PlainBasic: true, ClientID: redact.New("i/d"), ClientSecret: redact.New("s+ ç")},
			"Authorization: Basic aS9kOnMrIMOn\r\n", "grant_type=client_credentials"},
		{"several resources", Request{Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}, "resource": {"https://b", "https://a"}})},
			"", "grant_type=client_credentials&resource=https%3A%2F%2Fb&resource=https%3A%2F%2Fa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := fmt.Sprint(tt.request.Form.Reveal())
			var got func() string
			tt.request.TokenURL, got = raw(t)
			issued, err := newClient().Exchange(t.Context(), loopback, tt.request)
			if err != nil {
				t.Fatal(err)
			}
			if issued.AccessToken.Reveal() != "at-1" || !issued.ExpiresAt.Equal(testNow.Add(time.Hour)) {
				t.Errorf("issued %q until %s", issued.AccessToken.Reveal(), issued.ExpiresAt)
			}
			want := fmt.Sprintf(head, len(tt.body)) + tt.auth + formType + tt.body
			if diff := cmp.Diff(want, got()); diff != "" {
				t.Error(diff)
			}
			if after := fmt.Sprint(tt.request.Form.Reveal()); after != before {
				t.Error("the caller's form was changed")
			}
		})
	}
}

// Evertoken sends the same request as golang.org/x/oauth2, wherever that package can make
// it.
func TestAnExchangeSendsWhatXOAuth2Sends(t *testing.T) {
	t.Parallel()
	const id, secret, user, password = "cl/ient", "s e:cret+ç", "us er@example.com", " p&ss=wörd "
	const unbroken = "se:cret+ç~%2B"
	for _, tt := range []struct {
		name  string
		ours  Request
		their func(ctx context.Context, tokenURL string) error
	}{
		{"client_credentials in the body",
			Request{Auth: AuthBody, ClientID: redact.New(id), ClientSecret: redact.New(secret),
				Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"},
					"scope": {"a b"}, "audience": {"x"}})},
			func(ctx context.Context, u string) error {
				c := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: u,
					Scopes:         []string{"a", "b"},
					EndpointParams: url.Values{"audience": {"x"}}, AuthStyle: xoauth2.AuthStyleInParams}
				_, err := c.Token(ctx)
				return err
			}},
		{"client_credentials by Basic",
			Request{Auth: AuthBasic, ClientID: redact.New(id), ClientSecret: redact.New(unbroken),
				Form: redact.ValuesOf(url.Values{"grant_type": {"client_credentials"}})},
			func(ctx context.Context, u string) error {
				c := clientcredentials.Config{ClientID: id, ClientSecret: unbroken, TokenURL: u,
					AuthStyle: xoauth2.AuthStyleInHeader}
				_, err := c.Token(ctx)
				return err
			}},
		{"password in the body",
			Request{Auth: AuthBody, ClientID: redact.New(id), ClientSecret: redact.New(secret),
				Form: redact.ValuesOf(url.Values{"grant_type": {"password"}, "username": {user},
					"password": {password}, "scope": {"s"}})},
			func(ctx context.Context, u string) error {
				c := xoauth2.Config{ClientID: id, ClientSecret: secret, Scopes: []string{"s"},
					Endpoint: xoauth2.Endpoint{TokenURL: u, AuthStyle: xoauth2.AuthStyleInParams}}
				_, err := c.PasswordCredentialsToken(ctx, user, password)
				return err
			}},
		{"password of a public client",
			Request{ClientID: redact.New(id),
				Form: redact.ValuesOf(url.Values{"grant_type": {"password"}, "username": {user},
					"password": {password}})},
			func(ctx context.Context, u string) error {
				c := xoauth2.Config{ClientID: id, Endpoint: xoauth2.Endpoint{TokenURL: u,
					AuthStyle: xoauth2.AuthStyleInParams}}
				_, err := c.PasswordCredentialsToken(ctx, user, password)
				return err
			}},
		{"refresh_token by Basic",
			Request{Auth: AuthBasic, ClientID: redact.New(id), ClientSecret: redact.New(unbroken),
				Form: redact.ValuesOf(url.Values{"grant_type": {"refresh_token"},
					"refresh_token": {"r/t="}})},
			func(ctx context.Context, u string) error {
				c := xoauth2.Config{ClientID: id, ClientSecret: unbroken,
					Endpoint: xoauth2.Endpoint{TokenURL: u, AuthStyle: xoauth2.AuthStyleInHeader}}
				_, err := c.TokenSource(ctx, &xoauth2.Token{RefreshToken: "r/t="}).Token()
				return err
			}},
		{"refresh_token of a public client",
			Request{ClientID: redact.New(id),
				Form: redact.ValuesOf(url.Values{"grant_type": {"refresh_token"},
					"refresh_token": {"r/t="}})},
			func(ctx context.Context, u string) error {
				c := xoauth2.Config{ClientID: id, Endpoint: xoauth2.Endpoint{TokenURL: u,
					AuthStyle: xoauth2.AuthStyleInParams}}
				_, err := c.TokenSource(ctx, &xoauth2.Token{RefreshToken: "r/t="}).Token()
				return err
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ourURL, ours := raw(t)
			tt.ours.TokenURL = ourURL
			if _, err := newClient().Exchange(t.Context(), loopback, tt.ours); err != nil {
				t.Fatal(err)
			}
			theirURL, theirs := raw(t)
			their, err := url.Parse(theirURL)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(t.Context(), destinationKey{}, destination{loopback, their})
			ctx = context.WithValue(ctx, xoauth2.HTTPClient,
				&http.Client{Transport: newClient().client().Transport})
			if err := tt.their(ctx, theirURL); err != nil {
				t.Fatal(err)
			}
			// It sends no Accept, and a User-Agent of its own.
			want := strings.Replace(theirs(), "User-Agent: Go-http-client/1.1\r\n",
				"User-Agent: evertoken\r\n", 1)
			got := strings.Replace(ours(), "Accept: application/json\r\n", "", 1)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUnusableURLIsMisconfigured(t *testing.T) {
	t.Parallel()
	_, err := newClient().Exchange(t.Context(), loopback, Request{TokenURL: "http://[::" + canary,
		Form: redact.ValuesOf(url.Values{"grant_type": {"password"}})})
	want := exchange.Error{Class: exchange.Misconfigured, Doing: "password grant",
		Problem: "the URL cannot be used"}
	if diff := cmp.Diff(want, failure(t, err)); diff != "" {
		t.Error(diff)
	}
	leaks(t, err)
}

func TestARefusalDoesNotRepeatWhatWasSent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`,
			r.FormValue("refresh_token"))
	})
	_, err := newClient().Exchange(t.Context(), loopback, Request{TokenURL: s.URL + "/x", Kind: RefreshGrant,
		Form: redact.ValuesOf(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {canary}})})
	want := "refresh_token grant at " + strings.TrimPrefix(s.URL, "http://") + ": HTTP 400: invalid_grant"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	leaks(t, err)
}

// A secret that was sent is not published as the token, wherever an answer repeats it and
// whatever settings.answer names.
func TestASecretThatWasSentIsNeverPublishedAsAToken(t *testing.T) {
	t.Parallel()
	const canary = "canary-secret"
	for name, r := range map[string]Request{
		"a client's secret": {ClientSecret: redact.New(canary), Auth: AuthBody},
		"a password":        {Form: redact.Values{"password": {redact.New(canary)}}},
		"a refresh token":   {Form: redact.Values{"refresh_token": {redact.New(canary)}}, Kind: RefreshGrant},
		"an API key":        {Form: redact.Values{"apikey": {redact.New(canary)}}},
		"a header":          {Headers: map[string]redact.Secret{"X-Api-Key": redact.New(canary)}},
	} {
		for _, at := range []string{"", "given.back"} {
			r.Answer.AccessToken = at
			body := `{"access_token":"` + canary + `","expires_in":3600}`
			if at != "" {
				body = `{"access_token":"at","given":{"back":"` + canary + `"},"expires_in":3600}`
			}
			out, err := newClient().issued(Answer{Status: 200, Body: redact.New(body)}, r, "trying",
				nil, testNow)
			x, ok := errors.AsType[*exchange.Error](err)
			if !ok || x.Class != exchange.Misconfigured || !x.Unusable || !out.AccessToken.IsZero() {
				t.Errorf("%s at %q: %v", name, at, err)
			}
			if strings.Contains(fmt.Sprint(err, out), canary) {
				t.Errorf("%s is shown: %v", name, err)
			}
		}
	}
	_, err := newClient().issued(Answer{Status: 200,
		Body: redact.New(`{"access_token":"at","rt":"r","refresh_token":"r","expires_in":3600}`)},
		Request{Answer: AnswerNames{AccessToken: "rt"}}, "trying", nil, testNow)
	if x, ok := errors.AsType[*exchange.Error](err); !ok || !x.Unusable {
		t.Errorf("the answer's refresh token is published: %v", err)
	}
	for name, r := range map[string]Request{
		"an exchanged token": {Form: redact.Values{"subject_token": {redact.New(canary)}}},
		"Facebook's":         {Form: redact.Values{"fb_exchange_token": {redact.New(canary)}}},
		"a client's id":      {ClientID: redact.New(canary)},
	} {
		body := `{"access_token":"` + canary + `","expires_in":3600}`
		if _, err := newClient().issued(Answer{Status: 200, Body: redact.New(body)}, r, "trying",
			nil, testNow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
