package fakeidp

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// FlexNet is the access-token-controller of FlexNet Operations: named tokens,
// managed as JSON by users who authenticate with HTTP Basic. Shapes and rules
// are those of the guide
// (https://docs.revenera.com/fno_CURRENT/webservicesintegration/Content/helplibrary/,
// the TokenBasedAuth pages) and of its OpenAPI rendering
// (https://fnoapi.redocly.app/apis/rest/accesstokencontroller). Neither
// documents errors beyond one status: those here use the same envelope.
type FlexNet struct {
	s      *Server
	opts   FlexNetOptions
	routes []route
	users  map[string]*flexnetUser
	tokens map[string]*flexnetToken // :: token name → token, expired ones included
}

// FlexNetPermission is what a user may do beyond managing own NORMAL tokens.
type FlexNetPermission string

// The permissions that the vendor's key information page names.
const (
	CreateImpersonatedToken FlexNetPermission = "Create Impersonated Token"
	ManageUsers             FlexNetPermission = "View and Manage Users"
	ManageCustomerUsers     FlexNetPermission = "View and Manage Customer Users"
	ManagePartnerUsers      FlexNetPermission = "View and Manage Partner Users"
)

// FlexNetPaths says which of the two documented base paths exist.
type FlexNetPaths int

const (
	// FlexNetBothPaths serves both.
	FlexNetBothPaths FlexNetPaths = iota
	// FlexNetRootPath serves only the host's root, as the guide's tables say.
	FlexNetRootPath
	// FlexNetPrefixedPath serves only /flexnet, as the OpenAPI rendering says.
	FlexNetPrefixedPath
)

// FlexNetOptions are what differs between deployments or is undocumented.
type FlexNetOptions struct {
	Paths FlexNetPaths
	// NameTakenStatus is the answer to a name that a live token has; 409.
	NameTakenStatus int
	// CreateStatus is 201 in the guide (the default) and 200 on an older page.
	CreateStatus int
	// UnauthorizedJSON answers wrong credentials in the JSON envelope, not with
	// an HTML page.
	UnauthorizedJSON bool
	// MaxLife caps what expiryStr may ask for; 0 means no cap.
	MaxLife time.Duration
}

type flexnetUser struct {
	name, password string
	permissions    []FlexNetPermission
}

type flexnetToken struct {
	name, description, kind string
	expiryStr               string
	username, creator       string
	issued, expires         time.Time
	value                   string
}

func newFlexNet(s *Server) *FlexNet {
	n := &FlexNet{
		s:      s,
		opts:   FlexNetOptions{NameTakenStatus: http.StatusConflict, CreateStatus: http.StatusCreated},
		users:  make(map[string]*flexnetUser),
		tokens: make(map[string]*flexnetToken),
	}
	n.routes = []route{
		{http.MethodPost, "uar/v1/token", n.create},
		{http.MethodPost, "uar/v1/token/verification", n.verify},
		{http.MethodPost, "uar/v1/token/{}/rotation", n.rotate},
		{http.MethodGet, "uar/v1/token/{}", n.details},
		{http.MethodPut, "uar/v1/token/{}", n.update},
		{http.MethodDelete, "uar/v1/token/{}", n.remove},
		{http.MethodGet, "uar/v1/tokens", n.list},
		{http.MethodGet, "uar/v1/tokens/count", n.count},
		{http.MethodPost, "uar/v1/tokens/search", n.search},
	}
	return n
}

// Configure changes the options.
func (n *FlexNet) Configure(change func(*FlexNetOptions)) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	change(&n.opts)
}

// BaseURL is the host's root.
func (n *FlexNet) BaseURL() string { return n.s.url + "/" + ProviderFlexNet }

// PrefixedBaseURL is the host's root with the documented /flexnet behind it.
func (n *FlexNet) PrefixedBaseURL() string { return n.BaseURL() + "/flexnet" }

// AddUser makes or replaces a user and returns the password. An empty password
// means a generated one.
func (n *FlexNet) AddUser(name, password string, permissions ...FlexNetPermission) string {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	if password == "" {
		password = n.s.mintPassword(ProviderFlexNet, "password")
	}
	n.users[name] = &flexnetUser{name: name, password: n.s.register(password), permissions: permissions}
	return password
}

