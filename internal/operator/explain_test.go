package operator

import (
	"strings"
	"testing"
)

// What explain says about a label on the credential follows what the label is about.
func TestALabelIsExplainedByWhatItIsAbout(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"EVERTOKEN_UNSURE_2_20261121T150000Z_password_0a1b2c3d":           "a password that has never worked only three times in all.",
		"EVERTOKEN_UNSURE_2_20261121T150000Z_token_0a1b2c3d":              "a password that has never worked only three times in all.",
		"EVERTOKEN_UNSURE_2_20261121T150000Z_refresh_token_0a1b2c3d":      "a refresh token that got no answer once more, then once a day.",
		"EVERTOKEN_UNSURE_2_20261121T150000Z_client_credentials_0a1b2c3d": "with growing pauses, at most six times a day.",
		"EVERTOKEN_REJECTED_20261121_password_0a1b2c3d":                   "it never retries one that has not.",
		"EVERTOKEN_REJECTED_20261121_client_credentials_0a1b2c3d":         "On 2026-11-21 the provider refused it (client_credentials). Evertoken retries it once a day.",
		"EVERTOKEN_SEED_0a1b2c3d4e5f6071":                                 "Evertoken does not send it again.",
		"AWSCURRENT":                                                      "",
	} {
		got, _ := noteInWords(label, "c")
		if !strings.HasSuffix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want it to end in %q", label, got, want)
		}
	}
}
