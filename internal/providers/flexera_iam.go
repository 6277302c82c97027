package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// The IAM API is described in flexera-public/unified-openapi,
// generator/sources/flexera/iam/v1/openapi.json.

// flexeraAccount is a flexera connection that names its service account, whose clients it
// can replace. A service account has at most two clients.
type flexeraAccount struct {
	*flexera
	org, account int64
}

// iam makes one call of the IAM API and returns the body of a 2xx answer.
func (p *flexera) iam(ctx context.Context, c credential.Credential, method, path string,
	access redact.Secret, what string) (redact.Secret, error) {
	a, err := p.iamWith(ctx, c, method, path, nil, access, what)
	return a.Body, err
}

// iamWith is iam with a body, sent as JSON unless it is nil. It returns the answer with its
// headers.
func (p *flexera) iamWith(ctx context.Context, c credential.Credential, method, path string,
	body any, access redact.Secret, what string,
) (oauth.Answer, error) {
	doing := oauth.Doing(what, p.apiURL)
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return oauth.Answer{}, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
				Problem: "the request cannot be written"}
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, p.apiURL+path, bytes.NewReader(content))
	if err != nil { // quotes the URL
		return oauth.Answer{}, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+access.Reveal())
	a, err := p.client.Do(ctx, p.policy(c), r, doing)
	if err != nil {
		return oauth.Answer{}, err
	}
	if !a.OK() {
		return oauth.Answer{}, p.hinted(p.client.Refused(a, oauth.Refusal{Doing: doing,
			Kind: oauth.Call, Sent: []redact.Secret{access}}))
	}
	return a, nil
}

// list reads a list: a bare array in most of the API, {"values":[…]} in the rest. ok is
// false for anything else.
func list[T any](body redact.Secret) (values []T, ok bool) {
	data := []byte(body.Reveal())
	if json.Unmarshal(data, &values) == nil && values != nil {
		return values, true
	}
	var wrapped struct {
		Values []T `json:"values"`
	}
	if json.Unmarshal(data, &wrapped) != nil || wrapped.Values == nil {
		return nil, false
	}
	return wrapped.Values, true
}

// watch reads when the operator's refresh token expires. Tokens made from 2026-03-18 on
// expire after 365 days, however often they are used
// (https://techcomm-flexera-one.netlify.app/flexera-one/flexera-api/working-with-the-flexera-one-api/generating-a-refresh-token).
// A failure costs only the warning, not the token.
func (p *flexera) watch(ctx context.Context, c credential.Credential, out *exchange.Issued) {
	body, err := p.iam(ctx, c, http.MethodGet, "/iam/v1/refresh-tokens/"+p.refreshTokenID,
		out.AccessToken, "reading the refresh token's end")
	var token struct {
		ExpiresAt time.Time `json:"expiresAt"`
	}
	switch {
	case err != nil:
		out.Hints = append(out.Hints, "Evertoken could not read when the refresh token expires: "+
			"check settings.refresh_token_id.")
	case json.Unmarshal([]byte(body.Reveal()), &token) != nil || token.ExpiresAt.IsZero():
		out.Hints = append(out.Hints, "Flexera One does not state when the refresh token expires.")
	default:
		out.CredentialExpiresAt = token.ExpiresAt.UTC()
	}
}

// Prove implements [exchange.Prover]. It lists the caller's refresh tokens, which needs no
// privilege in an organization. A 403 still shows that Flexera knows the token.
func (p *flexera) Prove(ctx context.Context, c credential.Credential, access redact.Secret) error {
	_, err := p.iam(ctx, c, http.MethodGet, flexeraProbe, access, "proving the access token")
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		e.Lost = false
		if e.Status == http.StatusForbidden {
			return nil
		}
	}
	return err
}

// Account implements [ClientManager].
func (p *flexeraAccount) Account() string {
	return fmt.Sprintf("Flexera One, organization %d, service account %d", p.org, p.account)
}

// MaxClients implements [ClientManager]: "At most 2 clients per service account
// at any one time" (the file's tag text).
func (p *flexeraAccount) MaxClients() int { return 2 }

