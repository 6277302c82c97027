package providers

import (
	"net/url"
	"slices"
	"strings"

	"evertoken/internal/hosts"
)

// vendorHosts are the hosts to which a provider's credential may be sent without an
// operator naming them. Each belongs entirely to the vendor. A host or domain under which
// anybody can have a tenant is not listed, because a stranger's tenant could then get the
// credential. For that reason oauth2 has none, and a preset only those of its hosts that
// are fixed.
var vendorHosts = map[string]hosts.List{
	// flexera-public/unified-openapi, generator/sources/flexera/iam/v1/openapi.json,
	// "servers": both hosts in the three zones.
	"flexera": hosts.Must("login.flexera.com", "login.flexera.eu", "login.flexera.au",
		"api.flexera.com", "api.flexera.eu", "api.flexera.au"),
	// https://docs.revenera.com/fno_CURRENT/webservicesintegration/Content/helplibrary/
	// TokenBasedAuthKeyInfo.htm: <siteID>.flexnetoperations.com, run by the vendor.
	"flexnet": hosts.Must("*.flexnetoperations.com"),
	// https://www.sharetribe.com/api-reference/authentication.html, and
	// sharetribe/flex-integration-sdk-js for the second.
	"sharetribe": hosts.Must("flex-api.sharetribe.com", "flex-integ-api.sharetribe.com"),
	// https://docs.apiax.io/hc/en-gb/articles/4402382856337: auth.apiax.io.
	"apiax": hosts.Must("*.apiax.io"),
}

// tokenPaths are the only paths at some hosts to which a credential is sent, whatever
// allows the host. On other paths of these hosts, anybody with an account can read what is
// posted.
var tokenPaths = map[string][]string{
	// A pipeline gets the whole body of the request that triggered it:
	// https://docs.gitlab.com/ci/triggers/#access-webhook-payload
	"gitlab.com": {"/oauth/token"},
	// chat.postMessage takes a token and a text as parameters:
	// https://docs.slack.dev/reference/methods/chat.postMessage
	"slack.com": {"/api/oauth.v2.access", "/api/oauth.access", "/api/openid.connect.token",
		"/api/tooling.tokens.rotate"},
	// /v1/webhooks/incoming/ID posts a text to a room:
	// https://apphub.webex.com/applications/incoming-webhooks-cisco-systems-38054-23307-75252
	"webexapis.com": {"/v1/access_token"},
}

// shownToOthers says why a credential must not be sent to a URL from the settings or from
// an issuer's metadata; "" if it may.
func shownToOthers(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	paths, ok := tokenPaths[host]
	if !ok || slices.Contains(paths, u.EscapedPath()) && u.RawQuery == "" && !u.ForceQuery {
		return ""
	}
	return "is no token endpoint of " + host + ", and at other paths of that host others can " +
		"read what is posted: write https://" +
		host + strings.Join(paths, " or https://"+host)
}
