package connection

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// use is one connection's use of a document.
type use struct {
	entry  int    // index in the list of declared connections
	member string // the member that names the document
	id     string // as the connection writes it
	// perhaps is set if the id is an ARN that refers to the document only if its last six
	// letters are not part of the name.
	perhaps bool
}

// wanted is a document that several connections use in roles that exclude each other.
type wanted struct {
	what string // "secret", "parameter" or "FlexNet token"
	name string
	uses []use
}

// keepRoles rejects connections that use a document in a role that another connection's use
// of it excludes: each session, token, copy and FlexNet token belongs to one connection and
// cannot be a credential, and a credential serves connections of one provider.
//
// A connection owns the documents whose default name contains its name, so that nobody can
// stop a connection by declaring another one. If no default name decides, the owner is
// unknown and keepRoles rejects all of them. A rejected connection claims nothing else, so
// that it cannot stop a third one.
//
// A default name also fixes the role, even if its connection is no longer declared: a
// document named as a session cannot be a credential.
func keepRoles(all []Declared) {
	for _, w := range conflicts(all) {
		owner := w.owner(all)
		for _, u := range w.uses {
			if owner != nil && u.entry != owner.entry && w.excludes(all, u, *owner) {
				refuse(all, w, u, *owner, true)
			}
		}
	}
	for i, d := range all {
		if d.Err == nil {
			all[i].Err = d.Connection.misnamed(d.Parameter)
		}
	}
	errs := map[int]func(){}
	for _, w := range conflicts(all) {
		for _, u := range w.uses {
			if other, ok := w.rival(all, u); ok {
				errs[u.entry] = func() { refuse(all, w, u, other, false) }
			}
		}
	}
	for _, refuse := range errs {
		refuse()
	}
}

// conflicts returns the documents that more than one connection uses.
func conflicts(all []Declared) []wanted {
	byName := map[[2]string][]use{}
	for i, d := range all {
		if d.Err != nil {
			continue
		}
		for what, documents := range d.Connection.documents() {
			for _, document := range documents {
				key := [2]string{what, document.id}
				if what == secret {
					key[1] = SecretName(document.id)
				}
				byName[key] = append(byName[key], use{entry: i, member: document.member, id: document.id})
				if what == secret && withoutSix(document.id) != key[1] {
					key[1] = withoutSix(document.id)
					byName[key] = append(byName[key], use{i, document.member, document.id, true})
				}
			}
		}
	}
	// Most documents have one use.
	maps.DeleteFunc(byName, func(_ [2]string, uses []use) bool { return len(uses) == 1 })
	var out []wanted
	for _, key := range slices.SortedFunc(maps.Keys(byName),
		func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		for _, uses := range byAccount(all, key[0], byName[key]) {
			if len(uses) > 1 {
				out = append(out, wanted{key[0], key[1], uses})
			}
		}
	}
	return out
}

const (
	secret       = "secret"
	parameter    = "parameter"
	flexnetToken = "FlexNet token"
)

// documents returns what the connection uses, by kind.
func (c Connection) documents() map[string][]document {
	out := map[string][]document{secret: c.secrets()}
	if c.TokenParameter != "" {
		out[parameter] = []document{{"token_parameter", c.TokenParameter}}
	}
	if name := c.flexnetToken(); name != "" {
		out[flexnetToken] = []document{{"settings.token_name", name}}
	}
	return out
}

// flexnetToken identifies the connection's token at FlexNet Operations, where a name is the
// same token for every user; "" for another provider.
func (c Connection) flexnetToken() string {
	if c.Provider != "flexnet" {
		return ""
	}
	var s struct {
		BaseURL   string `json:"base_url"`
		TokenName string `json:"token_name"`
	}
	if json.Unmarshal(c.Settings, &s) != nil || s.TokenName == "" { // the provider says what is wrong
		return ""
	}
	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return ""
	}
	// Ignore the path: a site may serve the same tokens with and without /flexnet.
	return strings.ToLower(s.TokenName) + " at " + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// byAccount groups uses of secrets with the same name by account. If an account is unknown,
// all uses may be of one secret and form one group.
func byAccount(all []Declared, what string, uses []use) [][]use {
	if what != secret {
		return [][]use{uses}
	}
	parts := map[string][]use{}
	for _, u := range uses {
		account := accountOf(u.id, all[u.entry].Connection.Account)
		parts[account] = append(parts[account], u)
	}
	if len(parts[""]) > 0 {
		return [][]use{uses}
	}
	return slices.Collect(maps.Values(parts))
}

// excludes reports whether two uses by different connections exclude each other.
func (w wanted) excludes(all []Declared, a, b use) bool {
	if a.entry == b.entry || a.perhaps && b.perhaps {
		return false
	}
	if (a.perhaps || b.perhaps) && a.member == "credential" && b.member == "credential" {
		return false // two credentials that may be the same secret do no harm
	}
	return a.member != "credential" || b.member != "credential" ||
		all[a.entry].Connection.Provider != all[b.entry].Connection.Provider
}

// contradicts reports whether a member uses a document whose default name says another
// role, if one of the two roles is a credential.
func contradicts(member, name string) bool {
	if defaultOf(name) == "" {
		return false
	}
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case "session", "token", "copy":
		return member == "credential"
	case "credential":
		return member != "credential"
	}
	return false
}

// misnamed rejects a connection that uses a document with the name of a session, token or
// copy as its credential, or the reverse. Its error is an [*Error] or nil.
func (c Connection) misnamed(parameter string) error {
	for _, d := range c.secrets() {
		if name := SecretName(d.id); contradicts(d.member, name) {
			return &Error{c.Name, d.member, "has the name of a " +
				name[strings.LastIndexByte(name, '/')+1:] + " of connection " + defaultOf(name) +
				": a session, a token or a copy cannot serve as a credential. " +
				"Name another secret in the parameter " + parameter + ": " + putCommand(parameter)}
		}
	}
	return nil
}

// rival returns another use that excludes u.
func (w wanted) rival(all []Declared, u use) (use, bool) {
	for _, other := range w.uses {
		if w.excludes(all, u, other) {
			return other, true
		}
	}
	return use{}, false
}

// owner returns the use by the connection whose name is in the document's default name:
// evertoken/<name>/… of a secret, …/<name> of a parameter. A FlexNet token has no default
// name.
func (w wanted) owner(all []Declared) *use {
	name := ""
	switch w.what {
	case secret:
		name = defaultOf(w.name)
	case parameter:
		name = w.name[strings.LastIndexByte(w.name, '/')+1:]
	}
	for i, u := range w.uses {
		owner := name != "" && all[u.entry].Name == name
		if owner && (w.what != secret || !contradicts(u.member, w.name)) {
			return &w.uses[i]
		}
	}
	return nil
}

// refuse sets the error of u: which other connection uses the document, where both are
// declared, and what to do.
func refuse(all []Declared, w wanted, u, other use, owned bool) {
	d, o := &all[u.entry], all[other.entry]
	also := "is also connection " + o.Name + "'s " + other.member +
		" (parameter " + o.Parameter + "): "
	if u.member == "credential" && other.member == "credential" {
		also = "is also the credential of connection " + o.Name + " of provider " + o.Connection.Provider +
			" (parameter " + o.Parameter + "), and a credential can serve only one provider: "
	}
	keeps := "Evertoken cannot tell which connection owns it, so it uses neither"
	if owned {
		keeps = "the " + w.what + " is named after that connection, which therefore owns it"
	}
	d.Err = &Error{d.Name, u.member, also + keeps + ". Name another one in the parameter " +
		d.Parameter + ": " + putCommand(d.Parameter)}
}
