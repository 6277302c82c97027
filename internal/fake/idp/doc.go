// Package fakeidp is one HTTP server on a loopback address that behaves as the
// token issuers Evertoken talks to, with their real rules: single-use refresh
// tokens, session ends, lockouts, client limits, and error bodies of each
// vendor's own shape. All state is in memory and all time comes from an
// injected clock.
//
// Five providers are mounted, each under its own path prefix:
//
//   - flexera: Flexera One's token endpoint and IAM API, in three zones
//   - flexnet: FlexNet Operations' access-token-controller
//   - sharetribe: Sharetribe's Authentication API on both of its hosts
//   - apiax: a Keycloak realm
//   - oauth2: a plain RFC 6749 authorization server
//
// Every secret value that the server issues or learns is listed by
// [Server.Canaries], and every one that it makes itself contains [Canary], so
// that a test can search logs and answers for a leak.
//
// What happens on the wire is recorded ([Server.Requests]) and can be disturbed
// ([Server.Inject]). Where a vendor does not document a behaviour, the comment
// at that place says so; where deployments differ, it is an option.
//
// The package is for tests and local runs only.
package fakeidp
