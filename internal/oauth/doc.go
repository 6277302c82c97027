// Package oauth makes one exchange at one RFC 6749 token endpoint: one request,
// a tolerant reading of the answer, and a failure in the words of package
// exchange. It keeps no state and never sends anything twice.
//
// It is not golang.org/x/oauth2 because that may send a second request to guess
// the client authentication, puts response bodies into error texts, takes no
// further parameters on a refresh and keeps no refresh expiry.
package oauth
