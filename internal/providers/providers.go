// Package providers contains what is specific to each token issuer: its settings, its
// grants and its peculiarities, one file per provider. Package oauth sends the requests and
// reads the answers.
package providers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/oauth"
	"evertoken/internal/presets"
	"evertoken/internal/redact"
	"evertoken/internal/strictjson"
)

// Options are what all providers share.
type Options struct {
	// Client sends the requests; nil means a new one with its defaults.
	Client *oauth.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// AllowLoopbackHTTP accepts http URLs to a loopback host.
	AllowLoopbackHTTP bool
	// AllowedHosts are the hosts to which a credential may be sent in addition to the
	// provider's own; see [hosts.Policy].
	AllowedHosts hosts.List
}

// ClientManager is an [exchange.Provider] that can replace a client's secret by API. Each
// call takes the credential with which the access token was obtained: the token goes only
// where that credential may go.
type ClientManager interface {
	// Account names the account that owns the clients, in the words by which people find it
	// at the provider. Connections with the same Account share its clients.
	Account() string
	// MaxClients returns how many clients the account can have at the same time.
	MaxClients() int
	// TokenLife returns how long an access token lives that a client obtains.
	TokenLife() time.Duration
	// ListClients returns the clients, without their secrets.
	ListClients(ctx context.Context, c credential.Credential,
		accessToken redact.Secret) ([]Client, error)
	// CreateClient makes a client. Only this call returns the client's secret.
	CreateClient(ctx context.Context, c credential.Credential,
		accessToken redact.Secret) (Client, error)
	// DeleteClient deletes a client. A client that is already gone is not an error.
	DeleteClient(ctx context.Context, c credential.Credential, accessToken redact.Secret,
		id string) error
}

// Client is an OAuth client of a service account.
type Client struct {
	ID        string
	Secret    redact.Secret // zero in a list
	CreatedAt time.Time     // zero if unknown
	CreatedBy int64         // the user's id; 0 if unknown
}

// String names the client, and who made it and when if the provider says so.
func (c Client) String() string {
	if c.CreatedAt.IsZero() {
		return c.ID
	}
	return fmt.Sprintf("%s (made %s by user %d)", c.ID, c.CreatedAt.UTC().Format(time.RFC3339), c.CreatedBy)
}

// DescribeClients joins the names of clients with a separator.
func DescribeClients(clients []Client, separator string) string {
	var names []string
	for _, c := range clients {
		names = append(names, c.String())
	}
	return strings.Join(names, separator)
}

// constructors maps a connection's provider name to the function that builds the provider.
var constructors = map[string]func(connection.Connection, Options) (exchange.Provider, error){
	"apiax":      newApiax,
	"flexera":    newFlexera,
	"flexnet":    newFlexNet,
	"oauth2":     newOAuth2,
	"sharetribe": newSharetribe,
}

