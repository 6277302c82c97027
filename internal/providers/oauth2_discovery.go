package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/lazyregexp"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// discovery contains the token endpoint, or the issuer whose metadata names it. It
// remembers what it found as long as the provider's value lives, which is one run.
type discovery struct {
	issuer string

	mu       sync.Mutex
	endpoint string
}

// tokenURL returns the token endpoint. Its error is an [*exchange.Error]; no credential was
// sent, so nothing is lost.
func (p *oauth2) tokenURL(ctx context.Context, c credential.Credential) (string, error) {
	d := &p.discovery
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.endpoint != "" {
		return d.endpoint, nil
	}
	var told *exchange.Error // the most informative error of the places without metadata
	for _, where := range wellKnown(d.issuer) {
		endpoint, err := p.discover(ctx, c, where)
		e, failed := errors.AsType[*exchange.Error](err)
		switch {
		case !failed:
			d.endpoint = endpoint
			return endpoint, err
		case e.Class == exchange.Throttled, e.Class == exchange.Transient && e.Status == 0:
			return "", err // the other place is on the same server
		case told == nil || tells(e) >= tells(told):
			told = e
		}
	}
	return "", told
}

// tells ranks the reasons why a place has no metadata, by how informative they are. After a
// 5xx, Evertoken still asks the other place, because a gateway may answer 5xx for any path
// that it does not know; if neither place has the metadata, the fault may be temporary. A
// wrong document is more informative than a missing one.
func tells(e *exchange.Error) int {
	switch {
	case e.Class == exchange.Transient:
		return 2
	case e.Status == 0:
		return 1
	}
	return 0
}

// wellKnown returns the places of an issuer's metadata: RFC 8414 section 3.1 puts the
// well-known part before the issuer's path, OpenID Connect Discovery section 4 after it.
func wellKnown(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return []string{issuer} // cannot happen: the settings were checked
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}
}

// discover reads one metadata document.
func (p *oauth2) discover(ctx context.Context, c credential.Credential, where string) (
	string, error,
) {
	doing := oauth.Doing("reading the issuer's metadata", where)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil { // quotes the URL
		return "", &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	a, err := p.client.Do(ctx, p.policy(c), r, doing)
	if err != nil {
		if e, ok := errors.AsType[*exchange.Error](err); ok {
			e.Lost = false
		}
		return "", err
	}
	if !a.OK() {
		e := p.client.Refused(a, oauth.Refusal{Doing: doing, Kind: oauth.Call})
		if e.Class != exchange.Throttled && e.Class != exchange.Transient {
			e.Class, e.Unsure, e.Hint = exchange.Misconfigured, false, "The issuer has no "+
				"metadata there: correct settings.issuer, or set settings.token_url in its place."
		}
		return "", e
	}
	endpoint, problem := p.readMetadata(a.Body)
	if problem != "" {
		return "", &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Problem: problem,
			Hint: "Correct settings.issuer, or set settings.token_url in its place."}
	}
	return endpoint, nil
}

// plainURL matches a URL that may be shown in an error.
var plainURL = lazyregexp.New(`^https?://[A-Za-z0-9._:/~%-]{1,200}$`)

// readMetadata extracts the token endpoint from a metadata document (RFC 8414 section 2).
func (p *oauth2) readMetadata(body redact.Secret) (endpoint, problem string) {
	var metadata struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
		Aliases       struct {
			TokenEndpoint string `json:"token_endpoint"`
		} `json:"mtls_endpoint_aliases"`
	}
	if json.Unmarshal([]byte(body.Reveal()), &metadata) != nil {
		return "", "the answer is not the metadata's JSON object"
	}
	// RFC 8414 section 3.3: the issuer must be identical, otherwise the metadata is another
	// server's and must not be used.
	if metadata.Issuer != p.discovery.issuer {
		problem := `the metadata's "issuer" is not settings.issuer, character for character`
		if u, fault := parseURL(metadata.Issuer, p.http); fault == "" &&
			u.Host == hostOf(p.discovery.issuer) && plainURL().MatchString(metadata.Issuer) {
			problem += ": it is " + metadata.Issuer
		}
		return "", problem
	}
	name, endpoint := "token_endpoint", metadata.TokenEndpoint
	if alias := metadata.Aliases.TokenEndpoint; p.mutualTLS && alias != "" { // RFC 8705 section 5
		name, endpoint = "mtls_endpoint_aliases", alias
	}
	u, problem := parseURL(endpoint, p.http)
	if problem == "" {
		problem = shownToOthers(u)
	}
	if problem != "" {
		return "", `the metadata's "` + name + `" ` + problem
	}
	return endpoint, ""
}
