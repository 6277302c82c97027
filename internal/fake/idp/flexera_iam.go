package fakeidp

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// flexeraTime is how the IAM API prints times: microseconds, UTC.
const flexeraTime = "2006-01-02T15:04:05.000000Z"

// subjectRef is the reference form that access rules take. The service account
// API prints an older one, iam#service-account:2263, which is refused here: the
// vendor's walk-through says to use the newer.
var subjectRef = regexp.MustCompile(`^ref::::iam:((?:service-account|user|group):[1-9][0-9]*)$`)

func (f *Flexera) iamRoutes() []route {
	const org = "iam/v1/orgs/{}"
	const accounts = org + "/service-accounts"
	const clients = accounts + "/{}/clients"
	return []route{
		{http.MethodGet, "iam/v1/refresh-tokens", f.listRefreshTokens},
		{http.MethodDelete, "iam/v1/refresh-tokens", f.deleteRefreshTokens},
		{http.MethodGet, "iam/v1/refresh-tokens/{}", f.showRefreshToken},
		{http.MethodDelete, "iam/v1/refresh-tokens/{}", f.deleteRefreshToken},
		{http.MethodGet, org + "/roles", f.listRoles},
		{http.MethodPut, org + "/access-rules/grant", f.grantRole},
		{http.MethodGet, accounts, f.listAccounts},
		{http.MethodPost, accounts, f.createAccount},
		{http.MethodGet, accounts + "/{}", f.showAccount},
		{http.MethodDelete, accounts + "/{}", f.deleteAccount},
		{http.MethodGet, clients, f.listClients},
		{http.MethodPost, clients, f.createClient},
		{http.MethodGet, clients + "/{}", f.showClient},
		{http.MethodDelete, clients + "/{}", f.deleteClient},
	}
}

// serveIAM authenticates a call of the IAM API and routes it.
func (f *Flexera) serveIAM(c *call, zone string) reply {
	t := f.s.liveAccess(ProviderFlexera, c.bearer())
	if t == nil || t.realm != zone {
		return f.unauthorized("access token is invalid", c.bearer())
	}
	if limited := f.throttle(t.subject); limited != nil {
		return *limited
	}
	out, status := dispatch(f.routes, c)
	if status != 0 {
		return textReply(status, itoa(status)+" "+strings.ToLower(http.StatusText(status))+"\n")
	}
	if f.opts.RequestsPerMinute > 0 {
		if out.header == nil {
			out.header = make(http.Header)
		}
		left := f.opts.RequestsPerMinute - f.calls[t.subject].count
		out.header.Set("X-Ratelimit-Remaining", itoa(left))
	}
	return out
}

// subject is the user or account of an authenticated call.
func (f *Flexera) subject(c *call) string { return f.s.access[c.bearer()].subject }

// zone is the zone an authenticated call was made in.
func (f *Flexera) zone(c *call) string { return f.s.access[c.bearer()].realm }

func (f *Flexera) notFound(what string) reply {
	return f.goaError(http.StatusNotFound, "not_found", what+" not found")
}

func noContent() reply { return reply{status: http.StatusNoContent} }

func refreshTokenObject(r *flexeraRefresh) map[string]any {
	return map[string]any{
		"id": r.id, "createdAt": r.created.UTC().Format(flexeraTime),
		"expiresAt": r.expires.UTC().Format(flexeraTime), "isDeletable": true, "kind": "iam#refresh-token",
	}
}

// ownRefresh is the caller's live refresh token of that id, or nil.
func (f *Flexera) ownRefresh(c *call, id string) *flexeraRefresh {
	for _, r := range f.refresh {
		if r.id == id && r.user == f.subject(c) && r.zone == f.zone(c) && c.now.Before(r.expires) {
			return r
		}
	}
	return nil
}

func (f *Flexera) listRefreshTokens(c *call) reply {
	// The OpenAPI file lets userId name another user and does not say who may; the fake
	// refuses everyone.
	if id := c.r.URL.Query().Get("userId"); id != "" && "user:"+id != f.subject(c) {
		return f.goaError(http.StatusForbidden, "forbidden", "not allowed to list tokens of another user")
	}
	list := []map[string]any{}
	for _, r := range f.refresh {
		if f.ownRefresh(c, r.id) != nil {
			list = append(list, refreshTokenObject(r))
		}
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(a["createdAt"].(string)+a["id"].(string), b["createdAt"].(string)+b["id"].(string))
	})
	return jsonReply(http.StatusOK, list)
}

