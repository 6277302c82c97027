package fakeidp

import (
	"slices"
	"strings"
	"time"
)

// Limits of the vendor's IAM OpenAPI file.
const (
	maxAccounts = 20 // service accounts per org
	maxClients  = 2  // clients per service account
)

// flexeraAdmin is the role the vendor's service account walk-through grants.
const flexeraAdmin = "iam_admin"

// flexeraRole is a role that every org has. Privilege names of the service account API
// are those of the IAM OpenAPI file; a trailing * matches any ending.
type flexeraRole struct {
	id         int
	name       string
	capability string
	privileges []string
}

// The second role is like a custom one with only what client rotation needs, the third
// like one without any right in IAM.
var flexeraRoles = []flexeraRole{
	{678907, flexeraAdmin, "iam", []string{"iam:*"}},
	{678908, "service_account_client_manager", "iam", []string{
		"iam:service_account_client:index", "iam:service_account_client:show",
		"iam:service_account_client:create", "iam:service_account_client:delete",
	}},
	{678909, "optima_billing_center_viewer", "optima", []string{"optima:billing_center:show"}},
}

// flexeraRule is a role granted to a subject in an org.
type flexeraRule struct {
	subject string
	org     int
	role    string
}

type flexeraAccount struct {
	id, org           int
	zone              string
	name, description string
	created, updated  time.Time
	createdBy         string
}

type flexeraClient struct {
	id, secret string
	account    int
	created    time.Time
	createdBy  string
}

// accountSubject is the subject of a service account's tokens and access rules.
func accountSubject(id int) string { return "service-account:" + itoa(id) }

// AddServiceAccount makes a service account with roles in its org and returns
// its id.
func (f *Flexera) AddServiceAccount(zone string, org int, name string, roles ...string) int {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	a := f.addAccount(zone, org, name, "", "user:1")
	for _, role := range roles {
		f.rules[flexeraRule{accountSubject(a.id), org, role}] = true
	}
	return a.id
}

func (f *Flexera) addAccount(zone string, org int, name, description, by string) *flexeraAccount {
	now := f.s.now()
	a := &flexeraAccount{
		id: f.nextID, org: org, zone: zone, name: name, description: description,
		created: now, updated: now, createdBy: by,
	}
	f.nextID++
	f.accounts[a.id] = a
	return a
}

// AddClient makes a client of a service account and returns its id and secret.
// It panics if the account is unknown or has two clients already.
func (f *Flexera) AddClient(account int) (clientID, secret string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.accounts[account] == nil || len(f.clientsOf(account)) >= maxClients {
		panic("fakeidp: a service account must exist and have less than two clients")
	}
	c := f.addClient(account, "user:1")
	return c.id, c.secret
}

func (f *Flexera) addClient(account int, by string) *flexeraClient {
	c := &flexeraClient{
		id: "0oa" + randomHex(17), secret: f.s.mint(ProviderFlexera, "secret"),
		account: account, created: f.s.now(), createdBy: by,
	}
	f.clients[c.id] = c
	return c
}

// Clients returns the ids of a service account's clients, sorted; none if the
// account is not of that org.
func (f *Flexera) Clients(org, account int) []string {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	var ids []string
	if a := f.accounts[account]; a != nil && a.org == org {
		for _, c := range f.clientsOf(account) {
			ids = append(ids, c.id)
		}
	}
	return ids
}

// clientsOf returns a service account's clients, sorted by id.
func (f *Flexera) clientsOf(account int) []*flexeraClient {
	var out []*flexeraClient
	for _, c := range f.clients {
		if c.account == account {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *flexeraClient) int { return strings.Compare(a.id, b.id) })
	return out
}

// RevokeClient deletes a client. Access tokens it was issued live on.
func (f *Flexera) RevokeClient(clientID string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	delete(f.clients, clientID)
}

// may reports whether a subject holds a privilege in an org.
func (f *Flexera) may(subject string, org int, privilege string) bool {
	for _, role := range flexeraRoles {
		if !f.rules[flexeraRule{subject, org, role.name}] {
			continue
		}
		for _, p := range role.privileges {
			prefix, wild := strings.CutSuffix(p, "*")
			if p == privilege || wild && strings.HasPrefix(privilege, prefix) {
				return true
			}
		}
	}
	return false
}
