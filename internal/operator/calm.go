package operator

import (
	"time"

	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// unsettled says why a session's refresh token may be on its way to the provider,
// or "" where it is not, by the functions' own reading.
func unsettled(d secrets.Description, now time.Time) string {
	switch stage := session.StageOf(d, d.Holder(secrets.Current), now, runLasts); stage {
	case session.Empty, session.Unlabelled, session.Idle:
		return ""
	default:
		return stageInWords[stage]
	}
}
