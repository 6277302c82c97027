package fakeworld

import fakeidp "evertoken/internal/fake/idp"

// The connections below are one for every provider and grant, with what each
// needs set up at the provider.

// All connects one of each and returns their names.
func (w *World) All() []string {
	w.Flexera("flexera-user", false)
	w.Flexera("flexera-service", true)
	w.Apiax("apiax")
	for _, access := range []string{"integration", "anonymous", "user", "trusted"} {
		w.Sharetribe("sharetribe-"+access, access)
	}
	w.FlexNet("flexnet")
	for _, grant := range []string{"client_credentials", "refresh_token", "password"} {
		w.OAuth2("oauth2-"+grantName(grant), grant)
	}
	return []string{
		"flexera-user", "flexera-service", "apiax", "sharetribe-integration", "sharetribe-anonymous", "sharetribe-user",
		"sharetribe-trusted", "flexnet", "oauth2-client", "oauth2-refresh", "oauth2-password",
	}
}

func grantName(grant string) string {
	return map[string]string{"client_credentials": "client", "refresh_token": "refresh",
		"password": "password"}[grant]
}

// Flexera connects a user's refresh token or a service account's client.
func (w *World) Flexera(name string, service bool) {
	f := w.IDP.Flexera()
	settings := map[string]any{"zone": "eu", "login_url": f.LoginURL("eu"), "api_url": f.APIURL("eu")}
	if service {
		account := f.AddServiceAccount("eu", 1105, name, "iam_admin")
		id, secret := f.AddClient(account)
		settings["org_id"], settings["service_account_id"] = 1105, account
		w.Connect(name, "flexera", map[string]string{"client_id": id, "client_secret": secret}, settings, nil)
		return
	}
	id, token := f.AddRefreshToken("eu", name, fakeidp.FlexeraTokenOptions{})
	settings["refresh_token_id"] = id
	w.Connect(name, "flexera", map[string]string{"refresh_token": token}, settings, nil)
}

// Apiax connects a user of the realm.
func (w *World) Apiax(name string) {
	a := w.IDP.Apiax()
	password := a.SetPassword(name, "")
	w.Connect(name, "apiax", map[string]string{"username": name, "password": password},
		map[string]any{"token_url": a.TokenURL()}, nil)
}

// Sharetribe connects by one of the four kinds of access.
func (w *World) Sharetribe(name, access string) {
	s := w.IDP.Sharetribe()
	settings := map[string]any{"access": access, "auth_url": s.MarketAuthURL()}
	credential := map[string]string{}
	if access == "integration" {
		settings["auth_url"] = s.IntegAuthURL()
		credential["client_id"], credential["client_secret"] = s.AddIntegrationApp()
	} else {
		var secret string
		credential["client_id"], secret = s.AddMarketplaceApp()
		if access == "trusted" {
			credential["client_secret"] = secret
		}
	}
	if access == "user" || access == "trusted" {
		credential["username"] = name + "@example.com"
		credential["password"] = s.AddUser(name+"@example.com", "")
	}
	w.Connect(name, "sharetribe", credential, settings, nil)
}

// FlexNet connects a user who makes NORMAL tokens.
func (w *World) FlexNet(name string) {
	f := w.IDP.FlexNet()
	password := f.AddUser(name, "")
	w.Connect(name, "flexnet", map[string]string{"username": name, "password": password},
		map[string]any{"base_url": f.BaseURL(), "token_name": "lambda-" + name, "username": name}, nil)
}

// OAuth2 connects to the generic server by a grant.
func (w *World) OAuth2(name, grant string) {
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	credential := map[string]string{"client_id": id, "client_secret": secret}
	switch grant {
	case "refresh_token":
		credential["refresh_token"] = o.AddRefreshToken(id, "subject", "read")
	case "password":
		credential["username"] = name
		credential["password"] = o.AddUser(name, "")
	}
	w.Connect(name, "oauth2", credential, map[string]any{"token_url": o.TokenURL(), "grant": grant}, nil)
}
