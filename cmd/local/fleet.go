package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
)

// member is a connection of the demonstration.
type member struct {
	name string
	// parameter is the last element of the SSM parameter that declares it.
	parameter string
	// declared is the connection as an operator writes it.
	declared map[string]any
	// credential is nil where the operator has stored none yet.
	credential map[string]string
	// session is set where the connection needs a session secret.
	session bool
	// expect is the outcome of the first run, and again of the second, where a
	// token that was issued is fresh.
	expect, expectAgain string
}

const connectionsPath = "/evertoken/connections/"

// provider is the one declared.
func (m member) provider() string {
	name, _ := m.declared["provider"].(string)
	return name
}

// tokenParameter is where the token is published instead of a secret, or "".
func (m member) tokenParameter() string {
	name, _ := m.declared["token_parameter"].(string)
	return name
}

// plainCopy is the secret that gets the bare access token, or "".
func (m member) plainCopy() string {
	name, _ := m.declared["plain_copy"].(string)
	return name
}

func (m member) secret(document string) string { return "evertoken/" + m.name + "/" + document }

// newMember is a connection that is expected to work.
func newMember(name, provider string, settings map[string]any, credential map[string]string) member {
	return member{
		name: name, parameter: name, credential: credential, expect: "issued", expectAgain: "fresh",
		declared: map[string]any{"provider": provider, "settings": settings},
	}
}

func (m member) withSession() member { m.session = true; return m }

func (m member) with(key string, value any) member {
	m.declared = maps.Clone(m.declared)
	m.declared[key] = value
	return m
}

// newFleet sets up one connection for every provider and grant, one for each
// way to publish, one that waits for its credential and one that is wrong.
func newFleet(idp *fakeidp.Server) ([]member, error) {
	oauth2, err := oauth2Members(idp.OAuth2())
	if err != nil {
		return nil, err
	}
	fleet := slices.Concat(flexeraMembers(idp.Flexera()), apiaxMembers(idp.Apiax()),
		sharetribeMembers(idp.Sharetribe()), flexnetMembers(idp.FlexNet()), oauth2)
	return fleet, nil
}

func flexeraMembers(f *fakeidp.Flexera) []member {
	const org = 1105
	settings := func(zone string) map[string]any {
		return map[string]any{"zone": zone, "login_url": f.LoginURL(zone), "api_url": f.APIURL(zone)}
	}
	id, token := f.AddRefreshToken("nam", "ann", fakeidp.FlexeraTokenOptions{})
	user := settings("nam")
	user["refresh_token_id"] = id

	account := f.AddServiceAccount("eu", org, "evertoken", "iam_admin")
	clientID, secret := f.AddClient(account)
	service := settings("eu")
	service["org_id"], service["service_account_id"] = org, account

	waiting := newMember("flexera-new", "flexera", settings("apac"), nil)
	waiting.expect, waiting.expectAgain = "waiting", "waiting"
	wrong := newMember("flexera-typo", "flexera", map[string]any{"zone": "us"},
		map[string]string{"refresh_token": token})
	wrong.expect, wrong.expectAgain = "failed", "failed"
	return []member{
		newMember("flexera-user", "flexera", user, map[string]string{"refresh_token": token}),
		newMember("flexera-service", "flexera", service,
			map[string]string{"client_id": clientID, "client_secret": secret}),
		waiting, wrong,
	}
}

func apiaxMembers(a *fakeidp.Apiax) []member {
	return []member{newMember("apiax", "apiax", map[string]any{"token_url": a.TokenURL()},
		map[string]string{"username": "apiax-user", "password": a.SetPassword("apiax-user", "")}).withSession()}
}

// sharetribeMembers are declared in one parameter.
func sharetribeMembers(s *fakeidp.Sharetribe) []member {
	access := func(name, url string, credential map[string]string) member {
		m := newMember("sharetribe-"+name, "sharetribe",
			map[string]any{"access": name, "auth_url": url}, credential)
		m.parameter = "sharetribe"
		m.session = name != "anonymous"
		return m
	}
	integrationID, integrationSecret := s.AddIntegrationApp()
	marketID, marketSecret := s.AddMarketplaceApp()
	const user = "ann@example.com"
	password := s.AddUser(user, "")
	return []member{
		access("integration", s.IntegAuthURL(),
			map[string]string{"client_id": integrationID, "client_secret": integrationSecret}),
		access("anonymous", s.MarketAuthURL(), map[string]string{"client_id": marketID}),
		access("user", s.MarketAuthURL(),
			map[string]string{"client_id": marketID, "username": user, "password": password}),
		access("trusted", s.MarketAuthURL(), map[string]string{
			"client_id": marketID, "client_secret": marketSecret, "username": user, "password": password}),
	}
}