func (f *Flexera) showRefreshToken(c *call) reply {
	r := f.ownRefresh(c, c.vars[0])
	if r == nil {
		return f.notFound("refresh token")
	}
	return jsonReply(http.StatusOK, refreshTokenObject(r))
}

func (f *Flexera) deleteRefreshToken(c *call) reply {
	r := f.ownRefresh(c, c.vars[0])
	if r == nil {
		return f.notFound("refresh token")
	}
	f.revokeRefresh(func(other *flexeraRefresh) bool { return other == r })
	return noContent()
}

func (f *Flexera) deleteRefreshTokens(c *call) reply {
	f.revokeRefresh(func(r *flexeraRefresh) bool { return r.user == f.subject(c) })
	return noContent()
}

// authorize reads the org of a call's path and checks a privilege in it.
func (f *Flexera) authorize(c *call, privilege string) (org int, refused *reply) {
	org, err := strconv.Atoi(c.vars[0])
	if err != nil || org < 1 {
		out := f.badRequest("orgId must be an integer of at least 1")
		return 0, &out
	}
	if !f.may(f.subject(c), org, privilege) {
		out := f.goaError(http.StatusForbidden, "forbidden", "missing privilege "+privilege)
		return 0, &out
	}
	return org, nil
}

func (f *Flexera) listRoles(c *call) reply {
	if _, refused := f.authorize(c, "iam:role:index"); refused != nil {
		return *refused
	}
	list := []map[string]any{}
	for _, r := range flexeraRoles {
		list = append(list, map[string]any{
			"id": r.id, "name": r.name, "capability": r.capability, "privileges": append([]string{}, r.privileges...),
			"createdAt": "2020-03-20T16:18:56.542732Z", "kind": "iam#role",
		})
	}
	return jsonReply(http.StatusOK, list)
}

// grantRole is PUT access-rules/grant. The statuses of an unknown role and of a
// subject elsewhere are not documented; 422 is declared for the API.
func (f *Flexera) grantRole(c *call) reply {
	org, refused := f.authorize(c, "iam:access_rule:grant")
	if refused != nil {
		return *refused
	}
	var in struct {
		Role    struct{ Name string }
		Subject struct{ Ref string }
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return f.badRequest("invalid request body", string(c.body))
	}
	ref := subjectRef.FindStringSubmatch(in.Subject.Ref)
	if ref == nil {
		return f.badRequest("subject.ref must have the form ref::::iam:service-account:<id>", in.Subject.Ref)
	}
	if !slices.ContainsFunc(flexeraRoles, func(r flexeraRole) bool { return r.name == in.Role.Name }) {
		return f.goaError(http.StatusUnprocessableEntity, "unprocessable_entity", "unknown role", in.Role.Name)
	}
	// Service accounts hold roles in their own org only.
	if id, ok := strings.CutPrefix(ref[1], "service-account:"); ok {
		n, err := strconv.Atoi(id)
		if a := f.accounts[n]; err != nil || a == nil || a.org != org {
			return f.goaError(http.StatusUnprocessableEntity, "unprocessable_entity",
				"unknown subject", in.Subject.Ref)
		}
	}
	f.rules[flexeraRule{ref[1], org, in.Role.Name}] = true
	return noContent()
}

func accountObject(a *flexeraAccount) map[string]any {
	return map[string]any{
		"id": a.id, "name": a.name, "description": a.description, "createdBy": subjectID(a.createdBy),
		"createdAt": a.created.Format(flexeraTime), "updatedAt": a.updated.Format(flexeraTime),
		"kind": "iam#service-account", "ref": "iam#service-account:" + itoa(a.id),
	}
}

// subjectID is the number of a subject such as user:121456.
func subjectID(subject string) int {
	_, id, _ := strings.Cut(subject, ":")
	n, _ := strconv.Atoi(id) // subjects are made from numbers
	return n
}

// account is the service account that the path names, if it is of that org.
func (f *Flexera) account(c *call, org int) *flexeraAccount {
	id, err := strconv.Atoi(c.vars[1])
	if a := f.accounts[id]; err == nil && a != nil && a.org == org && a.zone == f.zone(c) {
		return a
	}
	return nil
}

func (f *Flexera) accountsOf(zone string, org int) []*flexeraAccount {
	var out []*flexeraAccount
	for _, a := range f.accounts {
		if a.zone == zone && a.org == org {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *flexeraAccount) int { return a.id - b.id })
	return out
}

