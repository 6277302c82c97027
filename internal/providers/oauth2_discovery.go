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
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// discovery knows the token endpoint, or the issuer to ask for it. What it
// found is kept for as long as the provider's value lives, which is one run.
type discovery struct {
	issuer string

	mu       sync.Mutex
	endpoint string
}

// tokenURL is the token endpoint. Its error is an [*exchange.Error]; nothing
// was sent that could be lost.
func (p *oauth2) tokenURL(ctx context.Context, c credential.Credential) (string, error) {
	d := &p.discovery
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.endpoint != "" {
		return d.endpoint, nil
	}
	var err error
	for _, where := range wellKnown(d.issuer) {
		d.endpoint, err = p.discover(ctx, c, where)
		if e, ok := errors.AsType[*exchange.Error](err); !ok || e.Class != exchange.Misconfigured {
			break // found, or no answer to the question whether it is there
		}
	}
	return d.endpoint, err
}

// wellKnown are the places of an issuer's metadata: RFC 8414 section 3.1 puts
// the well-known part before the issuer's path, OpenID Connect Discovery
// section 4 after it.
func wellKnown(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return []string{issuer} // checked when the settings were read
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}
}

// discover reads one metadata document.
func (p *oauth2) discover(ctx context.Context, c credential.Credential, where string) (string, error) {
	doing := oauth.Doing("reading the issuer's metadata", where)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil { // quotes the URL
		return "", &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Problem: "the URL cannot be used"}
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
			e.Class, e.Hint = exchange.Misconfigured, "The issuer has no metadata there: check settings.issuer, or give settings.token_url."
		}
		return "", e
	}
	endpoint, problem := p.readMetadata(a.Body)
	if problem != "" {
		return "", &exchange.Error{Class: exchange.Misconfigured, Doing: doing, Problem: problem,
			Hint: "Check settings.issuer, or give settings.token_url."}
	}
	return endpoint, nil
}

// readMetadata takes the token endpoint out of a metadata document (RFC 8414
// section 2).
func (p *oauth2) readMetadata(body redact.Secret) (endpoint, problem string) {
	var metadata struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal([]byte(body.Reveal()), &metadata) != nil {
		return "", "the answer is not the metadata's JSON object"
	}
	// RFC 8414 section 3.3: identical, or another server's metadata must not be
	// used.
	if metadata.Issuer != p.discovery.issuer {
		return "", `the metadata's "issuer" is not settings.issuer, letter by letter`
	}
	if _, problem := parseURL(metadata.TokenEndpoint, p.http); problem != "" {
		return "", `the metadata's "token_endpoint" ` + problem
	}
	return metadata.TokenEndpoint, ""
}