// New returns the provider of a connection. Its error is a
// [*connection.Error] that names the setting at fault.
func New(c connection.Connection, o Options) (exchange.Provider, error) {
	construct, ok := constructors[c.Provider]
	if !ok {
		var preset presets.Preset
		preset, ok = presets.Find(c.Provider)
		construct = func(c connection.Connection, o Options) (exchange.Provider, error) {
			return newPreset(preset, c, o)
		}
	}
	if !ok {
		return nil, &connection.Error{Connection: c.Name, Member: "provider",
			Problem: connection.UnknownProvider(c.Provider)}
	}
	if o.Client == nil {
		o.Client = &oauth.Client{Now: o.Now}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p, err := construct(c, o)
	if err != nil {
		return nil, err
	}
	if probing, ok := p.(interface{ checkProbe(connection.Probe) error }); ok {
		if err := probing.checkProbe(c.Probe); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// base is the part that all providers share.
type base struct {
	name   string // of the connection
	client *oauth.Client
	now    func() time.Time
	http   bool // loopback http is allowed
	// destinations is the connection's policy without the credential's own hosts.
	destinations hosts.Policy
	// probeURL is the URL of a probe: the connection's own, or the provider's; empty if
	// there is none.
	probeURL string
}

// policy returns where the credential, and what is obtained with it, may be sent.
func (b base) policy(c credential.Credential) hosts.Policy {
	p := b.destinations
	p.Bound = c.Hosts()
	return p
}

// allowed checks URLs from the settings against the policy.
func (b base) allowed(c credential.Credential, urls ...string) error {
	if b.probeURL != "" {
		urls = append(urls, b.probeURL)
	}
	for _, u := range urls {
		if err := oauth.Allowed(b.policy(c), u, "connection "+b.name); err != nil {
			return err
		}
	}
	return nil
}

// hostOf returns the host of a URL that was already checked.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

func newBase(c connection.Connection, o Options) base {
	return base{name: c.Name, client: o.Client, now: o.Now, http: o.AllowLoopbackHTTP,
		destinations: hosts.Policy{
			Vendor: vendorHosts[c.Provider], Allowed: o.AllowedHosts, Loopback: o.AllowLoopbackHTTP,
			Secret: c.SecretName(c.Credential), Connection: c.Name,
		}, probeURL: c.Probe.URL}
}

// wrong returns the error for a setting.
func (b base) wrong(member, problem string) error {
	if member == "" {
		member = "settings"
	} else {
		member = "settings." + member
	}
	return &connection.Error{Connection: b.name, Member: member, Problem: problem}
}

// decode reads the provider's settings and rejects unknown ones.
func (b base) decode(settings json.RawMessage, into any) error {
	if len(settings) == 0 {
		settings = json.RawMessage("{}")
	}
	if member, problem := strictjson.Decode(settings, into); problem != "" {
		return b.wrong(member, problem)
	}
	return nil
}

// baseURL checks a URL to which paths are appended, and removes a slash at its end.
func (b base) baseURL(member, raw string) (string, error) {
	u, err := b.parseURL(member, raw)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return "", b.wrong(member, "must have no query: Evertoken appends paths to it")
	}
	return strings.TrimRight(raw, "/"), nil
}

// endpoint checks the URL of a token endpoint, which may have a query but no
// fragment (RFC 6749 section 3.2).
func (b base) endpoint(member, raw string) (string, error) {
	u, err := b.parseURL(member, raw)
	if err != nil {
		return "", err
	}
	for name := range u.Query() {
		if reserved[name] {
			return "", b.wrong(member, "must not carry "+name+" in its query: URLs are logged")
		}
	}
	return raw, nil
}

func (b base) parseURL(member, raw string) (*url.URL, error) {
	u, problem := parseURL(raw, b.http)
	// The issuer gets no credential, and its endpoint is checked later.
	if problem == "" && member != "issuer" {
		problem = shownToOthers(u)
	}
	if problem != "" {
		return nil, b.wrong(member, problem)
	}
	return u, nil
}

// parseURL parses a provider's URL. problem is empty if the URL is usable.
func parseURL(raw string, loopbackHTTP bool) (u *url.URL, problem string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, "must be a whole URL, such as https://host/path"
	case u.User != nil:
		return nil, "must hold no user name or password"
	case u.Fragment != "":
		return nil, "must have no fragment"
	case u.Scheme == "https":
		return u, ""
	case u.Scheme == "http" && loopbackHTTP && loopback(u.Hostname()):
		return u, ""
	}
	return nil, "must be https (http is allowed to a loopback host only, " +
		"with EVERTOKEN_ALLOW_LOOPBACK_HTTP=1)"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reserved are the parameters that Evertoken sets itself, and those whose values are
// secrets.
var reserved = map[string]bool{
	"grant_type": true, "client_id": true, "client_secret": true, "username": true, "password": true,
	"refresh_token": true, "access_token": true, "subject_token": true, "assertion": true,
	"client_assertion": true, "scope": true,
}

// extraMembers checks a connection's own form parameters.
func (b base) extraMembers(parameters map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if name == "" || reserved[name] {
			return b.wrong("extra", "must not set a parameter that Evertoken sets itself or that "+
				"is a secret: "+strings.Join(slices.Sorted(maps.Keys(reserved)), ", "))
		}
	}
	return nil
}

// window checks session_max and remint_before. Without session_max there is no window. The
// default of remint_before is a tenth of session_max, but at most a day.
func (b base) window(sessionMax, remintBefore strictjson.Duration) (
	limit, before time.Duration, err error,
) {
	limit, before = time.Duration(sessionMax), time.Duration(remintBefore)
	switch {
	case limit == 0 && before != 0:
		return 0, 0, b.wrong("remint_before", "needs \"session_max\"")
	case limit == 0:
		return 0, 0, nil
	case before == 0:
		before = min(limit/10, 24*time.Hour)
	}
	if before >= limit {
		return 0, 0, b.wrong("remint_before", "must be less than \"session_max\": "+
			"Evertoken would open a new session at every renewal")
	}
	return limit, before, nil
}

// form returns parameters from pairs of name and value.
func form(pairs ...string) redact.Values {
	v := redact.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		v.Set(pair[0], pair[1])
	}
	return v
}
