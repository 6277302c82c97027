package providers

import "evertoken/internal/hosts"

// vendorHosts are the hosts that a provider's own credential may be sent to
// without anybody naming them. Each belongs to the vendor whole: a host or a
// domain under which anybody can have a tenant is none of them, since a
// stranger's tenant would be sent the credential too. For that reason oauth2 has
// none, and a preset only those of its hosts that are fixed.
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