// TokenLife implements [ClientManager].
func (p *flexeraAccount) TokenLife() time.Duration { return flexeraLife }

// clients returns the path of the service account's clients.
func (p *flexeraAccount) clients() string {
	return "/iam/v1/orgs/" + strconv.FormatInt(p.org, 10) + "/service-accounts/" +
		strconv.FormatInt(p.account, 10) + "/clients"
}

// flexeraClient is a client as the API prints it.
type flexeraClient struct {
	ClientID     string    `json:"clientId"`
	ClientSecret string    `json:"clientSecret"`
	CreatedAt    time.Time `json:"createdAt"`
	CreatedBy    int64     `json:"createdBy"`
}

func (w flexeraClient) client() Client {
	return Client{ID: w.ClientID, CreatedAt: w.CreatedAt.UTC(), CreatedBy: w.CreatedBy}
}

// ListClients implements [ClientManager].
func (p *flexeraAccount) ListClients(ctx context.Context, c credential.Credential,
	access redact.Secret) ([]Client, error) {
	const what = "listing the service account's clients"
	body, err := p.iam(ctx, c, http.MethodGet, p.clients(), access, what)
	if err != nil {
		return nil, p.privilege(err, "index")
	}
	clients, ok := list[flexeraClient](body)
	if !ok {
		return nil, p.unreadable(what)
	}
	out := make([]Client, 0, len(clients))
	for _, w := range clients {
		if w.ClientID == "" {
			return nil, p.unreadable(what)
		}
		out = append(out, w.client())
	}
	return out, nil
}

// CreateClient implements [ClientManager]. The request has no body. It omits
// X-Recipient-Public-Key, which would make Flexera encrypt the secret.
func (p *flexeraAccount) CreateClient(ctx context.Context, c credential.Credential,
	access redact.Secret) (Client, error) {
	const what = "creating a client of the service account"
	body, err := p.iam(ctx, c, http.MethodPost, p.clients(), access, what)
	if err != nil {
		if e, ok := errors.AsType[*exchange.Error](err); ok &&
			(e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity ||
				e.Status == http.StatusConflict) {
			e.Hint = "A service account has at most two clients at a time: " +
				"delete one that is not in use."
		}
		return Client{}, p.privilege(err, "create")
	}
	var w flexeraClient
	if json.Unmarshal([]byte(body.Reveal()), &w) != nil || w.ClientID == "" || w.ClientSecret == "" {
		e := p.unreadable(what)
		e.Lost = true
		e.Hint = "A client may exist whose secret nobody has: " +
			"it uses one of the two places until you delete it."
		return Client{}, e
	}
	made := w.client()
	made.Secret = redact.New(w.ClientSecret).Trim()
	return made, nil
}

// DeleteClient implements [ClientManager].
func (p *flexeraAccount) DeleteClient(ctx context.Context, c credential.Credential,
	access redact.Secret, id string) error {
	_, err := p.iam(ctx, c, http.MethodDelete, p.clients()+"/"+url.PathEscape(id), access,
		"deleting a client of the service account")
	if e, ok := errors.AsType[*exchange.Error](err); ok && e.Status == http.StatusNotFound &&
		e.Code == "not_found" {
		return nil
	}
	return p.privilege(err, "delete")
}

// privilege adds to a 403 which privilege is missing (the file's security lists), and to a
// 404 what was not found.
func (p *flexeraAccount) privilege(err error, verb string) error {
	e, ok := errors.AsType[*exchange.Error](err)
	switch {
	case !ok:
	case e.Status == http.StatusForbidden:
		e.Hint = "The privilege iam:service_account_client:" + verb + " is needed, " +
			"and the organization's IP allow-list must contain the caller's address."
	case e.Status == http.StatusNotFound:
		e.Hint = "Check settings.org_id, settings.service_account_id and settings.api_url."
	}
	return err
}

func (p *flexera) unreadable(what string) *exchange.Error {
	return &exchange.Error{Class: exchange.Misconfigured, Doing: oauth.Doing(what, p.apiURL),
		Problem: "the answer does not have the form that the " +
			"API documents", Hint: "Check settings.api_url."}
}
