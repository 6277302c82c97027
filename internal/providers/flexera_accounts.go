package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/redact"
)

// The calls below set up a service account, as
// https://community.flexera.com/s/article/using-a-service-account-with-the-flexera-one-api
// walks through them. Paths, bodies, statuses and privileges are those of
// flexera-public/unified-openapi, generator/sources/flexera/iam/v1/openapi.json.

// FlexeraOrganization manages the service accounts of one Flexera One
// organization, with a user's access token. Each method's error is an
// [*exchange.Error].
type FlexeraOrganization struct {
	p          *flexera
	id         int64
	credential credential.Credential // whose hosts the calls go to
}

// ServiceAccount is a service account of an organization.
type ServiceAccount struct {
	ID   int64
	Name string
}

// NewFlexeraOrganization returns the organization with that id, in the zone of p's
// connection. The calls use access tokens that were obtained with c, and go only where c
// may go. ok is false if p does not belong to a flexera connection.
func NewFlexeraOrganization(p exchange.Provider, c credential.Credential,
	id int64) (o *FlexeraOrganization, ok bool) {
	switch p := p.(type) {
	case *flexera:
		return &FlexeraOrganization{p, id, c}, true
	case *flexeraAccount:
		return &FlexeraOrganization{p.flexera, id, c}, true
	}
	return nil, false
}

// Clients returns the manager of a service account's clients.
func (o *FlexeraOrganization) Clients(account int64) ClientManager {
	return &flexeraAccount{flexera: o.p, org: o.id, account: account}
}

func (o *FlexeraOrganization) path(rest string) string {
	return "/iam/v1/orgs/" + strconv.FormatInt(o.id, 10) + rest
}

type flexeraServiceAccount struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// ServiceAccounts lists the service accounts.
func (o *FlexeraOrganization) ServiceAccounts(ctx context.Context,
	access redact.Secret) ([]ServiceAccount, error) {
	const what = "listing the organization's service accounts"
	body, err := o.p.iam(ctx, o.credential, http.MethodGet, o.path("/service-accounts"), access, what)
	if err != nil {
		return nil, o.privilege(err, "iam:service_account:index")
	}
	accounts, ok := list[flexeraServiceAccount](body)
	if !ok {
		return nil, o.p.unreadable(what)
	}
	out := make([]ServiceAccount, 0, len(accounts))
	for _, a := range accounts {
		if a.ID < 1 {
			return nil, o.p.unreadable(what)
		}
		out = append(out, ServiceAccount(a))
	}
	return out, nil
}

// locationRE extracts the id from the URI of a new service account.
var locationRE = lazyregexp.New(`/service-accounts/([1-9][0-9]{0,17})/?$`)

// CreateServiceAccount makes a service account and returns its id, which the answer
// contains only in its Location header: it has no body. An organization can have at most 20
// service accounts.
func (o *FlexeraOrganization) CreateServiceAccount(ctx context.Context, access redact.Secret,
	name, description string) (int64, error) {
	const what = "creating a service account"
	a, err := o.p.iamWith(ctx, o.credential, http.MethodPost, o.path("/service-accounts"), struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
	}{name, description}, access, what)
	if err != nil {
		if e, ok := errors.AsType[*exchange.Error](err); ok &&
			(e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity ||
				e.Status == http.StatusConflict) {
			e.Hint = "Check the name and the description. " +
				"An organization has at most 20 service accounts."
		}
		return 0, o.privilege(err, "iam:service_account:create")
	}
	if m := locationRE().FindStringSubmatch(a.Location()); m != nil {
		if id, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			return id, nil
		}
	}
	e := o.p.unreadable(what)
	e.Lost = true
	e.Hint = "The service account may exist now: look for its name before you create it again."
	return 0, e
}

// ServiceAccount returns the service account with that id.
func (o *FlexeraOrganization) ServiceAccount(ctx context.Context, access redact.Secret,
	id int64) (ServiceAccount, error) {
	const what = "showing the service account"
	body, err := o.p.iam(ctx, o.credential, http.MethodGet,
		o.path("/service-accounts/"+strconv.FormatInt(id, 10)), access, what)
	if err != nil {
		return ServiceAccount{}, o.privilege(err, "iam:service_account:show")
	}
	var account flexeraServiceAccount
	if json.Unmarshal([]byte(body.Reveal()), &account) != nil || account.ID != id {
		return ServiceAccount{}, o.p.unreadable(what)
	}
	return ServiceAccount(account), nil
}

// RoleNames lists the names of the organization's roles.
func (o *FlexeraOrganization) RoleNames(ctx context.Context, access redact.Secret) (
	[]string, error,
) {
	const what = "listing the organization's roles"
	body, err := o.p.iam(ctx, o.credential, http.MethodGet, o.path("/roles"), access, what)
	if err != nil {
		return nil, o.privilege(err, "iam:role:index")
	}
	roles, ok := list[struct {
		Name string `json:"name"`
	}](body)
	if !ok {
		return nil, o.p.unreadable(what)
	}
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return names, nil
}

// GrantRole gives a service account a role, by name. It names the account in the newer form
// of references. The service account API prints the older one, iam#service-account:2263,
// which the walk-through says not to use here.
func (o *FlexeraOrganization) GrantRole(ctx context.Context, access redact.Secret, account int64,
	role string) error {
	var body struct {
		Role struct {
			Name string `json:"name"`
		} `json:"role"`
		Subject struct {
			Ref string `json:"ref"`
		} `json:"subject"`
	}
	body.Role.Name = role
	body.Subject.Ref = "ref::::iam:service-account:" + strconv.FormatInt(account, 10)
	_, err := o.p.iamWith(ctx, o.credential, http.MethodPut, o.path("/access-rules/grant"), body,
		access, "granting a role")
	return o.privilege(err, "iam:access_rule:grant")
}

// privilege adds to a 403 which privilege is missing (the file's security lists), and to a
// 404 what was not found.
func (o *FlexeraOrganization) privilege(err error, name string) error {
	e, ok := errors.AsType[*exchange.Error](err)
	switch {
	case !ok:
	case e.Status == http.StatusForbidden:
		e.Hint = "The privilege " + name + " is needed, and the organization's IP allow-list " +
			"must contain the caller's address."
	case e.Status == http.StatusNotFound:
		e.Hint = "Check the organization's id and settings.api_url."
	}
	return err
}
