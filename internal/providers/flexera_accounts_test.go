package providers

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

func organization(t *testing.T, w *wire, settings string) *FlexeraOrganization {
	t.Helper()
	o, ok := NewFlexeraOrganization(open(t, "flexera", settings, w.URL), credential.Credential{}, 1105)
	if !ok {
		t.Fatal("flexera has no organization")
	}
	return o
}

const organizationSettings = `{"zone":"nam","api_url":"SERVER"}`

func TestFlexeraAdministrationSendsTheDocumentedRequests(t *testing.T) {
	t.Parallel()
	access := redact.New("at")
	const (
		base   = "/iam/v1/orgs/1105"
		bearer = "\nAuthorization: Bearer at"
		asJSON = bearer + "\nContent-Type: application/json\n"
		// As https://community.flexera.com/s/article/using-a-service-account-with-the-flexera-one-api
		// prints them.
		account = `{"id":2263,"name":"my application","description":"Reads data","createdBy":121456,"createdAt":"2023-07-10T20:28:48.531479Z","updatedAt":"2023-07-10T20:28:48.531479Z","kind":"iam#service-account","ref":"iam#service-account:2263"}`
		role    = `{"id":678907,"createdAt":"2020-03-20T16:18:56.542732Z","name":"iam_admin","capability":"iam","privileges":["iam:role:index"],"kind":"iam#role"}`
	)
	shown := ServiceAccount{ID: 2263, Name: "my application"}
	for _, tt := range []struct {
		name  string
		call  func(context.Context, *FlexeraOrganization) (any, error)
		reply reply
		sent  string
		want  any
	}{
		{"list accounts", func(ctx context.Context, o *FlexeraOrganization) (any,
			error) {
			return o.ServiceAccounts(ctx, access)
		},
			reply{status: 200, body: "[" + account + "]"}, "GET " + base + "/service-accounts" +
				bearer, []ServiceAccount{shown}},
		{"list none", func(ctx context.Context, o *FlexeraOrganization) (any,
			error) {
			return o.ServiceAccounts(ctx, access)
		},
			reply{status: 200, body: `{"values":[]}`}, "GET " + base + "/service-accounts" + bearer,
			[]ServiceAccount{}},
		{"show", func(ctx context.Context, o *FlexeraOrganization) (any, error) {
			return o.ServiceAccount(ctx, access, 2263)
		},
			reply{status: 200, body: account}, "GET " + base + "/service-accounts/2263" + bearer, shown},
		{"create", func(ctx context.Context, o *FlexeraOrganization) (any, error) {
			return o.CreateServiceAccount(ctx, access, "my application", "Reads data")
		}, reply{status: 201, header: "Location: /iam/v1/orgs/1105/service-accounts/2263"},
			"POST " + base + "/service-accounts" + asJSON +
				`{"name":"my application","description":"Reads data"}`, int64(2263)},
		{"create without a description", func(ctx context.Context, o *FlexeraOrganization) (any, error) {
			return o.CreateServiceAccount(ctx, access, `a "b"`, "")
		}, reply{status: 201, header: "Location: https://api.flexera.com/iam/v1/orgs/1105/service-accounts/7/"},
			"POST " + base + "/service-accounts" + asJSON + `{"name":"a \"b\""}`, int64(7)},
		{"roles", func(ctx context.Context, o *FlexeraOrganization) (any,
			error) {
			return o.RoleNames(ctx, access)
		},
			reply{status: 200, body: "[" + role + "]"}, "GET " + base + "/roles" + bearer,
			[]string{"iam_admin"}},
		{"grant", func(ctx context.Context, o *FlexeraOrganization) (any, error) {
			return nil, o.GrantRole(ctx, access, 2263, "iam_admin")
		}, reply{status: 204}, "PUT " + base + "/access-rules/grant" + asJSON +
			`{"role":{"name":"iam_admin"},"subject":{"ref":"ref::::iam:service-account:2263"}}`, nil},
		{"clients", func(ctx context.Context, o *FlexeraOrganization) (any, error) {
			return o.Clients(2263).ListClients(ctx, credential.Credential{}, access)
		}, reply{status: 200, body: `[]`}, "GET " + clientsPath + bearer, []Client{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tt.reply)
			got, err := tt.call(t.Context(), organization(t, w, organizationSettings))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			w.check(t, tt.sent)
		})
	}
}

