package main

import (
	"testing"

	"evertoken/internal/issue"
)

// TestARunFromFilesNamesNoCommandThatChangesAnAccount: a run from files prints no command
// that would act on a real account.
func TestARunFromFilesNamesNoCommandThatChangesAnAccount(t *testing.T) {
	t.Parallel()
	r := &realRun{connections: "connections.json", credentialsFile: "credentials.json"}
	tests := []struct{ reason, hint, wantReason, wantHint, class string }{
		{"not due", "", "not due", "", ""},
		{
			`connection a: "settings.zone" must be nam, eu or apac`,
			"Correct it in the parameter /evertoken/connections/a: aws ssm put-parameter --overwrite --type String --value file://connection.json --name /evertoken/connections/a",
			`connection a: "settings.zone" must be nam, eu or apac`, "Correct a in connections.json, and run this again.", "misconfigured",
		},
		{
			"connection a: is declared twice, in the parameter x: neither is used. Leave one of the two: aws ssm put-parameter --name x", "The reason names the command that corrects it.",
			"connection a: is declared twice, in the parameter x: neither is used.", "Correct a in connections.json, and run this again.", "misconfigured",
		},
		{
			"the provider refused the credential", "store a working credential: aws secretsmanager put-secret-value --secret-id evertoken/a/credential; or, to try the old one again, invoke issue with {}",
			"the provider refused the credential", "Correct the credential in EVERTOKEN_CREDENTIAL_A, or in credentials.json, and run this again.", "credential_dead",
		},
		{"HTTP 503", "once the cause is mended, invoke issue with {}", "HTTP 503", "Run this again.", "transient"},
		{
			"connection a: the credential may not be sent to 127.0.0.1:38649", `If 127.0.0.1:38649 is right, allow it in one of two ways. For this credential alone, add "hosts":["127.0.0.1:38649"] to its document and store that: aws secretsmanager put-secret-value --secret-id x.`,
			"connection a: the credential may not be sent to 127.0.0.1:38649", `If 127.0.0.1:38649 is right, add "hosts":["127.0.0.1:38649"] to the credential, or set EVERTOKEN_ALLOWED_HOSTS=127.0.0.1:38649, and run this again.`, "misconfigured",
		},
	}
	for _, tt := range tests {
		got := r.speakHere(issue.Entry{Name: "a", Reason: tt.reason, Hint: tt.hint, ErrorClass: tt.class})
		if got.Reason != tt.wantReason || got.Hint != tt.wantHint {
			t.Errorf("%q, %q:\n reason %q\n hint   %q", tt.reason, tt.hint, got.Reason, got.Hint)
		}
	}
}
