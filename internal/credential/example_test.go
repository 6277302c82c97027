package credential_test

import (
	"fmt"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// A token document is what applications read. Printing the access
// token shows "[redacted]"; Reveal returns its value.
func ExampleParseToken() {
	token, err := credential.ParseToken(redact.New(`{
		"access_token": "eyJhbGciOi",
		"token_type":   "Bearer",
		"issued_at":    "2026-11-21T16:00:00Z",
		"renew_after":  "2026-11-21T16:35:00Z",
		"expires_at":   "2026-11-21T17:00:00Z",
		"provider":     "flexera",
		"connection":   "flexera-prod"
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Connection, "lives until", token.ExpiresAt.Format(time.Kitchen))
	fmt.Println("printed:", token.AccessToken)
	fmt.Println("sent:", token.TokenType, token.AccessToken.Reveal())

	_, err = credential.ParseToken(redact.New(`{"access_token": "eyJhbGciOi"}`))
	fmt.Println("error:", err)
	// Output:
	// flexera-prod lives until 5:00PM
	// printed: [redacted]
	// sent: Bearer eyJhbGciOi
	// error: the token's "expires_at" is missing
}