func TestEveryRefusalOfFlexerasAdministrationHasItsClass(t *testing.T) {
	t.Parallel()
	access := redact.New("canaryAccess")
	accounts := func(ctx context.Context, o *FlexeraOrganization) error {
		_, err := o.ServiceAccounts(ctx, access)
		return err
	}
	create := func(ctx context.Context, o *FlexeraOrganization) error {
		_, err := o.CreateServiceAccount(ctx, access, "canaryName", "")
		return err
	}
	show := func(ctx context.Context, o *FlexeraOrganization) error {
		_, err := o.ServiceAccount(ctx, access, 2263)
		return err
	}
	roles := func(ctx context.Context, o *FlexeraOrganization) error {
		_, err := o.RoleNames(ctx, access)
		return err
	}
	grant := func(ctx context.Context, o *FlexeraOrganization) error {
		return o.GrantRole(ctx,
			access, 2263, "x")
	}
	forbidden := reply{status: 403, body: `{"name":"forbidden","message":"canaryAccess"}`}
	for _, tt := range []struct {
		name  string
		call  func(context.Context, *FlexeraOrganization) error
		reply reply
		class exchange.Class
		hint  string
		lost  bool
	}{
		{"no right to list", accounts, forbidden, exchange.Misconfigured, "iam:service_account:index", false},
		{"no right to create", create, forbidden, exchange.Misconfigured,
			"iam:service_account:create", false},
		{"no right to show", show, forbidden, exchange.Misconfigured, "iam:service_account:show", false},
		{"no right to list roles", roles, forbidden, exchange.Misconfigured, "iam:role:index", false},
		{"no right to grant", grant, forbidden, exchange.Misconfigured, "iam:access_rule:grant", false},
		{"another organization", accounts, reply{status: 404, body: `{"name":"not_found"}`},
			exchange.Misconfigured, "organization's id", false},
		{"another zone", accounts, reply{status: 401, body: `{"name":"unauthorized"}`},
			exchange.Misconfigured, "zone", false},
		{"the twenty-first", create, reply{status: 400, body: `{"name":"bad_request"}`},
			exchange.Misconfigured, "at most 20", false},
		{"busy", roles, reply{status: 429}, exchange.Throttled, "", false},
		{"down", grant, reply{status: 502, body: `{"name":"bad_gateway","temporary":true}`},
			exchange.Transient, "", false},
		{"no list of accounts", accounts, reply{status: 200, body: `{"x":1}`},
			exchange.Misconfigured, "settings.api_url", false},
		{"an account without an id", accounts, reply{status: 200, body: `[{"name":"x"}]`},
			exchange.Misconfigured, "settings.api_url", false},
		{"another account", show, reply{status: 200, body: `{"id":7}`}, exchange.Misconfigured,
			"settings.api_url", false},
		{"no list of roles", roles, reply{status: 200, body: `<html>`}, exchange.Misconfigured,
			"settings.api_url", false},
		{"no Location", create, reply{status: 201}, exchange.Misconfigured, "look for its name", true},
		{"a Location of something else", create, reply{status: 201,
			header: "Location: /iam/v1/orgs/1105"}, exchange.Misconfigured, "look for its name",
			true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := failure(t, tt.call(t.Context(), organization(t, newWire(t, tt.reply), organizationSettings)))
			if e.Class != tt.class || !strings.Contains(e.Hint, tt.hint) || e.Lost != tt.lost {
				t.Errorf("%+v", e)
			}
			leaks(t, e, "canaryAccess", "canaryName")
		})
	}
	if e := failure(t, create(t.Context(), organization(t, newWire(t), organizationSettings))); !e.Lost {
		t.Errorf("a create without an answer: %+v", e)
	}
}

func TestOnlyAFlexeraProviderHasAnOrganization(t *testing.T) {
	t.Parallel()
	organization(t, newWire(t), `{"zone":"nam","api_url":"SERVER","org_id":1,"service_account_id":2}`)
	if _, ok := NewFlexeraOrganization(open(t, "apiax", `{}`, ""), credential.Credential{}, 1105); ok {
		t.Error("apiax has an organization")
	}
}
