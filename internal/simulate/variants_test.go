package simulate

import (
	"encoding/json"
	"maps"

	fakeidp "evertoken/internal/fake/idp"
	fakekeys "evertoken/internal/fake/keys"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/secrets"
)

// redeclare adds members to the connection's declaration.
func redeclare(w *fakeworld.World, more map[string]any) {
	p, _ := w.AWS.Parameter(w.Config.ConnectionsPath + subject)
	declared := map[string]any{}
	if err := json.Unmarshal([]byte(p.Value), &declared); err != nil {
		panic("a declaration is no JSON: " + err.Error())
	}
	maps.Copy(declared, more)
	w.Declare(subject, declared)
}

// mistype stores the connection's credential with a wrong value in one member.
func mistype(w *fakeworld.World, member string) {
	name := "evertoken/" + subject + "/credential"
	v, _ := w.AWS.Secret(name).Labelled(secrets.Current)
	members := map[string]string{}
	if err := json.Unmarshal([]byte(v.Value), &members); err != nil {
		panic("a credential is no JSON: " + err.Error())
	}
	members[member] = wrongPassword
	text, _ := json.Marshal(members) // of strings
	w.PutSecret(name, string(text))
}

// copied publishes the bare access token in addition to the document.
func copied(connect func(*fakeworld.World)) func(*fakeworld.World) {
	return func(w *fakeworld.World) {
		connect(w)
		redeclare(w, map[string]any{"plain_copy": "evertoken/" + subject + "/copy"})
		w.AWS.CreateSecret("evertoken/"+subject+"/copy", nil, nil)
	}
}

// inParameter publishes in Parameter Store.
func inParameter(connect func(*fakeworld.World)) func(*fakeworld.World) {
	return func(w *fakeworld.World) {
		connect(w)
		redeclare(w, map[string]any{"token_parameter": tokenParameter(subject)})
	}
}

// byAssertion authenticates the client by a signed assertion (RFC 7523).
func byAssertion(w *fakeworld.World) {
	key := fakekeys.Generate(fakekeys.Must{}, "p256")
	o := w.IDP.OAuth2()
	id, _ := o.AddClient(fakeidp.OAuth2Client{Auth: fakeidp.PrivateKeyJWT, Key: key.Public(), KeyID: "k1"})
	w.Connect(subject, "oauth2", map[string]string{
		"client_id": id, "key_id": "k1", "private_key": fakekeys.PKCS8(fakekeys.Must{}, key),
	}, map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials", "client_auth": "private_key_jwt"}, nil)
}

// impersonated makes tokens for another user.
func impersonated(w *fakeworld.World) {
	f := w.IDP.FlexNet()
	password := f.AddUser("admin", "", fakeidp.CreateImpersonatedToken, fakeidp.ManageUsers)
	f.AddUser(subject, "")
	w.Connect(subject, "flexnet", map[string]string{"username": "admin", "password": password},
		map[string]any{"base_url": f.BaseURL(), "token_name": "lambda-" + subject,
			"username": subject, "token_type": "IMPERSONATED"}, nil)
}
