package operator

import (
	"slices"
	"time"

	"evertoken/internal/secrets"
)

// unsettled says why a session's refresh token may be on its way to the provider,
// or "" where it is not.
func unsettled(d secrets.Description, _ time.Time) string {
	if slices.Contains(d.Labels[d.Holder(secrets.Current)], "EVERTOKEN_EXCHANGE") {
		return "an exchange is under way, or its answer was lost"
	}
	return ""
}