func (f *Flexera) listAccounts(c *call) reply {
	org, refused := f.authorize(c, "iam:service_account:index")
	if refused != nil {
		return *refused
	}
	list := []map[string]any{}
	for _, a := range f.accountsOf(f.zone(c), org) {
		list = append(list, accountObject(a))
	}
	return jsonReply(http.StatusOK, list)
}

func (f *Flexera) createAccount(c *call) reply {
	org, refused := f.authorize(c, "iam:service_account:create")
	if refused != nil {
		return *refused
	}
	var in struct{ Name, Description string }
	if err := json.Unmarshal(c.body, &in); err != nil || strings.TrimSpace(in.Name) == "" {
		return f.badRequest("name is required", string(c.body))
	}
	if len(f.accountsOf(f.zone(c), org)) >= maxAccounts {
		return f.badRequest("at most " + itoa(maxAccounts) + " service accounts per organization")
	}
	a := f.addAccount(f.zone(c), org, in.Name, in.Description, f.subject(c))
	location := "/iam/v1/orgs/" + itoa(org) + "/service-accounts/" + itoa(a.id)
	return reply{status: http.StatusCreated, header: http.Header{"Location": {location}}}
}

func (f *Flexera) showAccount(c *call) reply {
	org, refused := f.authorize(c, "iam:service_account:show")
	if refused != nil {
		return *refused
	}
	a := f.account(c, org)
	if a == nil {
		return f.notFound("service account")
	}
	return jsonReply(http.StatusOK, accountObject(a))
}

func (f *Flexera) deleteAccount(c *call) reply {
	org, refused := f.authorize(c, "iam:service_account:delete")
	if refused != nil {
		return *refused
	}
	a := f.account(c, org)
	if a == nil {
		return f.notFound("service account")
	}
	for _, client := range f.clientsOf(a.id) {
		delete(f.clients, client.id)
	}
	delete(f.accounts, a.id)
	return noContent()
}

func clientObject(c *flexeraClient) map[string]any {
	return map[string]any{
		"clientId": c.id, "createdAt": c.created.Format(time.RFC3339),
		"createdBy": subjectID(c.createdBy), "kind": "iam#service-account-client",
	}
}

// clientCall authorizes a call below a service account's clients.
func (f *Flexera) clientCall(c *call, action string) (*flexeraAccount, *reply) {
	org, refused := f.authorize(c, "iam:service_account_client:"+action)
	if refused != nil {
		return nil, refused
	}
	a := f.account(c, org)
	if a == nil {
		out := f.notFound("service account")
		return nil, &out
	}
	return a, nil
}

func (f *Flexera) listClients(c *call) reply {
	a, refused := f.clientCall(c, "index")
	if refused != nil {
		return *refused
	}
	list := []map[string]any{}
	for _, client := range f.clientsOf(a.id) {
		list = append(list, clientObject(client))
	}
	return jsonReply(http.StatusOK, list)
}

// createClient takes no request body. The status of a third client is not
// documented; 400 is the only declared one that fits.
func (f *Flexera) createClient(c *call) reply {
	a, refused := f.clientCall(c, "create")
	switch {
	case refused != nil:
		return *refused
	case len(c.body) > 0:
		return f.badRequest("unexpected request body", string(c.body))
	case c.r.Header.Get("X-Recipient-Public-Key") != "":
		// The OpenAPI file names no algorithm for an encrypted answer.
		return f.badRequest("X-Recipient-Public-Key is not supported")
	case len(f.clientsOf(a.id)) >= maxClients:
		return f.badRequest("at most " + itoa(maxClients) + " clients per service account")
	}
	client := f.addClient(a.id, f.subject(c))
	object := clientObject(client)
	object["clientSecret"] = client.secret // shown in this answer only
	return jsonReply(http.StatusCreated, object)
}

// client is the client that the path names, if it is of that account.
func (f *Flexera) client(c *call, a *flexeraAccount) *flexeraClient {
	if client := f.clients[c.vars[2]]; client != nil && client.account == a.id {
		return client
	}
	return nil
}

func (f *Flexera) showClient(c *call) reply {
	a, refused := f.clientCall(c, "show")
	if refused != nil {
		return *refused
	}
	client := f.client(c, a)
	if client == nil {
		return f.notFound("client")
	}
	return jsonReply(http.StatusOK, clientObject(client))
}

func (f *Flexera) deleteClient(c *call) reply {
	a, refused := f.clientCall(c, "delete")
	if refused != nil {
		return *refused
	}
	client := f.client(c, a)
	if client == nil {
		return f.notFound("client")
	}
	delete(f.clients, client.id)
	return noContent()
}
