//go:build verify

package others

import (
	"testing"

	fakeidp "evertoken/internal/fake/idp"
)

const serviceOrg = 1105

// declareService makes the connection of a Flexera service account that may
// replace its own client, and returns the account's id.
func (a *account) declareService(t *testing.T, idp *fakeidp.Server, connection string) (account int) {
	t.Helper()
	account = idp.Flexera().AddServiceAccount("nam", serviceOrg, "evertoken", "iam_admin")
	clientID, secret := idp.Flexera().AddClient(account)
	a.declare(t, connection, "flexera", map[string]any{
		"zone": "nam", "login_url": idp.Flexera().LoginURL("nam"), "api_url": idp.Flexera().APIURL("nam"),
		"org_id": serviceOrg, "service_account_id": account,
	}, map[string]any{"client_id": clientID, "client_secret": secret})
	return account
}