func flexnetMembers(n *fakeidp.FlexNet) []member {
	const producer, customer = "producer", "customer"
	credential := map[string]string{"username": producer,
		"password": n.AddUser(producer, "", fakeidp.CreateImpersonatedToken, fakeidp.ManageUsers)}
	n.AddUser(customer, "")
	settings := func(name string, more map[string]any) map[string]any {
		s := map[string]any{"base_url": n.BaseURL(), "token_name": name}
		maps.Copy(s, more)
		return s
	}
	// Its tokens live so briefly that every run renews them: a secret could not hold so
	// many versions.
	brief := newMember("flexnet-parameter", "flexnet",
		settings("brief", map[string]any{"expiry": "15m"}), credential).
		with("token_parameter", "/evertoken/tokens/flexnet-parameter")
	brief.expectAgain = "issued"
	return []member{
		newMember("flexnet", "flexnet", settings("normal", nil), credential).with("renewed_by", "rotation"),
		newMember("flexnet-impersonated", "flexnet",
			settings("impersonated", map[string]any{"token_type": "IMPERSONATED", "username": customer}), credential),
		brief,
	}
}

func oauth2Members(o *fakeidp.OAuth2) ([]member, error) {
	settings := func(grant string, more map[string]any) map[string]any {
		s := map[string]any{"token_url": o.TokenURL(), "grant": grant}
		maps.Copy(s, more)
		return s
	}
	basicID, basicSecret := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.ClientSecretBasic})
	postID, postSecret := o.AddClient(fakeidp.OAuth2Client{})
	client := map[string]string{"client_id": postID, "client_secret": postSecret}
	seed := maps.Clone(client)
	seed["refresh_token"] = o.AddRefreshToken(postID, "ann", "orders:read")
	user := maps.Clone(client)
	user["username"], user["password"] = "ann", o.AddUser("ann", "")
	key, keyID, private, err := signingKey()
	if err != nil {
		return nil, err
	}
	keyedID, _ := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT, Key: key, KeyID: keyID})
	return []member{
		newMember("oauth2-client", "oauth2",
			settings("client_credentials",
				map[string]any{"client_auth": "client_secret_basic", "scope": "orders:read"}),
			map[string]string{"client_id": basicID, "client_secret": basicSecret}),
		newMember("oauth2-refresh", "oauth2", settings("refresh_token", nil), seed).withSession(),
		newMember("oauth2-password", "oauth2", settings("password", nil), user).withSession(),
		newMember("oauth2-key", "oauth2",
			map[string]any{"issuer": o.Issuer(), "grant": "client_credentials",
				"client_auth": "private_key_jwt"},
			map[string]string{"client_id": keyedID, "private_key": private, "key_id": keyID}),
		newMember("oauth2-plain", "oauth2", settings("client_credentials", nil),
			client).with("plain_copy", "evertoken/oauth2-plain/copy"),
	}, nil
}

// signingKey is what a client signs its assertions with (RFC 7523 section 3).
func signingKey() (public *ecdsa.PublicKey, id, private string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", "", fmt.Errorf("making a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", "", fmt.Errorf("encoding a signing key: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return &key.PublicKey, "2026-11", string(block), nil
}

// store does an operator's work: it declares the connections, stores the credentials, and
// creates the empty secrets that Evertoken fills.
func store(aws *fakeaws.Server, fleet []member) error {
	byParameter := map[string][]member{}
	for _, m := range fleet {
		byParameter[m.parameter] = append(byParameter[m.parameter], m)
		tags := map[string]string{"evertoken:parameter": connectionsPath + m.parameter}
		var credential *string
		if m.credential != nil {
			document, err := json.Marshal(m.credential)
			if err != nil {
				return fmt.Errorf("encoding the credential of %s: %w", m.name, err)
			}
			text := string(document)
			credential = &text
		}
		aws.CreateSecret(m.secret("credential"), credential, tags)
		if m.session {
			aws.CreateSecret(m.secret("session"), nil, tags)
		}
		if name := m.plainCopy(); name != "" {
			aws.CreateSecret(name, nil, tags)
		}
		if m.tokenParameter() == "" {
			aws.CreateSecret(m.secret("token"), nil, tags)
		}
	}
	for name, members := range byParameter {
		var value any = members[0].declared
		if len(members) > 1 {
			several := map[string]any{}
			for _, m := range members {
				several[m.name] = m.declared
			}
			value = map[string]any{"connections": several}
		}
		document, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encoding the connections in %s: %w", name, err)
		}
		aws.PutParameter(connectionsPath+name, "String", string(document))
	}
	return nil
}
