// Package oauth makes one exchange at one RFC 6749 token endpoint: it sends one request,
// reads the answer tolerantly, and reports a failure as an [exchange.Error]. It keeps no
// state and never sends anything twice.
//
// Evertoken does not use golang.org/x/oauth2, because that may send a second request to
// find out the client authentication, puts response bodies into error texts, accepts no
// further parameters on a refresh, and does not keep a refresh token's expiry.
package oauth