// Tokens returns the names of the live tokens, sorted.
func (n *FlexNet) Tokens() []string {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	names := []string{}
	for name, t := range n.tokens {
		if n.alive(t) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Revoke deletes a token by name.
func (n *FlexNet) Revoke(name string) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	delete(n.tokens, name)
}

func (n *FlexNet) alive(t *flexnetToken) bool { return n.s.now().Before(t.expires) }

// byValue is the live token with that value, or nil.
func (n *FlexNet) byValue(value string) *flexnetToken {
	for _, t := range n.tokens {
		if t.value == value && n.alive(t) {
			return t
		}
	}
	return nil
}

// manages reports whether a user may manage tokens for other users.
func (u *flexnetUser) manages() bool {
	return slices.Contains(u.permissions, CreateImpersonatedToken) &&
		(slices.Contains(u.permissions, ManageUsers) ||
			slices.Contains(u.permissions, ManageCustomerUsers) ||
			slices.Contains(u.permissions, ManagePartnerUsers))
}

func (n *FlexNet) serve(c *call) reply {
	prefixed := len(c.segments) > 0 && c.segments[0] == "flexnet"
	if prefixed && n.opts.Paths == FlexNetRootPath || !prefixed && n.opts.Paths == FlexNetPrefixedPath {
		return htmlReply(http.StatusNotFound, "HTTP Status 404 - Not Found")
	}
	if prefixed {
		c.segments = c.segments[1:]
	}
	if n.user(c) == nil {
		return n.unauthorized()
	}
	out, status := dispatch(n.routes, c)
	if status != 0 {
		return htmlReply(status, "HTTP Status "+itoa(status)+" - "+http.StatusText(status))
	}
	return out
}

// user is the authenticated caller, or nil. The guide says of the REST services in
// general that they accept HTTP Basic; whether the controller accepts a bearer token is
// not documented, and the fake refuses one.
func (n *FlexNet) user(c *call) *flexnetUser {
	name, password, ok := c.r.BasicAuth()
	u := n.users[name]
	if !ok || u == nil || u.password != password {
		return nil
	}
	return u
}

func (n *FlexNet) unauthorized() reply {
	out := htmlReply(http.StatusUnauthorized, "HTTP Status 401 - Unauthorized")
	if n.opts.UnauthorizedJSON {
		out = n.refuse(http.StatusUnauthorized, "Invalid credentials")
	}
	out.header.Set("WWW-Authenticate", `Basic realm="FlexNet Operations"`)
	return out
}

// refuse is an error in the envelope of the success answers.
func (n *FlexNet) refuse(status int, message string, sent ...string) reply {
	return jsonReply(status,
		map[string]any{"statusMessage": n.s.describe(message, sent...), "responseObject": nil})
}

func (n *FlexNet) badRequest(message string, sent ...string) reply {
	return n.refuse(http.StatusBadRequest, message, sent...)
}

func successful(status int, object any) reply {
	return jsonReply(status, map[string]any{"statusMessage": "Successful", "responseObject": object})
}

// object is a token as the controller prints it. Only the answers of create and rotate
// contain the value.
func (t *flexnetToken) object() map[string]any {
	return map[string]any{
		"expiryStr": t.expiryStr, "tokenDescription": t.description, "tokenName": t.name,
		"tokenExpiryMillis": t.expires.UnixMilli(), "tokenIssueMillis": t.issued.UnixMilli(),
		"tokenCreator": t.creator, "tokenType": t.kind, "username": t.username,
	}
}

func (t *flexnetToken) objectWithValue() map[string]any {
	o := t.object()
	o["tokenValue"] = t.value
	return o
}

// masked is a token as a user without permission sees it. The guide says that
// values are masked, not how.
func (t *flexnetToken) masked() map[string]any {
	o := t.object()
	for _, name := range []string{"tokenDescription", "tokenName", "tokenCreator", "username"} {
		o[name] = strings.Repeat("*", 8)
	}
	return o
}

// seenBy is the token's details for a user: masked unless it is the user's own
// or the user manages others.
func (t *flexnetToken) seenBy(u *flexnetUser) map[string]any {
	if t.creator == u.name || t.username == u.name || u.manages() {
		return t.object()
	}
	return t.masked()
}

// newValue makes a token value: the documented prefix, and the documented 44
// characters after it. They are not all hexadecimal, and neither are those of
// the guide's own sample.
func (n *FlexNet) newValue() string {
	const kind = Canary + ProviderFlexNet + "access"
	return n.s.register("rna_" + kind + randomHex(44-len(kind)))
}
