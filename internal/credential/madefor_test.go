package credential_test

import (
	"testing"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

func TestACredentialKnowsTheClientMadeForItsSecret(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:evertoken/f/credential-AbCdEf"
	parse := func(text string) credential.Credential {
		c, err := credential.Parse(redact.New(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	stored := parse(`{"client_id":"0oa1","client_secret":"s","note":"kept"}`)
	made := parse(stored.WithOwnClient(arn, "0oa2", redact.New("t")).Encode().Reveal())
	for name, test := range map[string]struct {
		doc  credential.Credential
		arn  string
		want bool
	}{
		"stored by a person":   {stored, arn, false},
		"made for this secret": {made, arn, true},
		"copied to another Region": {made,
			"arn:aws:secretsmanager:us-east-1:123456789012:secret:evertoken/f/credential-AbCdEf",
			false},
		"copied to another secret": {made,
			"arn:aws:secretsmanager:eu-west-1:123456789012:secret:evertoken/g/credential-AbCdEf",
			false},
		"the secret was made again": {made,
			"arn:aws:secretsmanager:eu-west-1:123456789012:secret:evertoken/f/credential-XyZxYz",
			false},
		"a person's client since":               {made.With(credential.ClientID, redact.New("0oa3")), arn, false},
		"no client":                             {parse(`{"client_made_for":""}`), arn, false},
		"an empty record":                       {stored.With(credential.MadeFor, redact.New("")), arn, false},
		"another program's member of that name": {stored.With(credential.MadeFor, redact.New("0oa1")), arn, false},
	} {
		if got := test.doc.OwnsClient(test.arn); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if made.Get(credential.ClientSecret).Reveal() != "t" {
		t.Error("the client's secret is not the new one")
	}
}
